/** The ledger's way into the database: lock accounts in one order, write entries and balances in sets. */
import type { Statement, Transaction } from '@surefire/postgres';
import type { Account } from '../rules/account.ts';
import type { Entry } from '../rules/ledger.ts';

// Everyone locks in the order of the ids, so nobody waits in a circle.
const lock: Statement = {
  name: 'banking_lock_accounts',
  text: `
    select id, kind, currency, status, balance::text, held, version
      from accounts
     where id = any($1::uuid[])
     order by id
       for update`,
};

/** Locks accounts until the transaction ends. Throws when one does not exist. */
export async function lockAccounts(tx: Transaction, ids: ReadonlySet<string>): Promise<Map<string, Account>> {
  const { rows } = await tx.query<Omit<Account, 'balance'> & { balance: string }>(lock, [[...ids]]);
  const accounts = new Map(
    rows.map((row): [string, Account] => [row.id, { ...row, balance: BigInt(row.balance) }]),
  );
  for (const id of ids) {
    if (!accounts.has(id)) throw new Error(`account ${id} does not exist`);
  }
  return accounts;
}

const insertEntries: Statement = {
  name: 'banking_insert_entries',
  text: `
    insert into ledger_entries (account_id, version, transaction_id, amount, currency, balance_after)
    select *
      from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::numeric[])`,
};

const updateBalances: Statement = {
  name: 'banking_update_balances',
  text: `
    update accounts account
       set balance = posted.balance, version = posted.version, updated_at = clock_timestamp()
      from unnest($1::uuid[], $2::numeric[], $3::bigint[]) posted (id, balance, version)
     where account.id = posted.id`,
};

/** Writes entries, and the balances of the accounts they touched as they stand in `accounts` now. */
export async function writeLedger(
  tx: Transaction,
  posted: { entries: readonly Entry[]; accounts: ReadonlyMap<string, Account> },
): Promise<void> {
  const { entries } = posted;
  if (entries.length === 0) return;
  assertBalanced(entries);
  const touched = [...new Set(entries.map((entry) => entry.accountId))].map(
    (id) => posted.accounts.get(id) as Account,
  );
  const [, updated] = await Promise.all([
    tx.query(insertEntries, [
      entries.map((entry) => entry.accountId),
      entries.map((entry) => entry.version),
      entries.map((entry) => entry.transactionId),
      entries.map((entry) => entry.amount),
      entries.map((entry) => entry.currency),
      entries.map((entry) => entry.balanceAfter),
    ]),
    tx.query(updateBalances, [
      touched.map((account) => account.id),
      touched.map((account) => account.balance),
      touched.map((account) => account.version),
    ]),
  ]);
  if (updated.rowCount !== touched.length) {
    throw new Error(`updated ${updated.rowCount} of ${touched.length} accounts`);
  }
}

function assertBalanced(entries: readonly Entry[]): void {
  const sums = new Map<string, bigint>();
  for (const { transactionId, currency, amount } of entries) {
    const key = `${transactionId} ${currency}`;
    sums.set(key, (sums.get(key) ?? 0n) + amount);
  }
  for (const [key, sum] of sums) {
    if (sum !== 0n) throw new Error(`ledger transaction ${key} sums to ${sum}`);
  }
}
