/** Opens accounts: those asked for at the same time with one statement, one event each, one commit. */
import { randomUUIDv7 } from 'node:crypto';
import { AccountOpened, event } from '@surefire/events';
import type { Outbox } from '@surefire/messaging';
import { type Coalescer, coalesce, type Database, isTransient, type Statement } from '@surefire/postgres';
import { externalAccountId, SYSTEM_OWNER } from '../rules/account.ts';

export type OpenAccount = {
  owner: string;
  currency: string;
  correlationId: string;
  traceparent?: string | undefined;
};

export type OpenedAccount = { id: string; owner: string; currency: string; createdAt: Date };

const insertAccounts: Statement = {
  name: 'banking_open_accounts',
  text: `
    insert into accounts (id, kind, owner, currency)
    select id, kind, owner, currency
      from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) opened (id, kind, owner, currency)
     order by id
        on conflict (id) do nothing
    returning id, created_at`,
};

export function createAccountDesk(options: {
  db: Database;
  outbox: Outbox;
  partitions: number;
}): Coalescer<OpenAccount, OpenedAccount> {
  const { db, outbox, partitions } = options;
  /** Currencies whose external accounts are known to exist. */
  const prepared = new Set<string>();

  async function open(requests: OpenAccount[]): Promise<OpenedAccount[]> {
    const accounts = requests.map((request) => ({ ...request, id: randomUUIDv7() }));
    const unprepared = new Set(
      requests.map((request) => request.currency).filter((code) => !prepared.has(code)),
    );
    const external = [...unprepared].flatMap((currency) =>
      Array.from({ length: partitions }, (_, partition) => ({
        id: externalAccountId({ currency, partition }),
        currency,
      })),
    );
    const createdAt = await db.transaction(async (tx) => {
      const { rows } = await tx.query<{ id: string; created_at: Date }>(insertAccounts, [
        [...accounts.map((account) => account.id), ...external.map((account) => account.id)],
        [...accounts.map(() => 'customer'), ...external.map(() => 'external')],
        [...accounts.map((account) => account.owner), ...external.map(() => SYSTEM_OWNER)],
        [...accounts, ...external].map((account) => account.currency),
      ]);
      const moments = new Map(rows.map((row) => [row.id, row.created_at]));
      await outbox.append(
        tx,
        accounts.map(({ id, owner, currency, correlationId, traceparent }) =>
          event(
            AccountOpened,
            { account_id: id, owner, currency, timestamp: (moments.get(id) as Date).toISOString() },
            { correlationId, traceparent },
          ),
        ),
      );
      return moments;
    });
    for (const currency of unprepared) prepared.add(currency);
    return accounts.map(({ id, owner, currency }) => ({
      id,
      owner,
      currency,
      createdAt: createdAt.get(id) as Date,
    }));
  }

  return coalesce({
    lanes: 1,
    batchMax: 500,
    queueMax: 10_000,
    execute: open,
    isolates: (error) => !isTransient(error),
  });
}
