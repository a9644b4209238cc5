/**
 * Settles deposits: the consumer's side. A batch locks its accounts once, in one order, decides in memory with
 * the pure rules, and writes in sets: a hot account costs one row update per batch, not one per deposit.
 */
import {
  type CriticalContract,
  DepositCompleted,
  DepositFailed,
  DepositRequested,
  type EventContext,
  event,
  FundsDeposited,
  type NewEvent,
} from '@surefire/events';
import { type Log, type Outbox, partitionOf, type Received } from '@surefire/messaging';
import type { Statement, Transaction } from '@surefire/postgres';
import type { Static } from 'typebox';
import { type Account, externalAccountId } from '../rules/account.ts';
import { DEPOSIT_ERRORS, settleDeposit } from '../rules/deposit.ts';
import type { Entry } from '../rules/ledger.ts';
import { lockAccounts, writeLedger } from './ledger.ts';
import { idsOf } from './log.ts';

export type SettledDeposit = {
  kind: 'deposit';
  status: 'completed' | 'failed';
  currency: string;
  requestedAt: string;
};

const closeOperations: Statement = {
  name: 'banking_close_operations',
  text: `
    update operations operation
       set status = closed.status,
           balance_after = closed.balance_after,
           error = closed.error,
           updated_at = clock_timestamp()
      from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) closed (id, status, balance_after, error)
     where operation.id = closed.id
       and operation.status = 'pending'`,
};

type Request = {
  id: string;
  data: Static<typeof DepositRequested.data>;
  context: EventContext;
  time: string;
};

export function createDepositSettlement(options: {
  outbox: Outbox;
  log: Log;
  partitions: number;
  now?: () => Date;
  onSettled?: (settled: readonly SettledDeposit[]) => void;
}): (tx: Transaction, received: readonly Received[]) => Promise<void> {
  const { outbox, partitions, log } = options;
  const now = options.now ?? (() => new Date());
  const involved = createInvolved(partitions);

  return async (tx, received) => {
    const requests = received.map(toRequest);
    const accounts = await lockAccounts(tx, await involved(tx, requests));

    const timestamp = now().toISOString();
    const entries: Entry[] = [];
    const events: NewEvent<CriticalContract>[] = [];
    const closed: {
      id: string;
      status: 'completed' | 'failed';
      balanceAfter: bigint | null;
      error: string | null;
    }[] = [];
    const settled: SettledDeposit[] = [];

    for (const { data, context, time } of requests) {
      const { operation_id, account_id, amount } = data;
      const account = accounts.get(account_id) as Account;
      const partition = partitionOf(account_id, partitions);
      const external = accounts.get(externalAccountId({ currency: account.currency, partition })) as Account;
      const posting = settleDeposit(
        { account, external },
        { operationId: operation_id, amount: BigInt(amount) },
      );
      if (posting.posted) {
        for (const changed of posting.accounts) accounts.set(changed.id, changed);
        entries.push(...posting.entries);
        const { balance } = accounts.get(account_id) as Account;
        const reply = { operation_id, account_id, amount, balance_after: Number(balance), timestamp };
        closed.push({ id: operation_id, status: 'completed', balanceAfter: balance, error: null });
        events.push(event(DepositCompleted, reply, context));
        events.push(event(FundsDeposited, { ...reply, currency: account.currency }, context));
      } else {
        const error = DEPOSIT_ERRORS[posting.refusal];
        closed.push({ id: operation_id, status: 'failed', balanceAfter: null, error });
        events.push(event(DepositFailed, { operation_id, account_id, amount, error, timestamp }, context));
      }
      const status = posting.posted ? 'completed' : 'failed';
      settled.push({ kind: 'deposit', status, currency: account.currency, requestedAt: time });
    }

    // Independent of each other, so they travel together.
    const [{ rowCount }] = await Promise.all([
      tx.query(closeOperations, [
        closed.map((operation) => operation.id),
        closed.map((operation) => operation.status),
        closed.map((operation) => operation.balanceAfter),
        closed.map((operation) => operation.error),
      ]),
      writeLedger(tx, { entries, accounts }),
      outbox.append(tx, events),
    ]);
    if (rowCount !== closed.length) {
      throw new Error(`${closed.length - rowCount} of ${closed.length} operations were not pending`);
    }
    tx.afterCommit(() => {
      options.onSettled?.(settled);
      settled.forEach(({ status }, index) => {
        if (status === 'failed') log.info(idsOf(requests[index] as Request), 'deposit failed');
        else if (log.isLevelEnabled('debug'))
          log.debug(idsOf(requests[index] as Request), 'deposit completed');
      });
    });
  };
}

function toRequest({
  event: { id, data, time, correlationid, idempotencykey, traceparent },
}: Received): Request {
  return {
    id,
    data: data as Request['data'],
    time,
    context: { correlationId: correlationid, causationId: id, idempotencyKey: idempotencykey, traceparent },
  };
}

const readCurrencies: Statement = {
  name: 'banking_read_currencies',
  text: 'select id, currency from accounts where id = any($1::uuid[])',
};

/** Accounts whose currency is remembered. */
const REMEMBERED_MAX = 100_000;

/**
 * The customers' accounts of a batch and the external accounts that face them: what it has to lock. An account's
 * currency never changes, so it is read once.
 */
function createInvolved(partitions: number) {
  const currencies = new Map<string, string>();

  return async (tx: Transaction, requests: readonly Request[]): Promise<Set<string>> => {
    const customers = new Set(requests.map(({ data }) => data.account_id));
    if (currencies.size > REMEMBERED_MAX) currencies.clear();
    const unknown = [...customers].filter((id) => !currencies.has(id));
    if (unknown.length > 0) {
      const { rows } = await tx.query<{ id: string; currency: string }>(readCurrencies, [unknown]);
      for (const { id, currency } of rows) currencies.set(id, currency);
    }
    const ids = new Set(customers);
    for (const id of customers) {
      const currency = currencies.get(id);
      if (currency === undefined) continue; // locking will find that there is no such account
      ids.add(externalAccountId({ currency, partition: partitionOf(id, partitions) }));
    }
    return ids;
  };
}
