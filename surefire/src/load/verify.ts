/**
 * Compares what the client was told with what the database holds, in one snapshot, read-only but for its own
 * temporary tables, and by its own SQL: none of the platform's code stands between.
 */
import type { Database, Transaction } from '@surefire/postgres';
import { CHECKS } from './checks.ts';
import type { Plan } from './plan.ts';
import type { Receipts } from './receipts.ts';

export type Check = {
  id: string;
  name: string;
  left: { is: string; value: string };
  right: { is: string; value: string };
  ok: boolean;
  /** The first offending id, when there is one. */
  first?: string;
};

export type Verified = {
  checks: Check[];
  completed: number;
  failed: number;
  events: number;
  /** By the database's clock: from the first operation to the last event that was published. */
  databaseSeconds: number | undefined;
};

/** `count` and `sum` as the driver answers them; null is the sum of nothing. */
type Side = bigint | number | string | null;

export async function verify(options: {
  db: Database;
  plan: Plan;
  accountIds: readonly string[];
  receipts: Receipts;
  onCheck?: (done: number, total: number) => void;
}): Promise<Verified> {
  return options.db.transaction(async (tx) => {
    await tx.query('set transaction isolation level repeatable read');
    await upload(tx, options);
    await collect(tx);
    await tx.query('set transaction read only');

    const checks: Check[] = [];
    for (const { id, name, leftIs, rightIs, sql } of CHECKS) {
      const { rows } = await tx.query<{ left: Side; right: Side; first: string | null }>(sql);
      const { left, right, first } = rows[0] as { left: Side; right: Side; first: string | null };
      checks.push(
        compare({
          id,
          name,
          left: { is: leftIs, value: text(left) },
          right: { is: rightIs, value: text(right) },
          first,
        }),
      );
      options.onCheck?.(checks.length, CHECKS.length);
    }
    return { checks, ...(await figures(tx)) };
  });
}

/** A check holds when both sides are equal and nobody offends. */
export function compare(
  found: Pick<Check, 'id' | 'name' | 'left' | 'right'> & { first?: string | null | undefined },
): Check {
  const { first, ...check } = found;
  const ok = check.left.value === check.right.value && (first ?? null) === null;
  return { ...check, ok, ...(first === null || first === undefined ? {} : { first }) };
}

function text(value: Side): string {
  return value === null ? '0' : String(value);
}

const ROWS_PER_STATEMENT = 5_000;

/** What the client knows. */
async function upload(
  tx: Transaction,
  { plan, accountIds, receipts }: { plan: Plan; accountIds: readonly string[]; receipts: Receipts },
): Promise<void> {
  await tx.query('create temporary table load_account (number int, id uuid) on commit drop');
  await tx.query(`
    create temporary table load_deposit (
      number int, account_id uuid, key text, amount bigint, operation_id uuid, outcome text
    ) on commit drop`);
  for (let from = 0; from < accountIds.length; from += ROWS_PER_STATEMENT) {
    const ids = accountIds.slice(from, from + ROWS_PER_STATEMENT);
    await tx.query('insert into load_account select * from unnest($1::int[], $2::uuid[])', [
      ids.map((_, index) => from + index),
      ids,
    ]);
  }
  for (let from = 0; from < plan.count; from += ROWS_PER_STATEMENT) {
    const numbers = Array.from(
      { length: Math.min(ROWS_PER_STATEMENT, plan.count - from) },
      (_, index) => from + index,
    );
    await tx.query(
      `insert into load_deposit (number, account_id, key, amount, operation_id, outcome)
       select asked.number, asked.account_id, asked.key, $4, asked.operation_id, asked.outcome
         from unnest($1::int[], $2::uuid[], $3::text[], $5::uuid[], $6::text[])
           asked (number, account_id, key, operation_id, outcome)`,
      [
        numbers,
        numbers.map((number) => accountIds[plan.accountOf(number)]),
        numbers.map((number) => plan.keyOf(number)),
        plan.amount,
        numbers.map((number) => receipts.operationIdOf(number) ?? null),
        numbers.map((number) => receipts.outcomeOf(number)),
      ],
    );
  }
  await tx.query('analyze load_account');
  await tx.query('analyze load_deposit');
}

/** What the database holds of the same accounts. Read once, because most checks ask about it. */
async function collect(tx: Transaction): Promise<void> {
  await tx.query(`
    create temporary table load_operation on commit drop as
    select operation.id, operation.account_id, operation.idempotency_key as key, operation.amount,
           operation.currency, operation.status, operation.balance_after, operation.created_at
      from operations operation
      join load_account account on account.id = operation.account_id`);
  // The second word of a type is its domain, the third its name: surefire.banking.deposit_requested.v1
  await tx.query(`
    create temporary table load_event on commit drop as
    select event.id, event.key, split_part(event.event_type, '.', 3) as name,
           (event.payload ->> 'operation_id')::uuid as operation_id,
           (event.payload ->> 'balance_after')::bigint as balance_after,
           event.status, event.position, event.updated_at
      from event_outbox event
      join load_account account on account.id::text = event.key`);
  await tx.query('analyze load_operation');
  await tx.query('analyze load_event');
}

async function figures(tx: Transaction): Promise<Omit<Verified, 'checks'>> {
  const { rows } = await tx.query<{
    completed: bigint;
    failed: bigint;
    events: bigint;
    seconds: number | null;
  }>(`
    select (select count(*) from load_operation where status = 'completed') as completed,
           (select count(*) from load_operation where status = 'failed') as failed,
           (select count(*) from load_event where name <> 'account_opened') as events,
           extract(epoch from (select max(updated_at) from load_event where name <> 'account_opened')
                            - (select min(created_at) from load_operation))::float8 as seconds`);
  const row = rows[0] as (typeof rows)[number];
  return {
    completed: Number(row.completed),
    failed: Number(row.failed),
    events: Number(row.events),
    databaseSeconds: row.seconds ?? undefined,
  };
}
