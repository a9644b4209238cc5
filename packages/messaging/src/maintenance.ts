/** Keeps the daily partitions of outbox and inbox ahead of time: an id without a partition can not be inserted. */
import type { Database, Queryable } from '@surefire/postgres';
import type { Log } from './log.ts';
import { createLoop, type Loop } from './loop.ts';
import { createWake } from './wake.ts';

/** How many days ahead partitions exist, so that a platform may run a week without this job. */
export const PARTITION_DAYS_AHEAD = 7;

const EVERY_MS = 60 * 60 * 1_000;

/** Creates what is missing; returns how many partitions that were. */
export async function ensurePartitions(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ created: number }>(
    `select ensure_time_partitions('event_outbox', $1) + ensure_time_partitions('processed_events', $1) as created`,
    [PARTITION_DAYS_AHEAD],
  );
  return rows[0]?.created ?? 0;
}

/** The hourly job. Any number of processes may run it. */
export function createMaintenance(options: { db: Database; log: Log }): Loop {
  const { db, log } = options;
  return createLoop({
    wake: createWake(),
    pauseMinMs: EVERY_MS,
    pauseMaxMs: EVERY_MS,
    onError: (error) => log.error({ err: error }, 'partitions could not be created, trying again'),
    async step() {
      const created = await ensurePartitions(db);
      if (created > 0) log.info({ created }, 'daily partitions created');
      return 'idle';
    },
  });
}
