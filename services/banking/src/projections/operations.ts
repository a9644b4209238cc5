/** The read side of operations. */
import type { Queryable, Statement } from '@surefire/postgres';
import { PAGE_MAX, type Visibility } from './accounts.ts';

export const OPERATION_STATUSES = [
  'pending',
  'completed',
  'failed',
  'compensated',
  'needs_attention',
] as const;
export type OperationStatus = (typeof OPERATION_STATUSES)[number];

export type OperationView = {
  id: string;
  kind: string;
  account_id: string;
  amount: bigint;
  currency: string;
  status: OperationStatus;
  balance_after: bigint | null;
  error: string | null;
  created_at: Date;
  updated_at: Date;
};

const COLUMNS = `
  operation.id, operation.kind, operation.account_id, operation.amount, operation.currency, operation.status,
  operation.balance_after, operation.error, operation.created_at, operation.updated_at`;

const findOne: Statement = {
  name: 'banking_find_operation',
  text: `
    select ${COLUMNS}
      from operations operation
      join accounts account on account.id = operation.account_id
     where operation.id = $1
       and ($2::text is null or account.owner = $2)`,
};

export async function findOperation(
  db: Queryable,
  id: string,
  seen: Visibility,
): Promise<OperationView | undefined> {
  const { rows } = await db.query<OperationView>(findOne, [id, seen.owner ?? null]);
  return rows[0];
}

// Ids are UUIDv7: their order is the order of creation. Each shape is a statement of its own, so that its plan, which
// is made once for all values, can begin with the index that fits: `$1` names the account or the owner.

/** What these accounts have under a key: one descent of the unique index per account. */
function byKey(name: string, accounts: string): Statement {
  return {
    name: `banking_operations_by_key_of_${name}`,
    // The lateral limit keeps the other conditions out, with which the planner would choose another index.
    text: `
    select ${COLUMNS}
      from accounts account
     cross join lateral (
           select *
             from operations
            where account_id = account.id
              and idempotency_key = $5
            limit 1) operation
     where ${accounts}
       and ($2::text is null or operation.status = $2)
       and operation.id < $3
     order by operation.id desc
     limit $4`,
  };
}

/** The newest of these accounts: at most a page of each is read. */
function newest(name: string, accounts: string): Statement {
  return {
    name: `banking_newest_operations_of_${name}`,
    text: `
    select ${COLUMNS}
      from accounts account
     cross join lateral (
           select *
             from operations
            where account_id = account.id
              and ($2::text is null or status = $2)
              and id < $3
            order by id desc
            limit $4) operation
     where ${accounts}
     order by operation.id desc
     limit $4`,
  };
}

const STATEMENTS = {
  account: {
    key: byKey('account', 'account.id = $1::uuid'),
    all: newest('account', 'account.id = $1::uuid'),
  },
  owner: { key: byKey('owner', 'account.owner = $1'), all: newest('owner', 'account.owner = $1') },
  everybody: {
    key: byKey('everybody', '$1::text is null'),
    all: {
      name: 'banking_newest_operations_of_everybody',
      // The inner limit is written out because the planner knows nothing of $4, and would rather sort.
      text: `
    select ${COLUMNS}
      from (select *
              from operations
             where ($2::text is null or status = $2)
               and id < $3
             order by id desc
             limit ${PAGE_MAX + 1}) operation
     where $1::text is null
     order by operation.id desc
     limit $4`,
    },
  },
} as const;

const NEWEST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

export type OperationPage = {
  /** Whose operations: those of one account, of one owner's accounts, or of everybody. */
  of: { readonly accountId: string } | Visibility;
  idempotencyKey?: string | undefined;
  status?: OperationStatus | undefined;
  /** Only operations older than this one. */
  before?: string | undefined;
  /** At most `PAGE_MAX` and one, by which the next page is noticed. */
  limit: number;
};

/**
 * Operations, newest first. Without an account, a key is looked up account by account; a rare status of everybody's
 * may take a walk through all operations: an index on it would slow down the settling of each.
 */
export async function listOperations(db: Queryable, page: OperationPage): Promise<OperationView[]> {
  const { of, idempotencyKey, status, before, limit } = page;
  const [shapes, whose] =
    'accountId' in of
      ? ([STATEMENTS.account, of.accountId] as const)
      : ([of.owner === undefined ? STATEMENTS.everybody : STATEMENTS.owner, of.owner ?? null] as const);
  const values = [whose, status ?? null, before ?? NEWEST, limit];
  const { rows } =
    idempotencyKey === undefined
      ? await db.query<OperationView>(shapes.all, values)
      : await db.query<OperationView>(shapes.key, [...values, idempotencyKey]);
  return rows;
}

/** Every statement of `listOperations`, for the test that looks at their plans. */
export const LIST_STATEMENTS: readonly Statement[] = Object.values(STATEMENTS).flatMap(({ key, all }) => [
  key,
  all,
]);
