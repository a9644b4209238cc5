/** `surefire up`: one process with everything, on an embedded database that outlives it. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from '@surefire/postgres';
import { findEmbedded, startEmbedded } from '@surefire/postgres/embedded';
import { client } from './support/client.ts';
import { eventually, type Running, run, start } from './support/processes.ts';

const temporary = () => mkdtemp(join(tmpdir(), 'surefire-e2e-'));

async function discard(dataDir: string): Promise<void> {
  if (await findEmbedded({ dataDir })) await (await startEmbedded({ dataDir })).stop();
  await rm(dataDir, { recursive: true, force: true });
}

describe('up', () => {
  let dataDir: string;
  let env: Record<string, string>;
  let running: Running;
  let bank: ReturnType<typeof client>;
  let account: string;

  before(async () => {
    dataDir = await temporary();
    env = { SUREFIRE_DATA_DIR: dataDir, SUREFIRE_HTTP_PORT: '0' };
    running = await start(['up'], { env });
    const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
    bank = client({ url: () => running.url, key });
  });
  after(async () => {
    await running.end('SIGKILL');
    await discard(dataDir);
  });

  it('tells where it is, with which key, and a first line to try', async () => {
    const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
    for (const expected of [running.url, `${running.url}/docs`, key, 'curl ']) {
      await eventually(`it says ${expected}`, () => running.stderr().includes(expected));
    }
    assert.equal((await stat(join(dataDir, 'api-key'))).mode & 0o777, 0o600);
  });

  it('makes a deposit over HTTP a settled, published fact', async () => {
    account = await bank.openAccount();
    const accepted = await bank.deposit(account, 10_000, 'first');
    assert.equal(accepted.status, 202);
    assert.equal(accepted.headers.get('location'), `/operations/${String(accepted.body['operation_id'])}`);
    assert.deepEqual(Object.keys(accepted.body), ['operation_id', 'status', 'message']);
    assert.equal(accepted.body['status'], 'pending');

    const operation = await bank.settled(String(accepted.body['operation_id']));
    assert.equal(operation['status'], 'completed');
    assert.equal(operation['balance_after'], 10_000);
    assert.deepEqual(
      (operation['steps'] as { name: string }[]).map((step) => step.name),
      ['requested', 'completed'],
    );
    assert.equal((await bank.get(`/accounts/${account}/balance`)).body['balance'], 10_000);
    const { entries } = (await bank.get(`/accounts/${account}/entries`)).body as {
      entries: Record<string, unknown>[];
    };
    assert.deepEqual(
      entries.map(({ amount, balance_after, version }) => [amount, balance_after, version]),
      [[10_000, 10_000, 1]],
    );
  });

  it('answers a repeated request with the first operation, and refuses its key for another', async () => {
    const first = await bank.deposit(account, 5, 'again');
    const second = await bank.deposit(account, 5, 'again');
    assert.equal(second.status, 202);
    assert.equal(second.body['operation_id'], first.body['operation_id']);
    assert.equal(second.headers.get('idempotent-replayed'), 'true');
    const other = await bank.deposit(account, 6, 'again');
    assert.deepEqual(
      [other.status, other.body['type']],
      [422, 'urn:surefire:problem:idempotency-key-reused'],
    );
    await bank.settled(String(first.body['operation_id']));
    assert.equal((await bank.get(`/accounts/${account}`)).body['balance'], 10_005);
  });

  it('fails a deposit that would overflow the balance, in its operation and with no entry', async () => {
    const rich = await bank.openAccount();
    const most = await bank.deposit(rich, Number.MAX_SAFE_INTEGER, 'all');
    assert.equal((await bank.settled(String(most.body['operation_id'])))['status'], 'completed');
    const more = await bank.deposit(rich, 1, 'one more');
    const operation = await bank.settled(String(more.body['operation_id']));
    assert.equal(operation['status'], 'failed');
    assert.match(String(operation['error']), /exceed/);
    assert.equal((await bank.get(`/accounts/${rich}`)).body['version'], 1);
  });

  it('shows the outbox metrics under their promised names, its health and its documents', async () => {
    const text = async (path: string) => (await fetch(running.url + path)).text();
    const metrics = await text('/metrics');
    for (const name of [
      'outbox_pending_events_total',
      'outbox_oldest_pending_event_age_seconds',
      'outbox_events_published_total',
      'outbox_publish_errors_total',
    ]) {
      assert.match(metrics, new RegExp(`^${name}(\\{[^}]*\\})? [0-9.]+$`, 'm'));
    }
    assert.equal((JSON.parse(await text('/readyz')) as { status: string }).status, 'ready');
    assert.equal((JSON.parse(await text('/livez')) as { status: string }).status, 'live');
    const openapi = JSON.parse(await text('/openapi.json')) as { openapi: string; paths: object };
    assert.match(openapi.openapi, /^3\.1/);
    assert.ok('/accounts/{id}/deposit' in openapi.paths);
    assert.match(await text('/docs'), /swagger/i);
  });

  it('refuses to run twice from one data folder, in one sentence, and leaves the first alone', async () => {
    const second = await run(['up'], { env });
    assert.equal(second.code, 1);
    assert.match(second.stderr, /^surefire: Surefire is running from .* already: .*\.\n$/);
    assert.equal((await bank.get(`/accounts/${account}`)).status, 200);
  });

  it('drains on SIGTERM within ten seconds, stops its database, and finds everything again', async () => {
    const ending = await running.end('SIGTERM');
    assert.equal(ending.code, 0);
    assert.ok(ending.seconds < 10, `took ${ending.seconds} s`);
    assert.equal(await findEmbedded({ dataDir }), undefined);
    running = await start(['up'], { env });
    assert.equal((await bank.get(`/accounts/${account}`)).body['balance'], 10_005);
  });

  it('brings its database back when that alone is killed, and answers 503 meanwhile', async () => {
    const server = await findEmbedded({ dataDir });
    process.kill((server as { pid: number }).pid, 'SIGKILL');
    const target = async () => (await bank.deposit(account, 3, 'after the database')).status;
    const statuses = new Set<number>();
    await eventually('deposits are accepted again', async () => {
      const status = await target().catch(() => 0);
      statuses.add(status);
      return status === 202;
    });
    assert.ok(
      [...statuses].every((status) => [0, 202, 503].includes(status)),
      [...statuses].join(', '),
    );
    assert.ok(statuses.size > 1, 'the fault did not bite');
    const { body } = await bank.deposit(account, 3, 'after the database');
    assert.equal((await bank.settled(String(body['operation_id'])))['status'], 'completed');
    assert.equal((await bank.get(`/accounts/${account}`)).body['balance'], 10_008);
  });

  it('waits for every commit, whatever the database would settle for', async () => {
    const { url } = (await findEmbedded({ dataDir })) as { url: string };
    const db = connect({ url, max: 1 });
    await db.query('alter database surefire set synchronous_commit = off');
    await running.end('SIGTERM');
    running = await start(['up'], { env });
    assert.ok(
      running.log().some((line) => line['setting'] === 'synchronous_commit' && line['level'] === 'warn'),
    );
    await db.close();
    const { url: again } = (await findEmbedded({ dataDir })) as { url: string };
    const reset = connect({ url: again, max: 1 });
    await reset.query('alter database surefire reset synchronous_commit');
    await reset.close();
  });

  it('is killed together with its database under load, started again, and has lost and doubled nothing', async () => {
    const keys = Array.from({ length: 400 }, (_, n) => `killed-${n}`);
    const target = await bank.openAccount();
    const operations = new Map<string, string>();
    let restarted: Promise<void> | undefined;

    async function killEverything(): Promise<void> {
      const server = await findEmbedded({ dataDir });
      await running.end('SIGKILL');
      process.kill((server as { pid: number }).pid, 'SIGKILL');
      running = await start(['up'], { env });
    }
    // Each sender repeats its key until it has an answer.
    async function send(key: string): Promise<void> {
      for (;;) {
        try {
          const { status, body } = await bank.deposit(target, 1, key);
          if (status === 202) return void operations.set(key, String(body['operation_id']));
          assert.equal(status, 503, JSON.stringify(body));
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
        }
        if (operations.size > 50) restarted ??= killEverything();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    const queue = [...keys];
    const senders = Array.from({ length: 16 }, async () => {
      for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
        await send(key);
        if (operations.size === 100) restarted ??= killEverything();
      }
    });
    await Promise.all(senders);
    assert.ok(restarted !== undefined, 'the kill did not bite');
    await restarted;
    assert.equal(new Set(operations.values()).size, 400);
    for (const operation of operations.values())
      assert.equal((await bank.settled(operation))['status'], 'completed');
    const { balance, version } = (await bank.get(`/accounts/${target}`)).body;
    assert.deepEqual([balance, version], [400, 400]);
  });
});

describe('a start that cannot succeed says why in one sentence, exits, and leaves nothing running', () => {
  let dataDir: string;
  let env: Record<string, string>;
  before(async () => {
    dataDir = await temporary();
    env = { SUREFIRE_DATA_DIR: dataDir, SUREFIRE_HTTP_PORT: '0' };
  });
  after(() => discard(dataDir));

  it('when the port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const outcome = await run(['up'], { env: { ...env, SUREFIRE_HTTP_PORT: String(port) } });
    taken.close();
    assert.equal(outcome.code, 1);
    assert.match(
      outcome.stderr,
      new RegExp(`^surefire: Port ${port} on 127\\.0\\.0\\.1 is taken[^\\n]*\\n$`),
    );
    assert.equal(await findEmbedded({ dataDir }), undefined);
  });

  const table: [string, string[], Record<string, string>, number, RegExp][] = [
    [
      'the database does not answer',
      ['up'],
      { SUREFIRE_DATABASE_URL: 'postgres://u:secret@127.0.0.1:9/x' },
      1,
      /database/i,
    ],
    ['there is no database to run on', ['run', 'relay'], {}, 3, /No database is running/],
    [
      'a variable is misspelt',
      ['up'],
      { SUREFIRE_HTTP_PROT: '1' },
      2,
      /SUREFIRE_HTTP_PROT .*SUREFIRE_HTTP_PORT/,
    ],
    ['a value is wrong', ['up'], { SUREFIRE_HTTP_PORT: '8o8o' }, 2, /SUREFIRE_HTTP_PORT.*8o8o/],
    ['two are', ['up'], { SUREFIRE_HTTP_PORT: 'x', SUREFIRE_LOG_LEVEL: 'x' }, 2, /PORT[^]*LOG_LEVEL/],
    ['a role does not exist', ['run', 'bankng'], {}, 2, /bankng/],
    ['a role is not there yet', ['run', 'trading'], {}, 2, /no role trading/],
    ['a mode is not there yet', ['up'], { SUREFIRE_RELAY_MODE: 'streaming' }, 2, /not available/],
    ['the connections do not suffice', ['up'], { SUREFIRE_DB_POOL_MAX: '3' }, 1, /at least 10/],
    ['the command is unknown', ['dwon'], {}, 2, /unknown command/],
  ];
  for (const [name, args, wrong, code, message] of table) {
    it(`when ${name}`, async () => {
      const outcome = await run(args, { env: { ...env, ...wrong } });
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.doesNotMatch(outcome.stderr, /secret|\n {4}at /);
      assert.equal(await findEmbedded({ dataDir }), undefined);
    });
  }
});
