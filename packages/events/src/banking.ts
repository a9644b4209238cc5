/**
 * Money: accounts and the operations on them. Everything is keyed by an account; a transfer by the one that pays,
 * and what arrives at the other is told by `FundsDeposited`.
 */
import { Type } from 'typebox';
import { type Contract, contract } from './contract.ts';
import {
  AccountId,
  amount,
  balance,
  Currency,
  ErrorText,
  HoldId,
  IdempotencyKey,
  OperationId,
  OrderId,
  Reason,
  Timestamp,
} from './fields.ts';

const banking = { version: 1, delivery: 'critical', topic: 'banking' } as const;

const account = {
  ...banking,
  aggregate: 'account',
  key: (data: { account_id: string }) => data.account_id,
  subject: (data: { account_id: string }) => data.account_id,
} as const;

const operation = {
  ...banking,
  aggregate: 'operation',
  key: (data: { account_id: string }) => data.account_id,
  subject: (data: { operation_id: string }) => data.operation_id,
} as const;

const transfer = {
  ...operation,
  key: (data: { from_account_id: string }) => data.from_account_id,
} as const;

const requested = {
  operation_id: OperationId,
  account_id: AccountId,
  amount: amount(),
  timestamp: Timestamp,
  idempotency_key: IdempotencyKey,
};

const completed = {
  operation_id: OperationId,
  account_id: AccountId,
  amount: amount(),
  balance_after: balance('The balance with it'),
  timestamp: Timestamp,
};

const failed = {
  operation_id: OperationId,
  account_id: AccountId,
  amount: amount(),
  error: ErrorText,
  timestamp: Timestamp,
};

const moved = {
  operation_id: OperationId,
  account_id: AccountId,
  amount: amount(),
  currency: Currency,
  balance_after: balance('The balance with it'),
  timestamp: Timestamp,
};

const held = {
  hold_id: HoldId,
  account_id: AccountId,
  order_id: Type.Optional(OrderId),
  operation_id: Type.Optional(OperationId),
  amount: amount(),
  currency: Currency,
};

const transferred = {
  operation_id: OperationId,
  from_account_id: AccountId,
  to_account_id: AccountId,
  amount: amount(),
};

export const AccountOpened = contract({
  ...account,
  name: 'banking.account_opened',
  description: 'An account exists and can be used.',
  data: Type.Object({
    account_id: AccountId,
    owner: Type.String({ description: 'Whose it is, in the words of whoever opened it' }),
    currency: Currency,
    timestamp: Timestamp,
  }),
});

export const DepositRequested = contract({
  ...operation,
  name: 'banking.deposit_requested',
  description: 'A deposit was accepted and will be settled; its operation is pending.',
  data: Type.Object(requested),
});

export const DepositCompleted = contract({
  ...operation,
  name: 'banking.deposit_completed',
  description: 'The reply to DepositRequested: the money is in the account.',
  data: Type.Object(completed),
});

export const DepositFailed = contract({
  ...operation,
  name: 'banking.deposit_failed',
  description: 'The reply to DepositRequested: the deposit was refused and nothing was posted.',
  data: Type.Object(failed),
});

export const WithdrawalRequested = contract({
  ...operation,
  name: 'banking.withdrawal_requested',
  description: 'A withdrawal was accepted and will be settled; its operation is pending.',
  data: Type.Object(requested),
});

export const WithdrawalCompleted = contract({
  ...operation,
  name: 'banking.withdrawal_completed',
  description: 'The reply to WithdrawalRequested: the money has left the account.',
  data: Type.Object(completed),
});

export const WithdrawalFailed = contract({
  ...operation,
  name: 'banking.withdrawal_failed',
  description: 'The reply to WithdrawalRequested: the withdrawal was refused and nothing was posted.',
  data: Type.Object(failed),
});

export const TransferRequested = contract({
  ...transfer,
  name: 'banking.transfer_requested',
  description: 'A transfer between two accounts was accepted; its operation is pending.',
  data: Type.Object({ ...transferred, timestamp: Timestamp, idempotency_key: IdempotencyKey }),
});

export const TransferCompleted = contract({
  ...transfer,
  name: 'banking.transfer_completed',
  description: 'The reply to TransferRequested: the money has left the one account and is in the other.',
  data: Type.Object({
    ...transferred,
    from_balance_after: balance('The balance of the account that paid'),
    to_balance_after: balance('The balance of the account that was paid'),
    timestamp: Timestamp,
  }),
});

export const TransferFailed = contract({
  ...transfer,
  name: 'banking.transfer_failed',
  description: 'The reply to TransferRequested: it was refused or undone, and no balance changed for it.',
  data: Type.Object({ ...transferred, error: ErrorText, timestamp: Timestamp }),
});

export const FundsDeposited = contract({
  ...account,
  name: 'banking.funds_deposited',
  description: 'Money came into an account: the fact that other domains read.',
  data: Type.Object(moved),
});

export const FundsWithdrawn = contract({
  ...account,
  name: 'banking.funds_withdrawn',
  description: 'Money left an account: the fact that other domains read.',
  data: Type.Object(moved),
});

export const FundsLocked = contract({
  ...account,
  name: 'banking.funds_locked',
  description: 'Money in an account was set aside for an order or an operation, and is no longer available.',
  data: Type.Object({ ...held, timestamp: Timestamp }),
});

export const FundsReleased = contract({
  ...account,
  name: 'banking.funds_released',
  description: 'Money that was set aside and not spent is available again.',
  data: Type.Object({ ...held, reason: Reason, timestamp: Timestamp }),
});

export const bankingContracts: readonly Contract[] = [
  AccountOpened,
  DepositRequested,
  DepositCompleted,
  DepositFailed,
  WithdrawalRequested,
  WithdrawalCompleted,
  WithdrawalFailed,
  TransferRequested,
  TransferCompleted,
  TransferFailed,
  FundsDeposited,
  FundsWithdrawn,
  FundsLocked,
  FundsReleased,
];
