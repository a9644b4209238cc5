import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  CommitUnknownError,
  connect,
  type Database,
  isConflict,
  isConnectionLost,
  isPoolExhausted,
  isTransient,
  migrate,
  pendingMigrations,
  sqlState,
  TransactionRolledBackError,
  violatedConstraint,
} from '../src/index.ts';
import { testDatabase } from '../src/testing.ts';

async function fresh(options: { url?: (url: string) => string; max?: number } = {}) {
  const database = await testDatabase();
  const db = connect({
    url: options.url?.(database.url) ?? database.url,
    max: options.max ?? 4,
    acquireTimeoutMs: 1_000,
  });
  await db.query('create table things (id int primary key, constraint things_positive check (id > 0))');
  return {
    db,
    url: database.url,
    async [Symbol.asyncDispose]() {
      await db.close();
      await database.drop();
    },
  };
}

async function ids(db: Database): Promise<number[]> {
  const { rows } = await db.query<{ id: number }>('select id from things order by id');
  return rows.map((row) => row.id);
}

const endOthers = (db: Database) =>
  db.query(`select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()`);

/** Stands between client and server, and can swallow the answer to COMMIT. */
async function proxy(target: URL) {
  let swallow = false;
  let swallowed = 0;
  const server = createServer((client) => {
    const upstream = createConnection({ host: target.hostname, port: Number(target.port) });
    let committing = false;
    const cut = (socket: Socket) => () => socket.destroy();
    client.on('error', cut(upstream)).on('close', cut(upstream));
    upstream.on('error', cut(client)).on('close', cut(client));
    client.on('data', (chunk) => {
      if (swallow && chunk.includes('commit\0')) committing = true;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (!committing) return client.write(chunk);
      swallowed += 1;
      return client.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(target);
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    swallowCommits: () => (swallow = true),
    swallowed: () => swallowed,
    close: () => server.close(),
  };
}

describe('a transaction', () => {
  it('commits what it did, answers what it was told, and acts after the commit', async () => {
    await using place = await fresh();
    const acts: number[] = [];
    const answer = await place.db.transaction(async (tx) => {
      tx.afterCommit(() => acts.push(1));
      await Promise.all([1, 2, 3].map((id) => tx.query('insert into things values ($1)', [id])));
      assert.deepEqual(acts, []);
      return 'done';
    });
    assert.equal(answer, 'done');
    assert.deepEqual(acts, [1]);
    assert.deepEqual(await ids(place.db), [1, 2, 3]);
  });

  it('undoes everything when its work throws, acts on nothing, and gives its connection back', async () => {
    await using place = await fresh({ max: 1 });
    const undone = place.db.transaction(async (tx) => {
      tx.afterCommit(() => assert.fail('there was no commit'));
      await tx.query('insert into things values (1)');
      throw new Error('no');
    });
    await assert.rejects(undone, /no/);
    assert.deepEqual(await ids(place.db), []);
  });

  it('does not call itself committed when a statement had failed and nobody looked', async () => {
    await using place = await fresh();
    const careless = place.db.transaction(async (tx) => {
      await tx.query('insert into things values (1)');
      await tx.query('insert into things values (1)').catch(() => undefined);
    });
    await assert.rejects(careless, TransactionRolledBackError);
    assert.deepEqual(await ids(place.db), []);
  });

  it('says that the outcome is unknown when the answer to COMMIT is lost, and it was committed', async () => {
    await using place = await fresh();
    const between = await proxy(new URL(place.url));
    const db = connect({ url: between.url, max: 1 });
    try {
      between.swallowCommits();
      const work = db.transaction((tx) => tx.query('insert into things values (7)'));
      await assert.rejects(work, CommitUnknownError);
      assert.equal(between.swallowed(), 1, 'the fault did not bite');
      assert.deepEqual(await ids(place.db), [7]);
    } finally {
      await db.close();
      between.close();
    }
  });

  it('fails, and the process lives, when its connection breaks between two statements', async () => {
    await using place = await fresh();
    const other = connect({ url: place.url, max: 1 });
    const broken = place.db.transaction(async (tx) => {
      await tx.query('insert into things values (1)');
      await endOthers(other);
      await tx.query('insert into things values (2)');
    });
    await assert.rejects(broken, isConnectionLost);
    assert.deepEqual(await ids(place.db), []);
    await other.close();
  });

  it('tells the fault of the statement that failed first, not that the others could not follow', async () => {
    await using place = await fresh();
    const nested = place.db.transaction((tx) =>
      Promise.all([
        Promise.all([tx.query('insert into things values (-1)'), tx.query('select 1')]),
        tx.query('select 2'),
      ]),
    );
    await assert.rejects(nested, (error) => violatedConstraint(error) === 'things_positive');
  });

  it('acts after the commit, when others can see it', async () => {
    await using place = await fresh();
    const seen = Promise.withResolvers<number[]>();
    await place.db.transaction(async (tx) => {
      tx.afterCommit(() => seen.resolve(ids(place.db)));
      await tx.query('insert into things values (1)');
    });
    assert.deepEqual(await seen.promise, [1]);
  });

  it('stays committed when a hint after it throws', async () => {
    await using place = await fresh();
    const warned = once(process, 'warning');
    const answer = await place.db.transaction(async (tx) => {
      await tx.query('insert into things values (1)');
      tx.afterCommit(() => {
        throw new Error('a bad hint');
      });
      return 'committed';
    });
    assert.equal(answer, 'committed');
    assert.match(String((await warned)[0]), /a bad hint/);
  });
});

describe('a pool', () => {
  it('replaces connections that broke while idle', async () => {
    await using place = await fresh();
    const other = connect({ url: place.url, max: 1 });
    await endOthers(other);
    await other.close();
    await place.db
      .query('insert into things values (1)')
      .catch(() => place.db.query('insert into things values (1)'));
    assert.deepEqual(await ids(place.db), [1]);
  });

  it('says that it is exhausted rather than waiting for ever', async () => {
    await using place = await fresh({ max: 1 });
    await place.db.transaction(async () => {
      await assert.rejects(
        place.db.query('select 1'),
        (error) => isPoolExhausted(error) && isTransient(error),
      );
    });
  });

  it('pins what the code relies on, whatever the database’s defaults are', async () => {
    await using place = await fresh();
    await place.db.query(`
      do $$ begin
        execute format('alter database %I set default_transaction_isolation = ''serializable''', current_database());
        execute format('alter database %I set array_nulls = off', current_database());
        execute format('alter database %I set timezone = ''Asia/Kathmandu''', current_database());
        execute format('alter database %I set datestyle = ''German''', current_database());
      end $$`);
    const db = connect({ url: place.url, max: 1 });
    const { rows } = await db.query(`
      select current_setting('transaction_isolation') as isolation, current_setting('array_nulls') as array_nulls,
             current_setting('timezone') as timezone, timestamptz '2026-01-02 03:04:05.678Z' as moment, 5::int8 as number`);
    assert.deepEqual(rows, [
      {
        isolation: 'read committed',
        array_nulls: 'on',
        timezone: 'UTC',
        moment: new Date('2026-01-02T03:04:05.678Z'),
        number: 5n,
      },
    ]);
    await db.close();
  });
});

describe('the kinds of errors', () => {
  it('tells a broken rule, by its name, from everything that may pass', async () => {
    await using place = await fresh();
    const error = await place.db.query('insert into things values (-1)').catch((reason: unknown) => reason);
    assert.equal(violatedConstraint(error), 'things_positive');
    assert.equal(sqlState(error), '23514');
    assert.equal(isTransient(error), false);
  });

  const table: [string, object, boolean][] = [
    ['a refused connection', { code: 'ECONNREFUSED', message: '' }, true],
    ['a reset connection', { code: 'ECONNRESET', message: '' }, true],
    ['a server that shuts down', { code: '57P01', message: '' }, true],
    ['a server that starts up', { code: '57P03', message: '' }, true],
    ['a transaction that stood idle for too long', { code: '25P03', message: '' }, true],
    ['too many connections', { code: '53300', message: '' }, true],
    ['a full disk', { code: '53100', message: '' }, true],
    ['a disk that fails', { code: '58030', message: '' }, true],
    ['a statement past its time', { code: '57014', message: '' }, true],
    ['a server that is read-only', { code: '25006', message: '' }, true],
    ['a deadlock', { code: '40P01', message: '' }, true],
    ['a serialization failure', { code: '40001', message: '' }, true],
    ['a lock that was not to be had', { code: '55P03', message: '' }, true],
    ['a connection that ended', new Error('Connection terminated unexpectedly'), true],
    ['an unknown commit', new CommitUnknownError({ cause: undefined }), true],
    [
      'several refused addresses',
      new AggregateError([Object.assign(new Error(), { code: 'ECONNREFUSED' })]),
      true,
    ],
    ['a commit answered with rollback', new TransactionRolledBackError(), false],
    ['a unique key', { code: '23505', message: '' }, false],
    ['a missing table', { code: '42P01', message: '' }, false],
    ['a number too large', { code: '22003', message: '' }, false],
    ['a mistake of ours', new TypeError('x is not a function'), false],
    ['nothing at all', {}, false],
  ];
  for (const [name, error, transient] of table) {
    it(`${name} ${transient ? 'may pass' : 'stays'}`, () => assert.equal(isTransient(error), transient));
  }

  it('calls only the loser of two transactions a conflict', () => {
    assert.ok(isConflict({ code: '40P01' }));
    assert.ok(!isConflict({ code: '23505' }));
  });
});

describe('migrations', () => {
  async function folder(files: Record<string, string>) {
    const directory = await mkdtemp(join(tmpdir(), 'surefire-migrations-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    return directory;
  }

  it('are applied once, in order, however many processes start together', async () => {
    await using database = await testDatabase();
    const directory = await folder({
      '0001_a.sql': 'create table a (n int);',
      '0002_b.sql': 'insert into a values (1);',
    });
    const modules = [{ name: 'one', directory }];
    assert.equal((await pendingMigrations({ url: database.url, modules })).length, 2);
    const applied = await Promise.all([1, 2, 3, 4].map(() => migrate({ url: database.url, modules })));
    assert.deepEqual(
      applied.map((each) => each.length).toSorted((a, b) => a - b),
      [0, 0, 0, 2],
    );
    assert.deepEqual(await pendingMigrations({ url: database.url, modules }), []);
    await rm(directory, { recursive: true });
  });

  it('that fail leave nothing of themselves, and what came before them', async () => {
    await using database = await testDatabase();
    const directory = await folder({
      '0001_a.sql': 'create table a (n int);',
      '0002_b.sql': 'create table b (n int); insert into nowhere values (1);',
    });
    const modules = [{ name: 'one', directory }];
    await assert.rejects(migrate({ url: database.url, modules }), /nowhere/);
    const pending = await pendingMigrations({ url: database.url, modules });
    assert.deepEqual(pending, [{ module: 'one', migration: '0002_b' }]);
    const db = connect({ url: database.url, max: 1 });
    const { rows } = await db.query(
      `select to_regclass('a') is not null as a, to_regclass('b') is not null as b`,
    );
    assert.deepEqual(rows, [{ a: true, b: false }]);
    await db.close();
    await rm(directory, { recursive: true });
  });
});
