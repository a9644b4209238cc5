/**
 * The cluster on disk: whether there is one, how it comes into being, and the facts to connect with.
 *
 * A cluster is created in a staging folder beside its final place and appears there by one rename, so
 * that what stands there is always whole. The password is generated; the file that tells it to initdb
 * lives and dies with the staging folder.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  lchown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Binaries } from './binaries.ts';
import { EmbeddedServerError } from './error.ts';
import { chooseOwner, type Owner } from './owner.ts';

export type Cluster = {
  /** The data folder that holds all the rest. */
  home: string;
  folder: string;
  facts: string;
  log: string;
  lock: string;
  /** `cluster_name`: unique to the folder, on this machine. */
  name: string;
};

/** What it takes to connect. */
export type Facts = { port: number; user: string; password: string };

const USER = 'surefire';
const DATABASE = 'surefire';
const PARTIAL = 'postgres.partial-';

/** A clean environment: PG… variables of the caller would be obeyed. */
export const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/**
 * How server processes name a folder they were started in. As root we enter it first and change the
 * account afterwards; by its full path that account might not get there (a checkout below /root).
 */
export function folderArgument(folder: string, owner: Owner): string {
  return owner && process.platform === 'linux' ? '/proc/self/cwd' : folder;
}

/** Whether a cluster is there; throws when it is another major version's. */
export async function hasCluster(cluster: Cluster, binaries: Binaries): Promise<boolean> {
  let version: string;
  try {
    version = (await readFile(join(cluster.folder, 'PG_VERSION'), 'utf8')).trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new EmbeddedServerError(
        `${cluster.folder} cannot be read (${(cause as Error).message}); start as the user who created it.`,
        { cause },
      );
    }
    if (!(await exists(cluster.folder))) return false;
    throw new EmbeddedServerError(
      `${cluster.folder} is not a PostgreSQL data folder; move it away or name another data folder.`,
    );
  }
  if (version !== binaries.major) {
    throw new EmbeddedServerError(
      `The data in ${cluster.folder} were written by PostgreSQL ${version}, and this is PostgreSQL ${binaries.major}; dump them with the old version, or name another data folder.`,
    );
  }
  return true;
}

/** What a start that was killed left behind. */
export async function removePartials(cluster: Cluster): Promise<void> {
  for (const name of await readdir(cluster.home)) {
    if (name.startsWith(PARTIAL)) await rm(join(cluster.home, name), { recursive: true, force: true });
  }
}

export async function createCluster(cluster: Cluster, binaries: Binaries, owner: Owner): Promise<void> {
  const staging = join(cluster.home, `${PARTIAL}${process.pid}`);
  const folder = join(staging, 'cluster');
  const passwordFile = join(staging, 'password');
  const facts = { port: 0, user: USER, password: randomBytes(24).toString('base64url') };

  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(passwordFile, facts.password, { mode: 0o600 });
  for (const path of owner ? [staging, folder, passwordFile] : []) await chown(path, owner!.uid, owner!.gid);

  const where = folderArgument(folder, owner);
  const { failed, said } = await runInitdb(folder, binaries.initdb, owner, [
    `--pgdata=${where}`,
    `--pwfile=${where}/../password`,
    `--username=${USER}`,
    '--auth=scram-sha-256',
    // An order of text that depends on no library of the machine, so that no index ever does.
    '--locale=C',
    '--encoding=UTF8',
    '--data-checksums',
    '--no-instructions',
  ]);
  if (failed) {
    await rm(staging, { recursive: true, force: true });
    throw new EmbeddedServerError(
      `PostgreSQL could not create a database in ${cluster.home}.\n${lastLines(said)}`,
    );
  }
  // The password first: a cluster whose password nobody knows is lost, the other way round nothing is.
  await writeFacts(cluster, facts);
  await rename(folder, cluster.folder);
  await rm(staging, { recursive: true, force: true });
}

/** Undefined when there are none, or they cannot be understood. */
export async function readFacts(cluster: Cluster): Promise<Facts | undefined> {
  try {
    const facts = JSON.parse(await readFile(cluster.facts, 'utf8')) as Partial<Facts>;
    const { port, user, password } = facts;
    return port !== undefined && user && password ? { port, user, password } : undefined;
  } catch {
    return undefined;
  }
}

export async function writeFacts(cluster: Cluster, facts: Facts): Promise<void> {
  const partial = `${cluster.facts}.${process.pid}`;
  await writeFile(partial, `${JSON.stringify(facts)}\n`, { mode: 0o600, flush: true });
  await giveToHolder(cluster, partial);
  await rename(partial, cluster.facts);
}

/** What root writes into another user's data folder must not lock that user out. */
export async function giveToHolder(cluster: Cluster, path: string): Promise<void> {
  const { uid, gid } = await stat(cluster.home);
  if (process.getuid?.() === 0 && uid !== 0) await chown(path, uid, gid);
}

/** Chooses the account that the server runs under, and makes an existing cluster its own. */
export async function prepareOwner(cluster: Cluster): Promise<Owner> {
  const owner = await chooseOwner(cluster.folder);
  const found = await lstat(cluster.folder).catch(() => undefined);
  if (!found) return owner;
  // Restored by root from a copy: PostgreSQL asks for its own account and for no one else's access.
  if (owner && found.uid !== owner.uid) await chownAll(cluster.folder, owner);
  if ((found.mode & 0o077) !== 0 && (owner || found.uid === process.getuid?.()))
    await chmod(cluster.folder, 0o700);
  return owner;
}

/**
 * Connects once, and creates our database where it is missing. `'later'` when the server has begun to
 * stop or is not ready to talk.
 */
export async function connectTo(facts: Facts): Promise<'connected' | 'later'> {
  const missing = await ask(facts, DATABASE, 'select 1');
  if (missing !== 'no database') return missing;
  const created = await ask(facts, 'postgres', `create database ${DATABASE}`);
  return created === 'no database' ? 'later' : created;
}

async function ask(
  { port, user, password }: Facts,
  database: string,
  sql: string,
): Promise<'connected' | 'later' | 'no database'> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user,
    password,
    database,
    connectionTimeoutMillis: 10_000,
    application_name: 'surefire start',
  });
  client.on('error', () => {}); // the server may end between two statements; the query tells
  try {
    await client.connect();
    await client.query(sql);
    return 'connected';
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string };
    if (code === '3D000') return 'no database';
    if (code.startsWith('28')) {
      throw new EmbeddedServerError(
        `The server on port ${port} does not take the stored password: ${message}.`,
        {
          cause: error,
        },
      );
    }
    if (code.startsWith('57P') || code.startsWith('ECONN') || /terminated|timeout/i.test(message))
      return 'later';
    throw new EmbeddedServerError(`PostgreSQL on port ${port} refused the first statement: ${message}.`, {
      cause: error,
    });
  } finally {
    await client.end().catch(() => {});
  }
}

/** The end of what a server process said, for an error message. */
export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-6).join('\n');
}

function runInitdb(
  folder: string,
  initdb: string,
  owner: Owner,
  args: string[],
): Promise<{ failed: boolean; said: string }> {
  return new Promise((settle) => {
    const child = spawn(initdb, args, {
      ...owner,
      cwd: folder,
      env: ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (said += text));
    child.on('error', (error) => settle({ failed: true, said: error.message }));
    child.on('close', (code) => settle({ failed: code !== 0, said }));
  });
}

async function chownAll(folder: string, { uid, gid }: NonNullable<Owner>): Promise<void> {
  await lchown(folder, uid, gid);
  for (const name of await readdir(folder, { recursive: true })) await lchown(join(folder, name), uid, gid);
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}
