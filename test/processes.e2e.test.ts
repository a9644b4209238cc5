/** The roles as separate processes on one database, killed at any moment: every 202 ends as completed, once. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { CrashPoint } from '@surefire/messaging/testing';
import { connect, type Database } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import { client } from './support/client.ts';
import { eventually, type Running, run, start } from './support/processes.ts';

const CRASH = new URL('./support/crash-at.ts', import.meta.url).href;
const KEY = 'a-key-for-this-test';

async function installation() {
  const database = await testDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'surefire-e2e-'));
  const env = {
    SUREFIRE_DATABASE_URL: database.url,
    SUREFIRE_DATA_DIR: dataDir,
    SUREFIRE_API_KEY: KEY,
    SUREFIRE_HTTP_PORT: '0',
  };
  const db = connect({ url: database.url, max: 2 });
  return {
    env,
    db,
    async [Symbol.asyncDispose]() {
      await db.close();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function scalar(db: Database, text: string): Promise<number> {
  const { rows } = await db.query<{ value: number }>(`select (${text})::int as value`);
  return (rows[0] as { value: number }).value;
}

/** What must hold whenever everything has come to rest. */
async function assertBooks(db: Database): Promise<void> {
  const checks: Record<string, string> = {
    'operations not settled': `select count(*) from operations where status <> 'completed'`,
    'events not published': `select count(*) from event_outbox where status <> 'PUBLISHED'`,
    'operations without exactly one event of each kind': `
      select count(*) from operations left join (
        select payload->>'operation_id' as id, array_agg(split_part(event_type, '.', 3) order by event_type) as kinds
          from event_outbox where payload ? 'operation_id' group by 1
      ) told on told.id = operations.id::text
       where kinds is distinct from array['deposit_completed', 'deposit_requested', 'funds_deposited']`,
    'operations without exactly two entries that sum to zero': `
      select count(*) from operations left join (
        select transaction_id, count(*) as entries, sum(amount) as sum from ledger_entries group by 1
      ) posted on posted.transaction_id = operations.id
       where (entries, sum) is distinct from (2::bigint, 0::numeric)`,
    'accounts that differ from their entries': `
      select count(*) from accounts left join (
        select account_id, count(*) as entries, sum(amount) as sum from ledger_entries group by 1
      ) posted on posted.account_id = accounts.id
       where (balance, version) is distinct from (coalesce(sum, 0), coalesce(entries, 0))`,
    'inbox rows more or less than requests': `
      select (select count(*) from processed_events) - (select count(*) from operations)`,
  };
  for (const [name, text] of Object.entries(checks)) assert.equal(await scalar(db, text), 0, name);
}

const atRest = (db: Database, operations: number) => async () =>
  (await scalar(db, `select count(*) from operations where status = 'completed'`)) === operations &&
  (await scalar(db, `select count(*) from event_outbox where status = 'PENDING'`)) === 0;

describe('a process that dies at', () => {
  // The point, which of its visits is the last, and the roles of the process that dies there.
  const table: [CrashPoint, number, string[]][] = [
    ['after-accept', 3, ['api']],
    ['before-publish', 4, ['relay']],
    ['after-publish', 3, ['relay']],
    ['before-apply', 2, ['banking']],
    ['before-commit', 2, ['banking']],
    ['after-commit', 2, ['banking']],
  ];
  for (const [point, visit, roles] of table) {
    it(`${point} loses nothing and doubles nothing`, async () => {
      await using place = await installation();
      const { env, db } = place;
      const others = ['api', 'relay', 'banking'].filter((role) => !roles.includes(role));
      const survivor = await start(['run', ...others], { env });
      const victim = await start(['run', ...roles], {
        env: { ...env, CRASH_AT: `${point}:${visit}` },
        imports: [CRASH],
      });
      let api = roles.includes('api') ? victim : survivor;
      const bank = client({ url: () => api.url, key: KEY });
      const account = await bank.openAccount();

      let successor: Running | undefined;
      const died = victim.ended.then(async (ending) => {
        assert.equal(ending.signal, 'SIGKILL');
        successor = await start(['run', ...roles], { env });
        if (roles.includes('api')) api = successor;
      });
      // One at a time, until the process has died; then a few more.
      const keys = Array.from({ length: 12 }, (_, n) => `key-${n}`);
      for (const key of keys) {
        await eventually(`an answer for ${key}`, async () => {
          try {
            return (await bank.deposit(account, 7, key)).status === 202;
          } catch {
            return false; // no answer: the same key again
          }
        });
      }
      await died;
      await eventually('everything at rest', atRest(db, keys.length));
      await assertBooks(db);
      assert.equal((await bank.get(`/accounts/${account}`)).body['balance'], 7 * keys.length);
      assert.equal((await (successor as Running).end('SIGTERM')).code, 0);
      assert.equal((await survivor.end('SIGTERM')).code, 0);
    });
  }
});

describe('two processes of each role', () => {
  it('share the work, are killed at random under load, and every 202 ends as completed exactly once', async () => {
    await using place = await installation();
    const { env, db } = place;
    // Fixed ports, so that a restarted API is found where it was.
    const first = await start(['run', 'api'], { env });
    const second = await start(['run', 'api'], { env });
    const ports = [first, second].map((api) => new URL(api.url).port);
    const commands = [
      ['run', 'api', '--port', ports[0] as string],
      ['run', 'api', '--port', ports[1] as string],
      ['run', 'relay'],
      ['run', 'relay'],
      ['run', 'banking'],
      ['run', 'banking'],
    ];
    const processes: Running[] = [first, second];
    for (const command of commands.slice(2)) processes.push(await start(command, { env }));

    const loading = run(
      [
        'load',
        'deposits',
        '--count',
        '6000',
        '--accounts',
        '200',
        '--rate',
        '600',
        '--connections',
        '32',
        '--json',
        '--url',
        first.url,
        '--url',
        second.url,
      ],
      { env },
    );
    let loaded = false;
    void loading.then(() => (loaded = true));

    // One after the other, in an order that mixes the roles; each is back before the next goes.
    let kills = 0;
    for (const index of [2, 0, 4, 3, 5, 1, 4, 2]) {
      if (loaded) break;
      const settled = await scalar(db, 'select count(*) from processed_events');
      await (processes[index] as Running).end('SIGKILL');
      processes[index] = await start(commands[index] as string[], { env });
      kills += 1;
      await eventually('work went on', async () => {
        return loaded || (await scalar(db, 'select count(*) from processed_events')) > settled;
      });
    }
    const outcome = await loading;
    assert.equal(outcome.code, 0, `${outcome.stdout}\n${outcome.stderr}`);
    assert.ok(kills >= 4, `only ${kills} kills happened while there was load`);
    await eventually('everything at rest', atRest(db, 6_000));
    await assertBooks(db);
    for (const each of processes) assert.equal((await each.end('SIGTERM')).code, 0);
    assert.equal(await scalar(db, 'select count(*) from lease_member where expires_at = $$infinity$$'), 0);
  });
});

describe('the development key', () => {
  it('is the same for every process of a data folder', async () => {
    await using place = await installation();
    const { SUREFIRE_API_KEY: _fixed, ...env } = place.env;
    const [one, two] = await Promise.all([start(['run', 'api'], { env }), start(['run', 'api'], { env })]);
    const key = (await readFile(join(env.SUREFIRE_DATA_DIR, 'api-key'), 'utf8')).trim();
    for (const api of [one, two]) {
      assert.equal((await client({ url: () => api.url, key }).get('/accounts/none')).status, 404);
      assert.equal((await api.end('SIGTERM')).code, 0);
    }
  });

  it('may be revoked: processes start all the same, and say so', async () => {
    await using place = await installation();
    const { env } = place;
    const first = await start(['run', 'api'], { env });
    await first.end('SIGTERM');
    const { keys } = JSON.parse((await run(['keys', 'list', '--json'], { env })).stdout) as {
      keys: { id: string; name: string }[];
    };
    assert.deepEqual(
      keys.map(({ name }) => name),
      ['development'],
    );
    assert.equal((await run(['keys', 'revoke', keys[0]?.id ?? ''], { env })).code, 0);
    const issued = await run(['keys', 'issue', '--role', 'operator', '--principal', 'ops'], { env });

    const again = await start(['up'], { env });
    assert.ok(again.log().some((line) => line['msg'] === 'the development key is revoked'));
    await eventually('the banner', () =>
      again.stderr().includes('revoked; issue one with `npx surefire keys'),
    );
    assert.ok(!again.stderr().includes(KEY));
    const status = async (key: string) =>
      (await client({ url: () => again.url, key }).get('/accounts/none')).status;
    assert.equal(await status(KEY), 401);
    assert.equal(await status(issued.stdout.trim()), 404);
    assert.equal((await again.end('SIGTERM')).code, 0);
  });
});
