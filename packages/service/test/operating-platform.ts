/** A platform in small for the operating routes: relay, one consumer group that refuses what it is told to, HTTP. */
import { catalogue, contract, event } from '@surefire/events';
import {
  createConsumer,
  createOutbox,
  createPostgresBus,
  createRelay,
  createWake,
  messagingMigrations,
  ParkError,
} from '@surefire/messaging';
import { connect, migrate, SET_BASED } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import { Type } from 'typebox';
import { createHealth, createHttp, createLog, createMetrics, type Principal } from '../src/index.ts';
import { operatingRoutes } from '../src/operating.ts';

const Happened = contract({
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
const Ignored = contract({ ...Happened, name: 'test.ignored' });
const CATALOGUE = catalogue({ namespace: 'surefire', contracts: [Happened, Ignored] });

export const PRINCIPALS: Readonly<Record<string, Principal>> = {
  operator: { id: 'olga', role: 'operator', scopes: ['operate'] },
  reader: { id: 'rita', role: 'operator', scopes: ['operations:read'] },
  customer: { id: 'carl', role: 'customer', scopes: ['*'] },
};

export type Answer = { status: number; body: ReturnType<typeof JSON.parse> };

export async function operatingPlatform() {
  const database = await testDatabase();
  await migrate({ url: database.url, modules: [messagingMigrations] });
  const db = connect({ url: database.url, max: 8, settings: SET_BASED });
  const log = createLog({ service: 'test', level: 'silent' });
  const health = createHealth();
  const busWake = createWake();
  const outboxWake = createWake();
  const onPublished = () => busWake.notify();
  const relay = createRelay({
    db,
    log: log,
    wake: outboxWake,
    onPublished,
    pauseMaxMs: 20,
  });
  const refused = new Set<string>();
  const applied: string[] = [];
  const consumer = createConsumer({
    db,
    bus: createPostgresBus({ db, catalogue: CATALOGUE, log: log }),
    catalogue: CATALOGUE,
    group: 'books',
    contracts: [Happened],
    log: log,
    wake: busWake,
    pauseMaxMs: 20,
    async apply(tx, received) {
      const names = received.map(({ event: { data } }) => data as { key: string; n: number });
      for (const { key, n } of names) if (refused.has(`${key}:${n}`)) throw new ParkError(`no ${key}:${n}`);
      // Only what is committed can be seen over HTTP.
      tx.afterCommit(() => applied.push(...names.map(({ key, n }) => `${key}:${n}`)));
    },
  });
  await relay.start();
  await consumer.start();

  const app = createHttp({
    log,
    metrics: createMetrics({ process: false }),
    health,
    authenticate: ({ 'x-api-key': key }) => PRINCIPALS[String(key)] as Principal,
  });
  app.register(async (scope) => operatingRoutes(scope, { db }));
  const outbox = createOutbox({ catalogue: CATALOGUE, source: '/test', partitions: 16, wake: outboxWake });

  return {
    db,
    refused,
    applied,
    /** Appends events `key:n` in one transaction and answers their ids. */
    async append(...names: string[]): Promise<string[]> {
      const events = names.map((name) => {
        const [key = '', n] = name.split(':');
        return event(n === 'ignored' ? Ignored : Happened, { key, n: n === 'ignored' ? 0 : Number(n) });
      });
      await db.transaction((tx) => outbox.append(tx, events));
      return events.map(({ id }) => id);
    },
    async call(method: 'GET' | 'POST', url: string, payload?: object, key = 'operator'): Promise<Answer> {
      const headers = { 'x-api-key': key };
      const response = await app.inject({ method, url, headers, ...(payload && { payload }) });
      return { status: response.statusCode, body: JSON.parse(response.body) };
    },
    async [Symbol.asyncDispose]() {
      await consumer.stop();
      await relay.stop();
      await app.close();
      health.close();
      await db.close();
      await database.drop();
    },
  };
}

/** Resolves as soon as the condition holds; fails with `what` after ten seconds. */
export async function eventually(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const limit = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
