/**
 * One starter at a time, across processes. Node has no flock, and a file with a pid in it outlives
 * its writer: after a kill -9 somebody has to guess. SQLite's exclusive lock is taken from the kernel,
 * which gives it back whatever way the holder dies. The database file itself stays empty.
 */
import { DatabaseSync } from 'node:sqlite';
import { EmbeddedServerError } from './error.ts';
import { until } from './postmaster.ts';

/** Longer than the longest start (recovery) and stop that one may have to wait for. */
const WAIT_LIMIT_MS = 240_000;
const PATIENCE_MS = 1_000;
const SQLITE_BUSY = 5;

export async function exclusively<T>(
  path: string,
  onProgress: (line: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  const lock = open(path);
  try {
    const startedAt = performance.now();
    let announced = false;
    const taken = await until(WAIT_LIMIT_MS, async () => {
      if (tryLock(lock, path)) return true;
      if (!announced && performance.now() - startedAt > PATIENCE_MS) {
        announced = true;
        onProgress('Another process is starting this database; waiting for it');
      }
      return false;
    });
    if (!taken) {
      throw new EmbeddedServerError(
        `Another process has held ${path} for more than ${WAIT_LIMIT_MS / 1000} s; end it and start again.`,
      );
    }
    return await work();
  } finally {
    lock.close();
  }
}

/**
 * Takes the lock for as long as the process lives, or says at once that another process has it.
 */
export function holdExclusively(path: string): { release(): void } | undefined {
  const lock = open(path);
  if (tryLock(lock, path)) return { release: () => lock.close() };
  lock.close();
  return undefined;
}

function open(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0 });
  } catch (cause) {
    throw cannotLock(path, cause);
  }
}

function tryLock(lock: DatabaseSync, path: string): boolean {
  try {
    lock.exec('begin exclusive');
    return true;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return false;
    throw cannotLock(path, error);
  }
}

function cannotLock(path: string, cause: unknown): EmbeddedServerError {
  return new EmbeddedServerError(
    `${path} cannot be locked (${(cause as Error).message}); is the data folder yours and writable?`,
    { cause },
  );
}
