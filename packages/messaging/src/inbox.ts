/**
 * The inbox: what a group has taken in, remembered in the transaction of the effect (promise I11). The key is
 * the group *and* the event: one keyed by the event alone would make the second group skip it.
 */
import type { Statement, Transaction } from '@surefire/postgres';
import type { Received } from './bus.ts';

// In the order of the ids, so that two transactions never wait for each other crosswise.
const takeIn: Statement = {
  name: 'inbox_take_in',
  text: `
    insert into processed_events (consumer, event_id, transaction_id)
    select $1, event_id, transaction_id
      from unnest($2::uuid[], $3::text[]) taken (event_id, transaction_id)
     order by event_id
        on conflict (consumer, event_id) do nothing
    returning event_id`,
};

/** Records the events as processed by the group and returns those that were not already, in their order. */
export async function once(
  tx: Transaction,
  options: { group: string; events: readonly Received[] },
): Promise<readonly Received[]> {
  const { group, events } = options;
  if (events.length === 0) return events;
  const { rows } = await tx.query<{ event_id: string }>(takeIn, [
    group,
    events.map(({ event }) => event.id),
    events.map(({ event }) => event.subject),
  ]);
  if (rows.length === events.length) return events;
  const fresh = new Set(rows.map((row) => row.event_id));
  return events.filter(({ event }) => fresh.has(event.id));
}
