/** Gauges that are read from the database at each scrape, by queries whose cost is bounded. */
import { countOpenDeadLetters, readBacklog, readLag } from '@surefire/messaging';
import type { Queryable } from '@surefire/postgres';
import type { Metrics } from '@surefire/service';

export function watchOutbox(options: { db: Queryable; metrics: Metrics; countMax: number }): void {
  const { db, metrics, countMax } = options;

  // Three gauges of one scrape share one reading.
  let reading: ReturnType<typeof readBacklog> | undefined;
  const backlog = () => {
    reading ??= readBacklog(db, { countMax }).finally(() => {
      reading = undefined;
    });
    return reading;
  };
  const pending = async () => (await backlog()).pending;

  metrics.gauge({
    // A gauge by its nature, with a counter's suffix: the name is the one that dashboards were promised.
    name: 'outbox_pending_events_total',
    help: 'Outbox events that are committed and not yet published',
    collect: pending,
  });
  metrics.gauge({
    name: 'outbox_pending_events',
    help: 'The same as outbox_pending_events_total, under a gauge’s name',
    collect: pending,
  });
  metrics.gauge({
    name: 'outbox_oldest_pending_event_age_seconds',
    help: 'Age of the oldest outbox event that is not yet published; 0 when there is none',
    collect: async () => (await backlog()).oldestAgeSeconds,
  });
  metrics.gauge({
    name: 'consumer_lag_events',
    help: 'Published events of its topics that a consumer group has not settled yet',
    labels: ['group', 'topic'],
    collect: async () =>
      (await readLag(db)).map(({ group, topic, events }) => ({ value: events, labels: { group, topic } })),
  });
  metrics.gauge({
    name: 'dead_letters_open',
    help: 'Events that a consumer group has given up and nobody has decided upon; counted up to 100,000 in all',
    labels: ['group', 'class'],
    collect: async () =>
      (await countOpenDeadLetters(db)).map(({ group, class: deadLetterClass, count }) => ({
        value: count,
        labels: { group, class: deadLetterClass },
      })),
  });
}
