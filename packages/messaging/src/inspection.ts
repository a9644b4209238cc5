/**
 * What people ask of the tables: what stands in the outbox, where one event has got to, how far each group is. Every
 * query is bounded, by an index and a limit, however much there is.
 */
import type { Queryable, Statement } from '@surefire/postgres';
import type { DeadLetterClass, DeadLetterStatus } from './dead-letter.ts';
import { COUNTED_MAX } from './dead-letter-list.ts';

export const OUTBOX_STATUSES = ['PENDING', 'PUBLISHED', 'FAILED'] as const;
export type OutboxStatus = (typeof OUTBOX_STATUSES)[number];

export type OutboxPartition = {
  readonly partition: number;
  /** The relay that holds it, or null. */
  readonly owner: string | null;
  /** Events not yet published; counted up to `COUNTED_MAX`. */
  readonly pending: number;
  /** Seconds since the oldest of them was appended; 0 when there is none. */
  readonly oldest_age_seconds: number;
  /** No pending event has a sequence number at or below it. */
  readonly floor: bigint;
};

const partitions: Statement = {
  name: 'inspect_partitions',
  text: `
    select lease.partition,
           case when lease.expires_at >= clock_timestamp() then lease.owner end as owner,
           pending.events as pending,
           greatest(0, coalesce(extract(epoch from clock_timestamp() - oldest.created_at), 0))::float8
             as oldest_age_seconds,
           lease.floor_sequence as floor
      from relay_lease lease
     cross join lateral (
       select count(*)::int as events
         from (select
                 from event_outbox
                where partition = lease.partition
                  and status = 'PENDING'
                  and sequence > lease.floor_sequence
                limit $1) bounded) pending
      left join lateral (
       select created_at
         from event_outbox
        where partition = lease.partition
          and status = 'PENDING'
          and sequence > lease.floor_sequence
        order by sequence
        limit 1) oldest on true
     order by lease.partition`,
};

export async function readOutboxPartitions(db: Queryable): Promise<OutboxPartition[]> {
  const { rows } = await db.query<OutboxPartition>(partitions, [COUNTED_MAX]);
  return rows;
}

export type EventFilter = {
  status?: OutboxStatus | undefined;
  aggregateId?: string | undefined;
  type?: string | undefined;
};

export type ListedEvent = {
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  /** Null until it is published. */
  readonly position: bigint | null;
  readonly key: string;
  readonly aggregate_type: string;
  readonly aggregate_id: string;
  readonly event_type: string;
  readonly status: OutboxStatus;
  readonly attempts: number;
  readonly last_error: string | null;
  /** When it was appended, in the transaction that it tells of. */
  readonly created_at: Date;
  readonly published_at: Date | null;
};

const LISTED = `event.id, event.topic, event.partition, event.position, event.key, event.aggregate_type,
           event.aggregate_id, event.event_type, event.status, event.attempts, event.last_error, event.created_at,
           case when event.status = 'PUBLISHED' then event.updated_at end as published_at`;

/** Events looked at per page. No index finds types or published ones, so a page stops here and says where to go on. */
const LOOKED_AT_MAX = 10_000;
const NEWEST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * Events, newest first, older than `before` (an id). With a filter a page may hold few events or none although there
 * are more: `next` is then where to go on, and is absent at the end.
 */
export async function listEvents(
  db: Queryable,
  options: { filter?: EventFilter; before?: string | undefined; limit: number },
): Promise<{ events: ListedEvent[]; next?: string }> {
  const { filter = {}, before = NEWEST, limit } = options;
  const values: unknown[] = [];
  const next = (value: unknown) => `$${values.push(value)}`;
  // Indexed: pending ones, and those of an aggregate. The rest is sorted out of what these find.
  const indexed = [
    `id < ${next(before)}`,
    ...(filter.status === 'PENDING' ? [`status = 'PENDING'`] : []),
    ...(filter.aggregateId === undefined ? [] : [`aggregate_id = ${next(filter.aggregateId)}`]),
  ];
  const wanted = [
    ...(filter.status === undefined || filter.status === 'PENDING'
      ? []
      : [`status = ${next(filter.status)}`]),
    ...(filter.type === undefined ? [] : [`event_type = ${next(filter.type)}`]),
  ];
  const lookedAtMax = wanted.length > 0 ? LOOKED_AT_MAX : limit + 1;
  const name = Object.entries(filter).flatMap(([member, value]) => (value === undefined ? [] : [member]));
  const pending = filter.status === 'PENDING' ? ['pending'] : [];
  const text = `
    with looked_at as materialized (
      select id, status, event_type
        from event_outbox
       where ${indexed.join(' and ')}
       order by id desc
       limit ${next(lookedAtMax)}
    ), found as materialized (
      select id from looked_at where ${['true', ...wanted].join(' and ')} order by id desc limit ${next(limit + 1)}
    )
    select looked.events, looked.last, ${LISTED}
      from (select (select count(*) from looked_at)::int as events,
                   (select id from looked_at order by id limit 1) as last) looked
      left join found on true
      left join event_outbox event on event.id = found.id
     order by event.id desc`;
  const { rows } = await db.query<ListedEvent & { events: number; last: string | null }>(
    { name: ['inspect_events', ...name, ...pending].join('_'), text },
    values,
  );
  const found = rows.flatMap(({ events: _events, last: _last, ...event }) =>
    event.id === null ? [] : [event],
  );
  const events = found.slice(0, limit);
  const looked = rows[0] as { events: number; last: string | null };
  if (found.length > limit) return { events, next: (events.at(-1) as ListedEvent).id };
  // Nothing more was found, but not everything was looked at.
  const more = looked.events === lookedAtMax && looked.last !== null;
  return { events, ...(more && { next: looked.last as string }) };
}

/** What a group has done with an event. */
export type GroupEvidence = {
  readonly group: string;
  /**
   * applied: in its inbox, with an outcome; waiting: it failed, or stands behind one that did; dead: given up and not
   * yet settled; behind: the group's cursor has not come to it; passed: the cursor is past it and nothing was taken
   * in, as of types that the group does not subscribe to.
   */
  readonly state: 'applied' | 'waiting' | 'dead' | 'behind' | 'passed';
  /** How far the group has settled the event's log. */
  readonly cursor: bigint;
  readonly outcome: 'applied' | 'rejected' | 'skipped' | null;
  readonly applied_at: Date | null;
  readonly attempts: number | null;
  readonly retry_at: Date | null;
  readonly last_error: string | null;
  readonly dead_letter_id: string | null;
  readonly dead_letter_class: DeadLetterClass | null;
  readonly dead_letter_status: DeadLetterStatus | null;
};

export type EventState = ListedEvent & {
  readonly payload: unknown;
  readonly headers: Record<string, unknown>;
  readonly groups: readonly GroupEvidence[];
};

const find: Statement = {
  name: 'inspect_event',
  text: `
    select ${LISTED}, event.payload, event.headers, evidence.consumer as "group", evidence.cursor,
           inbox.outcome, inbox.processed_at as applied_at,
           waiting.state as waiting, waiting.attempts as waiting_attempts, waiting.retry_at,
           coalesce(waiting.last_error, letter.reason) as group_error,
           letter.id as dead_letter_id, letter.class as dead_letter_class, letter.status as dead_letter_status,
           letter.attempts as dead_letter_attempts
      from event_outbox event
      left join lateral (
        select consumer, position as cursor
          from consumer_cursor
         where topic = event.topic and partition = event.partition) evidence on true
      left join processed_events inbox on inbox.consumer = evidence.consumer and inbox.event_id = event.id
      left join waiting_events waiting
        on waiting.consumer = evidence.consumer and waiting.topic = event.topic
       and waiting.partition = event.partition and waiting.position = event.position
      left join dead_letters letter on letter.consumer = evidence.consumer and letter.event_id = event.id
     where event.id = $1
     order by evidence.consumer`,
};

type EvidenceRow = Omit<EventState, 'groups'> & {
  group: string | null;
  cursor: bigint;
  outcome: GroupEvidence['outcome'];
  applied_at: Date | null;
  waiting: 'retry' | 'behind' | 'dead' | null;
  waiting_attempts: number | null;
  retry_at: Date | null;
  group_error: string | null;
  dead_letter_id: string | null;
  dead_letter_class: DeadLetterClass | null;
  dead_letter_status: DeadLetterStatus | null;
  dead_letter_attempts: number | null;
};

/** One event with everything that is known of its way, from one snapshot. */
export async function findEvent(db: Queryable, id: string): Promise<EventState | undefined> {
  const { rows } = await db.query<EvidenceRow>(find, [id]);
  const [first] = rows;
  if (first === undefined) return undefined;
  const { topic, partition, position, key, aggregate_type, aggregate_id, event_type, status } = first;
  const { attempts, last_error, created_at, published_at, payload, headers } = first;
  return {
    id: first.id,
    topic,
    partition,
    position,
    key,
    aggregate_type,
    aggregate_id,
    event_type,
    status,
    attempts,
    last_error,
    created_at,
    published_at,
    payload,
    headers,
    groups: rows.flatMap((row) => (row.group === null ? [] : [evidenceOf(row, row.group)])),
  };
}

function evidenceOf(row: EvidenceRow, group: string): GroupEvidence {
  return {
    group,
    state: stateOf(row),
    cursor: row.cursor,
    outcome: row.outcome,
    applied_at: row.applied_at,
    attempts: row.waiting_attempts ?? row.dead_letter_attempts,
    retry_at: row.retry_at,
    last_error: row.group_error,
    dead_letter_id: row.dead_letter_id,
    dead_letter_class: row.dead_letter_class,
    dead_letter_status: row.dead_letter_status,
  };
}

function stateOf(row: EvidenceRow): GroupEvidence['state'] {
  if (row.outcome !== null) return 'applied';
  // While a redrive is carried out it waits again, with a dead letter that is not settled.
  if (row.waiting === 'retry' || row.waiting === 'behind') return 'waiting';
  if (row.dead_letter_id !== null) return 'dead';
  return row.position === null || row.cursor < row.position ? 'behind' : 'passed';
}

export type GroupState = {
  readonly group: string;
  /** Published events of its topics that it has not settled. */
  readonly lag: bigint;
  /** Each counted up to `COUNTED_MAX`. */
  readonly waiting_events: number;
  readonly blocked_keys: number;
  readonly open_dead_letters: number;
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly owner: string | null;
    readonly cursor: number;
    readonly last_position: number;
    readonly lag: number;
  }[];
};

const groups: Statement = {
  name: 'inspect_groups',
  text: `
    with place as (
      select cursor.consumer, cursor.topic, cursor.partition, cursor.position as cursor,
             coalesce(log.last_position, 0) as last_position,
             greatest(0, coalesce(log.last_position, 0) - cursor.position) as lag,
             case when lease.expires_at >= clock_timestamp() then lease.owner end as owner
        from consumer_cursor cursor
        left join outbox_position log on log.topic = cursor.topic and log.partition = cursor.partition
        left join consumer_lease lease on lease.consumer = cursor.consumer and lease.partition = cursor.partition
    ), consumer as (
      select consumer, sum(lag)::bigint as lag,
             jsonb_agg(jsonb_build_object(
               'topic', topic, 'partition', partition, 'owner', owner, 'cursor', cursor,
               'last_position', last_position, 'lag', lag) order by topic, partition) as partitions
        from place
       group by consumer
    )
    select consumer.consumer as "group", consumer.lag, consumer.partitions, waiting.events as waiting_events,
           waiting.keys as blocked_keys, dead.letters as open_dead_letters
      from consumer
     cross join lateral (
       -- Of the events of a waiting key, exactly the first is not behind another.
       select count(*)::int as events, (count(*) filter (where state <> 'behind'))::int as keys
         from (select state from waiting_events waiting where waiting.consumer = consumer.consumer limit $1) bounded) waiting
     cross join lateral (
       select count(*)::int as letters
         from (select from dead_letters letter
                where letter.consumer = consumer.consumer and letter.status = 'open' limit $1) bounded) dead
     order by consumer.consumer`,
};

/** How far each consumer group is, and what it could not apply. */
export async function readGroups(db: Queryable): Promise<GroupState[]> {
  const { rows } = await db.query<GroupState>(groups, [COUNTED_MAX]);
  return rows;
}
