/**
 * Dead letters: what a group has given up. The row is the truth; a message on `<topic>.dlq` with the original headers
 * and the error leaves through the outbox in the same transaction. With `hold`, the key's later events wait until a
 * person has decided; what is decided is written here and carried out by the group itself, which alone may touch what
 * waits.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Queryable, Statement, Transaction } from '@surefire/postgres';
import type { Received } from './bus.ts';
import type { Waiting } from './waiting.ts';

/** poison: can never be applied as it is. exhausted: failed as often as it may. rejected: refused by the business. */
export type DeadLetterClass = (typeof DEAD_LETTER_CLASSES)[number];
export const DEAD_LETTER_CLASSES = ['poison', 'exhausted', 'rejected'] as const;
/** What a person decides goes through `redriving` or `discarding` until the group has carried it out. */
export type DeadLetterStatus = (typeof DEAD_LETTER_STATUSES)[number];
export const DEAD_LETTER_STATUSES = ['open', 'redriving', 'discarding', 'redriven', 'discarded'] as const;

export type DeadLetter = {
  readonly id: string;
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  readonly position: bigint;
  readonly key: string;
  readonly event_id: string;
  readonly event_type: string;
  readonly class: DeadLetterClass;
  /** One sentence. */
  readonly reason: string;
  readonly error: { name: string; message: string; code?: string; stack?: string };
  readonly attempts: number;
  readonly headers: Record<string, unknown>;
  readonly payload: unknown;
  readonly status: DeadLetterStatus;
  /** Every decision about it: what, by whom, why, when. */
  readonly acts: readonly { act: 'redrive' | 'discard'; by: string; reason?: string; at: string }[];
  readonly first_failed_at: Date;
  readonly last_failed_at: Date;
  readonly resolved_at: Date | null;
};

const record: Statement = {
  name: 'dead_letter_record',
  text: `
    with source as (
      select headers, payload, event_type, aggregate_type, aggregate_id from event_outbox where id = $7
    ), letter as (
      insert into dead_letters
        (id, consumer, topic, partition, position, key, event_id, event_type, class, reason, error, attempts,
         headers, payload, first_failed_at)
      select $1, $2, $3, $4, $5, $6, $7, source.event_type, $8, $9, $10, $11, source.headers, source.payload, $12
        from source
          on conflict (consumer, event_id) do update
            set class = excluded.class, reason = excluded.reason, error = excluded.error,
                attempts = dead_letters.attempts + excluded.attempts, status = 'open',
                last_failed_at = clock_timestamp(), resolved_at = null
    )
    insert into event_outbox
      (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers)
    select $13, $3 || '.dlq', $4, $6, source.aggregate_type, source.aggregate_id, source.event_type, source.payload,
           source.headers || jsonb_build_object(
             'dlqevent', $7::uuid, 'dlqgroup', $2::text, 'dlqclass', $8::text, 'dlqreason', $9::text,
             'dlqattempts', $11::int, 'dlqposition', $5::bigint)
      from source`,
};

/** Gives an event up: the row and the message, in the caller's transaction. */
export async function deadLetter(
  tx: Transaction,
  options: { group: string; waiting: Waiting; class: DeadLetterClass; error: unknown },
): Promise<void> {
  const { group, waiting } = options;
  const error = factsOf(options.error);
  const { rowCount } = await tx.query(record, [
    randomUUIDv7(),
    group,
    waiting.topic,
    waiting.partition,
    waiting.position,
    waiting.key,
    waiting.event_id,
    options.class,
    error.message,
    JSON.stringify(error),
    waiting.attempts,
    waiting.waiting_since,
    randomUUIDv7(),
  ]);
  if (rowCount !== 1) throw new Error(`event ${waiting.event_id} is not in the outbox any more`);
}

const TEXT_MAX = 4_000;

function factsOf(error: unknown): DeadLetter['error'] {
  if (!(error instanceof Error)) return { name: typeof error, message: String(error).slice(0, TEXT_MAX) };
  const { code } = error as { code?: unknown };
  return {
    name: error.name,
    message: error.message.slice(0, TEXT_MAX),
    ...(typeof code === 'string' && { code }),
    ...(error.stack !== undefined && { stack: error.stack.slice(0, TEXT_MAX) }),
  };
}

export async function findDeadLetter(db: Queryable, id: string): Promise<DeadLetter | undefined> {
  const { rows } = await db.query<DeadLetter>('select * from dead_letters where id = $1', [id]);
  return rows[0];
}

// The locked row decides: of any number of people who decide at the same time, one does.
const decide: Statement = {
  name: 'dead_letter_decide',
  text: `
    update dead_letters
       set status = $2, acts = acts || $3::jsonb
     where id = $1 and status = 'open'`,
};

/** Has an event tried again, with its id and in the order of its key. False when it is not open (any more). */
export async function redrive(db: Queryable, options: { id: string; by: string }): Promise<boolean> {
  const act = { act: 'redrive', by: options.by, at: new Date().toISOString() };
  const { rowCount } = await db.query(decide, [options.id, 'redriving', JSON.stringify(act)]);
  return rowCount === 1;
}

/** Has an event passed over for good. False when it is not open (any more). */
export async function discard(
  db: Queryable,
  options: { id: string; by: string; reason: string },
): Promise<boolean> {
  const act = { act: 'discard', by: options.by, reason: options.reason, at: new Date().toISOString() };
  const { rowCount } = await db.query(decide, [options.id, 'discarding', JSON.stringify(act)]);
  return rowCount === 1;
}

const decided: Statement = {
  name: 'dead_letter_decided',
  text: `
    select letter.id, letter.status, letter.topic, letter.partition, letter.position, letter.key, letter.event_id,
           letter.attempts, letter.first_failed_at as waiting_since
      from dead_letters letter
      left join waiting_events waiting
        on waiting.consumer = letter.consumer and waiting.topic = letter.topic
       and waiting.partition = letter.partition and waiting.position = letter.position
     where letter.consumer = $1 and letter.partition = any($2::smallint[])
       and (letter.status = 'discarding'
            or (letter.status = 'redriving' and (waiting.state is null or waiting.state = 'dead')))
     order by letter.position
     limit $3`,
};

export type Decided = Waiting & { readonly id: string; readonly status: 'redriving' | 'discarding' };

/** What was decided about events of these partitions and has still to be carried out. */
export async function readDecided(
  db: Queryable,
  options: { group: string; partitions: readonly number[]; most: number },
): Promise<Decided[]> {
  const { rows } = await db.query<Decided>(decided, [options.group, options.partitions, options.most]);
  return rows;
}

const revive: Statement = {
  name: 'dead_letter_revive',
  text: `
    insert into waiting_events
      (consumer, topic, partition, position, key, event_id, state, attempts, retry_at)
    values ($1, $2, $3, $4, $5, $6, 'retry', 0, clock_timestamp())
        on conflict (consumer, topic, partition, position)
        do update set state = 'retry', attempts = 0, retry_at = excluded.retry_at`,
};

/** Carries a redrive out: the event is the first of its key again, with all its attempts. */
export async function carryOutRedrive(
  tx: Transaction,
  options: { group: string; decided: Decided },
): Promise<void> {
  const { topic, partition, position, key, event_id: eventId } = options.decided;
  await tx.query(revive, [options.group, topic, partition, position, key, eventId]);
}

const markDead: Statement = {
  name: 'dead_letter_mark_dead',
  text: `
    update waiting_events
       set state = 'dead', retry_at = null
     where consumer = $1 and topic = $2 and partition = $3 and position = $4`,
};

/** The event stays first of its key, but is not tried any more. */
export async function holdKey(tx: Transaction, options: { group: string; waiting: Waiting }): Promise<void> {
  const { topic, partition, position } = options.waiting;
  await tx.query(markDead, [options.group, topic, partition, position]);
}

const resolve: Statement = {
  name: 'dead_letter_resolve',
  text: `
    update dead_letters
       set status = $3, resolved_at = clock_timestamp()
     where consumer = $1 and event_id = any($2::uuid[]) and status = $4`,
};

/** The events were applied after a redrive. Nothing happens for those that were never given up. */
export async function resolveRedriven(
  tx: Transaction,
  options: { group: string; events: readonly Received[] },
): Promise<void> {
  const ids = options.events.map(({ event }) => event.id);
  await tx.query(resolve, [options.group, ids, 'redriven', 'redriving']);
}

const skip: Statement = {
  name: 'dead_letter_skip',
  text: `
    insert into processed_events (consumer, event_id, transaction_id, outcome)
    select $1, id, aggregate_id, 'skipped' from event_outbox where id = $2
        on conflict (consumer, event_id) do nothing`,
};

/** Carries a discard out: the inbox remembers that a person had it skipped. */
export async function carryOutDiscard(
  tx: Transaction,
  options: { group: string; decided: Decided },
): Promise<void> {
  const { group, decided: letter } = options;
  await Promise.all([
    tx.query(skip, [group, letter.event_id]),
    tx.query(resolve, [group, [letter.event_id], 'discarded', 'discarding']),
  ]);
}
