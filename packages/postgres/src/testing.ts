/**
 * Databases for tests: each test gets a fresh one on a real server.
 *
 *   await using database = await testDatabase({ template: `banking_${hash}`, migrate });
 *   const db = connect({ url: database.url, max: 5 });
 *
 * `npm test` starts one server for the whole run and names it in SUREFIRE_TEST_DATABASE_URL. A test
 * file run by itself shares the server in `.surefire/test` with whatever else runs from this checkout;
 * the last to finish stops it.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, type QueryResult } from 'pg';
import { type EmbeddedServer, findEmbedded, startEmbedded } from './embedded.ts';

export type TestDatabase = { url: string; drop(): Promise<void> } & AsyncDisposable;

export type TestDatabaseOptions = {
  /** Migrate once, then copy: a name that changes with the migrations, e.g. ends in their hash. */
  template?: string;
  migrate?: (url: string) => Promise<void>;
};

/** A new, empty (or migrated) database. Dropping it twice does nothing; connections to it are cut. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const server = await connectedServer();
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`;
  const url = urlWith(server.url, name);
  if (options.template && options.migrate) {
    const template = await migratedTemplate(server, options.template, options.migrate);
    await server.run(`create database ${name} template ${template} strategy file_copy`);
  } else {
    await server.run(`create database ${name}`);
    await options.migrate?.(url);
  }
  const drop = async (): Promise<void> => {
    await server.run(`drop database if exists ${name} with (force)`);
  };
  return { url, drop, [Symbol.asyncDispose]: drop };
}

/** A server for one whole test run, in a temporary folder that `stop` removes. */
export async function startTestServer(
  onProgress?: (line: string) => void,
): Promise<{ url: string; stop(): Promise<void> }> {
  await removeLeftServers();
  const dataDir = await mkdtemp(join(tmpdir(), `${RUN_FOLDER}${process.pid}-`));
  try {
    const server = await startEmbedded({
      dataDir,
      settings: TEST_SETTINGS,
      ...(onProgress && { onProgress }),
    });
    const stop = async (): Promise<void> => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    };
    return { url: server.url, stop };
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

// A test kills programs, not the machine: nothing has to reach the disk.
const TEST_SETTINGS = { fsync: 'off', full_page_writes: 'off' };
const RUN_FOLDER = 'surefire-test-';
const CHECKOUT_FOLDER = fileURLToPath(new URL('../../../.surefire/test', import.meta.url));

// Any fixed numbers will do. All are taken in one database, to which advisory locks belong.
const PRESENCE_LOCK = 7_000_001;
const TEMPLATE_LOCK = 7_000_002;

type Server = { url: string; run(sql: string, values?: unknown[]): Promise<QueryResult> };

let current: Promise<Server> | undefined;
const templates = new Map<string, Promise<string>>();

function connectedServer(): Promise<Server> {
  current ??= openServer().catch((error: unknown) => {
    current = undefined;
    throw error;
  });
  return current;
}

async function openServer(): Promise<Server> {
  // oxlint-disable-next-line node/no-process-env -- how the test run tells its files where the server is
  const url = process.env['SUREFIRE_TEST_DATABASE_URL'];
  return url ? await openConnection(url) : await openSharedServer();
}

/**
 * Whoever uses the shared server holds the presence lock together with all others. Who gets it alone at
 * the end is the last, and stops the server; a newcomer that was waiting for it then sees its connection
 * cut, and starts the server again.
 */
async function openSharedServer(): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const shared = await startEmbedded({ dataDir: CHECKOUT_FOLDER, settings: TEST_SETTINGS });
    try {
      const server = await openConnection(shared.url);
      await server.run('select pg_advisory_lock_shared($1)', [PRESENCE_LOCK]);
      if (!shared.adopted) await dropLeftDatabases(server);
      process.once('beforeExit', () => void leave(server, shared));
      return server;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

async function leave(server: Server, shared: EmbeddedServer): Promise<void> {
  current = undefined;
  templates.clear();
  try {
    await server.run('select pg_advisory_unlock_shared($1)', [PRESENCE_LOCK]);
    const alone = await server.run('select pg_try_advisory_lock($1) as alone', [PRESENCE_LOCK]);
    if (alone.rows[0].alone) await shared.stop();
  } catch {
    // Somebody stopped it before us, which is all we wanted.
  }
}

/** One connection per process; it keeps the process alive only while a statement runs. */
async function openConnection(url: string): Promise<Server> {
  const client = new Client({ connectionString: url, application_name: 'surefire test' });
  client.on('error', () => undefined); // the next statement reports it
  await client.connect();
  // The type declarations lack these two.
  const socket = client as Client & { ref(): void; unref(): void };
  socket.unref();
  let running = 0;
  const run = async (sql: string, values: unknown[] = []): Promise<QueryResult> => {
    if (running++ === 0) socket.ref();
    try {
      return await client.query(sql, values);
    } finally {
      if (--running === 0) socket.unref();
    }
  };
  return { url, run };
}

function migratedTemplate(
  server: Server,
  name: string,
  migrate: (url: string) => Promise<void>,
): Promise<string> {
  const template = `template_${name.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')}`;
  let made = templates.get(template);
  if (!made) {
    made = makeTemplate(server, template, migrate);
    templates.set(template, made);
    made.catch(() => templates.delete(template));
  }
  return made;
}

/** Appears under its name only when it is complete: another process may be making the same one. */
async function makeTemplate(
  server: Server,
  template: string,
  migrate: (url: string) => Promise<void>,
): Promise<string> {
  await server.run('select pg_advisory_lock($1)', [TEMPLATE_LOCK]);
  try {
    const found = await server.run('select from pg_database where datname = $1', [template]);
    if (found.rowCount === 0) {
      await server.run('drop database if exists test_template with (force)');
      await server.run('create database test_template');
      await migrate(urlWith(server.url, 'test_template'));
      await server.run(`alter database test_template rename to ${template}`);
    }
    return template;
  } finally {
    await server.run('select pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
  }
}

/** What killed tests left, and templates of migrations that have changed since. */
async function dropLeftDatabases(server: Server): Promise<void> {
  const left = await server.run(
    `select datname
       from pg_database
      where datname like 'test\\_%'
         or datname like 'template\\_%'
        and (pg_stat_file('base/' || oid || '/PG_VERSION')).modification < now() - interval '1 day'`,
  );
  for (const { datname } of left.rows) await server.run(`drop database if exists ${datname} with (force)`);
}

/** Servers of test runs that were killed: their folder carries the pid of the run. */
async function removeLeftServers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, pid] = /^surefire-test-(\d+)-/.exec(name) ?? [];
    if (!pid || isAlive(Number(pid))) continue;
    const dataDir = join(tmpdir(), name);
    try {
      if (await findEmbedded({ dataDir })) await (await startEmbedded({ dataDir })).stop();
      await rm(dataDir, { recursive: true, force: true });
    } catch {
      // Another user's, or another run is removing it right now.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function urlWith(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
