/** What the toolkit counts. Give `messagingMetrics(registry)` a Prometheus registry, or nothing at all. */
import { Counter, Histogram, type Registry } from '@prometheus-io/client';

export interface MessagingMetrics {
  published(topic: string, events: number): void;
  /** Seconds from append to the bus's confirmation, one observation per event. */
  publishLatency(topic: string, seconds: readonly number[]): void;
  publishFailed(): void;
  leaseLost(scope: string, partitions: number): void;
  consumed(group: string, batch: { events: number; duplicates: number; seconds: number }): void;
  retried(group: string): void;
  deadLettered(group: string, deadLetterClass: string): void;
}

export interface WakeMetrics {
  /** A hint for, or from, another process. */
  woke(channel: string, outcome: 'sent' | 'heard' | 'failed'): void;
}

export const noMetrics: MessagingMetrics & WakeMetrics = {
  published() {},
  publishLatency() {},
  publishFailed() {},
  leaseLost() {},
  consumed() {},
  retried() {},
  deadLettered() {},
  woke() {},
};

/** `topics` are shown from the start, at zero: a dashboard must tell "none yet" from "nobody counts". */
export function messagingMetrics(
  registry: Registry,
  options: { topics: readonly string[] },
): MessagingMetrics & WakeMetrics {
  const registers = [registry];
  const published = new Counter({
    name: 'outbox_events_published_total',
    help: 'Outbox events whose publication the bus has confirmed',
    labelNames: ['topic'],
    registers,
  });
  for (const topic of options.topics) published.inc({ topic }, 0);
  const latency = new Histogram({
    name: 'outbox_publish_latency_seconds',
    help: 'Time from appending an event to the confirmation of its publication',
    labelNames: ['topic'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const failed = new Counter({
    name: 'outbox_publish_errors_total',
    help: 'Attempts to publish a batch of outbox events that failed',
    registers,
  });
  const lost = new Counter({
    name: 'relay_lease_lost_total',
    help: 'Partitions that were taken over while this process believed it owned them',
    labelNames: ['scope'],
    registers,
  });
  const processing = new Histogram({
    name: 'consumer_processing_seconds',
    help: 'Time to apply and commit one batch',
    labelNames: ['group'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  const events = new Counter({
    name: 'consumer_events_total',
    help: 'Events applied by a consumer group',
    labelNames: ['group'],
    registers,
  });
  const duplicates = new Counter({
    name: 'consumer_duplicates_total',
    help: 'Deliveries that the inbox recognised as already applied',
    labelNames: ['group'],
    registers,
  });
  const retries = new Counter({
    name: 'consumer_retries_total',
    help: 'Attempts to apply events that failed and will be repeated',
    labelNames: ['group'],
    registers,
  });
  const dead = new Counter({
    name: 'dlq_messages_total',
    help: 'Events that a consumer group has given up, by class',
    labelNames: ['group', 'class'],
    registers,
  });
  const wakeups = new Counter({
    name: 'wakeups_total',
    help: 'Hints between processes that there is something to do',
    labelNames: ['channel', 'outcome'],
    registers,
  });
  return {
    published: (topic, count) => published.inc({ topic }, count),
    publishLatency: (topic, seconds) => {
      const labelled = latency.labels({ topic });
      for (const value of seconds) labelled.observe(value);
    },
    publishFailed: () => failed.inc(),
    leaseLost: (scope, partitions) => lost.inc({ scope }, partitions),
    consumed: (group, batch) => {
      processing.observe({ group }, batch.seconds);
      events.inc({ group }, batch.events);
      duplicates.inc({ group }, batch.duplicates);
    },
    retried: (group) => retries.inc({ group }),
    deadLettered: (group, name) => dead.inc({ group, class: name }),
    woke: (channel, outcome) => wakeups.inc({ channel, outcome }),
  };
}
