/**
 * A PostgreSQL server of one's own, in one folder: created at the first start, found again at the
 * next, brought back after any kind of kill.
 *
 *   <dataDir>/postgres/        the cluster
 *   <dataDir>/postgres.json    port, user and generated password (mode 600)
 *   <dataDir>/postgres.log     what the server says; the older half is in postgres.log.1
 *   <dataDir>/postgres.lock    held by whoever is starting the server right now
 *
 *   start ──▶ running here? ──yes──▶ adopt it
 *                  │ no, or just ending
 *                  ▼
 *             cluster there? ──no──▶ initdb in a staging folder, then rename
 *                  │ yes
 *                  ▼
 *             orphans of a killed server gone? ──▶ start, wait until it answers
 *
 * The server is nobody's child in spirit: it has its own session, so that Ctrl-C reaches the program
 * first, and it survives the program's kill -9. The next start adopts it.
 */
import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { locateBinaries } from './embedded/binaries.ts';
import {
  type Cluster,
  connectTo,
  createCluster,
  type Facts,
  hasCluster,
  prepareOwner,
  readFacts,
  removePartials,
  writeFacts,
} from './embedded/cluster.ts';
import { EmbeddedServerError } from './embedded/error.ts';
import { exclusively } from './embedded/lock.ts';
import { findPostmaster, launch, stopPostmaster, until, waitForOrphans } from './embedded/postmaster.ts';

export { EmbeddedServerError } from './embedded/error.ts';
export { holdExclusively } from './embedded/lock.ts';

export type EmbeddedServer = {
  url: string;
  port: number;
  pid: number;
  /** It was running already: it had survived the program that started it, or that one still lives. */
  adopted: boolean;
  /** Ends the server, an adopted one too: open transactions are rolled back, commits are on disk. */
  stop(): Promise<void>;
};

export type EmbeddedOptions = {
  /** The folder that holds the server's data; created when missing. */
  dataDir: string;
  /** Hears one line per long step. */
  onProgress?: (line: string) => void;
  /** Server settings on top of our own, e.g. `{ fsync: 'off' }`. An adopted server keeps its own. */
  settings?: Record<string, string>;
};

/** Crash recovery of a large write-ahead log takes its time; beyond this something else is wrong. */
const READY_LIMIT_MS = 120_000;

/**
 * Starts the server of this folder, or adopts it when it is running. Safe to call from several
 * processes at once: one starts it, the others adopt. Throws `EmbeddedServerError`.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const cluster = await clusterIn(options.dataDir);
  const onProgress = options.onProgress ?? (() => {});
  return await exclusively(cluster.lock, onProgress, async () => {
    const running = await adopt(cluster, onProgress);
    if (running) return server(cluster, running, { adopted: true });
    return server(cluster, await start(cluster, options.settings ?? {}, onProgress), { adopted: false });
  });
}

/** The running server of this folder, or undefined. Starts nothing and waits for nothing. */
export async function findEmbedded(options: {
  dataDir: string;
}): Promise<{ url: string; port: number; pid: number } | undefined> {
  const cluster = await clusterIn(options.dataDir);
  const [postmaster, facts] = [await findPostmaster(cluster), await readFacts(cluster)];
  if (postmaster?.status !== 'ready' || !facts) return undefined;
  return { url: urlOf({ ...facts, port: postmaster.port }), port: postmaster.port, pid: postmaster.pid };
}

type Running = { pid: number; facts: Facts };

async function clusterIn(dataDir: string): Promise<Cluster> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const home = await realpath(dataDir);
    const folder = join(home, 'postgres');
    return {
      home,
      folder,
      facts: join(home, 'postgres.json'),
      log: join(home, 'postgres.log'),
      lock: join(home, 'postgres.lock'),
      // Stands in the command line of the server and in the title of each of its processes, so that
      // they can be told from every other PostgreSQL, and from whatever was given a dead one's pid.
      name: `surefire-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`,
    };
  } catch (cause) {
    throw new EmbeddedServerError(`The data folder ${dataDir} cannot be used: ${(cause as Error).message}.`, {
      cause,
    });
  }
}

/** Waits for a running server until it answers or is gone; undefined means there is none to adopt. */
async function adopt(cluster: Cluster, onProgress: (line: string) => void): Promise<Running | undefined> {
  let running: Running | undefined;
  let announced = '';
  const settled = await until(READY_LIMIT_MS, async () => {
    const postmaster = await findPostmaster(cluster);
    if (!postmaster) return true;
    if (postmaster.status !== announced && postmaster.status !== 'ready') {
      announced = postmaster.status;
      onProgress(`PostgreSQL is running and ${announced}; waiting for it`);
    }
    if (postmaster.status !== 'ready') return false;

    const stored = await readFacts(cluster);
    if (!stored) throw lostFacts(cluster);
    const facts = { ...stored, port: postmaster.port };
    // 'later': it began to stop a moment ago, and will be gone.
    if ((await connectTo(facts)) === 'later') return false;
    if (stored.port !== facts.port) await writeFacts(cluster, facts);
    running = { pid: postmaster.pid, facts };
    return true;
  });
  if (!settled) {
    throw new EmbeddedServerError(
      `PostgreSQL is running on ${cluster.folder} but did not answer within ${READY_LIMIT_MS / 1000} s.`,
    );
  }
  return running;
}

async function start(
  cluster: Cluster,
  settings: Record<string, string>,
  onProgress: (line: string) => void,
): Promise<Running> {
  const owner = await prepareOwner(cluster);
  const binaries = await locateBinaries(owner, onProgress);
  await removePartials(cluster);
  if (!(await hasCluster(cluster, binaries))) {
    onProgress('Creating the database, once');
    await createCluster(cluster, binaries, owner);
  }
  const stored = await readFacts(cluster);
  if (!stored) throw lostFacts(cluster);

  await waitForOrphans(cluster, onProgress);
  const launched = await launch({
    cluster,
    binaries,
    owner,
    settings,
    port: stored.port,
    limitMs: READY_LIMIT_MS,
    onProgress,
  });
  const facts = { ...stored, port: launched.port };
  if (facts.port !== stored.port) await writeFacts(cluster, facts);
  if ((await connectTo(facts)) === 'later') {
    throw new EmbeddedServerError(`PostgreSQL on ${cluster.folder} was stopped while it was starting.`);
  }
  return { pid: launched.pid, facts };
}

function server(
  cluster: Cluster,
  { pid, facts }: Running,
  { adopted }: { adopted: boolean },
): EmbeddedServer {
  let stopping: Promise<void> | undefined;
  return {
    url: urlOf(facts),
    port: facts.port,
    pid,
    adopted,
    stop: () => {
      stopping ??= stopPostmaster(cluster, pid);
      return stopping;
    },
  };
}

function urlOf({ user, password, port }: Facts): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/surefire`;
}

function lostFacts(cluster: Cluster): EmbeddedServerError {
  return new EmbeddedServerError(
    `${cluster.facts} with the password of the database in ${cluster.folder} is missing or damaged; put it back.`,
  );
}
