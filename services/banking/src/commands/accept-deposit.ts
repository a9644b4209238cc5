/**
 * Accepts deposits: requests that arrive together become operations, each with its `DepositRequested`, in one
 * statement and one commit. Only then is anybody answered.
 *
 *   accounts   read, without a lock
 *   decide     pure
 *   once       insert; the unique key (account, idempotency key) decides who was first
 *   append     events of those who were, in the same statement
 *   look up    whoever was not first, or was refused, may have an operation from an earlier request
 */
import { createHash, randomUUIDv7 } from 'node:crypto';
import { DepositRequested, event } from '@surefire/events';
import { appendCte, type Log, type Outbox, reached } from '@surefire/messaging';
import {
  type Coalescer,
  coalesce,
  type Database,
  isTransient,
  retryTransient,
  type Statement,
} from '@surefire/postgres';
import type { Account } from '../rules/account.ts';
import { type AcceptDecision, acceptDeposit, type DepositRefusal } from '../rules/deposit.ts';
import { idsOf } from './log.ts';

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

// Operations and their events in one statement, which is one transaction and one commit. The rows go in by the order
// of their keys, so that two batches with the same keys wait for each other in one direction only.
const accept: Statement = {
  name: 'banking_accept',
  text: `
    with inserted as (
      insert into operations
        (id, kind, account_id, idempotency_key, request_hash, amount, currency, principal_id, correlation_id)
      select id, 'deposit', account_id, idempotency_key, request_hash, amount, currency, principal_id, correlation_id
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], $8::text[])
          asked (id, account_id, idempotency_key, request_hash, amount, currency, principal_id, correlation_id)
       order by account_id, idempotency_key
          on conflict (account_id, idempotency_key) do nothing
      returning id
    ), appended as (
      ${appendCte({ firstParameter: 9, condition: 'event.aggregate_id in (select id::text from inserted)' })}
    )
    select id from inserted`,
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

/** A request with the id its operation will have: fixed before the first attempt, so that a second is the same. */
type Asked = DepositRequest & { operationId: string };

/** A request, judged by the state of its account. */
type Judged = Asked & { decision: AcceptDecision; visible: boolean; currency: string; hash: Buffer };

export interface DepositDesk {
  /** Resolves when the answer is durable. Rejects with `OverloadedError`, or when the database is away. */
  accept(request: DepositRequest): Promise<DepositAnswer>;
}

export function createDepositDesk(options: {
  db: Database;
  outbox: Outbox;
  log: Log;
  /** Batches under way at once. Default 2: one is prepared while the other waits for the disk. */
  lanes?: number;
  now?: () => Date;
}): DepositDesk {
  const { db, outbox, log } = options;
  const now = options.now ?? (() => new Date());

  async function execute(batch: Asked[]): Promise<DepositAnswer[]> {
    const judged = await judge(batch);
    const inserted = await insert(judged.filter(({ decision }) => decision.accepted));
    reached('after-accept');
    const earlier = await find(judged.filter(({ operationId }) => !inserted.has(operationId)));
    return judged.map((asked) => {
      if (inserted.has(asked.operationId))
        return { outcome: 'accepted', operation: pending(asked.operationId) };
      return answerOf(asked, asked.visible ? earlier.get(keyOf(asked)) : undefined);
    });
  }

  async function judge(batch: readonly Asked[]): Promise<Judged[]> {
    const ids = new Set(batch.map(({ accountId }) => accountId));
    const { rows } = await db.query<AccountRow>(readAccounts, [[...ids]]);
    const accounts = new Map(rows.map((account) => [account.id, account]));
    return batch.map((asked) => {
      const account = accounts.get(asked.accountId);
      const visible = account !== undefined && (asked.owner === undefined || account.owner === asked.owner);
      const currency = asked.currency ?? account?.currency ?? '';
      const decision = acceptDeposit(visible ? account : undefined, asked);
      return { ...asked, visible, decision, currency, hash: requestHash({ ...asked, currency }) };
    });
  }

  async function insert(accepted: readonly Judged[]): Promise<Set<string>> {
    if (accepted.length === 0) return new Set();
    const timestamp = now().toISOString();
    const events = accepted.map((asked) => depositRequested(asked, timestamp));
    const { rows } = await db.query<{ id: string }>(accept, [
      accepted.map((asked) => asked.operationId),
      accepted.map((asked) => asked.accountId),
      accepted.map((asked) => asked.idempotencyKey),
      accepted.map((asked) => asked.hash),
      accepted.map((asked) => asked.amount),
      accepted.map((asked) => asked.currency),
      accepted.map((asked) => asked.principalId),
      accepted.map((asked) => asked.correlationId),
      ...outbox.columnsOf(events),
    ]);
    outbox.appended();
    const inserted = new Set(rows.map((row) => row.id));
    if (log.isLevelEnabled('debug')) {
      for (const { id, data, context } of events) {
        if (inserted.has(data.operation_id)) log.debug(idsOf({ id, data, context }), 'deposit accepted');
      }
    }
    return inserted;
  }

  async function find(others: readonly Judged[]): Promise<Map<string, FoundRow>> {
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
    accept: (request) => requests.submit({ ...request, operationId: randomUUIDv7() }),
  };
}

function pending(operationId: string): OperationState {
  return { operationId, status: 'pending', balanceAfter: null, error: null };
}

/** The answer to a request that made no operation in this batch: an earlier one may have. */
function answerOf(asked: Judged, found: FoundRow | undefined): DepositAnswer {
  if (found === undefined) {
    const { operationId, decision } = asked;
    if (decision.accepted) throw new Error(`operation ${operationId} was neither inserted nor found`);
    return { outcome: 'refused', refusal: decision.refusal };
  }
  if (!found.request_hash.equals(asked.hash))
    return { outcome: 'refused', refusal: 'IDEMPOTENCY_KEY_REUSED' };
  const { id: operationId, status, balance_after: balanceAfter, error } = found;
  // Our own id: an attempt before this one had committed although its answer was lost.
  const outcome = operationId === asked.operationId ? 'accepted' : 'replayed';
  return { outcome, operation: { operationId, status, balanceAfter, error } };
}

function keyOf(asked: Asked): string {
  return `${asked.accountId} ${asked.idempotencyKey}`;
}

/** What makes two requests the same: their meaning, not their bytes. */
function requestHash(request: { accountId: string; amount: bigint; currency: string }): Buffer {
  const meaning = JSON.stringify(['deposit', request.accountId, request.amount.toString(), request.currency]);
  return createHash('sha256').update(meaning).digest();
}

function depositRequested(asked: Asked, timestamp: string) {
  return event(
    DepositRequested,
    {
      operation_id: asked.operationId,
      account_id: asked.accountId,
      amount: Number(asked.amount),
      timestamp,
      idempotency_key: asked.idempotencyKey,
    },
    {
      correlationId: asked.correlationId,
      idempotencyKey: asked.idempotencyKey,
      traceparent: asked.traceparent,
    },
  );
}
