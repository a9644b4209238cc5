/** The wire: snake_case JSON, integer minor units, UTC RFC 3339 with milliseconds. */
import { Type } from 'typebox';
import type { AccountView, EntryView } from '../projections/accounts.ts';
import { OPERATION_STATUSES, type OperationView } from '../projections/operations.ts';

/** What the documentation's examples hold: one story, alice's first deposit. */
export const EXAMPLE = {
  account: '0198c0de-0001-7000-8000-000000000000',
  operation: '0198c0de-0002-7000-8000-000000000000',
  key: 'c5f5b2de-55a5-4a7e-9a3f-3f6a1a6f1f0e',
  requested: '2026-01-01T12:00:00.000Z',
  completed: '2026-01-01T12:00:00.012Z',
  cursor: 'MTI',
} as const;

const Id = Type.String({ format: 'uuid' });
const Moment = Type.String({ format: 'date-time' });
const Money = Type.Integer({ description: 'Integer minor units of the currency' });
const Currency = Type.String({ description: 'ISO 4217' });
const NextCursor = Type.Optional(
  Type.String({ description: '`cursor` of the next page; absent on the last' }),
);
const OperationError = Type.Optional(Type.String({ description: 'Why it failed, for people' }));

export const accountExample = {
  id: EXAMPLE.account,
  owner: 'alice',
  currency: 'EUR',
  balance: 10_000,
  available: 10_000,
  status: 'open',
  version: 1,
  created_at: EXAMPLE.requested,
};

export const Account = Type.Object(
  {
    id: Id,
    owner: Type.String({ description: 'The principal it belongs to' }),
    currency: Currency,
    balance: Money,
    available: Type.Integer({ description: 'The balance less what operations under way have reserved' }),
    status: Type.Enum(['open', 'frozen', 'closed']),
    version: Type.Integer({ description: 'How many ledger entries the account has' }),
    created_at: Moment,
  },
  {
    $id: 'Account',
    examples: [accountExample],
  },
);

export const Balance = Type.Object(
  {
    account_id: Id,
    currency: Currency,
    balance: Money,
    available: Money,
    version: Type.Integer({ description: 'The account’s version that has this balance' }),
  },
  {
    $id: 'Balance',
    examples: [
      { account_id: EXAMPLE.account, currency: 'EUR', balance: 10_000, available: 10_000, version: 1 },
    ],
  },
);

export const Entries = Type.Object(
  {
    entries: Type.Array(
      Type.Object({
        version: Type.Integer({ description: 'The account’s version after this entry: 1, 2, 3 …' }),
        operation_id: Id,
        amount: Type.Integer({ description: 'Positive into the account, negative out of it' }),
        balance_after: Money,
        created_at: Moment,
      }),
    ),
    next_cursor: NextCursor,
  },
  {
    $id: 'Entries',
    examples: [
      {
        entries: [
          {
            version: 1,
            operation_id: EXAMPLE.operation,
            amount: 10_000,
            balance_after: 10_000,
            created_at: EXAMPLE.completed,
          },
        ],
      },
    ],
  },
);

const completed = {
  operation_id: EXAMPLE.operation,
  kind: 'deposit',
  status: 'completed',
  account_id: EXAMPLE.account,
  amount: 10_000,
  currency: 'EUR',
  balance_after: 10_000,
  steps: [
    { name: 'requested', at: EXAMPLE.requested },
    { name: 'completed', at: EXAMPLE.completed },
  ],
  created_at: EXAMPLE.requested,
  updated_at: EXAMPLE.completed,
};

export const Operation = Type.Object(
  {
    operation_id: Id,
    kind: Type.Literal('deposit'),
    status: Type.Enum([...OPERATION_STATUSES]),
    account_id: Id,
    amount: Money,
    currency: Currency,
    balance_after: Type.Optional(Money),
    error: OperationError,
    steps: Type.Array(Type.Object({ name: Type.String(), at: Moment })),
    created_at: Moment,
    updated_at: Moment,
  },
  { $id: 'Operation', examples: [completed] },
);

export const Operations = Type.Object(
  { operations: Type.Array(Operation), next_cursor: NextCursor },
  { $id: 'Operations', examples: [{ operations: [completed], next_cursor: EXAMPLE.cursor }] },
);

export const Accepted = Type.Object(
  {
    operation_id: Id,
    status: Type.Enum([...OPERATION_STATUSES]),
    message: Type.String({ description: 'The status, for people' }),
    balance_after: Type.Optional(Money),
    error: OperationError,
  },
  {
    $id: 'Accepted',
    examples: [
      {
        operation_id: EXAMPLE.operation,
        status: 'pending',
        message: 'Deposit request accepted and is being processed',
      },
    ],
  },
);

/** A customer's balance is bounded so that JSON carries it exactly; the database holds the bound. */
function money(amount: bigint): number {
  const value = Number(amount);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${amount} does not fit a JSON integer`);
  return value;
}

export function accountBody(account: AccountView) {
  return {
    id: account.id,
    owner: account.owner,
    currency: account.currency,
    balance: money(account.balance),
    available: money(account.balance - account.held),
    status: account.status,
    version: money(account.version),
    created_at: account.created_at.toISOString(),
  };
}

export function balanceBody(account: AccountView) {
  const { id, currency, balance, available, version } = accountBody(account);
  return { account_id: id, currency, balance, available, version };
}

export function entryBody(entry: EntryView) {
  return {
    version: money(entry.version),
    operation_id: entry.transaction_id,
    amount: money(entry.amount),
    balance_after: money(entry.balance_after),
    created_at: entry.created_at.toISOString(),
  };
}

export function operationBody(operation: OperationView) {
  const createdAt = operation.created_at.toISOString();
  const updatedAt = operation.updated_at.toISOString();
  const ended = operation.status === 'pending' ? [] : [{ name: operation.status, at: updatedAt }];
  return {
    operation_id: operation.id,
    kind: operation.kind as 'deposit',
    status: operation.status,
    account_id: operation.account_id,
    amount: money(operation.amount),
    currency: operation.currency,
    ...(operation.balance_after === null ? {} : { balance_after: money(operation.balance_after) }),
    ...(operation.error === null ? {} : { error: operation.error }),
    steps: [{ name: 'requested', at: createdAt }, ...ended],
    created_at: createdAt,
    updated_at: updatedAt,
  };
}

/** What a client reads of an operation that it has just asked for, or asked for before. */
export function acceptedBody(operation: {
  operationId: string;
  status: OperationView['status'];
  balanceAfter: bigint | null;
  error: string | null;
}) {
  return {
    operation_id: operation.operationId,
    status: operation.status,
    message: MESSAGES[operation.status],
    ...(operation.balanceAfter === null ? {} : { balance_after: money(operation.balanceAfter) }),
    ...(operation.error === null ? {} : { error: operation.error }),
  };
}

const MESSAGES: Readonly<Record<OperationView['status'], string>> = {
  pending: 'Deposit request accepted and is being processed',
  completed: 'Deposit completed',
  failed: 'Deposit failed',
  compensated: 'Deposit was undone',
  needs_attention: 'Deposit needs an operator’s attention',
};
