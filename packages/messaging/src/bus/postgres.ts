/**
 * The PostgreSQL bus: the outbox itself is the log. The relay publishes by giving positions; a group reads by
 * position, from its cursor up to the last position given, and never looks at sequence numbers or clocks. The
 * relay moves `last_position` in the statement that gives the positions, so whoever sees the number sees the rows.
 */
import { type Catalogue, type CriticalContract, formatSequence } from '@surefire/events';
import type { Database, Statement, Transaction } from '@surefire/postgres';
import { type Bus, type Received, type Slice, StaleSliceError, type Subscription } from '../bus.ts';
import { createLeases, FencedError } from '../lease.ts';
import type { Log } from '../log.ts';
import { type MessagingMetrics, noMetrics } from '../metrics.ts';
import type { OutboxHeaders } from '../outbox.ts';

export type PostgresBusOptions = {
  /** Connect with the settings `SET_BASED`; used to read the log and to keep the groups' leases. */
  db: Database;
  catalogue: Catalogue;
  log: Log;
  metrics?: MessagingMetrics;
  /** See `LeaseOptions.ttlMs`. */
  leaseTtlMs?: number;
};

type LogRow = {
  topic: string;
  partition: number;
  epoch: bigint;
  after: bigint;
  up_to: bigint;
  // Null where the stretch holds no event of a subscribed type.
  id: string | null;
  key: string;
  aggregate_id: string;
  event_type: string;
  payload: unknown;
  headers: OutboxHeaders;
  position: bigint;
  created_at: Date;
};

/** A new group begins with the oldest event there is. */
const register: Statement = {
  name: 'bus_register',
  text: `
    with leases as (
      insert into consumer_lease (consumer, partition)
      select $1, partition from relay_lease
          on conflict do nothing
    )
    insert into consumer_cursor (consumer, topic, partition)
    select $1, topic, partition
      from relay_lease
     cross join unnest($2::text[]) topic
        on conflict do nothing`,
};

// The busy partitions share the batch evenly; a partition that alone has work gets all of it.
const read: Statement = {
  name: 'bus_read',
  text: `
    with behind as materialized (
      select log.topic, log.partition, mine.epoch, cursor.position as after, log.last_position,
             greatest(1, $5::int / count(*) over ()) as share
        from unnest($2::smallint[], $3::bigint[]) mine (partition, epoch)
        join consumer_cursor cursor on cursor.consumer = $1 and cursor.partition = mine.partition
        join outbox_position log on log.topic = cursor.topic and log.partition = cursor.partition
       where log.last_position > cursor.position
    ), stretch as materialized (
      select topic, partition, epoch, after, least(last_position, after + share) as up_to
        from behind
    )
    select stretch.*, event.*
      from stretch
      left join lateral (
        select event.id, event.key, event.aggregate_id, event.event_type, event.payload, event.headers,
               event.position, event.created_at
          from event_outbox event
         where event.topic = stretch.topic
           and event.partition = stretch.partition
           and event.position > stretch.after
           and event.position <= stretch.up_to
           and event.event_type = any($4::text[])) event on true
     order by stretch.topic, stretch.partition, event.position`,
};

const recall: Statement = {
  name: 'bus_recall',
  text: `
    select event.id, event.topic, event.partition, event.key, event.aggregate_id, event.event_type, event.payload,
           event.headers, event.position, event.created_at
      from unnest($1::uuid[]) with ordinality asked (id, place)
      join event_outbox event on event.id = asked.id
     order by asked.place`,
};

const fence: Statement = {
  name: 'bus_fence',
  text: `
    select lease.partition
      from consumer_lease lease
      join unnest($2::smallint[], $3::bigint[]) mine (partition, epoch)
        on mine.partition = lease.partition and mine.epoch = lease.epoch
     where lease.consumer = $1
     order by lease.partition
       for share of lease`,
};

// `position = after` makes applying a stretch twice impossible even without the inbox.
const advance: Statement = {
  name: 'bus_advance',
  text: `
    update consumer_cursor cursor
       set position = moved.up_to, updated_at = clock_timestamp()
      from unnest($2::text[], $3::smallint[], $4::bigint[], $5::bigint[]) moved (topic, partition, after, up_to)
     where cursor.consumer = $1
       and cursor.topic = moved.topic
       and cursor.partition = moved.partition
       and cursor.position = moved.after`,
};

export function createPostgresBus(options: PostgresBusOptions): Bus {
  return { subscribe: (subscription) => subscribe({ ...options, ...subscription }) };
}

function subscribe(
  options: PostgresBusOptions & {
    group: string;
    contracts: readonly CriticalContract[];
    onAcquired?: () => void;
  },
): Subscription {
  const { db, group, catalogue } = options;
  const types = options.contracts.map((contract) => catalogue.typeOf(contract));
  const topics = [...new Set(options.contracts.map((contract) => contract.topic))];
  const metrics = options.metrics ?? noMetrics;
  const leases = createLeases({
    db,
    scope: group,
    table: 'consumer_lease',
    log: options.log,
    ...(options.leaseTtlMs === undefined ? {} : { ttlMs: options.leaseTtlMs }),
    ...(options.onAcquired === undefined ? {} : { onAcquired: options.onAcquired }),
    onLost: (partitions) => metrics.leaseLost(group, partitions.length),
  });

  async function assertOwned(tx: Transaction, owned: readonly (readonly [number, bigint])[]): Promise<void> {
    const { rows } = await tx.query<{ partition: number }>(fence, [
      group,
      owned.map(([partition]) => partition),
      owned.map(([, epoch]) => epoch),
    ]);
    const stillOurs = new Set(rows.map((row) => row.partition));
    const fenced = owned.map(([partition]) => partition).filter((partition) => !stillOurs.has(partition));
    if (fenced.length === 0) return;
    leases.forget(fenced);
    throw new FencedError(group, fenced);
  }

  return {
    async start() {
      await db.query(register, [group, topics]);
      await leases.start();
    },
    stop: () => leases.stop(),
    get partitions() {
      return leases.holding().partitions;
    },

    async fetch({ eventsMax }) {
      await leases.releaseSurplus();
      const { partitions, epochs } = leases.holding();
      if (partitions.length === 0) return [];
      const { rows } = await db.query<LogRow>(read, [group, partitions, epochs, types, eventsMax]);
      return slices(rows);
    },

    async recall(ids) {
      const { rows } = await db.query<LogRow & { id: string }>(recall, [ids]);
      return rows.map((row) => received(row, row.id));
    },

    fence(tx, partitions) {
      const { partitions: held, epochs } = leases.holding();
      const epochOf = new Map(held.map((partition, index) => [partition, epochs[index] as bigint]));
      // Epochs begin at 1, so a partition that is not held is fenced.
      return assertOwned(
        tx,
        partitions.map((partition) => [partition, epochOf.get(partition) ?? 0n]),
      );
    },

    async settle(tx, settled) {
      const owned = [...new Map(settled.map((slice) => [slice.partition, slice.epoch]))];
      // Both travel together; they execute in this order.
      const [, moved] = await Promise.all([
        assertOwned(tx, owned),
        tx.query(advance, [
          group,
          settled.map((slice) => slice.topic),
          settled.map((slice) => slice.partition),
          settled.map((slice) => slice.after),
          settled.map((slice) => slice.upTo),
        ]),
      ]);
      if (moved.rowCount !== settled.length) {
        throw new StaleSliceError(group, settled.length - moved.rowCount);
      }
    },
  };
}

function slices(rows: readonly LogRow[]): Slice[] {
  const found: (Slice & { events: Received[] })[] = [];
  for (const row of rows) {
    let slice = found.at(-1);
    if (slice === undefined || slice.topic !== row.topic || slice.partition !== row.partition) {
      slice = {
        topic: row.topic,
        partition: row.partition,
        epoch: row.epoch,
        after: row.after,
        upTo: row.up_to,
        events: [],
      };
      found.push(slice);
    }
    if (row.id !== null) slice.events.push(received(row, row.id));
  }
  return found;
}

function received(row: LogRow, id: string): Received {
  const { source, ...extensions } = row.headers;
  return {
    topic: row.topic,
    partition: row.partition,
    position: row.position,
    event: {
      specversion: '1.0',
      id,
      type: row.event_type,
      source,
      subject: row.aggregate_id,
      time: row.created_at.toISOString(),
      datacontenttype: 'application/json',
      partitionkey: row.key,
      sequence: formatSequence(row.position),
      ...extensions,
      data: row.payload,
    },
  };
}
