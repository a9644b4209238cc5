/**
 * Events that wait: one that failed, and those of its key that came after it. They stand in a table of their own,
 * written in the transaction that moves the cursor past them, so every other key goes on (promise I14) and their own
 * keeps its order (I12).
 *
 *              ┌──────────── fails, will be tried again ───────────┐
 *   applied ◀─ retry ── fails for good ──▶ dead ── redriven ──▶ retry
 *               ▲                           └──── discarded ──▶ gone
 *               │ the one before it is applied or gone
 *             behind
 *
 * The first event of a waiting key is `retry` or `dead`, all others are `behind`. Only the process that owns the
 * partition writes these rows, under its fence; what people decide reaches it through `dead_letters`.
 */
import type { Queryable, Statement, Transaction } from '@surefire/postgres';
import type { Received } from './bus.ts';

/** A waiting event as the table has it. */
export type Waiting = {
  readonly topic: string;
  readonly partition: number;
  readonly position: bigint;
  readonly key: string;
  readonly event_id: string;
  /** How often it was taken, this time included. */
  readonly attempts: number;
  readonly waiting_since: Date;
};

const anything: Statement = {
  name: 'waiting_anything',
  text: `
    select exists (select from waiting_events where consumer = $1 and partition = any($2::smallint[]))
        or exists (select from dead_letters
                    where consumer = $1 and partition = any($2::smallint[])
                      and status in ('redriving', 'discarding')) as waits`,
};

/** Whether anything of these partitions waits, or waits to be decided upon. */
export async function anythingWaits(
  db: Queryable,
  group: string,
  partitions: readonly number[],
): Promise<boolean> {
  const { rows } = await db.query<{ waits: boolean }>(anything, [group, partitions]);
  return rows[0]?.waits ?? false;
}

const holdBackStatement: Statement = {
  name: 'waiting_hold_back',
  text: `
    insert into waiting_events (consumer, topic, partition, position, key, event_id, state)
    select $1, event.topic, event.partition, event.position, event.key, event.id, 'behind'
      from unnest($2::text[], $3::smallint[], $4::bigint[], $5::text[], $6::uuid[])
        event (topic, partition, position, key, id)
     where exists (
       select from waiting_events before
        where before.consumer = $1 and before.topic = event.topic and before.key = event.key)
    returning event_id`,
};

/** Puts the events whose key waits behind it; answers with the ids of those. */
export async function holdBack(
  tx: Transaction,
  options: { group: string; events: readonly Received[] },
): Promise<ReadonlySet<string>> {
  const { group, events } = options;
  const { rows } = await tx.query<{ event_id: string }>(holdBackStatement, [
    group,
    events.map(({ topic }) => topic),
    events.map(({ partition }) => partition),
    events.map(({ position }) => position),
    events.map(({ event }) => event.partitionkey),
    events.map(({ event }) => event.id),
  ]);
  return new Set(rows.map((row) => row.event_id));
}

const parkStatement: Statement = {
  name: 'waiting_park',
  text: `
    insert into waiting_events
      (consumer, topic, partition, position, key, event_id, state, attempts, retry_at, last_error)
    values ($1, $2, $3, $4, $5, $6, 'retry', $7, clock_timestamp() + $8 * interval '1 millisecond', $9)
    returning waiting_since`,
};

/** Makes a failed event the first of its waiting key. */
export async function park(
  tx: Transaction,
  options: { group: string; received: Received; attempts: number; retryInMs: number; error: string },
): Promise<Waiting> {
  const { group, received, attempts, retryInMs, error } = options;
  const { topic, partition, position, event } = received;
  const place = { topic, partition, position, key: event.partitionkey, event_id: event.id, attempts };
  const { rows } = await tx.query<{ waiting_since: Date }>(parkStatement, [
    group,
    topic,
    partition,
    position,
    place.key,
    place.event_id,
    attempts,
    retryInMs,
    error,
  ]);
  return { ...place, waiting_since: (rows[0] as { waiting_since: Date }).waiting_since };
}

// Counted when taken: an event that ends the process uses up its attempts as well.
const takeStatement: Statement = {
  name: 'waiting_take',
  text: `
    update waiting_events taken
       set attempts = taken.attempts + 1, retry_at = clock_timestamp() + interval '1 minute'
      from (select consumer, topic, partition, position
              from waiting_events
             where consumer = $1 and partition = any($2::smallint[])
               and state = 'retry' and retry_at <= clock_timestamp()
             order by retry_at
             limit $3) due
     where taken.consumer = due.consumer and taken.topic = due.topic
       and taken.partition = due.partition and taken.position = due.position
    returning taken.topic, taken.partition, taken.position, taken.key, taken.event_id, taken.attempts,
              taken.waiting_since`,
};

/** The first events of keys whose time has come. A minute later they are due again, whatever became of the taker. */
export async function takeDue(
  db: Queryable,
  options: { group: string; partitions: readonly number[]; most: number },
): Promise<Waiting[]> {
  const { rows } = await db.query<Waiting>(takeStatement, [options.group, options.partitions, options.most]);
  return rows;
}

const followersStatement: Statement = {
  name: 'waiting_followers',
  text: `
    select topic, partition, position, key, event_id, attempts, waiting_since
      from waiting_events
     where consumer = $1 and topic = $2 and key = $3 and position > $4 and state = 'behind'
     order by position
     limit $5`,
};

/** What waits behind an event, in order. */
export async function followersOf(
  db: Queryable,
  options: { group: string; first: Waiting; most: number },
): Promise<Waiting[]> {
  const { group, first, most } = options;
  const { rows } = await db.query<Waiting>(followersStatement, [
    group,
    first.topic,
    first.key,
    first.position,
    most,
  ]);
  return rows;
}

const removeStatement: Statement = {
  name: 'waiting_remove',
  text: `
    delete from waiting_events
     where consumer = $1 and topic = $2 and partition = $3 and position = any($4::bigint[])`,
};

const promoteStatement: Statement = {
  name: 'waiting_promote',
  text: `
    update waiting_events next
       set state = 'retry', attempts = 0, retry_at = clock_timestamp()
     where next.consumer = $1 and next.topic = $2 and next.partition = $3 and next.state = 'behind'
       and next.position = (
         select min(first.position) from waiting_events first
          where first.consumer = $1 and first.topic = $2 and first.key = $4)`,
};

/** The events of one key are dealt with: they leave, and the next of the key becomes its first. */
export async function leave(
  tx: Transaction,
  options: { group: string; topic: string; partition: number; key: string; positions: readonly bigint[] },
): Promise<void> {
  const { group, topic, partition, key, positions } = options;
  // In this order on one connection, so the second sees what the first did.
  await Promise.all([
    tx.query(removeStatement, [group, topic, partition, positions]),
    tx.query(promoteStatement, [group, topic, partition, key]),
  ]);
}

const postponeStatement: Statement = {
  name: 'waiting_postpone',
  text: `
    update waiting_events
       set retry_at = clock_timestamp() + $5 * interval '1 millisecond', attempts = $6, last_error = $7
     where consumer = $1 and topic = $2 and partition = $3 and position = $4 and state = 'retry'`,
};

/** The event will be tried again later. */
export async function postpone(
  db: Queryable,
  options: { group: string; waiting: Waiting; retryInMs: number; attempts: number; error: string },
): Promise<void> {
  const { group, waiting, retryInMs, attempts, error } = options;
  const { topic, partition, position } = waiting;
  await db.query(postponeStatement, [group, topic, partition, position, retryInMs, attempts, error]);
}
