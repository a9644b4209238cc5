/**
 * The server's processes: which are ours, how the first one starts, and how it ends.
 *
 * `postmaster.pid` outlives a kill -9, and its number may by then belong to anything. So a process is
 * ours only if its command line carries the cluster's name, which the server and all its children show.
 */
import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Binaries } from './binaries.ts';
import { type Cluster, ENVIRONMENT, folderArgument, giveToHolder, lastLines } from './cluster.ts';
import { EmbeddedServerError } from './error.ts';
import type { Owner } from './owner.ts';
import { SETTINGS } from './settings.ts';

export type Postmaster = { pid: number; port: number; status: 'starting' | 'ready' | 'stopping' };

const SAID_BYTES_MAX = 64 * 1024;
const LOG_BYTES_MAX = 10 * 1024 * 1024;
const ORPHANS_END_BY_THEMSELVES_MS = 3_000;
const ORPHANS_LIMIT_MS = 30_000;
const FAST_STOP_LIMIT_MS = 30_000;
const IMMEDIATE_STOP_LIMIT_MS = 15_000;
const PORT_ATTEMPTS_MAX = 5;

/** The live server of this cluster, whatever a stale pid file says. */
export async function findPostmaster(cluster: Cluster): Promise<Postmaster | undefined> {
  const file = await readPidFile(cluster);
  if (!file || !(await isPostmaster(cluster, file.pid))) return undefined;
  return file;
}

/** Ends the server: politely first, which keeps the next start short. */
export async function stopPostmaster(cluster: Cluster, pid: number): Promise<void> {
  const gone = async () => !(await isPostmaster(cluster, pid));
  for (const [signal, limitMs] of [
    ['SIGINT', FAST_STOP_LIMIT_MS],
    ['SIGQUIT', IMMEDIATE_STOP_LIMIT_MS],
  ] as const) {
    if (await gone()) return;
    sendSignal(pid, signal);
    if (await until(limitMs, gone)) return;
  }
  throw new EmbeddedServerError(
    `PostgreSQL (process ${pid}) does not end; its data are in ${cluster.folder}.`,
  );
}

/**
 * Children of a killed server end by themselves as soon as they notice; until then they hold its
 * shared memory, and a new server refuses to start beside them. One that is busy is ended by us: what
 * it had not committed is undone by recovery, as with any crash.
 */
export async function waitForOrphans(cluster: Cluster, onProgress: (line: string) => void): Promise<void> {
  if (!(await readPidFile(cluster))) return; // the last server ended in order
  const gone = async () => (await orphans(cluster)).length === 0;
  if (await until(ORPHANS_END_BY_THEMSELVES_MS, gone)) return;
  onProgress('Ending what is left of a killed PostgreSQL');
  for (const pid of await orphans(cluster)) sendSignal(pid, 'SIGKILL');
  if (await until(ORPHANS_LIMIT_MS, gone)) return;
  throw new EmbeddedServerError(
    `Processes ${(await orphans(cluster)).join(', ')} of a killed PostgreSQL do not end; end them and start again.`,
  );
}

export type Launch = {
  cluster: Cluster;
  binaries: Binaries;
  owner: Owner;
  settings: Record<string, string>;
  /** Where it listened last, or 0. */
  port: number;
  limitMs: number;
  onProgress: (line: string) => void;
};

/** Starts the server and waits until it takes connections. */
export async function launch(options: Launch): Promise<{ pid: number; port: number }> {
  let port = await freePort(options.port);
  for (let attempt = 1; ; attempt++) {
    const started = await launchOnce(options, port);
    if ('pid' in started) return { pid: started.pid, port };
    // Somebody took the port between our look and the server's bind.
    const portTaken = /could not bind|could not create any TCP/.test(started.said);
    if (!portTaken || attempt === PORT_ATTEMPTS_MAX) {
      throw new EmbeddedServerError(
        `PostgreSQL did not start on ${options.cluster.folder}.\n${lastLines(started.said)}`,
      );
    }
    port = await freePort();
  }
}

/** Polls a condition; false when the limit passes first. */
export async function until(limitMs: number, holds: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.5, 100)) {
    if (await holds()) return true;
    if (performance.now() > deadline) return false;
    await sleep(pauseMs);
  }
}

async function launchOnce(
  { cluster, binaries, owner, settings, limitMs, onProgress }: Launch,
  port: number,
): Promise<{ pid: number } | { said: string }> {
  const log = await openLog(cluster);
  const child = spawn(binaries.postgres, serverArguments(cluster, owner, port, settings), {
    ...owner,
    cwd: cluster.folder,
    env: { ...ENVIRONMENT, ...(await staleServer(cluster)) },
    // A session of its own: the terminal's Ctrl-C is for the program, which drains before it stops us.
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  closeSync(log.fd);
  let ended = '';
  child.on('error', (error) => (ended = error.message));
  child.on('exit', (code, signal) => (ended ||= `PostgreSQL ended with ${signal ?? `code ${code}`}`));
  child.unref();

  const startedAt = performance.now();
  let announced = false;
  const settled = await until(limitMs, async () => {
    if (ended) return true;
    const file = await readPidFile(cluster);
    if (!announced && performance.now() - startedAt > 2_000) {
      announced = true;
      onProgress('PostgreSQL is recovering from an unclean stop; waiting for it');
    }
    return file?.pid === child.pid && file?.status === 'ready';
  });
  if (settled && !ended && child.pid) return { pid: child.pid };
  if (!settled && child.pid) sendSignal(child.pid, 'SIGQUIT');
  const said = await readFrom(cluster.log, log.size);
  return { said: `${said}\n${ended || `It was not ready after ${limitMs / 1000} s.`}` };
}

function serverArguments(
  cluster: Cluster,
  owner: Owner,
  port: number,
  settings: Record<string, string>,
): string[] {
  const all = { ...SETTINGS, ...settings, cluster_name: cluster.name, port: String(port) };
  return [
    '-D',
    folderArgument(cluster.folder, owner),
    ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
}

/**
 * When the pid in a stale file is alive again as something else, the server would refuse to start. It
 * makes an exception for the pid in this variable, meant for pg_ctl's shell, and still checks that no
 * process of the old server holds the shared memory; removing the file would lose that check.
 */
async function staleServer(cluster: Cluster): Promise<Record<string, string>> {
  const stale = await readPidFile(cluster);
  return stale ? { PG_GRANDPARENT_PID: String(stale.pid) } : {};
}

/** Lines: pid, folder, start time, port, socket folder, address, shared memory, status. */
async function readPidFile(cluster: Cluster): Promise<Postmaster | undefined> {
  const text = await readFile(join(cluster.folder, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const status = lines[7] === 'ready' || lines[7] === 'stopping' ? lines[7] : 'starting';
  return { pid, port: Number(lines[3]), status };
}

async function isPostmaster(cluster: Cluster, pid: number): Promise<boolean> {
  return (await commandOf(pid)).includes(`cluster_name=${cluster.name} `);
}

async function orphans(cluster: Cluster): Promise<number[]> {
  const all = await processes();
  return all.filter(({ command }) => command.startsWith(`postgres: ${cluster.name}: `)).map(({ pid }) => pid);
}

/** A process's command line, or '' when there is none (a zombie has none either). */
async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return words.replaceAll('\0', ' ');
  }
  return await ps(['-p', String(pid), '-o', 'command=']).then((line) => `${line.trim()} `);
}

async function processes(): Promise<{ pid: number; command: string }[]> {
  if (process.platform === 'linux') {
    const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger);
    return await Promise.all(pids.map(async (pid) => ({ pid, command: await commandOf(pid) })));
  }
  const lines = (await ps(['-ax', '-o', 'pid=,command='])).split('\n');
  return lines.map((line) => {
    const [, pid, text = ''] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
    return { pid: Number(pid), command: text };
  });
}

async function ps(args: string[]): Promise<string> {
  return await promisify(execFile)('ps', ['-ww', ...args]).then(
    ({ stdout }) => stdout,
    () => '',
  );
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
      throw new EmbeddedServerError(
        `Process ${pid} of PostgreSQL belongs to another user; start as that user, or as root.`,
        { cause: error },
      );
    }
  }
}

/** Opened by us, since the server's account may not get to it by path. */
async function openLog(cluster: Cluster): Promise<{ fd: number; size: number }> {
  const size = await stat(cluster.log).then(
    (found) => found.size,
    () => 0,
  );
  if (size > LOG_BYTES_MAX) await rename(cluster.log, `${cluster.log}.1`);
  const fd = openSync(cluster.log, 'a', 0o600);
  await giveToHolder(cluster, cluster.log);
  return { fd, size: size > LOG_BYTES_MAX ? 0 : size };
}

/** What the server said since it was started, and of that the end. */
async function readFrom(path: string, offset: number): Promise<string> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const position = Math.max(offset, size - SAID_BYTES_MAX);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(SAID_BYTES_MAX), { position });
  return buffer.toString('utf8', 0, bytesRead);
}

/** The wanted port when nobody listens there, else any free one. */
async function freePort(wanted = 0): Promise<number> {
  if (wanted && (await isFree(wanted))) return wanted;
  for (let attempt = 0; attempt < 100; attempt++) {
    // Below the ports that systems hand out to outgoing connections (from 32768 or 49152 on), so that
    // the same one is likely to be free at the next start.
    const port = 15_432 + Math.floor(Math.random() * 10_000);
    if (await isFree(port)) return port;
  }
  throw new EmbeddedServerError('No free TCP port between 15432 and 25431 on 127.0.0.1.');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const probe = createServer();
    probe.once('error', () => settle(false));
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => settle(true)));
  });
}
