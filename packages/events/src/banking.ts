/** Money: accounts and the operations on them. Everything is keyed by the account. */
import { Type } from 'typebox';
import { type Contract, contract } from './contract.ts';

/** Integer minor units, as far as JSON carries integers exactly. */
const Amount = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Balance = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Id = Type.String({ format: 'uuid' });
const Timestamp = Type.String({ format: 'date-time' });
const Currency = Type.String({ pattern: '^[A-Z]{3}$' });

export const AccountOpened = contract({
  name: 'banking.account_opened',
  version: 1,
  delivery: 'critical',
  topic: 'banking',
  aggregate: 'account',
  description: 'An account exists and can be used.',
  data: Type.Object({ account_id: Id, owner: Type.String(), currency: Currency, timestamp: Timestamp }),
  key: (data) => data.account_id,
  subject: (data) => data.account_id,
});

export const DepositRequested = contract({
  name: 'banking.deposit_requested',
  version: 1,
  delivery: 'critical',
  topic: 'banking',
  aggregate: 'operation',
  description: 'A deposit was accepted and will be settled; its operation is pending.',
  data: Type.Object({
    operation_id: Id,
    account_id: Id,
    amount: Amount,
    timestamp: Timestamp,
    idempotency_key: Type.String(),
  }),
  key: (data) => data.account_id,
  subject: (data) => data.operation_id,
});

export const DepositCompleted = contract({
  name: 'banking.deposit_completed',
  version: 1,
  delivery: 'critical',
  topic: 'banking',
  aggregate: 'operation',
  description: 'The reply to DepositRequested: the money is in the account.',
  data: Type.Object({
    operation_id: Id,
    account_id: Id,
    amount: Amount,
    balance_after: Balance,
    timestamp: Timestamp,
  }),
  key: (data) => data.account_id,
  subject: (data) => data.operation_id,
});

export const DepositFailed = contract({
  name: 'banking.deposit_failed',
  version: 1,
  delivery: 'critical',
  topic: 'banking',
  aggregate: 'operation',
  description: 'The reply to DepositRequested: the deposit was refused and nothing was posted.',
  data: Type.Object({
    operation_id: Id,
    account_id: Id,
    amount: Amount,
    error: Type.String(),
    timestamp: Timestamp,
  }),
  key: (data) => data.account_id,
  subject: (data) => data.operation_id,
});

export const FundsDeposited = contract({
  name: 'banking.funds_deposited',
  version: 1,
  delivery: 'critical',
  topic: 'banking',
  aggregate: 'account',
  description: 'Money came into an account: the fact that other domains read.',
  data: Type.Object({
    operation_id: Id,
    account_id: Id,
    amount: Amount,
    currency: Currency,
    balance_after: Balance,
    timestamp: Timestamp,
  }),
  key: (data) => data.account_id,
  subject: (data) => data.account_id,
});

export const bankingContracts: readonly Contract[] = [
  AccountOpened,
  DepositRequested,
  DepositCompleted,
  DepositFailed,
  FundsDeposited,
];
