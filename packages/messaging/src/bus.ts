/**
 * The bus as consumers see it: each group reads partitioned logs, in order, and moves its cursors in the
 * transaction of the effect. `bus/<transport>.ts` implements it.
 */
import type { CloudEvent, CriticalContract } from '@surefire/events';
import type { Transaction } from '@surefire/postgres';

/** One event as it is handed to a consumer. */
export type Received<Data = unknown> = {
  readonly event: CloudEvent<Data>;
  readonly topic: string;
  readonly partition: number;
  readonly position: bigint;
};

/** A contiguous stretch of one partition's log: (`after`, `upTo`], of which only subscribed types are carried. */
export type Slice = {
  readonly topic: string;
  readonly partition: number;
  /** The owner's epoch when the slice was read. */
  readonly epoch: bigint;
  readonly after: bigint;
  readonly upTo: bigint;
  readonly events: readonly Received[];
};

/** A slice does not begin at the group's cursor: somebody else has moved it since the slice was read. */
export class StaleSliceError extends Error {
  readonly code = 'STALE_SLICE';
  constructor(group: string, slices: number) {
    super(`${group}: ${slices} cursors were moved by somebody else`);
    this.name = 'StaleSliceError';
  }
}

export interface Subscription {
  start(): Promise<void>;
  /** Gives the partitions back. May be called twice. */
  stop(): Promise<void>;
  /** The next stretch of each owned partition that has one. Empty: nothing to do. */
  fetch(options: { eventsMax: number }): Promise<Slice[]>;
  /**
   * Moves the group's cursors past the slices, inside the effect's transaction. Throws `FencedError` when a
   * partition belongs to another process by now, and `StaleSliceError` when a cursor stands elsewhere: then the
   * transaction must not commit, and nothing happened.
   */
  settle(tx: Transaction, slices: readonly Slice[]): Promise<void>;
  /** Throws `FencedError` unless this process owns the partitions until the transaction has ended. */
  fence(tx: Transaction, partitions: readonly number[]): Promise<void>;
  /** Events that were published before, by their ids, in this order; what retention has dropped is missing. */
  recall(ids: readonly string[]): Promise<Received[]>;
  readonly partitions: readonly number[];
}

export interface Bus {
  subscribe(options: {
    group: string;
    contracts: readonly CriticalContract[];
    onAcquired?: () => void;
  }): Subscription;
}
