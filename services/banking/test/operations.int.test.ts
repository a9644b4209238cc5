/** Looking operations up over HTTP: whose, in which order, page by page, and by which index. */
import assert from 'node:assert/strict';
import { randomUUIDv7 } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { platformCatalogue } from '@surefire/events';
import { createWake, messagingMigrations } from '@surefire/messaging';
import { connect, type Database, migrate, SET_BASED } from '@surefire/postgres';
import { type TestDatabase, testDatabase } from '@surefire/postgres/testing';
import {
  createHealth,
  createHttp,
  createLog,
  createMetrics,
  type Http,
  type PrincipalRole,
} from '@surefire/service';
import { bankingApi, bankingMigrations } from '../src/main.ts';
import { LIST_STATEMENTS } from '../src/projections/operations.ts';

type Page = { operations: { operation_id: string; account_id: string }[]; next_cursor?: string };

let database: TestDatabase;
let db: Database;
let app: Http;
const health = createHealth();
/** By owner, in order of opening. */
const accounts: Record<'alice' | 'bob' | 'carol', string[]> = {
  alice: [randomUUIDv7(), randomUUIDv7()],
  bob: [randomUUIDv7()],
  carol: [randomUUIDv7()],
};
/** In order of creation: the accounts take turns. */
const operations: { id: string; account: string; key: string; status: string }[] = [];

before(async () => {
  database = await testDatabase();
  await migrate({ url: database.url, modules: [messagingMigrations, bankingMigrations] });
  db = connect({ url: database.url, max: 4, settings: SET_BASED });
  const [first, second] = accounts.alice as [string, string];
  const [other] = accounts.bob as [string];
  for (const [owner, ids] of Object.entries(accounts)) {
    for (const id of ids) {
      await db.query(`insert into accounts (id, kind, owner, currency) values ($1, 'customer', $2, 'EUR')`, [
        id,
        owner,
      ]);
    }
  }
  const ids = Array.from({ length: 12 }, () => randomUUIDv7()).toSorted();
  for (const [turn, id] of ids.entries()) {
    const account = [first, second, other][turn % 3] as string;
    const status = turn % 4 === 0 ? 'pending' : 'completed';
    operations.push({ id, account, key: `key-${turn - (turn % 3)}`, status });
  }
  for (const { id, account, key, status } of operations) {
    await db.query(
      `insert into operations (id, kind, account_id, idempotency_key, request_hash, amount, currency, status,
                               balance_after, principal_id, correlation_id)
       values ($1, 'deposit', $2, $3, 'x', 1, 'EUR', $4, 1, 'p', 'c')`,
      [id, account, key, status],
    );
  }
  const log = createLog({ service: 'test', level: 'silent' });
  app = createHttp({
    log,
    metrics: createMetrics({ process: false }),
    health,
    authenticate({ 'x-api-key': key }) {
      const [role, id] = String(key).split(' ') as [PrincipalRole, string];
      return { id, role, scopes: ['operations:read'] };
    },
  });
  app.register(async (scope) => {
    bankingApi(scope, {
      db,
      catalogue: platformCatalogue({ namespace: 'surefire' }),
      partitions: 16,
      outboxWake: createWake(),
      log,
      overloaded: () => false,
    });
  });
});
after(async () => {
  await app.close();
  health.close();
  await db.close();
  await database.drop();
});

async function look(who: string, query = ''): Promise<Page & { status: number }> {
  const answer = await app.inject({ url: `/operations${query}`, headers: { 'x-api-key': who } });
  return { ...answer.json<Page>(), status: answer.statusCode };
}

/** The ids that should be found, newest first. */
function expected(holds: (operation: (typeof operations)[number]) => boolean = () => true): string[] {
  return operations
    .filter(holds)
    .map(({ id }) => id)
    .toReversed();
}

const idsOf = ({ operations: found }: Page) => found.map((operation) => operation.operation_id);
const isAlices = ({ account }: { account: string }) => accounts.alice.includes(account);

describe('GET /operations', () => {
  it('shows an operator everything, newest first', async () => {
    assert.deepEqual(idsOf(await look('operator ops')), expected());
  });

  it('shows a customer the operations of its own accounts, and an empty page to whom has none', async () => {
    assert.deepEqual(idsOf(await look('customer alice')), expected(isAlices));
    assert.deepEqual(
      idsOf(await look('customer bob')),
      expected((each) => !isAlices(each)),
    );
    assert.deepEqual(await look('customer carol'), { status: 200, operations: [] });
    assert.deepEqual(await look('customer mallory'), { status: 200, operations: [] });
  });

  for (const [who, mine] of [
    ['operator ops', () => true],
    ['customer alice', isAlices],
  ] as const) {
    it(`filters by key and by status for the ${who}`, async () => {
      assert.deepEqual(
        idsOf(await look(who, '?idempotency_key=key-3')),
        expected((each) => mine(each) && each.key === 'key-3'),
      );
      assert.deepEqual(
        idsOf(await look(who, '?status=pending')),
        expected((each) => mine(each) && each.status === 'pending'),
      );
      assert.deepEqual(
        idsOf(await look(who, '?status=completed&idempotency_key=key-0')),
        expected((each) => mine(each) && each.key === 'key-0' && each.status === 'completed'),
      );
      assert.deepEqual(idsOf(await look(who, '?idempotency_key=nobodys')), []);
    });

    it(`gives the ${who} every operation once, page by page`, async () => {
      const found: string[] = [];
      let cursor = '';
      for (let pages = 0; pages < 10; pages++) {
        const page = await look(who, `?limit=3${cursor}`);
        assert.ok(page.operations.length <= 3);
        found.push(...idsOf(page));
        if (page.next_cursor === undefined) break;
        cursor = `&cursor=${page.next_cursor}`;
      }
      assert.deepEqual(found, expected(mine));
    });
  }

  it('keeps to one account when it is named, by both addresses', async () => {
    const [first] = accounts.alice;
    const ofFirst = expected(({ account }) => account === first);
    assert.deepEqual(idsOf(await look('customer alice', `?account_id=${first}`)), ofFirst);
    const answer = await app.inject({
      url: `/accounts/${first}/operations`,
      headers: { 'x-api-key': 'operator ops' },
    });
    assert.deepEqual(idsOf(answer.json<Page>()), ofFirst);
    assert.deepEqual(
      idsOf(await look('operator ops', `?account_id=${first}&idempotency_key=key-6`)),
      expected(({ account, key }) => account === first && key === 'key-6'),
    );
  });

  it('has no account of another, as it has none that is missing', async () => {
    assert.equal((await look('customer bob', `?account_id=${accounts.alice[0]}`)).status, 404);
    assert.equal((await look('customer bob', `?account_id=${randomUUIDv7()}`)).status, 404);
    assert.equal((await look('operator ops', '?account_id=none')).status, 404);
  });

  it('refuses a cursor that it has not given out, and a status that there is not', async () => {
    assert.equal((await look('operator ops', '?cursor=MTI')).status, 400);
    assert.equal((await look('operator ops', '?status=done')).status, 400);
  });
});

describe('the plans of its statements', () => {
  before(async () => {
    await db.query(
      `insert into accounts (id, kind, owner, currency)
       select gen_random_uuid(), 'customer', 'owner ' || number % 50, 'EUR' from generate_series(1, 500) number`,
    );
    await db.query(
      `insert into operations (id, kind, account_id, idempotency_key, request_hash, amount, currency, principal_id,
                               correlation_id)
       select gen_random_uuid(), 'deposit', id, 'bulk ' || number, 'x', 1, 'EUR', 'p', 'c'
         from accounts, generate_series(1, 20) number`,
    );
    await db.query('analyze accounts, operations');
  });
  for (const { name, text } of LIST_STATEMENTS) {
    it(`${name} begins with an index`, async () => {
      const { rows } = await db.query<{ 'QUERY PLAN': string }>(`explain (generic_plan) ${text}`);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      assert.doesNotMatch(plan, /Seq Scan on operations/, plan);
      const index = name.includes('_by_key_')
        ? /Index Scan using operations_idempotency/
        : name.endsWith('_everybody')
          ? /Index Scan Backward using operations_pkey/
          : /Index Scan using operations_account_newest/;
      assert.match(plan, index, plan);
      if (name.endsWith('_owner')) assert.match(plan, /accounts_owner/, plan);
    });
  }
});
