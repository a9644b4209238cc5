/** The read side of accounts: what clients see of them. External accounts are not part of it. */
import type { Queryable, Statement } from '@surefire/postgres';
import type { AccountStatus } from '../rules/account.ts';

export type AccountView = {
  id: string;
  owner: string;
  currency: string;
  balance: bigint;
  held: bigint;
  status: AccountStatus;
  version: bigint;
  created_at: Date;
};

/** The most that one page of anything holds. */
export const PAGE_MAX = 200;

/** `owner` undefined reads everybody's. What is not the owner's does not exist. */
export type Visibility = { owner: string | undefined };

const findOne: Statement = {
  name: 'banking_find_account',
  text: `
    select id, owner, currency, balance::bigint, held, status, version, created_at
      from accounts
     where id = $1
       and kind = 'customer'
       and ($2::text is null or owner = $2)`,
};

export async function findAccount(
  db: Queryable,
  id: string,
  seen: Visibility,
): Promise<AccountView | undefined> {
  const { rows } = await db.query<AccountView>(findOne, [id, seen.owner ?? null]);
  return rows[0];
}

export type EntryView = {
  version: bigint;
  transaction_id: string;
  amount: bigint;
  balance_after: bigint;
  created_at: Date;
};

const findEntries: Statement = {
  name: 'banking_find_entries',
  text: `
    select version, transaction_id, amount, balance_after::bigint, created_at
      from ledger_entries
     where account_id = $1
       and version < $2
     order by version desc
     limit $3`,
};

const NEWEST = 9_223_372_036_854_775_807n;

/** An account's entries, newest first, older than `before` (a version). */
export async function listEntries(
  db: Queryable,
  page: { accountId: string; before: bigint | undefined; limit: number },
): Promise<EntryView[]> {
  const { rows } = await db.query<EntryView>(findEntries, [
    page.accountId,
    page.before ?? NEWEST,
    page.limit,
  ]);
  return rows;
}
