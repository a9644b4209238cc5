/** Opens accounts: those asked for at the same time with one statement, one event each, one commit. */
import { randomUUIDv7 } from 'node:crypto';
import { AccountOpened, event } from '@surefire/events';
import type { Outbox } from '@surefire/messaging';
import {
  type Coalescer,
  coalesce,
  type Database,
  isTransient,
  retryTransient,
  type Statement,
  type Transaction,
} from '@surefire/postgres';
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

const readOpened: Statement = {
  name: 'banking_read_opened',
  text: 'select id, created_at from accounts where id = any($1::uuid[])',
};

export interface AccountDesk {
  /** Resolves when the account is committed. Rejects with `OverloadedError`, or when the database is away. */
  open(request: OpenAccount): Promise<OpenedAccount>;
}

type Asked = OpenAccount & { id: string };

export function createAccountDesk(options: {
  db: Database;
  outbox: Outbox;
  partitions: number;
}): AccountDesk {
  const { db, outbox, partitions } = options;
  /** Currencies whose external accounts are known to exist. */
  const prepared = new Set<string>();

  async function execute(asked: Asked[]): Promise<OpenedAccount[]> {
    const currencies = new Set(asked.map(({ currency }) => currency).filter((code) => !prepared.has(code)));
    const createdAt = await db.transaction((tx) =>
      insert(tx, asked, externalAccounts(currencies, partitions)),
    );
    for (const currency of currencies) prepared.add(currency);

    // What was not inserted now was committed by an attempt whose answer was lost.
    const before = asked.filter(({ id }) => !createdAt.has(id)).map(({ id }) => id);
    if (before.length > 0) {
      const { rows } = await db.query<OpenedRow>(readOpened, [before]);
      for (const { id, created_at } of rows) createdAt.set(id, created_at);
    }
    return asked.map(({ id, owner, currency }) => ({
      id,
      owner,
      currency,
      createdAt: createdAt.get(id) as Date,
    }));
  }

  async function insert(tx: Transaction, asked: Asked[], external: { id: string; currency: string }[]) {
    const { rows } = await tx.query<OpenedRow>(insertAccounts, [
      [...asked, ...external].map(({ id }) => id),
      [...asked.map(() => 'customer'), ...external.map(() => 'external')],
      [...asked.map(({ owner }) => owner), ...external.map(() => SYSTEM_OWNER)],
      [...asked, ...external].map(({ currency }) => currency),
    ]);
    const createdAt = new Map(rows.map((row) => [row.id, row.created_at]));
    await outbox.append(
      tx,
      asked.flatMap((account) => {
        const moment = createdAt.get(account.id);
        return moment === undefined ? [] : [accountOpened(account, moment)];
      }),
    );
    return createdAt;
  }

  const requests: Coalescer<Asked, OpenedAccount> = coalesce({
    lanes: 1,
    batchMax: 500,
    queueMax: 10_000,
    execute: (asked) => retryTransient(() => execute(asked)),
    isolates: (error) => !isTransient(error),
  });
  return { open: (request) => requests.submit({ ...request, id: randomUUIDv7() }) };
}

type OpenedRow = { id: string; created_at: Date };

/** The outside world's accounts of each currency, one per partition. */
function externalAccounts(
  currencies: ReadonlySet<string>,
  partitions: number,
): { id: string; currency: string }[] {
  const places = Array.from({ length: partitions }, (_, partition) => partition);
  return [...currencies].flatMap((currency) =>
    places.map((partition) => ({ id: externalAccountId({ currency, partition }), currency })),
  );
}

function accountOpened({ id, owner, currency, correlationId, traceparent }: Asked, moment: Date) {
  return event(
    AccountOpened,
    { account_id: id, owner, currency, timestamp: moment.toISOString() },
    { correlationId, traceparent },
  );
}
