/** Deposits, pure: what is accepted, and how what was accepted is settled. */
import { type Account, AMOUNT_MAX } from './account.ts';
import { isCurrency } from './currency.ts';
import { type LedgerRefusal, type Posting, post } from './ledger.ts';

export type DepositRefusal =
  | 'AMOUNT_OUT_OF_RANGE'
  | 'UNKNOWN_CURRENCY'
  | 'CURRENCY_MISMATCH'
  | 'ACCOUNT_NOT_FOUND'
  | 'ACCOUNT_CLOSED'
  | 'ACCOUNT_FROZEN';

export type AcceptDecision =
  | { readonly accepted: true; readonly currency: string }
  | { readonly accepted: false; readonly refusal: DepositRefusal };

/**
 * Whether a request to deposit becomes an operation. Judged on what is committed at the moment, without a lock:
 * the account may still change before the deposit is settled, and then `settleDeposit` refuses.
 */
export function acceptDeposit(
  account: Pick<Account, 'kind' | 'currency' | 'status'> | undefined,
  command: { readonly amount: bigint; readonly currency?: string | undefined },
): AcceptDecision {
  if (command.amount <= 0n || command.amount > AMOUNT_MAX) return refuse('AMOUNT_OUT_OF_RANGE');
  if (command.currency !== undefined && !isCurrency(command.currency)) return refuse('UNKNOWN_CURRENCY');
  if (account === undefined || account.kind !== 'customer') return refuse('ACCOUNT_NOT_FOUND');
  if (account.status === 'closed') return refuse('ACCOUNT_CLOSED');
  if (account.status === 'frozen') return refuse('ACCOUNT_FROZEN');
  if (command.currency !== undefined && command.currency !== account.currency)
    return refuse('CURRENCY_MISMATCH');
  return { accepted: true, currency: account.currency };
}

function refuse(refusal: DepositRefusal): AcceptDecision {
  return { accepted: false, refusal };
}

/** Moves the money from the outside world into the account, or says why not. */
export function settleDeposit(
  state: { readonly account: Account; readonly external: Account },
  command: { readonly operationId: string; readonly amount: bigint },
): Posting {
  return post({
    transactionId: command.operationId,
    from: state.external,
    to: state.account,
    amount: command.amount,
  });
}

/** What a client reads in `error` of a failed deposit. */
export const DEPOSIT_ERRORS: Readonly<Record<LedgerRefusal, string>> = {
  ACCOUNT_FROZEN: 'Account frozen',
  ACCOUNT_CLOSED: 'Account closed',
  CURRENCY_MISMATCH: 'Currency mismatch',
  INSUFFICIENT_FUNDS: 'Insufficient funds',
  BALANCE_OVERFLOW: 'Balance would exceed the largest amount',
};
