/**
 * The database of a long-running process. `up` owns the embedded server of its data folder: starts it, or adopts
 * the one that a killed process left behind, and stops it at the end. `run` only uses a database that is there.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { holdExclusively, startEmbedded } from '@surefire/postgres/embedded';
import type { Config } from '@surefire/service';
import { needDatabase } from './database.ts';
import { CommandFailure, EXIT } from './failure.ts';
import { say } from './terminal.ts';

export type OpenDatabase = { url: string } & AsyncDisposable;

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
    const server = await startEmbedded({ dataDir, onProgress: say });
    return {
      url: server.url,
      port: server.port,
      adopted: server.adopted,
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
