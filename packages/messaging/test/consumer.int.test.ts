import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { event } from '@surefire/events';
import { SET_BASED } from '@surefire/postgres';
import { type Slice, StaleSliceError } from '../src/bus.ts';
import { createPostgresBus, FencedError } from '../src/index.ts';
import { applied, count, outbox, platform } from './small-platform.ts';
import { eventually, Happened, happened, Ignored, scalar, testCatalogue, testLog } from './support.ts';

/** A subscription of its own, and what it read: one event. */
async function readOne(small: Awaited<ReturnType<typeof platform>>) {
  const bus = createPostgresBus({ db: small.connect(SET_BASED), catalogue: testCatalogue, log: testLog() });
  const subscription = bus.subscribe({ group: 'books', contracts: [Happened] });
  await subscription.start();
  await small.append('a', 1);
  let slices: Slice[] = [];
  await eventually('something to read', async () => {
    slices = await subscription.fetch({ eventsMax: 10 });
    return slices.length > 0;
  });
  return { subscription, slices };
}

describe('a consumer group', () => {
  it('applies every event once, in order per key, and remembers each in its inbox', async () => {
    await using small = await platform();
    await small.consumer('books').start();
    const numbers = Array.from({ length: 300 }, (_, n) => n);
    await Promise.all(['a', 'b', 'c'].map((key) => small.append(key, ...numbers)));
    await eventually('all applied', async () => (await count(small.db, 'books')) === '900');
    for (const key of ['a', 'b', 'c']) assert.deepEqual(await applied(small.db, 'books', key), numbers);
    assert.equal(
      await scalar(small.db, `select count(*) from processed_events where consumer = 'books'`),
      '900',
    );
  });

  it('gives every group everything, and a new one what happened before it existed', async () => {
    await using small = await platform();
    await small.consumer('first').start();
    await small.append('a', 1, 2, 3);
    await eventually('applied by the first', async () => (await count(small.db, 'first')) === '3');
    await small.consumer('second').start();
    await eventually('applied by the second', async () => (await count(small.db, 'second')) === '3');
    assert.equal(await count(small.db, 'first'), '3');
  });

  it('passes over the types it does not take, and moves its cursors past them', async () => {
    await using small = await platform();
    await small.consumer('books').start();
    await small.db.transaction((tx) =>
      outbox.append(tx, [
        event(Ignored, { key: 'a', n: 1 }),
        happened('a', 2),
        event(Ignored, { key: 'a', n: 3 }),
      ]),
    );
    await eventually('cursors at the end', async () => {
      const behind = await scalar(
        small.db,
        `
        select count(*) from outbox_position log left join consumer_cursor cursor using (topic, partition)
         where cursor.position is distinct from log.last_position`,
      );
      return behind === '0' && (await count(small.db, 'books')) === '1';
    });
    assert.deepEqual(await applied(small.db, 'books', 'a'), [2]);
  });

  it('does all of a batch or nothing: effect, inbox and follow-up events share one fate', async () => {
    await using small = await platform();
    let fail = true;
    const consumer = small.consumer('books', {
      apply: async (tx, received) => {
        await tx.query(`insert into applied (consumer, key, n) values ('books', 'a', 1)`);
        await outbox.append(tx, [event(Ignored, { key: 'follow-up', n: 1 })]);
        if (fail) throw new Error('after everything was written');
        assert.equal(received.length, 1);
      },
    });
    await consumer.start();
    await small.append('a', 1);
    await eventually('it has failed', () =>
      small.log.lines.some((line) => line.message.includes('failed and waits')),
    );
    assert.equal(await count(small.db, 'books'), '0');
    assert.equal(await scalar(small.db, 'select count(*) from processed_events'), '0');
    assert.equal(await scalar(small.db, `select count(*) from event_outbox where key = 'follow-up'`), '0');
    fail = false;
    await eventually('it has succeeded', async () => (await count(small.db, 'books')) === '1');
    assert.equal(await scalar(small.db, `select count(*) from event_outbox where key = 'follow-up'`), '1');
  });

  it('lets an event that fails wait with its key, in order, while every other key goes on', async () => {
    await using small = await platform();
    let poisoned = true;
    const consumer = small.consumer('books', {
      retry: { baseMs: 10, capMs: 50, attemptsMax: 1_000 },
      apply: async (tx, received) => {
        for (const { event: each } of received) {
          const { key, n } = each.data as { key: string; n: number };
          if (poisoned && key === 'bad' && n === 2) throw new Error('poison');
          await tx.query(`insert into applied (consumer, key, n) values ('books', $1, $2)`, [key, n]);
        }
      },
    });
    await small.append('bad', 1, 2, 3);
    const others = Array.from({ length: 50 }, (_, index) => `good-${index}`);
    await Promise.all(others.map((key) => small.append(key, 1, 2, 3)));
    await consumer.start();
    await eventually('all other keys are done', async () => (await count(small.db, 'books')) === '151');
    await small.append('bad', 4);
    await small.append('good-0', 4);
    await eventually('the others still go on', async () => (await count(small.db, 'books')) === '152');
    assert.deepEqual(await applied(small.db, 'books', 'bad'), [1]);
    poisoned = false;
    await eventually('everything is done', async () => (await count(small.db, 'books')) === '155');
    assert.deepEqual(await applied(small.db, 'books', 'bad'), [1, 2, 3, 4]);
    assert.equal(await scalar(small.db, 'select count(*) from waiting_events'), '0');
  });

  it('does not apply again what its inbox holds, even when its cursors are set back', async () => {
    await using small = await platform();
    const duplicates: number[] = [];
    const consumer = small.consumer('books', {
      metrics: {
        published() {},
        publishLatency() {},
        publishFailed() {},
        leaseLost() {},
        retried() {},
        deadLettered() {},
        consumed: (_group, batch) => void duplicates.push(batch.duplicates),
      },
    });
    await consumer.start();
    await small.append('a', 1, 2, 3);
    await eventually('applied', async () => (await count(small.db, 'books')) === '3');
    await small.db.query('update consumer_cursor set position = 0');
    await small.append('a', 4);
    await eventually('applied again', async () => (await count(small.db, 'books')) === '4');
    assert.deepEqual(await applied(small.db, 'books', 'a'), [1, 2, 3, 4]);
    assert.equal(
      duplicates.reduce((sum, each) => sum + each, 0),
      3,
    );
  });

  it('refuses the commit of a process that slept through its lease, and its successor applies the batch once', async () => {
    await using small = await platform();
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    let first = true;
    const sleeper = small.consumer('books', {
      apply: async (tx, received) => {
        if (first) {
          first = false;
          entered.resolve();
          await release.promise;
        }
        await tx.query(
          `insert into applied (consumer, key, n) select 'books', 'a', n from unnest($1::int[]) n`,
          [received.map(({ event: each }) => (each.data as { n: number }).n)],
        );
      },
    });
    await sleeper.start();
    await small.append('a', 1);
    await entered.promise;
    // The sleeper's transaction has fenced itself: a successor has to wait for it. So end its connection, as the
    // server does with one that is idle in a transaction, and let another process take the partitions.
    await small.db.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and state = 'idle in transaction'`);
    await small.db.query(
      `update consumer_lease set owner = 'successor', epoch = epoch + 1, expires_at = 'infinity'`,
    );
    release.resolve();
    await eventually('it has noticed', () => sleeper.partitions.length === 0);
    assert.equal(await count(small.db, 'books'), '0');
    await small.db.query(`update consumer_lease set owner = null, expires_at = '-infinity'`);
    await eventually('applied once', async () => (await count(small.db, 'books')) === '1');
  });

  it('shares its partitions among processes that come and go, and loses or doubles nothing', async () => {
    await using small = await platform();
    const first = small.consumer('books');
    await first.start();
    const keys = Array.from({ length: 30 }, (_, index) => `key-${index}`);
    const second = small.consumer('books');
    for (let n = 0; n < 12; n += 1) {
      if (n === 3) await second.start();
      if (n === 6) await first.stop();
      await Promise.all(keys.map((key) => small.append(key, n)));
    }
    await eventually('all applied', async () => (await count(small.db, 'books')) === '360');
    for (const key of keys)
      assert.deepEqual(await applied(small.db, 'books', key), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it('may not settle a partition that is owned by another process now, nor from where its cursor no longer is', async () => {
    await using small = await platform();
    const { subscription, slices } = await readOne(small);
    const settle = () => small.db.transaction((tx) => subscription.settle(tx, slices));
    await settle();
    await assert.rejects(settle, StaleSliceError);
    await small.db.query('update consumer_cursor set position = 0');
    await small.db.query(`update consumer_lease set epoch = epoch + 1, owner = 'another'`);
    await assert.rejects(settle, FencedError);
    assert.equal(await scalar(small.db, 'select max(position) from consumer_cursor'), '0');
    assert.equal(subscription.partitions.length, 15, 'it is still thought to be ours');
    await subscription.stop();
  });

  it('makes a successor wait until the transaction that settles has ended', async () => {
    await using small = await platform();
    const { subscription, slices } = await readOne(small);
    let takeover: Promise<unknown> | undefined;
    let over = false;
    await small.db.transaction(async (tx) => {
      await subscription.settle(tx, slices);
      takeover = small
        .connect()
        .query(`update consumer_lease set epoch = epoch + 1`)
        .then(() => (over = true));
      await eventually('the takeover waits', async () => {
        const text = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return (await scalar(small.db, text)) !== '0';
      });
      assert.equal(over, false);
    });
    await takeover;
    await subscription.stop();
  });

  it('refuses data that do not fit their contract, at receipt too', async () => {
    await using small = await platform();
    await small.consumer('books').start();
    await small.db.query(`
      insert into event_outbox (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers)
      values (uuid_at(now()), 'test', 0, 'k', 'thing', 'k', 'surefire.test.happened.v1', '{"key": "k", "n": "1"}', '{"source": "/x"}')`);
    await eventually('given up as poison', async () => {
      return (await scalar(small.db, `select count(*) from dead_letters where class = 'poison'`)) === '1';
    });
    assert.equal(await count(small.db, 'books'), '0');
  });

  it('may be stopped twice, and before it was started', async () => {
    await using small = await platform();
    const consumer = small.consumer('books');
    await consumer.stop();
    await consumer.stop();
  });
});
