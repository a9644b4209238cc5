/**
 * Accepts deposits: requests that arrive together become operations, each with its `DepositRequested`, in one
 * transaction. Only then is anybody answered.
 *
 *   accounts   read, without a lock
 *   decide     pure
 *   once       insert; the unique key (account, idempotency key) decides who was first
 *   append     events of those who were
 *   look up    whoever was not first, or was refused, may have an operation from an earlier request
 */
import { createHash, randomUUIDv7 } from 'node:crypto';
import { DepositRequested, event } from '@surefire/events';
import { type Outbox, reached } from '@surefire/messaging';
import { type Coalescer, coalesce, type Database, isTransient, type Statement } from '@surefire/postgres';
import type { Account } from '../rules/account.ts';
import { acceptDeposit, type DepositRefusal } from '../rules/deposit.ts';

export type DepositRequest = {
  accountId: string;
  amount: bigint;
  currency?: string | undefined;
  idempotencyKey: string;
  /** Only this owner's accounts exist for the caller; undefined for an operator. */
  owner: string | undefined;
  principalId: string;
  correlationId: string;
  traceparent?: string | undefined;
};

export type OperationState = {
  operationId: string;
  status: 'pending' | 'completed' | 'failed' | 'compensated' | 'needs_attention';
  balanceAfter: bigint | null;
  error: string | null;
};

export type DepositAnswer =
  | { readonly outcome: 'accepted'; readonly operation: OperationState }
  /** The same request came before: this is what became of it. */
  | { readonly outcome: 'replayed'; readonly operation: OperationState }
  | { readonly outcome: 'refused'; readonly refusal: DepositRefusal | 'IDEMPOTENCY_KEY_REUSED' };

const readAccounts: Statement = {
  name: 'banking_accept_read_accounts',
  text: `
    select id, kind, owner, currency, status
      from accounts
     where id = any($1::uuid[])`,
};

// In key order, so that two batches with the same keys wait for each other in one direction only.
const insertOperations: Statement = {
  name: 'banking_accept_insert',
  text: `
    insert into operations
      (id, kind, account_id, idempotency_key, request_hash, amount, currency, principal_id, correlation_id)
    select id, 'deposit', account_id, idempotency_key, request_hash, amount, currency, principal_id, correlation_id
      from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], $8::text[])
        asked (id, account_id, idempotency_key, request_hash, amount, currency, principal_id, correlation_id)
     order by account_id, idempotency_key
        on conflict (account_id, idempotency_key) do nothing
    returning id, created_at`,
};

const findByKey: Statement = {
  name: 'banking_accept_find_by_key',
  text: `
    select operation.id, operation.account_id, operation.idempotency_key, operation.request_hash,
           operation.status, operation.balance_after, operation.error
      from unnest($1::uuid[], $2::text[]) asked (account_id, idempotency_key)
      join operations operation
        on operation.account_id = asked.account_id and operation.idempotency_key = asked.idempotency_key`,
};

type AccountRow = Pick<Account, 'id' | 'kind' | 'currency' | 'status'> & { owner: string };

type FoundRow = {
  id: string;
  account_id: string;
  idempotency_key: string;
  request_hash: Buffer;
  status: OperationState['status'];
  balance_after: bigint | null;
  error: string | null;
};

/** A request with what is fixed before the first attempt, so that a repeated attempt is the same attempt. */
type Asked = DepositRequest & { operationId: string; hash: Buffer };

export interface DepositDesk {
  /** Resolves when the answer is durable. Rejects with `OverloadedError`, or when the database is away. */
  accept(request: DepositRequest): Promise<DepositAnswer>;
  drain(): Promise<void>;
}

export function createDepositDesk(options: { db: Database; outbox: Outbox; lanes?: number }): DepositDesk {
  const { db, outbox } = options;

  async function execute(batch: Asked[]): Promise<DepositAnswer[]> {
    const { rows } = await db.query<AccountRow>(readAccounts, [
      [...new Set(batch.map((asked) => asked.accountId))],
    ]);
    const accounts = new Map(rows.map((account) => [account.id, account]));

    const decisions = batch.map((asked) =>
      acceptDeposit(visible(accounts.get(asked.accountId), asked), asked),
    );
    const accepted: (Asked & { currency: string })[] = [];
    decisions.forEach((decision, index) => {
      if (decision.accepted) accepted.push({ ...(batch[index] as Asked), currency: decision.currency });
    });
    const inserted = await insert(accepted);
    reached('after-accept');

    const others = batch.filter((asked) => !inserted.has(asked.operationId));
    const earlier = await find(others);
    return batch.map((asked, index) => {
      if (inserted.has(asked.operationId)) {
        const operation = {
          operationId: asked.operationId,
          status: 'pending',
          balanceAfter: null,
          error: null,
        } as const;
        return { outcome: 'accepted', operation };
      }
      const decision = decisions[index] as (typeof decisions)[number];
      const found = visible(accounts.get(asked.accountId), asked) && earlier.get(keyOf(asked));
      if (found === undefined) {
        if (decision.accepted)
          throw new Error(`operation ${asked.operationId} was neither inserted nor found`);
        return { outcome: 'refused', refusal: decision.refusal };
      }
      if (!found.request_hash.equals(asked.hash))
        return { outcome: 'refused', refusal: 'IDEMPOTENCY_KEY_REUSED' };
      const operation = {
        operationId: found.id,
        status: found.status,
        balanceAfter: found.balance_after,
        error: found.error,
      };
      // Our own id: an attempt before this one had committed although its answer was lost.
      return { outcome: found.id === asked.operationId ? 'accepted' : 'replayed', operation };
    });
  }

  async function insert(accepted: readonly (Asked & { currency: string })[]): Promise<Set<string>> {
    if (accepted.length === 0) return new Set();
    return db.transaction(async (tx) => {
      const { rows } = await tx.query<{ id: string; created_at: Date }>(insertOperations, [
        accepted.map((asked) => asked.operationId),
        accepted.map((asked) => asked.accountId),
        accepted.map((asked) => asked.idempotencyKey),
        accepted.map((asked) => asked.hash),
        accepted.map((asked) => asked.amount),
        accepted.map((asked) => asked.currency),
        accepted.map((asked) => asked.principalId),
        accepted.map((asked) => asked.correlationId),
      ]);
      const createdAt = new Map(rows.map((row) => [row.id, row.created_at]));
      await outbox.append(
        tx,
        accepted.flatMap((asked) => {
          const moment = createdAt.get(asked.operationId);
          return moment === undefined ? [] : [depositRequested(asked, moment)];
        }),
      );
      return new Set(createdAt.keys());
    });
  }

  async function find(others: readonly Asked[]): Promise<Map<string, FoundRow>> {
    if (others.length === 0) return new Map();
    const { rows } = await db.query<FoundRow>(findByKey, [
      others.map((asked) => asked.accountId),
      others.map((asked) => asked.idempotencyKey),
    ]);
    return new Map(rows.map((row) => [`${row.account_id} ${row.idempotency_key}`, row]));
  }

  const requests: Coalescer<Asked, DepositAnswer> = coalesce({
    lanes: options.lanes ?? 2,
    batchMax: 500,
    queueMax: 10_000,
    execute: (batch) => retryTransient(() => execute(batch)),
    isolates: (error) => !isTransient(error),
  });

  return {
    accept: (request) =>
      requests.submit({ ...request, operationId: randomUUIDv7(), hash: requestHash(request) }),
    drain: () => requests.drain(),
  };
}

function visible(account: AccountRow | undefined, asked: Asked): AccountRow | undefined {
  return asked.owner === undefined || account?.owner === asked.owner ? account : undefined;
}

function keyOf(asked: Asked): string {
  return `${asked.accountId} ${asked.idempotencyKey}`;
}

/** What makes two requests the same: their meaning, not their bytes. */
function requestHash(request: DepositRequest): Buffer {
  const meaning = JSON.stringify([
    'deposit',
    request.accountId,
    request.amount.toString(),
    request.currency ?? null,
  ]);
  return createHash('sha256').update(meaning).digest();
}

function depositRequested(asked: Asked, moment: Date) {
  return event(
    DepositRequested,
    {
      operation_id: asked.operationId,
      account_id: asked.accountId,
      amount: Number(asked.amount),
      timestamp: moment.toISOString(),
      idempotency_key: asked.idempotencyKey,
    },
    {
      correlationId: asked.correlationId,
      idempotencyKey: asked.idempotencyKey,
      traceparent: asked.traceparent,
    },
  );
}

/**
 * Once more after a conflict or a broken connection. Safe even when the lost answer was to a COMMIT: the
 * operations keep their ids, so the second attempt finds what the first one did.
 */
async function retryTransient<T>(attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!isTransient(error)) throw error;
    return attempt();
  }
}
