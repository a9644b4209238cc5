/**
 * Carries hints to the other processes of the platform, by NOTIFY. A hint saves its hearer the rest of a pause and
 * nothing else: whoever waits also looks by itself, so one that is lost, late or refused costs time only.
 *
 *   commit ─► outbox.notify() ─┬─► loops of this process
 *                              └─► sender: at most one statement per 10 ms ─► NOTIFY ─► others' listeners
 *
 * NOTIFY takes a lock of the whole server at commit, so it never travels in a transaction that changes something.
 * It is sent after that, by itself, from a pool that no such transaction waits for; and only if some other process
 * would hear it, so a platform of one process sends none.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, type Listening, listen, type Statement } from '@surefire/postgres';
import type { Log } from './log.ts';
import { noMetrics, type WakeMetrics } from './metrics.ts';
import { createWake, type Wake } from './wake.ts';

export type Channel = 'outbox' | 'bus';

export type RemoteWakeOptions = {
  /** Sends the hints, with one connection at most. */
  db: Database;
  /** Where to listen: not through a pooler in transaction mode. */
  url: string;
  /**
   * How many relays and consumer groups run in this process. They are hinted directly; without any, there is nothing
   * to listen for.
   */
  local: { relays: number; groups: number };
  log: Log;
  metrics?: WakeMetrics;
  /** Least time between two statements. Default 10 ms. */
  everyMs?: number;
  /** How long to believe what was read about the other processes. Default 5 s. */
  membersEveryMs?: number;
};

export interface RemoteWake {
  /** Something was appended: hints every relay. */
  readonly outbox: Wake;
  /** Something was published: hints every consumer group. */
  readonly bus: Wake;
  /** Begins to listen, in the background. Sending needs no start. */
  start(): void;
  /** Ends the connection and sends no more; hints inside the process go on. May be called twice. */
  stop(): Promise<void>;
}

const CHANNEL_NAMES = { outbox: 'surefire_outbox', bus: 'surefire_bus' } as const;
const CHANNELS = Object.keys(CHANNEL_NAMES) as Channel[];

export function createRemoteWake(options: RemoteWakeOptions): RemoteWake {
  const { db, url, local, log } = options;
  const metrics = options.metrics ?? noMetrics;
  const origin = randomUUID().slice(0, 8);
  const wakes: Record<Channel, Wake> = { outbox: createWake(), bus: createWake() };
  const audience = createAudience({ db, local, everyMs: options.membersEveryMs ?? 5_000 });
  let listening: Listening | undefined;

  const sender = createSender({
    everyMs: options.everyMs ?? 10,
    async send(hinted) {
      const heard = await audience(hinted);
      if (heard.length === 0) return;
      await db.query(notify, [heard.map((channel) => CHANNEL_NAMES[channel]), origin]);
      for (const channel of heard) metrics.woke(channel, 'sent');
    },
    onFailure(error, hinted) {
      for (const channel of hinted) metrics.woke(channel, 'failed');
      log.debug({ err: error, channels: hinted }, 'other processes could not be hinted');
    },
  });

  function hear(name: string, payload: string | undefined): void {
    if (payload === origin) return; // ours: this process knew before it sent it
    const channel = CHANNELS.find((each) => CHANNEL_NAMES[each] === name);
    if (channel === undefined) return;
    if (payload !== undefined) metrics.woke(channel, 'heard');
    wakes[channel].notify(); // not the wake given out: what was heard is not sent on
  }

  const carried = (channel: Channel): Wake => ({
    notify() {
      wakes[channel].notify();
      sender.hint(channel);
    },
    listen: () => wakes[channel].listen(),
  });

  return {
    outbox: carried('outbox'),
    bus: carried('bus'),
    start() {
      const channels = [
        ...(local.relays > 0 ? [CHANNEL_NAMES.outbox] : []),
        ...(local.groups > 0 ? [CHANNEL_NAMES.bus] : []),
      ];
      if (channels.length === 0) return;
      listening ??= listen({
        url,
        channels,
        applicationName: 'surefire listen',
        onNotify: hear,
        onError: (error) => log.warn({ err: error }, 'hints of other processes are not heard for now'),
      });
    },
    async stop() {
      await Promise.all([sender.stop(), listening?.close()]);
    },
  };
}

const notify: Statement = {
  name: 'wake_notify',
  text: `select pg_notify(channel, $2) from unnest($1::text[]) channel`,
};

const countMembers: Statement = {
  name: 'wake_members',
  text: `
    select count(*) filter (where scope = 'relay')::int as relays,
           count(*) filter (where scope <> 'relay')::int as groups
      from lease_member
     where expires_at >= clock_timestamp()`,
};

/**
 * Tells which channels another process listens to. Whoever listens is a lease member; those of this process are
 * subtracted by number, since names may repeat: containers share host names and process ids. A process that has
 * just joined may be overlooked for `everyMs`; it looks by itself meanwhile.
 */
function createAudience(options: {
  db: Database;
  local: { relays: number; groups: number };
  everyMs: number;
}): (channels: readonly Channel[]) => Promise<readonly Channel[]> {
  const { db, local, everyMs } = options;
  const others: Record<Channel, boolean> = { outbox: false, bus: false };
  let countedAt = Number.NEGATIVE_INFINITY;

  return async (channels) => {
    if (performance.now() - countedAt >= everyMs) {
      const { rows } = await db.query<{ relays: number; groups: number }>(countMembers);
      const { relays, groups } = rows[0] as { relays: number; groups: number };
      others.outbox = relays > local.relays;
      others.bus = groups > local.groups;
      countedAt = performance.now();
    }
    return channels.filter((channel) => others[channel]);
  };
}

/** A failure is rarely over after 10 ms, and its hints are worth little. */
const AFTER_FAILURE_MS = 1_000;

/**
 * Sends the first hint at once, and those that come meanwhile together, `everyMs` after the last statement ended.
 * One statement at a time; what failed is not repeated.
 */
export function createSender(options: {
  send: (channels: readonly Channel[]) => Promise<void>;
  onFailure: (error: unknown, channels: readonly Channel[]) => void;
  everyMs: number;
  /** Replaced in tests. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}): { hint(channel: Channel): void; stop(): Promise<void> } {
  const { send, onFailure, everyMs, pause = pauseFor } = options;
  const hinted = new Set<Channel>();
  const stopping = new AbortController();
  let draining: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (hinted.size > 0 && !stopping.signal.aborted) {
      const channels = [...hinted];
      hinted.clear();
      let pauseMs = everyMs;
      try {
        await send(channels);
      } catch (error) {
        onFailure(error, channels);
        pauseMs = AFTER_FAILURE_MS;
      }
      await pause(pauseMs, stopping.signal);
    }
    draining = undefined;
  }

  return {
    hint(channel) {
      if (stopping.signal.aborted) return;
      hinted.add(channel);
      draining ??= drain();
    },
    async stop() {
      stopping.abort();
      await draining;
    },
  };
}

const pauseFor = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);
