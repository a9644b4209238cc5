/**
 * Hears the notifications of some channels on one connection of its own, for as long as it takes.
 *
 *   connecting ──► listening ──close()──► closed
 *       ▲              │ broken, or silent to the watchdog
 *       └── back-off ◄─┘
 *
 * What is sent while nobody listens is lost, so every (re)connect counts as a notification of every channel: look,
 * something may have happened. The connection is never in a transaction, hence holds no snapshot back. It needs a
 * session of its own: behind a pooler in transaction mode it hears nothing, and says nothing of it.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

export type ListenOptions = {
  url: string;
  channels: readonly string[];
  /** `payload` is undefined after a (re)connect. Must not throw. */
  onNotify: (channel: string, payload: string | undefined) => void;
  /** Hears why a connection broke or could not be made; a new one is on its way. */
  onError?: (error: Error) => void;
  /** Shown in pg_stat_activity. */
  applicationName?: string;
  /** How often the watchdog asks for a sign of life: a socket may die without a word. Default 30 s. */
  checkEveryMs?: number;
  /** How long it waits for the sign, and how long connecting may take. Default 5 s. */
  timeoutMs?: number;
  /** Longest pause between two attempts to connect. Default 10 s. */
  backoffMaxMs?: number;
};

export interface Listening {
  /** Resolves when the connection is gone. May be called twice. */
  close(): Promise<void>;
}

const BACKOFF_BASE_MS = 100;
const GOODBYE_MS = 1_000;

/** Returns at once and never throws: whoever listens must be able to do without. */
export function listen(options: ListenOptions): Listening {
  const { checkEveryMs = 30_000, backoffMaxMs = 10_000 } = options;
  const closing = new AbortController();
  let failures = 0;

  async function session(): Promise<void> {
    await using connection = await open(options, closing.signal);
    for (const channel of options.channels) options.onNotify(channel, undefined);
    for (;;) {
      await connection.pause(checkEveryMs);
      await connection.check();
      // Not sooner: a server that accepts and then drops us must not be asked ever faster.
      failures = 0;
    }
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await session();
      } catch (error) {
        if (closing.signal.aborted) return;
        failures += 1;
        options.onError?.(error as Error);
        const ceilingMs = Math.min(backoffMaxMs, BACKOFF_BASE_MS * 2 ** Math.min(failures, 30));
        await pauseFor(Math.random() * ceilingMs, closing.signal);
      }
    }
  }

  const running = run();
  return {
    close() {
      closing.abort();
      return running;
    },
  };
}

/** A session that listens already. When it ends, whatever is waited for here rejects. */
async function open(options: ListenOptions, closing: AbortSignal) {
  const { timeoutMs = 5_000 } = options;
  const client = new pg.Client({
    connectionString: options.url,
    application_name: options.applicationName ?? 'surefire listen',
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    // To be idle for hours is this session's purpose.
    options: '-c idle_session_timeout=0',
  });
  const gone = new AbortController();
  const broken = new Promise<never>((_resolve, reject) => {
    gone.signal.addEventListener('abort', () => reject(gone.signal.reason as Error));
  });
  broken.catch(() => undefined); // it may break while nobody waits
  client.on('error', (error) => gone.abort(error));
  client.on('end', () => gone.abort(new Error('Connection terminated')));
  client.on('notification', ({ channel, payload }) => options.onNotify(channel, payload));

  const onClosing = () => void end(client);
  closing.addEventListener('abort', onClosing);
  const connection = {
    async pause(ms: number): Promise<void> {
      await pauseFor(ms, gone.signal);
      gone.signal.throwIfAborted();
    },
    check: () => Promise.race([client.query('select 1'), broken]),
    async [Symbol.asyncDispose]() {
      closing.removeEventListener('abort', onClosing);
      await end(client);
    },
  };
  try {
    if (closing.aborted) throw new Error('closed');
    await Promise.race([client.connect(), broken]);
    const statements = options.channels.map((channel) => `listen ${client.escapeIdentifier(channel)}`);
    await Promise.race([client.query(statements.join(';')), broken]);
    return connection;
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}

/** Says goodbye, or hangs up when nobody answers: a dead socket never confirms its end. */
async function end(client: pg.Client): Promise<void> {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  const limit = setTimeout(() => stream.destroy(), GOODBYE_MS);
  try {
    await client.end();
  } finally {
    clearTimeout(limit);
  }
}

/** Ends early, without an error, when aborted. */
const pauseFor = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);
