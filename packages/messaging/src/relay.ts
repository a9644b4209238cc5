/**
 * The relay: brings committed outbox rows onto the bus, in order per key, and marks them PUBLISHED.
 *
 *   leases   which partitions are ours, and with which epoch
 *   claim    one fenced statement: the pending rows of our partitions, in order, get their positions
 *   floor    how far down no pending row can appear any more, so that nobody looks there again
 *
 * On the PostgreSQL bus the outbox is the log, so giving a position *is* publishing: one statement claims,
 * publishes and marks, and a crash leaves either all of it or nothing.
 *
 * Any number of relays may run. Each owns its share of the partitions; a relay that dies is replaced when
 * its leases expire, and one that only slept is refused by its epoch.
 */
import type { Database } from '@surefire/postgres';
import { reached } from './crash-points.ts';
import { createLeases } from './lease.ts';
import type { Log } from './log.ts';
import { createLoop } from './loop.ts';
import { type MessagingMetrics, noMetrics } from './metrics.ts';
import { createFloor } from './relay/floor.ts';
import { publishPending } from './relay/polling.ts';
import { createShares } from './relay/shares.ts';
import type { Wake } from './wake.ts';

export type RelayOptions = {
  /** Connect with the settings `SET_BASED`. Needs two connections: one publishes, one keeps the leases. */
  db: Database;
  log: Log;
  /** Hinted when something was appended in this process. */
  wake: Wake;
  /** Called after events were published, e.g. to hint the consumers of this process. */
  onPublished?: () => void;
  metrics?: MessagingMetrics;
  /** Most events per statement. Default 1000. */
  batchMax?: number;
  /** See `LeaseOptions.ttlMs`. */
  leaseTtlMs?: number;
  /** Longest pause when idle: the delay of events whose process does not hint this one. Default 500 ms. */
  pauseMaxMs?: number;
};

export interface Relay {
  start(): Promise<void>;
  /** Finishes the batch under way and gives the leases back. */
  stop(): Promise<void>;
  /** Partitions owned at the moment. */
  readonly partitions: readonly number[];
}

/** How often the floor is looked at, at most. */
const FLOOR_EVERY_MS = 5_000;

export function createRelay(options: RelayOptions): Relay {
  const { db, log, wake } = options;
  const metrics = options.metrics ?? noMetrics;
  const leases = createLeases({
    db,
    scope: 'relay',
    table: 'relay_lease',
    log,
    ...(options.leaseTtlMs === undefined ? {} : { ttlMs: options.leaseTtlMs }),
    onLost: (partitions) => metrics.leaseLost('relay', partitions.length),
    onAcquired: () => wake.notify(),
  });
  const batchMax = options.batchMax ?? 1_000;
  const shares = createShares({ batchMax });
  const floor = createFloor({ db, everyMs: FLOOR_EVERY_MS });

  async function step(): Promise<'busy' | 'light' | 'idle'> {
    await leases.releaseSurplus();
    const holding = leases.holding();
    if (holding.partitions.length === 0) return 'idle';

    reached('before-publish');
    const outcome = await publishPending(db, holding, shares.limits(holding.partitions));
    reached('after-publish');

    if (outcome.fenced.length > 0) leases.forget(outcome.fenced);
    shares.learn(outcome.countByPartition);
    for (const { topic, latenciesMs } of outcome.published) {
      metrics.published(topic, latenciesMs.length);
      metrics.publishLatency(
        topic,
        latenciesMs.map((ms) => ms / 1_000),
      );
    }
    if (outcome.count > 0) options.onPublished?.();
    await floor.raise(holding, { published: outcome.count });
    if (outcome.count === 0) return 'idle';
    return outcome.count < batchMax / 8 ? 'light' : 'busy';
  }

  const loop = createLoop({
    step,
    wake,
    pauseMinMs: 5,
    pauseMaxMs: options.pauseMaxMs ?? 500,
    onError(error, failures) {
      metrics.publishFailed();
      log.error({ err: error, failures }, 'publishing failed, trying again');
    },
  });

  return {
    async start() {
      await leases.start();
      loop.start();
    },
    async stop() {
      await loop.stop();
      await leases.stop();
    },
    get partitions() {
      return leases.holding().partitions;
    },
  };
}
