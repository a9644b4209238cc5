/** `surefire database`: the embedded PostgreSQL in the foreground, for processes that share it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { findEmbedded } from '@surefire/postgres/embedded';
import type { Config } from '@surefire/service';
import { CommandFailure, EXIT, type ExitCode } from './failure.ts';
import { ownEmbedded } from './open-database.ts';
import { print, say } from './terminal.ts';

const LOOK_EVERY_MS = 1_000;

export async function serveDatabase(context: { config: Config }): Promise<ExitCode> {
  const { dataDir, databaseUrl } = context.config;
  if (databaseUrl !== undefined) {
    throw new CommandFailure(
      'SUREFIRE_DATABASE_URL names a database already; unset it to run the embedded one.',
      { exitCode: EXIT.usage },
    );
  }
  // From before the server starts: Ctrl-C while it starts must stop it as well.
  const signal = nextSignal();
  try {
    await using server = await ownEmbedded(dataDir);
    print(server.url);
    say('PostgreSQL is running; Ctrl-C stops it. For other terminals:');
    say(`  export SUREFIRE_DATABASE_URL='${server.url}'`);

    const reason = await Promise.race([signal.received, disappearance(dataDir, signal.aborted)]);
    if (reason === 'gone') throw new CommandFailure('PostgreSQL has ended; its log is in the data folder.');
    say('stopping PostgreSQL …');
  } finally {
    signal.dispose();
  }
  return EXIT.ok;
}

function nextSignal(): { received: Promise<'signal'>; aborted: AbortSignal; dispose(): void } {
  const { promise, resolve } = Promise.withResolvers<'signal'>();
  const ended = new AbortController();
  const onSignal = () => {
    ended.abort();
    resolve('signal');
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    received: promise,
    aborted: ended.signal,
    dispose() {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
      ended.abort();
    },
  };
}

/** Resolves when the server is no more. */
async function disappearance(dataDir: string, signal: AbortSignal): Promise<'gone'> {
  for (;;) {
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return await new Promise(() => {});
    if ((await findEmbedded({ dataDir })) === undefined) return 'gone';
  }
}
