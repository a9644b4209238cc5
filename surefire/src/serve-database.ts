/** `surefire database`: the embedded PostgreSQL in the foreground, for processes that share it. */
import { connect, type EmbeddedServer, startEmbedded } from '@surefire/postgres';
import type { Config } from '@surefire/service';
import { CommandFailure, EXIT, type ExitCode } from './failure.ts';
import { print, say } from './terminal.ts';

const LOOK_EVERY_MS = 1_000;

export async function serveDatabase(context: { config: Config }): Promise<ExitCode> {
  const { config } = context;
  if (config.databaseUrl !== undefined) {
    throw new CommandFailure(
      'SUREFIRE_DATABASE_URL names a database already; unset it to run the embedded one.',
      { exitCode: EXIT.usage },
    );
  }
  // From before the server starts: Ctrl-C while it starts must stop it as well.
  const signal = nextSignal();
  const server = await startEmbedded({ dataDir: config.dataDir, onProgress: say });
  print(server.url);
  say(
    server.adopted
      ? `PostgreSQL was running already (pid ${server.pid}); Ctrl-C stops it unless somebody still uses it.`
      : `PostgreSQL is running (pid ${server.pid}); Ctrl-C stops it. For other terminals:\n` +
          `  export SUREFIRE_DATABASE_URL='${server.url}'`,
  );

  const ended = watch(server.pid);
  const reason = await Promise.race([signal.received, ended.gone]);
  signal.dispose();
  ended.dispose();
  if (reason === 'gone') throw new CommandFailure('PostgreSQL has ended; its log is in the data folder.');
  if (server.adopted && (await isInUse(server))) {
    say('PostgreSQL is still used by others and stays.');
    return EXIT.ok;
  }
  say('stopping PostgreSQL …');
  await server.stop();
  return EXIT.ok;
}

function nextSignal(): { received: Promise<'signal'>; dispose(): void } {
  const { promise, resolve } = Promise.withResolvers<'signal'>();
  const onSignal = () => resolve('signal');
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return { received: promise, dispose: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal) };
}

/** Resolves when the process is no more. */
function watch(pid: number): { gone: Promise<'gone'>; dispose(): void } {
  const { promise, resolve } = Promise.withResolvers<'gone'>();
  const timer = setInterval(() => {
    try {
      process.kill(pid, 0);
    } catch (error) {
      // EPERM: it is there and belongs to another user.
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') resolve('gone');
    }
  }, LOOK_EVERY_MS);
  return { gone: promise, dispose: () => clearInterval(timer) };
}

async function isInUse(server: EmbeddedServer): Promise<boolean> {
  const db = connect({ url: server.url, max: 1, applicationName: 'surefire database' });
  try {
    const { rows } = await db.query(
      `select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1`,
    );
    return rows.length > 0;
  } finally {
    await db.close();
  }
}
