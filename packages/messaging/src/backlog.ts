/** What is still to be done, counted by queries whose cost is bounded. */
import type { Queryable, Statement } from '@surefire/postgres';
import type { Log } from './log.ts';
import { createLoop } from './loop.ts';
import { createWake } from './wake.ts';

export type Backlog = {
  /** Events appended and not yet published; counted up to `countMax`. */
  pending: number;
  /** Seconds since the oldest of them was appended; 0 when there is none. */
  oldestAgeSeconds: number;
};

/** Each partition's pending events in order, at most `limit`; the floor spares what the relay need not read either. */
const pendingOf = (limit: string) => `
      select event.created_at
        from relay_lease lease
       cross join lateral (
         select created_at
           from event_outbox
          where partition = lease.partition
            and status = 'PENDING'
            and sequence > lease.floor_sequence
          order by sequence
          limit ${limit}) event`;

const backlog: Statement = {
  name: 'outbox_backlog',
  text: `
    with pending as (${pendingOf('$1')}
       limit $1
    ), oldest as (${pendingOf('1')}
    )
    select (select count(*) from pending)::int as pending,
           coalesce(extract(epoch from clock_timestamp() - (select min(created_at) from oldest)), 0)::float8 as age`,
};

export async function readBacklog(db: Queryable, options: { countMax: number }): Promise<Backlog> {
  const { rows } = await db.query<{ pending: number; age: number }>(backlog, [options.countMax]);
  const { pending, age } = rows[0] as { pending: number; age: number };
  return { pending, oldestAgeSeconds: Math.max(0, age) };
}

const lag: Statement = {
  name: 'consumer_lag',
  text: `
    select cursor.consumer as "group", cursor.topic, sum(log.last_position - cursor.position)::float8 as events
      from consumer_cursor cursor
      join outbox_position log on log.topic = cursor.topic and log.partition = cursor.partition
     group by cursor.consumer, cursor.topic`,
};

/** Published events, of any type of the topic, that a group has not settled yet. */
export async function readLag(db: Queryable): Promise<{ group: string; topic: string; events: number }[]> {
  const { rows } = await db.query<{ group: string; topic: string; events: number }>(lag);
  return rows;
}

export interface BacklogWatch {
  start(): void;
  stop(): Promise<void>;
  /** Whether more than `pendingMax` events stood in the outbox when it was last looked at. */
  readonly overloaded: boolean;
}

const WATCH_EVERY_MS = 5_000;

/** Looks at the backlog now and then, so that whoever takes new commands can refuse them in time. */
export function createBacklogWatch(options: { db: Queryable; pendingMax: number; log: Log }): BacklogWatch {
  const { db, pendingMax, log } = options;
  let overloaded = false;
  const loop = createLoop({
    wake: createWake(),
    pauseMinMs: WATCH_EVERY_MS,
    pauseMaxMs: WATCH_EVERY_MS,
    onError: (error) => log.warn({ err: error }, 'the backlog could not be read, trying again'),
    async step() {
      const { pending } = await readBacklog(db, { countMax: pendingMax + 1 });
      if (pending > pendingMax && !overloaded)
        log.warn({ pending_max: pendingMax }, 'overloaded: new commands are refused');
      if (pending <= pendingMax && overloaded) log.info({ pending }, 'no longer overloaded');
      overloaded = pending > pendingMax;
      return 'idle';
    },
  });
  return {
    start: () => loop.start(),
    stop: () => loop.stop(),
    get overloaded() {
      return overloaded;
    },
  };
}
