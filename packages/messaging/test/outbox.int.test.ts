import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contract, event } from '@surefire/events';
import { createOutbox, createWake, partitionOf } from '../src/index.ts';
import { Happened, happened, messagingDatabase, scalar, testCatalogue } from './support.ts';

const parts = { catalogue: testCatalogue, source: '/surefire/test', partitions: 16 };

describe('the outbox', () => {
  it('keeps an event if and only if its transaction commits', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const outbox = createOutbox(parts);
    await db.query('create table things (key text)');
    const write = (key: string) => async (tx: Parameters<Parameters<typeof db.transaction>[0]>[0]) => {
      await tx.query('insert into things values ($1)', [key]);
      await outbox.append(tx, [happened(key, 1)]);
      if (key === 'undone') throw new Error('no');
    };
    await db.transaction(write('kept'));
    await assert.rejects(db.transaction(write('undone')));
    assert.equal(await scalar(db, 'select string_agg(key, $1) from things', [',']), 'kept');
    assert.equal(await scalar(db, 'select string_agg(aggregate_id, $1) from event_outbox', [',']), 'kept');
  });

  it('writes what the seed asks for and what order and tracing need', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const one = event(
      Happened,
      { key: 'k', n: 1 },
      { correlationId: 'c', causationId: 'p', idempotencyKey: 'i', traceparent: 't' },
    );
    await db.transaction((tx) => createOutbox(parts).append(tx, [one]));
    const { rows } = await db.query('select * from event_outbox');
    const { sequence, created_at, updated_at, ...row } = rows[0] as Record<string, unknown>;
    assert.equal(typeof sequence, 'bigint');
    assert.ok(created_at instanceof Date && updated_at instanceof Date);
    assert.deepEqual(row, {
      id: one.id,
      topic: 'test',
      partition: partitionOf('k', 16),
      key: 'k',
      aggregate_type: 'thing',
      aggregate_id: 'k',
      event_type: 'surefire.test.happened.v1',
      payload: { key: 'k', n: 1 },
      headers: {
        source: '/surefire/test',
        correlationid: 'c',
        causationid: 'p',
        idempotencykey: 'i',
        traceparent: 't',
      },
      position: null,
      status: 'PENDING',
      attempts: 0,
      last_error: null,
    });
  });

  it('gives events of one call ascending sequence numbers', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const events = Array.from({ length: 500 }, (_, n) => happened('k', n));
    await db.transaction((tx) => createOutbox(parts).append(tx, events));
    const { rows } = await db.query<{ n: number }>(
      `select (payload->>'n')::int as n from event_outbox order by sequence`,
    );
    assert.deepEqual(
      rows.map((row) => row.n),
      events.map(({ data }) => data.n),
    );
  });

  it('hints the relay after the commit, and not when there was none', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const wake = createWake();
    const hints = wake.listen();
    const outbox = createOutbox({ ...parts, wake });
    const hinted = async () => (await hints.wait(1, new AbortController().signal)) === 'hint';
    await db.transaction(async (tx) => {
      await outbox.append(tx, [happened('k', 1)]);
      assert.equal(await hinted(), false);
    });
    assert.equal(await hinted(), true);
    const undone = db.transaction(async (tx) => {
      await outbox.append(tx, [happened('k', 1)]);
      throw new Error('no');
    });
    await assert.rejects(undone);
    assert.equal(await hinted(), false);
  });

  it('refuses an event that no catalogue lists', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const stranger = contract({ ...Happened, name: 'test.stranger' });
    const append = db.transaction((tx) =>
      createOutbox(parts).append(tx, [event(stranger, { key: 'k', n: 1 })]),
    );
    await assert.rejects(append, /does not list test\.stranger/);
  });
});

describe('the outbox’s table', () => {
  it('has a partition for every day of the coming week, and none is missing in between', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    const inWeeks = (weeks: number) => `uuid_at(now() + interval '${weeks} weeks')`;
    const insert = (id: string) =>
      db.query(`insert into event_outbox (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers)
                values (${id}, 't', 0, 'k', 'a', 'a', 'e', '{}', '{}')`);
    await insert(inWeeks(-500));
    for (let day = -2; day <= 7; day += 1) await insert(`uuid_at(now() + interval '${day} days')`);
    await assert.rejects(insert(inWeeks(2)), /no partition/);
    assert.equal(await scalar(db, `select ensure_time_partitions('event_outbox', 21)`), '14');
    await insert(inWeeks(2));
    assert.equal(await scalar(db, `select ensure_time_partitions('event_outbox', 21)`), '0');
  });

  it('bridges the days on which nothing ran with one wide partition', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    await db.query(`
      create table old (id uuid primary key) partition by range (id);
      create table old_until_20200101 partition of old for values from (minvalue) to ('016f5e66-e800-0000-0000-000000000000')`);
    assert.equal(await scalar(db, `select ensure_time_partitions('old', 0)`), '2');
    await db.query(`insert into old values (uuid_at('2021-06-01')), (uuid_at(now()))`);
  });

  it('gives a transaction its id before it draws a number, even for rows inserted by hand', async () => {
    await using database = await messagingDatabase();
    const { db } = database;
    assert.match(
      await scalar(
        db,
        `select pg_get_expr(adbin, adrelid) from pg_attrdef
                         where adrelid = 'event_outbox'::regclass and pg_get_expr(adbin, adrelid) like '%sequence%'`,
      ),
      /pg_current_xact_id/,
    );
  });
});
