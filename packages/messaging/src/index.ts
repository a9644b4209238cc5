/** Transactional outbox → relay → bus → inbox: events that are committed are delivered, and applied once. */

import { fileURLToPath } from 'node:url';

export { type Backlog, type BacklogWatch, createBacklogWatch, readBacklog, readLag } from './backlog.ts';
export { createPostgresBus, type PostgresBusOptions } from './bus/postgres.ts';
export type { Bus, Received, Slice, Subscription } from './bus.ts';
export { type Consumer, type ConsumerOptions, createConsumer } from './consumer.ts';
export { type CrashPoint, reached } from './crash-points.ts';
export {
  DEAD_LETTER_CLASSES,
  DEAD_LETTER_STATUSES,
  type DeadLetter,
  type DeadLetterClass,
  type DeadLetterStatus,
  discard,
  findDeadLetter,
  redrive,
} from './dead-letter.ts';
export {
  COUNTED_MAX,
  countOpenDeadLetters,
  type DeadLetterFilter,
  listDeadLetters,
  previewRedrive,
  type RedriveFilter,
  redriveAll,
} from './dead-letter-list.ts';
export { classify, ParkError } from './errors.ts';
export { once } from './inbox.ts';
export {
  type EventFilter,
  type EventState,
  findEvent,
  type GroupEvidence,
  type GroupState,
  type ListedEvent,
  listEvents,
  OUTBOX_STATUSES,
  type OutboxPartition,
  type OutboxStatus,
  readGroups,
  readOutboxPartitions,
} from './inspection.ts';
export { FencedError } from './lease.ts';
export type { Log } from './log.ts';
export { createMaintenance, ensurePartitions, PARTITION_DAYS_AHEAD } from './maintenance.ts';
export { type MessagingMetrics, messagingMetrics, noMetrics, type WakeMetrics } from './metrics.ts';
export { appendCte, createOutbox, type Outbox, type OutboxHeaders, type OutboxOptions } from './outbox.ts';
export { partitionOf, readPartitionCount } from './partition.ts';
export { createRelay, type Relay, type RelayOptions } from './relay.ts';
export { createRemoteWake, type RemoteWake, type RemoteWakeOptions } from './remote-wake.ts';
export { RETRY_POLICY, type RetryPolicy } from './retries.ts';
export { createWake, type Wake } from './wake.ts';

/** The tables of this package; run them before those of any service. */
export const messagingMigrations: { name: string; directory: string } = {
  name: 'messaging',
  directory: fileURLToPath(new URL('../migrations', import.meta.url)),
};
