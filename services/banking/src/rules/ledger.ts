/**
 * Double entry, pure: a transaction moves money between accounts, its entries sum to zero, and no customer's
 * balance leaves its bounds. The state is a working copy of the accounts a batch has locked; each posting
 * replaces the accounts it touches, so later postings of the batch see it.
 */
import { type Account, AMOUNT_MAX } from './account.ts';

export type Entry = {
  readonly transactionId: string;
  readonly accountId: string;
  readonly amount: bigint;
  readonly currency: string;
  readonly balanceAfter: bigint;
  /** The account's version after this entry. */
  readonly version: bigint;
};

export type LedgerRefusal =
  | 'ACCOUNT_FROZEN'
  | 'ACCOUNT_CLOSED'
  | 'CURRENCY_MISMATCH'
  | 'INSUFFICIENT_FUNDS'
  | 'BALANCE_OVERFLOW';

export type Posting =
  | { readonly posted: true; readonly entries: readonly Entry[]; readonly accounts: readonly Account[] }
  | { readonly posted: false; readonly refusal: LedgerRefusal };

export type Movement = {
  readonly transactionId: string;
  readonly from: Account;
  readonly to: Account;
  /** Greater than zero. */
  readonly amount: bigint;
};

/** Which refusal wins is the order of the checks. */
export function post(movement: Movement): Posting {
  const { transactionId, from, to, amount } = movement;
  if (amount <= 0n || amount > AMOUNT_MAX) throw new RangeError('a movement needs a positive amount');
  if (from.id === to.id) throw new RangeError('a movement needs two accounts');

  for (const account of [from, to]) {
    if (account.status === 'closed') return refuse('ACCOUNT_CLOSED');
    if (account.status === 'frozen') return refuse('ACCOUNT_FROZEN');
  }
  if (from.currency !== to.currency) return refuse('CURRENCY_MISMATCH');
  if (from.kind === 'customer' && from.balance - from.held < amount) return refuse('INSUFFICIENT_FUNDS');
  if (to.kind === 'customer' && to.balance + amount > AMOUNT_MAX) return refuse('BALANCE_OVERFLOW');

  const debited = move(from, -amount);
  const credited = move(to, amount);
  return {
    posted: true,
    accounts: [debited, credited],
    entries: [entry(transactionId, debited, -amount), entry(transactionId, credited, amount)],
  };
}

function refuse(refusal: LedgerRefusal): Posting {
  return { posted: false, refusal };
}

function move(account: Account, amount: bigint): Account {
  return { ...account, balance: account.balance + amount, version: account.version + 1n };
}

function entry(transactionId: string, account: Account, amount: bigint): Entry {
  return {
    transactionId,
    accountId: account.id,
    amount,
    currency: account.currency,
    balanceAfter: account.balance,
    version: account.version,
  };
}
