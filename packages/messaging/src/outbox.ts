/**
 * The outbox: events are rows, written in the transaction of the change they tell of. Either both are
 * committed or neither is (promise I8); the relay does the rest.
 *
 *   await db.transaction(async (tx) => {
 *     await insertTransfer(tx, transfer);
 *     await outbox.append(tx, [event(TransferPosted, { … })]);
 *   });
 */
import type { Catalogue, CriticalContract, EventContext, NewEvent } from '@surefire/events';
import type { Statement, Transaction } from '@surefire/postgres';
import { partitionOf } from './partition.ts';
import type { Wake } from './wake.ts';

export interface Outbox {
  /**
   * Appends critical events, in this order, with one statement. Takes nothing but an open transaction, and
   * nothing but critical contracts: best-effort events do not belong in a table that must be drained.
   *
   * Events of one key keep the order in which their transactions commit when the key's row is locked while
   * appending; otherwise their order among concurrent transactions is undefined, as it is for the caller.
   */
  append(tx: Transaction, events: readonly NewEvent<CriticalContract>[]): Promise<void>;

  /**
   * The same within a statement of your own, for a change that is one statement and therefore its own transaction.
   * The statement's text has `appendCte(…)` among its common table expressions, and its last parameters are
   * `columnsOf(events)`. After its commit, call `appended()`.
   */
  columnsOf(events: readonly NewEvent<CriticalContract>[]): unknown[][];
  appended(): void;
}

export type OutboxOptions = {
  catalogue: Catalogue;
  /** CloudEvents source, `/surefire/<service>`. */
  source: string;
  /** From `readPartitionCount`. */
  partitions: number;
  /** Hinted after each commit that appended something. */
  wake?: Wake;
};

/** What travels in `event_outbox.headers`; member names are those of the CloudEvents envelope. */
export type OutboxHeaders = {
  source: string;
  correlationid?: string;
  causationid?: string;
  idempotencykey?: string;
  traceparent?: string;
};

const COLUMNS = 'id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers';
const TYPES = ['uuid', 'text', 'smallint', 'text', 'text', 'text', 'text', 'jsonb', 'jsonb'];

/**
 * The insert of `Outbox.columnsOf(events)` as the body of a common table expression: `firstParameter` is the number
 * of its first parameter, and only events for which `condition` holds are appended; it may name the columns of
 * `event`, e.g. `event.aggregate_id in (select id::text from inserted)`.
 */
export function appendCte(options: { firstParameter: number; condition: string }): string {
  const parameters = TYPES.map((type, index) => `$${options.firstParameter + index}::${type}[]`);
  return `
    insert into event_outbox (${COLUMNS})
    select event.*
      from unnest(${parameters.join(', ')}) event (${COLUMNS})
     where ${options.condition}`;
}

const append: Statement = {
  name: 'outbox_append',
  text: appendCte({ firstParameter: 1, condition: 'true' }),
};

export function createOutbox(options: OutboxOptions): Outbox {
  const { catalogue, partitions, wake } = options;

  function columnsOf(events: readonly NewEvent<CriticalContract>[]): unknown[][] {
    const columns: unknown[][] = TYPES.map(() => []);
    for (const { contract, id, data, context } of events) {
      const key = contract.key(data);
      const row = [
        id,
        contract.topic,
        partitionOf(key, partitions),
        key,
        contract.aggregate,
        contract.subject(data),
        catalogue.typeOf(contract),
        JSON.stringify(data),
        JSON.stringify(headersOf(options.source, context)),
      ];
      row.forEach((value, index) => columns[index]?.push(value));
    }
    return columns;
  }

  return {
    columnsOf,
    appended: () => wake?.notify(),
    async append(tx, events) {
      if (events.length === 0) return;
      const { rowCount } = await tx.query(append, columnsOf(events));
      if (rowCount !== events.length) throw new Error(`appended ${rowCount} of ${events.length} events`);
      if (wake !== undefined) tx.afterCommit(() => wake.notify());
    },
  };
}

function headersOf(source: string, context: EventContext): OutboxHeaders {
  const { correlationId, causationId, idempotencyKey, traceparent } = context;
  return {
    source,
    ...(correlationId !== undefined && { correlationid: correlationId }),
    ...(causationId !== undefined && { causationid: causationId }),
    ...(idempotencyKey !== undefined && { idempotencykey: idempotencyKey }),
    ...(traceparent !== undefined && { traceparent }),
  };
}
