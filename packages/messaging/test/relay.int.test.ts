import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { type Database, SET_BASED } from '@surefire/postgres';
import fc from 'fast-check';
import { createOutbox, createRelay, createWake, type Relay, type RelayOptions } from '../src/index.ts';
import { createFloor } from '../src/relay/floor.ts';
import { publishPending } from '../src/relay/polling.ts';
import { eventually, happened, messagingDatabase, scalar, testCatalogue, testLog } from './support.ts';

const outbox = createOutbox({ catalogue: testCatalogue, source: '/surefire/test', partitions: 16 });

const append = (db: Database, key: string, ...numbers: number[]) =>
  db.transaction((tx) =>
    outbox.append(
      tx,
      numbers.map((n) => happened(key, n)),
    ),
  ); // one transaction

const pending = (db: Database) => scalar(db, `select count(*) from event_outbox where status = 'PENDING'`);

/** What a consumer would read: each key's numbers, in the order of their positions. */
async function published(db: Database, key: string): Promise<number[]> {
  const { rows } = await db.query<{ n: number }>(
    `select (payload->>'n')::int as n from event_outbox where key = $1 and status = 'PUBLISHED' order by position`,
    [key],
  );
  return rows.map((row) => row.n);
}

const gaps = (db: Database) =>
  scalar(
    db,
    `
    select count(*)
      from (select topic, partition, array_agg(position order by position) as positions
              from event_outbox where position is not null group by topic, partition) log
      full join outbox_position using (topic, partition)
     where positions is distinct from array(select generate_series(1, last_position))`,
  );

/** Stopped after the test, also when it fails. */
const started: Relay[] = [];
afterEach(() => Promise.all(started.splice(0).map((each) => each.stop())));

function relay(db: Database, options: Partial<RelayOptions> = {}): Relay {
  const created = createRelay({
    db,
    log: testLog(),
    wake: createWake(),
    pauseMaxMs: 20,
    leaseTtlMs: 400,
    ...options,
  });
  started.push(created);
  return created;
}

/** Takes every partition, as a relay would, and returns what fences it. */
async function holdAll(db: Database) {
  const { rows } = await db.query<{ partition: number; epoch: bigint }>(
    `update relay_lease set epoch = epoch + 1, owner = 'test', expires_at = 'infinity' returning partition, epoch`,
  );
  return { partitions: rows.map((row) => row.partition), epochs: rows.map((row) => row.epoch) };
}

const limits = (most: number) => new Array<number>(16).fill(most);

describe('publishing', () => {
  it('gives contiguous positions from 1, in the order of appending, in as many batches as it takes', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const numbers = Array.from({ length: 250 }, (_, n) => n);
    await append(db, 'a', ...numbers);
    await append(db, 'b', 1, 2, 3);
    const holding = await holdAll(db);
    const counts: number[] = [];
    for (let count = 1; count > 0; counts.push(count))
      ({ count } = await publishPending(db, holding, limits(100)));
    assert.deepEqual(counts, [103, 100, 50, 0]);
    assert.deepEqual(await published(db, 'a'), numbers);
    assert.deepEqual(await published(db, 'b'), [1, 2, 3]);
    assert.equal(await gaps(db), '0');
  });

  it('never skips a transaction that drew its number early and commits late', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const holding = await holdAll(db);
    const appended = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const late = db.transaction(async (tx) => {
      await outbox.append(tx, [happened('late', 1)]);
      appended.resolve();
      await release.promise;
    });
    await appended.promise;
    await append(db, 'early', 1);
    assert.equal((await publishPending(db, holding, limits(10))).count, 1);
    release.resolve();
    await late;
    assert.equal((await publishPending(db, holding, limits(10))).count, 1);
    assert.deepEqual(await published(db, 'late'), [1]);
    assert.equal(await gaps(db), '0');
  });

  it('follows the commit order of a key whose row was locked while appending, whoever began first', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    await db.query(`create table things (key text primary key); insert into things values ('k')`);
    const holding = await holdAll(db);
    // The first transaction has the lower transaction id, and appends after the second has committed.
    await db.transaction(async (first) => {
      await first.query('select pg_current_xact_id()');
      await db.transaction(async (second) => {
        await second.query(`select from things where key = 'k' for update`);
        await outbox.append(second, [happened('k', 1)]);
      });
      await first.query(`select from things where key = 'k' for update`);
      await outbox.append(first, [happened('k', 2)]);
    });
    await publishPending(db, holding, limits(10));
    assert.deepEqual(await published(db, 'k'), [1, 2]);
  });

  it('gives each event one position although its own first attempt is still at work unseen', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const holding = await holdAll(db);
    await append(db, 'a', 0, 1, 2, 3);
    let second: Promise<{ count: number }> | undefined;
    // The first attempt: its statement is done, its commit is not, and its relay has lost the connection.
    await db.transaction(async (tx) => {
      const inside = { ...db, query: tx.query.bind(tx) } as Database;
      assert.equal((await publishPending(inside, holding, limits(10))).count, 4);
      await append(db, 'a', 4);
      second = publishPending(db, holding, limits(10));
      await eventually('the second attempt waits for the first', async () => {
        const text = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return (await scalar(db, text)) === '1';
      });
    });
    await second;
    await publishPending(db, holding, limits(10));
    assert.equal(await pending(db), '0');
    assert.deepEqual(await published(db, 'a'), [0, 1, 2, 3, 4]);
    assert.equal(await scalar(db, 'select max(attempts) from event_outbox'), '1');
    assert.equal(await gaps(db), '0');
  });

  it('changes nothing for a relay whose epoch has passed, and tells it which partitions it lost', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const stale = await holdAll(db);
    await holdAll(db);
    await append(db, 'a', 1);
    const outcome = await publishPending(db, stale, limits(10));
    assert.equal(outcome.count, 0);
    assert.deepEqual(outcome.fenced, stale.partitions);
    assert.equal(await pending(db), '1');
  });

  it('makes a successor wait for the batch under way, so that positions are given by one at a time', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const holding = await holdAll(db);
    await append(db, 'a', 1, 2);
    let takeover: Promise<unknown> | undefined;
    await db.transaction(async (tx) => {
      const inside = { ...db, query: tx.query.bind(tx) } as Database;
      assert.equal((await publishPending(inside, holding, limits(10))).count, 2);
      takeover = db.query(`update relay_lease set epoch = epoch + 1`);
      await eventually('the takeover waits for a lock', async () => {
        const waiting = await scalar(
          db,
          `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return waiting !== '0';
      });
    });
    await takeover;
    assert.equal((await publishPending(db, holding, limits(10))).fenced.length, 16);
    assert.equal(await gaps(db), '0');
  });
});

/** A transaction that is driven step by step. */
async function openTransaction(db: Database) {
  const steps: { append: boolean; done: () => void }[] = [];
  let next = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  let outcome: boolean | undefined;
  const ended = db
    .transaction(async (tx) => {
      await tx.query('select 1');
      opened.resolve();
      for (;;) {
        await next.promise;
        next = Promise.withResolvers<void>();
        for (const step of steps.splice(0)) {
          await outbox.append(tx, [happened('k', 1)]);
          step.done();
        }
        if (outcome === true) return;
        if (outcome === false) throw new Error('undone');
      }
    })
    .catch((error: unknown) => {
      if ((error as Error).message !== 'undone') throw error;
    });
  await opened.promise;
  return {
    append: () =>
      new Promise<void>((done) => {
        steps.push({ append: true, done });
        next.resolve();
      }),
    async end(commit: boolean) {
      outcome = commit;
      next.resolve();
      await ended;
    },
  };
}

// Transaction ids are shared by all databases of a server: whatever else runs there may hold the floor back for a
// while, so these tests wait for it to rise. That it must not rise is never waited for.
describe('the floor', () => {
  const floorOf = (db: Database) => scalar(db, 'select max(floor_sequence) from relay_lease');

  it('rises to what was published, and no pending event is ever below it', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const holding = await holdAll(db);
    const floor = createFloor({ db, everyMs: 0 });
    await append(db, 'a', 1, 2, 3);
    await publishPending(db, holding, limits(10));
    await floor.raise(holding, { published: 3 });
    await append(db, 'a', 4);
    await eventually('the floor has risen', async () => {
      await floor.raise(holding, { published: 0 });
      return (await floorOf(db)) === '3';
    });
    assert.equal((await publishPending(db, holding, limits(10))).count, 1);
  });

  it('does not pass a number whose transaction is still running', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const holding = await holdAll(db);
    const floor = createFloor({ db, everyMs: 0 });
    await db.transaction(async (late) => {
      await outbox.append(late, [happened('late', 1)]); // draws number 1
      await append(db, 'a', 1, 2); // 2 and 3
      await publishPending(db, holding, limits(10));
      await floor.raise(holding, { published: 2 });
      await floor.raise(holding, { published: 0 });
      await floor.raise(holding, { published: 0 });
      assert.equal(await floorOf(db), '0');
    });
    assert.equal((await publishPending(db, holding, limits(10))).count, 1);
    await eventually('the floor has risen', async () => {
      await floor.raise(holding, { published: 1 });
      return (await floorOf(db)) === '3';
    });
  });

  it('does not pass it either when younger transactions have come and gone since', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const holding = await holdAll(db);
    const floor = createFloor({ db, everyMs: 0 });
    await append(db, 'a', 1);
    await publishPending(db, holding, limits(10));
    await db.transaction(async (late) => {
      await outbox.append(late, [happened('late', 1)]); // draws number 2, and has the newest transaction id
      await floor.raise(holding, { published: 1 });
      await append(db, 'a', 2);
      await publishPending(db, holding, limits(10));
      for (let round = 0; round < 3; round += 1) await floor.raise(holding, { published: 1 });
      assert.equal(await floorOf(db), '0');
    });
    assert.equal((await publishPending(db, holding, limits(10))).count, 1);
    assert.deepEqual(await published(db, 'late'), [1]);
  });

  it('never hides an event, however transactions that append overlap with marking and raising', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const many = database.connect();
    const holding = await holdAll(db);
    const floor = createFloor({ db, everyMs: 0 });
    const acts = fc.array(fc.constantFrom('open', 'append', 'commit', 'undo', 'publish', 'raise'), {
      minLength: 30,
      maxLength: 50,
    });
    await fc.assert(
      fc.asyncProperty(acts, async (list) => {
        const open: { append: () => Promise<void>; end: (commit: boolean) => Promise<void> }[] = [];
        for (const act of list) {
          if (act === 'open' && open.length < 3) open.push(await openTransaction(many));
          if (act === 'append') await open.at(-1)?.append();
          if (act === 'commit') await open.shift()?.end(true);
          if (act === 'undo') await open.shift()?.end(false);
          if (act === 'publish') await publishPending(db, holding, limits(5));
          if (act === 'raise') await floor.raise(holding, { published: 1 });
        }
        for (const each of open) await each.end(true);
        for (let count = 1; count > 0; ) ({ count } = await publishPending(db, holding, limits(100)));
        assert.equal(await pending(db), '0');
      }),
      { numRuns: 50 },
    );
    assert.ok(
      Number(await scalar(db, 'select count(*) from event_outbox')) > 50,
      'hardly anything was appended',
    );
    await eventually('the floor has moved', async () => {
      await floor.raise(holding, { published: 1 });
      return Number(await floorOf(db)) > 50;
    });
    assert.equal(await gaps(db), '0');
  });

  it('stops below what is visible and still pending', async () => {
    await using database = await messagingDatabase();
    const db = database.connect(SET_BASED);
    const holding = await holdAll(db);
    const floor = createFloor({ db, everyMs: 0 });
    await append(db, 'a', 1, 2, 3);
    await publishPending(db, holding, limits(2));
    await floor.raise(holding, { published: 2 });
    await floor.raise(holding, { published: 0 });
    assert.equal((await publishPending(db, holding, limits(10))).count, 1);
    assert.deepEqual(await published(db, 'a'), [1, 2, 3]);
  });
});

describe('relays side by side', () => {
  it('share the partitions evenly, hand them over when one stops, and publish everything in order', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const relays = [1, 2, 3].map(() => relay(database.connect(SET_BASED)));
    for (const each of relays) await each.start();
    await eventually('a fair share each', () => {
      const sizes = relays.map((each) => each.partitions.length);
      return sizes.every((size) => size >= 4 && size <= 6) && sizes.reduce((sum, size) => sum + size) === 16;
    });
    const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`);
    for (let n = 0; n < 10; n += 1) {
      await Promise.all(keys.map((key) => append(db, key, n)));
      if (n === 4) await relays[0]?.stop();
    }
    await eventually('everything published', async () => (await pending(db)) === '0');
    for (const key of keys) assert.deepEqual(await published(db, key), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(await gaps(db), '0');
    for (const each of relays) await each.stop();
    assert.equal(await scalar(db, 'select count(*) from relay_lease where owner is not null'), '0');
    assert.equal(await scalar(db, 'select count(*) from lease_member'), '0');
  });

  it('take over from one that died without a word, once its lease has expired', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    await db.query(`
      update relay_lease set owner = 'dead', epoch = 7, expires_at = clock_timestamp() + interval '300 ms';
      insert into lease_member values ('relay', 'dead', clock_timestamp() + interval '300 ms')`);
    await append(db, 'a', 1);
    const successor = relay(database.connect(SET_BASED));
    await successor.start();
    assert.deepEqual(successor.partitions, []);
    await eventually('published by the successor', async () => (await pending(db)) === '0');
    const epoch = 'select epoch from relay_lease where partition = (select partition from event_outbox)';
    assert.equal(await scalar(db, epoch), '8');
    await successor.stop();
  });

  it('are loud when they find themselves replaced: metric, log, and no further write', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const log = testLog();
    const lost: number[] = [];
    const replaced = relay(database.connect(SET_BASED), {
      log,
      leaseTtlMs: 60_000, // its own heartbeat will not tell it
      metrics: {
        published() {},
        publishLatency() {},
        publishFailed() {},
        consumed() {},
        retried() {},
        deadLettered() {},
        leaseLost: (_scope, partitions) => void lost.push(partitions),
      },
    });
    await replaced.start();
    await eventually('it owns all', () => replaced.partitions.length === 16);
    await holdAll(db);
    await append(db, 'a', 1);
    await eventually('it noticed', () => replaced.partitions.length === 0);
    assert.deepEqual(lost, [16]);
    assert.ok(log.lines.some((line) => line.level === 'error' && line.message.startsWith('lease lost')));
    assert.equal(await pending(db), '1');
    await replaced.stop();
  });

  it('publish what is appended while the database restarts their connections', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const log = testLog();
    const survivor = relay(database.connect(SET_BASED), { log });
    await survivor.start();
    await eventually('it owns all', () => survivor.partitions.length === 16);
    await db.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()`);
    await append(db, 'a', 1, 2, 3);
    await eventually('published', async () => (await pending(db)) === '0');
    await survivor.stop();
  });
});
