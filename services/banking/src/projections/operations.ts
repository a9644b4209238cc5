/** The read side of operations. */
import type { Queryable, Statement } from '@surefire/postgres';
import type { Visibility } from './accounts.ts';

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

// Ids are UUIDv7: their order is the order of creation.
const findMany: Statement = {
  name: 'banking_find_operations',
  text: `
    select ${COLUMNS}
      from operations operation
     where operation.account_id = $1
       and ($2::text is null or operation.idempotency_key = $2)
       and ($3::text is null or operation.status = $3)
       and operation.id < $4
     order by operation.id desc
     limit $5`,
};

const NEWEST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** An account's operations, newest first, older than `before` (an operation's id). */
export async function listOperations(
  db: Queryable,
  page: {
    accountId: string;
    idempotencyKey: string | undefined;
    status: OperationStatus | undefined;
    before: string | undefined;
    limit: number;
  },
): Promise<OperationView[]> {
  const { rows } = await db.query<OperationView>(findMany, [
    page.accountId,
    page.idempotencyKey ?? null,
    page.status ?? null,
    page.before ?? NEWEST,
    page.limit,
  ]);
  return rows;
}
