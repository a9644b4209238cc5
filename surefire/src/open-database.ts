/**
 * The database of a long-running process. `up` owns the embedded server of its data folder: starts it, or adopts
 * the one that a killed process left behind, and stops it at the end. `run` only uses a database that is there.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findEmbedded, holdExclusively, startEmbedded } from '@surefire/postgres/embedded';
import type { Component, Config, Log } from '@surefire/service';
import { needDatabase } from './database.ts';
import { CommandFailure, EXIT } from './failure.ts';
import { say } from './terminal.ts';

export type OpenDatabase = {
  url: string;
  /** Looks after a server that is our own: starts it again when it dies. Throws into the process when it cannot. */
  guard?: (log: Log) => Component;
} & AsyncDisposable;

export async function openDatabase(options: {
  config: Config;
  command: 'up' | 'run';
}): Promise<OpenDatabase> {
  const { config, command } = options;
  if (command === 'run' || config.databaseUrl !== undefined) {
    const { url } = await needDatabase(config);
    return { url, async [Symbol.asyncDispose]() {} };
  }
  return ownEmbedded(config.dataDir);
}

/** Starts the embedded server as its only owner. Throws when another process owns it. */
export async function ownEmbedded(
  dataDir: string,
): Promise<OpenDatabase & { port: number; adopted: boolean }> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // Whoever stops the server must be the only one to rely on it being there.
  const hold = holdExclusively(join(dataDir, 'owner.lock'));
  if (hold === undefined) {
    throw new CommandFailure(
      `Surefire is running from ${dataDir} already: stop it first, or set SUREFIRE_DATA_DIR to another folder.`,
      { exitCode: EXIT.failed },
    );
  }
  try {
    let server = await startEmbedded({ dataDir, onProgress: say });
    const { url, port, adopted } = server;
    return {
      url,
      port,
      adopted,
      guard: (log) =>
        guardEmbedded({
          dataDir,
          log,
          async restart() {
            server = await startEmbedded({ dataDir });
            // Every pool has the address of the first one.
            if (server.url !== url) throw new Error('the database came back at another address');
          },
        }),
      async [Symbol.asyncDispose]() {
        await server.stop();
        hold.release();
      },
    };
  } catch (error) {
    hold.release();
    throw error;
  }
}

const LOOK_EVERY_MS = 2_000;
const RESTARTS_MAX = 5;

/** Notices that the embedded server is gone, and brings it back; gives up when that fails again and again. */
function guardEmbedded(options: { dataDir: string; log: Log; restart: () => Promise<void> }): Component {
  const { dataDir, log, restart } = options;
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();
  let stopped = false;
  let failures = 0;

  async function look(): Promise<void> {
    if ((await findEmbedded({ dataDir })) !== undefined) {
      failures = 0;
      return;
    }
    log.error({ data_dir: dataDir }, 'the embedded database is gone; starting it again');
    try {
      await restart();
      log.info({ data_dir: dataDir }, 'the embedded database runs again');
    } catch (error) {
      failures += 1;
      log.error({ err: error, failures }, 'the embedded database could not be started');
      if (failures >= RESTARTS_MAX) throw error;
    }
  }

  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      // An error here is meant to end the process, in good order.
      looking = look().then(schedule);
    }, LOOK_EVERY_MS);
  }

  return {
    name: 'database',
    async start() {
      schedule();
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await looking.catch(() => undefined);
    },
  };
}
