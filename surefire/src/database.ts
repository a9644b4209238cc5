/** Which database a command talks to: the configured one, else the embedded server that is running. */
import { existsSync } from 'node:fs';
import { connect, type Database, sqlState } from '@surefire/postgres';
import { findEmbedded } from '@surefire/postgres/embedded';
import type { Config } from '@surefire/service';
import { CommandFailure, EXIT } from './failure.ts';

export type FoundDatabase = {
  url: string;
  /** `configured`: by SUREFIRE_DATABASE_URL. `embedded`: the running server of the data folder. */
  origin: 'configured' | 'embedded';
};

/** The database of this configuration, or undefined when it is the embedded server and that is not running. */
export async function findDatabase(config: Config): Promise<FoundDatabase | undefined> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl, origin: 'configured' };
  // Looking for the server must not create its folder.
  const embedded = existsSync(config.dataDir) ? await findEmbedded({ dataDir: config.dataDir }) : undefined;
  return embedded === undefined ? undefined : { url: embedded.url, origin: 'embedded' };
}

/** The same, for commands that are nothing without it: it has answered, or the failure says why not. */
export async function needDatabase(config: Config): Promise<FoundDatabase> {
  const found = await findDatabase(config);
  if (found !== undefined) {
    await assertAnswers(found.url);
    return found;
  }
  throw new CommandFailure(
    `No database is running in ${config.dataDir}: start the platform (npm start), start the database alone ` +
      '(npx surefire database), or set SUREFIRE_DATABASE_URL.',
    { exitCode: EXIT.notFound },
  );
}

/** Does a command's work on that database, and says how to get the tables where there are none. */
export async function withDatabase<Answer>(
  config: Config,
  work: (db: Database) => Promise<Answer>,
): Promise<Answer> {
  const { url } = await needDatabase(config);
  const db = connect({ url, max: 2, applicationName: 'surefire' });
  try {
    return await work(db);
  } catch (cause) {
    const undefinedTable = '42P01';
    if (sqlState(cause) !== undefinedTable) throw cause;
    throw new CommandFailure(`${shownUrl(url)} has no tables for this yet: run npx surefire migrate.`, {
      cause,
    });
  } finally {
    await db.close();
  }
}

async function assertAnswers(url: string): Promise<void> {
  const db = connect({ url, max: 1, applicationName: 'surefire' });
  try {
    await db.query('select 1');
  } catch (cause) {
    throw new CommandFailure(
      `The database ${shownUrl(url)} cannot be used: ${reasonOf(cause)}; start it, or correct SUREFIRE_DATABASE_URL.`,
      { cause },
    );
  } finally {
    await db.close();
  }
}

/** Why a database cannot be used, in words that stand within a sentence. */
export function reasonOf(error: unknown): string {
  // A name with several addresses fails with all of their errors and no message.
  if (error instanceof AggregateError && error.message === '') return reasonOf(error.errors[0]);
  const { code, message } = error as { code?: string; message: string };
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'its host name is unknown';
  if (sqlState(error) === '28P01') return 'it does not accept this user and password';
  return message.replace(/\.$/, '');
}

/** A URL fit to be shown: without its password. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  shown.searchParams.delete('password');
  return shown.href;
}
