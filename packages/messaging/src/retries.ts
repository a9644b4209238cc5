/**
 * Second chances: what a consumer does with events that failed. It tries those whose time has come, one key at a time
 * and in order, gives up what has had its attempts, and carries out what people decided about dead letters.
 */
import type { Database, Transaction } from '@surefire/postgres';
import type { Received, Slice, Subscription } from './bus.ts';
import {
  carryOutDiscard,
  carryOutRedrive,
  type DeadLetterClass,
  type Decided,
  deadLetter,
  holdKey,
  readDecided,
  resolveRedriven,
} from './dead-letter.ts';
import { classify } from './errors.ts';
import { FencedError } from './lease.ts';
import type { Log } from './log.ts';
import type { MessagingMetrics } from './metrics.ts';
import { backoffMs } from './retry.ts';
import { anythingWaits, followersOf, leave, park, postpone, takeDue, type Waiting } from './waiting.ts';

export type RetryPolicy = {
  /** How often an event is tried before it is given up. Default 5. */
  attemptsMax: number;
  /** Capped exponential with full jitter. Default 500 ms, at most a minute. */
  baseMs: number;
  capMs: number;
  /** Whether a key's later events wait for a person when one is given up, or go on without it. Default hold. */
  onDeadLetter: 'hold' | 'continue';
};

export const RETRY_POLICY: RetryPolicy = { attemptsMax: 5, baseMs: 500, capMs: 60_000, onDeadLetter: 'hold' };

/** Keys, and events behind a key, that are taken at once. */
const KEYS_MOST = 50;
const FOLLOWERS_MOST = 200;
/** How often it is looked whether anything waits: while something does, and while nothing does. */
const LOOK_AGAIN_MS = { waiting: 100, quiet: 5_000 };
const LATER_MS = 1_000;

export type Retries = {
  /** Whether events of these slices may have to wait behind others. */
  mayHold(slices: readonly Slice[]): Promise<boolean>;
  /** One round; answers how many events it brought forward. */
  round(): Promise<number>;
  /** The slice's only event failed: moves past it, and lets it wait or gives it up. */
  fail(slice: Slice, error: unknown): Promise<void>;
};

export function createRetries(options: {
  db: Database;
  subscription: Subscription;
  group: string;
  /** Inbox and handler, without the cursor. */
  applyIn: (tx: Transaction, events: readonly Received[]) => Promise<void>;
  policy: RetryPolicy;
  log: Log;
  metrics: MessagingMetrics;
}): Retries {
  const { db, subscription, group, applyIn, policy, log, metrics } = options;
  let waits = true;
  let lookedAt = Number.NEGATIVE_INFINITY;
  /** The epochs under which it was looked: rows of a partition can change unseen while another process owns it. */
  let seen = new Map<number, bigint>();

  async function look(owned: ReadonlyMap<number, bigint>): Promise<void> {
    waits = await anythingWaits(db, group, [...owned.keys()]);
    lookedAt = performance.now();
    seen = new Map(owned);
  }

  async function mayHold(slices: readonly Slice[]): Promise<boolean> {
    const owned = new Map(slices.map(({ partition, epoch }) => [partition, epoch]));
    const unseen = [...owned].some(([partition, epoch]) => seen.get(partition) !== epoch);
    if (unseen && !waits) await look(new Map([...seen, ...owned]));
    return waits;
  }

  async function round(): Promise<number> {
    const since = performance.now() - lookedAt;
    if (since < (waits ? LOOK_AGAIN_MS.waiting : LOOK_AGAIN_MS.quiet)) return 0;
    const { partitions } = subscription;
    if (partitions.length === 0) return 0;
    lookedAt = performance.now();
    waits = await anythingWaits(db, group, partitions);
    if (!waits) return 0;

    let moved = 0;
    for (const each of await readDecided(db, { group, partitions, most: KEYS_MOST }))
      moved += await carryOut(each);
    for (const first of await takeDue(db, { group, partitions, most: KEYS_MOST }))
      moved += await tryAgain(first);
    if (moved > 0) lookedAt = Number.NEGATIVE_INFINITY; // what came behind is due at once
    return moved;
  }

  async function tryAgain(first: Waiting): Promise<number> {
    // Behind an event that has failed before, nothing is tried in the same breath.
    const behind = first.attempts > 1 ? [] : await followersOf(db, { group, first, most: FOLLOWERS_MOST });
    const all = [first, ...behind];
    if (await applied(all)) return all.length;
    return behind.length > 0 && (await applied([first])) ? 1 : 0;
  }

  /** Whether the events, of one key, were applied. When a single one fails, it is dealt with. */
  async function applied(waiting: readonly Waiting[]): Promise<boolean> {
    const [first] = waiting as [Waiting];
    const { topic, partition, key } = first;
    try {
      const events = await subscription.recall(waiting.map((each) => each.event_id));
      if (events.length < waiting.length)
        throw new Error(`event ${first.event_id} is not in the outbox any more`);
      await db.transaction(async (tx) => {
        await subscription.fence(tx, [partition]);
        await applyIn(tx, events);
        await leave(tx, { group, topic, partition, key, positions: waiting.map((each) => each.position) });
        await resolveRedriven(tx, { group, events });
      });
      log.info(
        { group, event_id: first.event_id, events: events.length, attempts: first.attempts },
        'applied after waiting',
      );
      return true;
    } catch (error) {
      if (error instanceof FencedError) return false;
      if (classify(error) === 'later') {
        const attempts = first.attempts - 1;
        await postpone(db, { group, waiting: first, retryInMs: LATER_MS, attempts, error: messageOf(error) });
        throw error;
      }
      if (waiting.length === 1) await failAgain(first, error);
      return false;
    }
  }

  async function failAgain(waiting: Waiting, error: unknown): Promise<void> {
    const verdict = judge(waiting.attempts, error);
    if (verdict !== 'retry') {
      await db.transaction(async (tx) => {
        await subscription.fence(tx, [waiting.partition]);
        await giveUp(tx, waiting, { class: verdict, error });
      });
      return told(waiting, error, verdict);
    }
    const retryInMs = backoffMs({ attempt: waiting.attempts, ...policy });
    const { attempts } = waiting;
    await postpone(db, { group, waiting, retryInMs, attempts, error: messageOf(error) });
    told(waiting, error, verdict, retryInMs);
  }

  async function fail(slice: Slice, error: unknown): Promise<void> {
    const [received] = slice.events;
    if (received === undefined) throw error; // nothing in it could have failed: the fault is ours
    const verdict = judge(1, error);
    const retryInMs = verdict === 'retry' ? backoffMs({ attempt: 1, ...policy }) : 0;
    const waiting = await db.transaction(async (tx) => {
      await subscription.settle(tx, [slice]);
      const parked = await park(tx, { group, received, attempts: 1, retryInMs, error: messageOf(error) });
      if (verdict !== 'retry') await giveUp(tx, parked, { class: verdict, error });
      return parked;
    });
    waits = true;
    told(waiting, error, verdict, retryInMs);
  }

  function judge(attempts: number, error: unknown): 'retry' | DeadLetterClass {
    if (classify(error) === 'park') return 'poison';
    return attempts >= policy.attemptsMax ? 'exhausted' : 'retry';
  }

  async function giveUp(
    tx: Transaction,
    waiting: Waiting,
    letter: { class: DeadLetterClass; error: unknown },
  ): Promise<void> {
    await deadLetter(tx, { group, waiting, ...letter });
    const { topic, partition, position, key } = waiting;
    if (policy.onDeadLetter === 'hold') await holdKey(tx, { group, waiting });
    else await leave(tx, { group, topic, partition, key, positions: [position] });
  }

  async function carryOut(letter: Decided): Promise<number> {
    const { topic, partition, position, key } = letter;
    await db.transaction(async (tx) => {
      await subscription.fence(tx, [partition]);
      if (letter.status === 'redriving') return carryOutRedrive(tx, { group, decided: letter });
      await carryOutDiscard(tx, { group, decided: letter });
      return leave(tx, { group, topic, partition, key, positions: [position] });
    });
    log.info({ group, event_id: letter.event_id, dead_letter_id: letter.id }, `${letter.status} carried out`);
    return 1;
  }

  function told(waiting: Waiting, error: unknown, verdict: string, retryInMs?: number): void {
    const { event_id, attempts } = waiting;
    if (verdict === 'retry') {
      metrics.retried(group);
      log.warn({ err: error, group, event_id, attempts, delay_ms: retryInMs }, 'an event failed and waits');
    } else {
      metrics.deadLettered(group, verdict);
      log.error({ err: error, group, event_id, attempts, class: verdict }, 'an event was given up');
    }
  }

  return { mayHold, round, fail };
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 1_000);
}
