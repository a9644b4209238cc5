/**
 * A consumer group: reads its topics batch by batch, and applies each batch in one transaction together with
 * the inbox rows, the follow-up events and the group's cursors. Killed anywhere, it has done all of a batch or
 * nothing of it.
 *
 *   fetch → ┌ settle (fence, cursors) · once (inbox) · apply ┐ → commit
 *
 * Any number of processes may run a group; each owns its share of the partitions. Faults of the surroundings
 * (connection lost, conflict) are retried for as long as they last. An event that fails by itself is isolated
 * by halving its batch; then it waits, with whatever of its key comes after it, while all other keys go on
 * (`waiting.ts`, `retries.ts`). It is never skipped.
 */
import { assertData, type Catalogue, type CriticalContract } from '@surefire/events';
import type { Database, Transaction } from '@surefire/postgres';
import { type Bus, type Received, type Slice, StaleSliceError } from './bus.ts';
import { reached } from './crash-points.ts';
import { classify } from './errors.ts';
import { once } from './inbox.ts';
import { FencedError } from './lease.ts';
import type { Log } from './log.ts';
import { createLoop } from './loop.ts';
import { type MessagingMetrics, noMetrics } from './metrics.ts';
import { createRetries, RETRY_POLICY, type RetryPolicy } from './retries.ts';
import { holdBack } from './waiting.ts';
import type { Wake } from './wake.ts';

export type ConsumerOptions = {
  db: Database;
  bus: Bus;
  catalogue: Catalogue;
  /** The group's name: its inbox and its cursors. Never reuse one for another purpose. */
  group: string;
  /** The events it takes; all others of their topics are passed over. */
  contracts: readonly CriticalContract[];
  /**
   * Applies a batch in `tx`, which also carries everything else that must be atomic with it. The events are
   * in order per key, valid by their contracts, and none was applied before. Throwing undoes it all.
   */
  apply: (tx: Transaction, events: readonly Received[]) => Promise<void>;
  log: Log;
  /** Hinted when something was published in this process. */
  wake: Wake;
  metrics?: MessagingMetrics;
  /** Most events per transaction. Default 500. */
  batchMax?: number;
  /** Longest pause when idle. Default 500 ms. */
  pauseMaxMs?: number;
  /** What to do with events that fail. Default `RETRY_POLICY`. */
  retry?: Partial<RetryPolicy>;
};

export interface Consumer {
  start(): Promise<void>;
  /** Finishes the batch under way and gives the partitions back. */
  stop(): Promise<void>;
  readonly group: string;
  readonly partitions: readonly number[];
}

export function createConsumer(options: ConsumerOptions): Consumer {
  const { db, group, log, wake, catalogue } = options;
  const metrics = options.metrics ?? noMetrics;
  const batchMax = options.batchMax ?? 500;
  const subscription = options.bus.subscribe({
    group,
    contracts: options.contracts,
    onAcquired: () => wake.notify(),
  });
  const policy = { ...RETRY_POLICY, ...options.retry };
  const retries = createRetries({ db, subscription, group, applyIn, policy, log, metrics });

  async function step(): Promise<'busy' | 'light' | 'idle'> {
    const brought = await retries.round();
    const slices = await subscription.fetch({ eventsMax: batchMax });
    if (slices.length === 0) return brought > 0 ? 'light' : 'idle';
    reached('before-apply');
    await process(slices);
    const events = slices.reduce((sum, slice) => sum + slice.events.length, 0);
    return events < batchMax / 8 ? 'light' : 'busy';
  }

  async function process(slices: readonly Slice[]): Promise<void> {
    try {
      await commitBatch(slices);
    } catch (error) {
      if (error instanceof FencedError) {
        log.error(
          { group, partitions: error.partitions },
          'lost partitions while applying: the batch was undone',
        );
        return;
      }
      if (error instanceof StaleSliceError) {
        log.warn({ group, err: error }, 'read behind the cursors: the batch was undone and is read again');
        return;
      }
      if (classify(error) === 'later') throw error;
      const parts = divide(slices);
      if (parts === undefined) return retries.fail(slices[0] as Slice, error);
      for (const part of parts) await process(part);
    }
  }

  async function commitBatch(slices: readonly Slice[]): Promise<void> {
    const startedAt = performance.now();
    const events = slices.flatMap((slice) => slice.events);
    const mayHold = await retries.mayHold(slices);
    const counts = await db.transaction(async (tx) => {
      const settled = subscription.settle(tx, slices);
      const taken = await takeIn(tx, { events, settled, mayHold });
      await applyFresh(tx, taken.fresh);
      reached('before-commit');
      return { applied: taken.fresh.length, heldBack: events.length - taken.free.length };
    });
    reached('after-commit');
    const seconds = (performance.now() - startedAt) / 1_000;
    const duplicates = events.length - counts.heldBack - counts.applied;
    metrics.consumed(group, { events: counts.applied, duplicates, seconds });
  }

  /** What is free to be applied, and what of it is new. The first statements travel with those that settle. */
  async function takeIn(
    tx: Transaction,
    batch: { events: readonly Received[]; settled: Promise<void>; mayHold: boolean },
  ): Promise<{ free: readonly Received[]; fresh: readonly Received[] }> {
    const { events, settled, mayHold } = batch;
    if (!mayHold) {
      const [, fresh] = await Promise.all([settled, once(tx, { group, events })]);
      return { free: events, fresh };
    }
    const [, held] = await Promise.all([settled, holdBack(tx, { group, events })]);
    const free = events.filter(({ event }) => !held.has(event.id));
    return { free, fresh: await once(tx, { group, events: free }) };
  }

  async function applyIn(tx: Transaction, events: readonly Received[]): Promise<void> {
    await applyFresh(tx, await once(tx, { group, events }));
  }

  async function applyFresh(tx: Transaction, fresh: readonly Received[]): Promise<void> {
    for (const { event } of fresh) assertContract(event.type, event.data);
    if (fresh.length > 0) await options.apply(tx, fresh);
  }

  function assertContract(type: string, data: unknown): void {
    const contract = catalogue.find(type);
    if (contract === undefined) throw new Error(`no contract for ${type}`);
    assertData(contract, data);
  }

  const loop = createLoop({
    step,
    wake,
    pauseMinMs: 5,
    pauseMaxMs: options.pauseMaxMs ?? 500,
    onError(error, failures) {
      metrics.retried(group);
      log.warn({ err: error, group, failures }, 'consuming failed, trying again');
    },
  });

  return {
    group,
    async start() {
      await subscription.start();
      loop.start();
    },
    async stop() {
      await loop.stop();
      await subscription.stop();
    },
    get partitions() {
      return subscription.partitions;
    },
  };
}

/** Smaller batches that together are the same work in the same order, or undefined for a single event. */
export function divide(slices: readonly Slice[]): readonly (readonly Slice[])[] | undefined {
  if (slices.length > 1) {
    const middle = slices.length >> 1;
    return [slices.slice(0, middle), slices.slice(middle)];
  }
  const slice = slices[0] as Slice;
  if (slice.events.length <= 1) return undefined;
  const middle = slice.events.length >> 1;
  const border = (slice.events[middle - 1] as Received).position;
  return [
    [{ ...slice, upTo: border, events: slice.events.slice(0, middle) }],
    [{ ...slice, after: border, events: slice.events.slice(middle) }],
  ];
}
