/**
 * The outbox: events are rows, written in the transaction of the change they tell of. Either both are
 * committed or neither is (promise I8); the relay does the rest.
 *
 *   await db.transaction(async (tx) => {
 *     await insertTransfer(tx, transfer);
 *     await outbox.append(tx, [event(TransferPosted, { … })]);
 *   });
 */
import type { Catalogue, CriticalContract, NewEvent } from '@surefire/events';
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

const append: Statement = {
  name: 'outbox_append',
  text: `
    insert into event_outbox
      (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers)
    select *
      from unnest(
        $1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::jsonb[], $9::jsonb[])`,
};

export function createOutbox(options: OutboxOptions): Outbox {
  const { catalogue, partitions, wake } = options;
  return {
    async append(tx, events) {
      if (events.length === 0) return;
      const columns: [
        string[],
        string[],
        number[],
        string[],
        string[],
        string[],
        string[],
        string[],
        string[],
      ] = [[], [], [], [], [], [], [], [], []];
      for (const { contract, id, data, context } of events) {
        const key = contract.key(data);
        const headers: OutboxHeaders = { source: options.source };
        if (context.correlationId !== undefined) headers.correlationid = context.correlationId;
        if (context.causationId !== undefined) headers.causationid = context.causationId;
        if (context.idempotencyKey !== undefined) headers.idempotencykey = context.idempotencyKey;
        if (context.traceparent !== undefined) headers.traceparent = context.traceparent;
        columns[0].push(id);
        columns[1].push(contract.topic);
        columns[2].push(partitionOf(key, partitions));
        columns[3].push(key);
        columns[4].push(contract.aggregate);
        columns[5].push(contract.subject(data));
        columns[6].push(catalogue.typeOf(contract));
        columns[7].push(JSON.stringify(data));
        columns[8].push(JSON.stringify(headers));
      }
      const { rowCount } = await tx.query(append, columns);
      if (rowCount !== events.length) {
        throw new Error(`appended ${rowCount} of ${events.length} events`);
      }
      if (wake !== undefined) tx.afterCommit(() => wake.notify());
    },
  };
}
