/** The claim: pending rows of the partitions that are held, in order, become positions of the log. */
import type { Database, Statement } from '@surefire/postgres';
import type { Holding } from '../lease.ts';

export type PublishOutcome = {
  count: number;
  countByPartition: ReadonlyMap<number, number>;
  /** Per topic, how long each event stood in the outbox. */
  published: readonly { topic: string; latenciesMs: readonly number[] }[];
  /** Partitions that turned out to be owned by another relay. */
  fenced: readonly number[];
};

/*
 * One statement, one commit. The lease rows are locked first, by partition and epoch: a relay that was
 * replaced selects nothing and changes nothing, and one that is about to be replaced delays its successor
 * until this statement is committed. So positions stay contiguous, and only ever one relay gives them.
 *
 * The rows are locked as well. The lease does not keep a relay from itself: when its connection breaks, the server may
 * still be working on the statement while the relay tries again. The second attempt then waits here, and finds that
 * the rows are no longer pending.
 *
 * Rows are taken by `status`, not by a cursor over their numbers: a transaction that commits late is simply
 * still pending and can not be skipped. The floor only spares reading dead index entries again.
 */
const publish: Statement = {
  name: 'relay_publish',
  text: `
    with held as materialized (
      select lease.partition, lease.floor_sequence, mine.most
        from relay_lease lease
        join unnest($1::smallint[], $2::bigint[], $3::int[]) mine (partition, epoch, most)
          on mine.partition = lease.partition and mine.epoch = lease.epoch
       order by lease.partition
         for share of lease
    ), pending as materialized (
      select next.*
        from held
       cross join lateral (
         select event.id, event.topic, event.partition, event.sequence, event.created_at
           from event_outbox event
          where event.partition = held.partition
            and event.status = 'PENDING'
            and event.sequence > held.floor_sequence
          order by event.sequence
          limit held.most
            for no key update of event) next
    ), moved as (
      insert into outbox_position as log (topic, partition, last_position)
      select topic, partition, count(*)
        from pending
       group by topic, partition
       order by topic, partition
          on conflict (topic, partition)
          do update set last_position = log.last_position + excluded.last_position
      returning topic, partition, last_position
    ), numbered as materialized (
      select pending.id,
             -- counted back from the newest, which has the last position
             moved.last_position + 1
               - row_number() over (partition by pending.topic, pending.partition order by pending.sequence desc) as position
        from moved
        join pending on pending.topic = moved.topic and pending.partition = moved.partition
    ), published as (
      update event_outbox event
         set status = 'PUBLISHED',
             position = numbered.position,
             attempts = event.attempts + 1,
             updated_at = clock_timestamp()
        from numbered
       where event.id = numbered.id
      returning event.topic, event.partition,
                least(extract(epoch from event.updated_at - event.created_at) * 1000, 2147483647)::int as latency_ms
    )
    select held.partition, published.topic, array_agg(published.latency_ms) as latencies_ms
      from held
      left join published on published.partition = held.partition
     group by held.partition, published.topic`,
};

export async function publishPending(
  db: Database,
  holding: Holding,
  limits: readonly number[],
): Promise<PublishOutcome> {
  const { rows } = await db.query<{ partition: number; topic: string | null; latencies_ms: number[] }>(
    publish,
    [holding.partitions, holding.epochs, limits],
  );
  const countByPartition = new Map<number, number>();
  const published: { topic: string; latenciesMs: number[] }[] = [];
  let count = 0;
  for (const { partition, topic, latencies_ms: latenciesMs } of rows) {
    const events = topic === null ? 0 : latenciesMs.length;
    countByPartition.set(partition, (countByPartition.get(partition) ?? 0) + events);
    count += events;
    if (topic !== null) published.push({ topic, latenciesMs });
  }
  const fenced = holding.partitions.filter((partition) => !countByPartition.has(partition));
  return { count, countByPartition, published, fenced };
}
