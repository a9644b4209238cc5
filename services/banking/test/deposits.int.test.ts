import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DepositRequested, platformCatalogue } from '@surefire/events';
import { createOutbox, type Log, messagingMigrations, type Received } from '@surefire/messaging';
import { connect, type Database, migrate, SET_BASED } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import {
  createDepositDesk,
  type DepositAnswer,
  type DepositRequest,
} from '../src/commands/accept-deposit.ts';
import { createAccountDesk } from '../src/commands/open-account.ts';
import { createDepositSettlement } from '../src/commands/settle-deposits.ts';
import { bankingMigrations } from '../src/main.ts';

const log: Log = { isLevelEnabled: () => false, debug() {}, info() {}, warn() {}, error() {} };
const MODULES = [messagingMigrations, bankingMigrations];

async function bank() {
  const files = MODULES.flatMap(({ directory }) =>
    readdirSync(directory).map((file) => `${directory}/${file}`),
  );
  const hash = createHash('sha256')
    .update(files.map((file) => readFileSync(file)).join())
    .digest('hex');
  const database = await testDatabase({
    template: `banking_${hash.slice(0, 12)}`,
    migrate: async (url) => void (await migrate({ url, modules: MODULES })),
  });
  const db = connect({ url: database.url, max: 8, settings: SET_BASED });
  const outbox = createOutbox({
    catalogue: platformCatalogue({ namespace: 'surefire' }),
    source: '/surefire/banking',
    partitions: 16,
  });
  const accounts = createAccountDesk({ db, outbox, partitions: 16 });
  const settle = createDepositSettlement({ outbox, partitions: 16, log });
  return {
    db,
    desk: () => createDepositDesk({ db, outbox, log }),
    open: async (owner = 'alice') => (await accounts.open({ owner, currency: 'EUR', correlationId: 'c' })).id,
    /** Settles everything requested so far in one batch, as the consumer would. */
    async settleAll(): Promise<void> {
      const { rows } = await db.query<{ id: string; payload: unknown; created_at: Date }>(
        `select id, payload, created_at from event_outbox
          where event_type = 'surefire.banking.deposit_requested.v1'
            and aggregate_id in (select id::text from operations where status = 'pending')
          order by sequence`,
      );
      await db.transaction((tx) => settle(tx, rows.map(received)));
    },
    async [Symbol.asyncDispose]() {
      await db.close();
      await database.drop();
    },
  };
}

function received(row: { id: string; payload: unknown; created_at: Date }): Received {
  const data = row.payload as { account_id: string; operation_id: string };
  const event = {
    specversion: '1.0',
    id: row.id,
    type: `surefire.${DepositRequested.name}.v1`,
    source: '/surefire/banking',
    subject: data.operation_id,
    time: row.created_at.toISOString(),
    datacontenttype: 'application/json',
    partitionkey: data.account_id,
    sequence: '1',
    data,
  } as const;
  return { topic: 'banking', partition: 0, position: 1n, event };
}

const asked = (accountId: string, changes: Partial<DepositRequest> = {}): DepositRequest => ({
  accountId,
  amount: 100n,
  idempotencyKey: 'key',
  owner: undefined,
  principalId: 'tester',
  correlationId: 'c',
  ...changes,
});

const operationOf = (answer: DepositAnswer) =>
  answer.outcome === 'refused' ? answer.refusal : answer.operation.operationId;

async function count(db: Database, table: string, where = 'true'): Promise<number> {
  const { rows } = await db.query<{ n: number }>(`select count(*)::int as n from ${table} where ${where}`);
  return (rows[0] as { n: number }).n;
}

describe('accepting deposits', () => {
  it('makes one operation and one event of any number of equal requests, in one process or in several', async () => {
    await using place = await bank();
    const account = await place.open();
    const desks = [place.desk(), place.desk(), place.desk()];
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, n) => (desks[n % 3] as (typeof desks)[0]).accept(asked(account))),
    );
    assert.equal(new Set(answers.map(operationOf)).size, 1);
    assert.equal(answers.filter((answer) => answer.outcome === 'accepted').length, 1);
    assert.equal(await count(place.db, 'operations'), 1);
    assert.equal(await count(place.db, 'event_outbox', `event_type like '%deposit_requested%'`), 1);
  });

  it('takes the same key for another account, and an equal deposit with its own key, as further deposits', async () => {
    await using place = await bank();
    const [one, two] = [await place.open(), await place.open()];
    const desk = place.desk();
    await Promise.all([
      desk.accept(asked(one)),
      desk.accept(asked(two)),
      desk.accept(asked(one, { idempotencyKey: 'other' })),
    ]);
    assert.equal(await count(place.db, 'operations'), 3);
  });

  it('knows the meaning of a request: its currency may be spelt out or left to the account', async () => {
    await using place = await bank();
    const account = await place.open();
    const desk = place.desk();
    const first = await desk.accept(asked(account));
    const second = await desk.accept(asked(account, { currency: 'EUR' }));
    assert.deepEqual([second.outcome, operationOf(second)], ['replayed', operationOf(first)]);
  });

  it('refuses a key that came with another request, in the same batch too', async () => {
    await using place = await bank();
    const account = await place.open();
    const desk = place.desk();
    const answers = await Promise.all([
      desk.accept(asked(account)),
      desk.accept(asked(account, { amount: 101n })),
    ]);
    assert.deepEqual(
      answers.map(({ outcome }) => outcome),
      ['accepted', 'refused'],
    );
    const currency = await desk.accept(asked(account, { currency: 'USD' }));
    assert.equal(operationOf(currency), 'IDEMPOTENCY_KEY_REUSED');
    assert.equal(await count(place.db, 'operations'), 1);
  });

  it('answers with the earlier operation although the account takes no deposits any more', async () => {
    await using place = await bank();
    const account = await place.open();
    const desk = place.desk();
    const first = await desk.accept(asked(account));
    await place.settleAll();
    await place.db.query(`update accounts set status = 'frozen' where id = $1`, [account]);
    const again = await desk.accept(asked(account));
    assert.deepEqual(again, {
      outcome: 'replayed',
      operation: { operationId: operationOf(first), status: 'completed', balanceAfter: 100n, error: null },
    });
    assert.equal(operationOf(await desk.accept(asked(account, { idempotencyKey: 'new' }))), 'ACCOUNT_FROZEN');
  });

  it('shows a customer nothing of another’s account, not even that a key was used there', async () => {
    await using place = await bank();
    const account = await place.open('alice');
    const desk = place.desk();
    await desk.accept(asked(account, { owner: 'alice' }));
    assert.equal(operationOf(await desk.accept(asked(account, { owner: 'mallory' }))), 'ACCOUNT_NOT_FOUND');
    const missing = '00000000-0000-7000-8000-000000000000';
    assert.equal(operationOf(await desk.accept(asked(missing, { owner: 'mallory' }))), 'ACCOUNT_NOT_FOUND');
  });

  it('gives each of a mixed batch its own answer', async () => {
    await using place = await bank();
    const [good, frozen] = [await place.open(), await place.open()];
    await place.db.query(`update accounts set status = 'frozen' where id = $1`, [frozen]);
    const desk = place.desk();
    const answers = await Promise.all([
      desk.accept(asked(good, { idempotencyKey: '1' })),
      desk.accept(asked(frozen, { idempotencyKey: '2' })),
      desk.accept(asked(good, { idempotencyKey: '3', amount: 0n })),
      desk.accept(asked(good, { idempotencyKey: '4' })),
    ]);
    assert.deepEqual(
      answers.map((answer) => (answer.outcome === 'refused' ? answer.refusal : answer.outcome)),
      ['accepted', 'ACCOUNT_FROZEN', 'AMOUNT_OUT_OF_RANGE', 'accepted'],
    );
    assert.equal(await count(place.db, 'operations'), 2);
  });
});

describe('settling deposits', () => {
  it('posts a batch on one account as one balance, with an entry and a balance for each', async () => {
    await using place = await bank();
    const account = await place.open();
    const desk = place.desk();
    for (let n = 1; n <= 5; n += 1)
      await desk.accept(asked(account, { idempotencyKey: `${n}`, amount: BigInt(n) }));
    await place.settleAll();
    const { rows } = await place.db.query(
      'select version, amount, balance_after::bigint from ledger_entries where account_id = $1 order by version',
      [account],
    );
    assert.deepEqual(rows.map(Object.values), [
      [1n, 1n, 1n],
      [2n, 2n, 3n],
      [3n, 3n, 6n],
      [4n, 4n, 10n],
      [5n, 5n, 15n],
    ]);
    assert.equal(await count(place.db, 'event_outbox', `event_type like '%deposit_completed%'`), 5);
    assert.equal(await count(place.db, 'event_outbox', `event_type like '%funds_deposited%'`), 5);
  });

  for (const [status, error] of [
    ['frozen', 'Account frozen'],
    ['closed', 'Account closed'],
  ] as const) {
    it(`fails what was accepted before the account was ${status}: no entry, one event that says why`, async () => {
      await using place = await bank();
      const account = await place.open();
      await place.desk().accept(asked(account));
      await place.db.query(`update accounts set status = $2 where id = $1`, [account, status]);
      await place.settleAll();
      const { rows } = await place.db.query('select status, balance_after, error from operations');
      assert.deepEqual(rows, [{ status: 'failed', balance_after: null, error }]);
      assert.equal(await count(place.db, 'ledger_entries'), 0);
      assert.equal(
        await count(
          place.db,
          'event_outbox',
          `event_type like '%deposit_failed%' and payload->>'error' = '${error}'`,
        ),
        1,
      );
    });
  }

  it('goes on however much the outside world has given: its accounts know no limit', async () => {
    await using place = await bank();
    const account = await place.open();
    await place.db.query(`update accounts set balance = -1e25 where kind = 'external'`);
    await place.desk().accept(asked(account));
    await place.settleAll();
    assert.equal(await count(place.db, 'operations', `status = 'completed'`), 1);
    assert.equal(await count(place.db, 'accounts', `balance = -1e25 - 100`), 1);
  });

  it('refuses to settle an operation that is not pending, and undoes the whole batch', async () => {
    await using place = await bank();
    const account = await place.open();
    await place.desk().accept(asked(account));
    await place.db.query(`update operations set status = 'failed', error = 'by hand'`);
    const { rows } = await place.db.query<{ id: string; payload: unknown; created_at: Date }>(
      `select id, payload, created_at from event_outbox where event_type like '%deposit_requested%'`,
    );
    const outbox = createOutbox({
      catalogue: platformCatalogue({ namespace: 'surefire' }),
      source: '/surefire/banking',
      partitions: 16,
    });
    const settle = createDepositSettlement({ outbox, partitions: 16, log });
    await assert.rejects(
      place.db.transaction((tx) => settle(tx, rows.map(received))),
      /were not pending/,
    );
    assert.equal(await count(place.db, 'ledger_entries'), 0);
  });
});

describe('the ledger’s tables', () => {
  const transaction = '00000000-0000-7000-8000-00000000000a';
  const table: [string, string, RegExp][] = [
    ['a changed entry', 'update ledger_entries set amount = 1', /refuses update/],
    ['a deleted entry', 'delete from ledger_entries', /refuses delete/],
    ['an emptied ledger', 'truncate ledger_entries', /refuses truncate/],
    ['a deleted account', 'delete from accounts', /refuses delete/],
    [
      'an entry without its other side',
      `insert into ledger_entries (account_id, version, transaction_id, amount, currency, balance_after)
       select id, 99, '${transaction}', 5, 'EUR', 5 from accounts limit 1`,
      /does not sum to zero/,
    ],
    [
      'sides of two currencies',
      `insert into ledger_entries (account_id, version, transaction_id, amount, currency, balance_after)
       select id, 98 + n, '${transaction}', case n when 1 then 5 else -5 end, case n when 1 then 'EUR' else 'USD' end, 5
         from (select id from accounts limit 1) one, generate_series(1, 2) n`,
      /does not sum to zero/,
    ],
    [
      'an entry of nothing',
      `insert into ledger_entries select id, 9, id, 0, 'EUR', 0 from accounts limit 1`,
      /not_zero/,
    ],
    [
      'a customer’s balance below zero',
      `update accounts set balance = -1 where kind = 'customer'`,
      /accounts_floor/,
    ],
    [
      'more held than there is',
      `update accounts set held = balance + 1 where kind = 'customer'`,
      /accounts_floor/,
    ],
    [
      'more than JSON carries',
      `update accounts set balance = 9007199254740992 where kind = 'customer'`,
      /accounts_ceiling/,
    ],
    [
      'a completed operation without a balance',
      `update operations set balance_after = null`,
      /completed_has_balance/,
    ],
  ];
  for (const [name, text, expected] of table) {
    it(`refuse ${name}`, async () => {
      await using place = await bank();
      await place.desk().accept(asked(await place.open()));
      await place.settleAll();
      await assert.rejects(place.db.query(text), expected);
    });
  }
});
