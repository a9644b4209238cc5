/** A fresh, migrated database, a contract to play with, and ways to wait without sleeping blindly. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { catalogue, contract, event, type NewEvent } from '@surefire/events';
import { connect, type Database, migrate } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import { Type } from 'typebox';
import { type Log, messagingMigrations } from '../src/index.ts';

export const Happened = contract({
  name: 'test.happened',
  version: 1,
  delivery: 'critical',
  topic: 'test',
  aggregate: 'thing',
  description: 'Something happened.',
  data: Type.Object({ key: Type.String(), n: Type.Integer() }),
  key: (data) => data.key,
  subject: (data) => data.key,
});

export const Ignored = contract({ ...Happened, name: 'test.ignored' });

export const testCatalogue = catalogue({ namespace: 'surefire', contracts: [Happened, Ignored] });

export const happened = (key: string, n: number): NewEvent<typeof Happened> => event(Happened, { key, n });

export async function messagingDatabase(): Promise<{
  url: string;
  db: Database;
  /** Another pool on the same database; closed with the rest. */
  connect: (settings?: Readonly<Record<string, string>>) => Database;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const { directory } = messagingMigrations;
  const files = readdirSync(directory).toSorted();
  const hash = createHash('sha256')
    .update(files.map((file) => readFileSync(`${directory}/${file}`)).join())
    .digest('hex');
  const database = await testDatabase({
    template: `messaging_${hash.slice(0, 12)}`,
    migrate: async (url) => void (await migrate({ url, modules: [messagingMigrations] })),
  });
  const pools: Database[] = [];
  const open = (settings: Readonly<Record<string, string>> = {}) => {
    const db = connect({ url: database.url, max: 4, settings });
    pools.push(db);
    return db;
  };
  return {
    url: database.url,
    db: open(),
    connect: open,
    async [Symbol.asyncDispose]() {
      await Promise.all(pools.map((pool) => pool.close()));
      await database.drop();
    },
  };
}

/** Collects what would be logged, so that a test can ask for it. */
export function testLog(): Log & {
  lines: { level: string; message: string; fields: Record<string, unknown> }[];
} {
  const lines: { level: string; message: string; fields: Record<string, unknown> }[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields: { ...fields } });
  return {
    lines,
    isLevelEnabled: () => true,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
}

/** Resolves as soon as the condition holds; fails with `what` after ten seconds. */
export async function eventually(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const limit = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function scalar(db: Database, text: string, values: unknown[] = []): Promise<string> {
  const { rows } = await db.query(text, values);
  return String(Object.values(rows[0] ?? {})[0]);
}
