import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Database } from '@surefire/postgres';
import {
  type ConsumerOptions,
  type DeadLetter,
  discard,
  findDeadLetter,
  listDeadLetters,
  ParkError,
  redrive,
} from '../src/index.ts';
import { anythingWaits, takeDue } from '../src/waiting.ts';
import { applied, count, platform } from './small-platform.ts';
import { eventually, scalar } from './support.ts';

type Small = Awaited<ReturnType<typeof platform>>;

/** A group whose handler refuses what the test names `key:n`, and counts how often it was asked. */
function picky(small: Small, options: { retry?: ConsumerOptions['retry']; park?: boolean } = {}) {
  const refused = new Set<string>();
  const asked = new Map<string, number>();
  const consumer = small.consumer('books', {
    retry: { baseMs: 1, capMs: 5, ...options.retry },
    apply: async (tx, received) => {
      for (const { event } of received) {
        const { key, n } = event.data as { key: string; n: number };
        const name = `${key}:${n}`;
        asked.set(name, (asked.get(name) ?? 0) + 1);
        if (refused.has(name))
          throw options.park === true ? new ParkError(`no ${name}`) : new Error(`no ${name}`);
        await tx.query(`insert into applied (consumer, key, n) values ('books', $1, $2)`, [key, n]);
      }
    },
  });
  return { consumer, refused, asked };
}

const open = (db: Database) => listDeadLetters(db, { filter: { status: 'open' }, limit: 100 });

async function oneDeadLetter(db: Database): Promise<DeadLetter> {
  await eventually('a dead letter', async () => (await open(db)).length > 0);
  const letters = await open(db);
  assert.equal(letters.length, 1);
  return letters[0] as DeadLetter;
}

/** Promise I15: every event of the type stands in exactly one place. */
async function accounted(db: Database): Promise<void> {
  const { rows } = await db.query(`
    select (select count(*) from event_outbox where event_type = 'surefire.test.happened.v1' and topic = 'test') as events,
           (select count(*) from processed_events where consumer = 'books') as inbox,
           (select count(*) from waiting_events where consumer = 'books' and state <> 'dead') as waiting,
           (select count(*) from dead_letters where consumer = 'books' and status in ('open', 'redriving', 'discarding')) as dead`);
  const { events, inbox, waiting, dead } = rows[0] as Record<string, bigint>;
  assert.equal(
    events,
    (inbox as bigint) + (waiting as bigint) + (dead as bigint),
    JSON.stringify(rows[0], (_, v) => String(v)),
  );
}

describe('an event that fails again and again', () => {
  it('is tried five times, then stands as a dead letter with all that is known, and as a message of its own', async () => {
    await using small = await platform();
    const { consumer, refused, asked } = picky(small);
    refused.add('bad:1');
    await consumer.start();
    await small.append('bad', 1);
    const letter = await oneDeadLetter(small.db);
    const { key, topic, position, class: kind, reason, attempts, payload, event_type, acts } = letter;
    assert.deepEqual(
      { key, topic, position, kind, reason, attempts, payload, event_type, acts },
      {
        key: 'bad',
        topic: 'test',
        position: 1n,
        kind: 'exhausted',
        reason: 'no bad:1',
        attempts: 5,
        payload: { key: 'bad', n: 1 },
        event_type: 'surefire.test.happened.v1',
        acts: [],
      },
    );
    assert.equal(letter.error.name, 'Error');
    assert.equal(asked.get('bad:1'), 5);
    const { rows } = await small.db.query<{ payload: unknown; headers: Record<string, unknown> }>(
      `select payload, headers from event_outbox where topic = 'test.dlq'`,
    );
    assert.equal(rows.length, 1);
    assert.deepEqual(rows[0]?.payload, { key: 'bad', n: 1 });
    assert.deepEqual(
      [
        rows[0]?.headers['source'],
        rows[0]?.headers['dlqevent'],
        rows[0]?.headers['dlqclass'],
        rows[0]?.headers['dlqgroup'],
      ],
      ['/surefire/test', letter.event_id, 'exhausted', 'books'],
    );
    await accounted(small.db);
  });

  it('holds the later events of its key until it is redriven, and then all are applied in order', async () => {
    await using small = await platform();
    const { consumer, refused } = picky(small);
    refused.add('bad:2');
    await consumer.start();
    await small.append('bad', 1, 2, 3);
    const letter = await oneDeadLetter(small.db);
    await small.append('bad', 4);
    await small.append('good', 1);
    await eventually(
      'the other key went on',
      async () => (await applied(small.db, 'books', 'good')).length === 1,
    );
    await accounted(small.db);
    refused.clear();
    assert.equal(await redrive(small.db, { id: letter.id, by: 'tester' }), true);
    await eventually('all applied', async () => (await count(small.db, 'books')) === '5');
    assert.deepEqual(await applied(small.db, 'books', 'bad'), [1, 2, 3, 4]);
    const after = (await findDeadLetter(small.db, letter.id)) as DeadLetter;
    assert.equal(after.status, 'redriven');
    assert.deepEqual(
      after.acts.map(({ act, by }) => [act, by]),
      [['redrive', 'tester']],
    );
    assert.equal(await scalar(small.db, 'select count(*) from waiting_events'), '0');
    await accounted(small.db);
  });

  it('is the same dead letter when it fails again after a redrive', async () => {
    await using small = await platform();
    const { consumer, refused } = picky(small);
    refused.add('bad:1');
    await consumer.start();
    await small.append('bad', 1);
    const letter = await oneDeadLetter(small.db);
    await redrive(small.db, { id: letter.id, by: 'tester' });
    await eventually('given up again', async () => {
      const again = (await findDeadLetter(small.db, letter.id)) as DeadLetter;
      return again.status === 'open' && again.attempts === 10;
    });
    await accounted(small.db);
  });

  it('is passed over for good when it is discarded: its key goes on, and the inbox says it was skipped', async () => {
    await using small = await platform();
    const { consumer, refused } = picky(small);
    refused.add('bad:1');
    await consumer.start();
    await small.append('bad', 1, 2, 3);
    const letter = await oneDeadLetter(small.db);
    assert.equal(await discard(small.db, { id: letter.id, by: 'tester', reason: 'a test event' }), true);
    await eventually('the key went on', async () => (await count(small.db, 'books')) === '2');
    assert.deepEqual(await applied(small.db, 'books', 'bad'), [2, 3]);
    assert.equal(((await findDeadLetter(small.db, letter.id)) as DeadLetter).status, 'discarded');
    assert.equal(
      await scalar(small.db, 'select outcome from processed_events where event_id = $1', [letter.event_id]),
      'skipped',
    );
    await accounted(small.db);
  });

  it('is applied once however often and however many people redrive it at the same time', async () => {
    await using small = await platform();
    const { consumer, refused } = picky(small);
    refused.add('bad:1');
    await consumer.start();
    await small.append('bad', 1);
    const letter = await oneDeadLetter(small.db);
    refused.clear();
    const decisions = await Promise.all(
      Array.from({ length: 20 }, () => redrive(small.db, { id: letter.id, by: 'tester' })),
    );
    assert.equal(decisions.filter(Boolean).length, 1);
    await eventually('applied', async () => (await count(small.db, 'books')) === '1');
    assert.equal(await redrive(small.db, { id: letter.id, by: 'tester' }), false);
    assert.equal(await discard(small.db, { id: letter.id, by: 'tester', reason: 'too late' }), false);
    assert.equal(await count(small.db, 'books'), '1');
  });

  it('lets its key go on at once where order is given up on purpose', async () => {
    await using small = await platform();
    const { consumer, refused } = picky(small, { retry: { onDeadLetter: 'continue' } });
    refused.add('bad:1');
    await consumer.start();
    await small.append('bad', 1, 2);
    const letter = await oneDeadLetter(small.db);
    await eventually('the key went on', async () => (await count(small.db, 'books')) === '1');
    refused.clear();
    await redrive(small.db, { id: letter.id, by: 'tester' });
    await eventually('applied late', async () => (await count(small.db, 'books')) === '2');
    assert.deepEqual(await applied(small.db, 'books', 'bad'), [2, 1]);
    await accounted(small.db);
  });

  it('is given up at once, as poison, when its handler says that trying again is pointless', async () => {
    await using small = await platform();
    const { consumer, refused, asked } = picky(small, { park: true });
    refused.add('bad:1');
    await consumer.start();
    await small.append('bad', 1);
    const letter = await oneDeadLetter(small.db);
    assert.deepEqual([letter.class, letter.attempts, asked.get('bad:1')], ['poison', 1, 1]);
  });

  it('uses up an attempt when it is taken, whatever becomes of the taker', async () => {
    await using small = await platform();
    const { consumer, refused } = picky(small, { retry: { baseMs: 600_000, capMs: 600_000 } });
    refused.add('bad:1');
    await consumer.start();
    await small.append('bad', 1);
    await eventually('it waits', () => anythingWaits(small.db, 'books', [...consumer.partitions]));
    const partitions = [...consumer.partitions];
    await consumer.stop();
    await small.db.query('update waiting_events set retry_at = now()');
    const [taken] = await takeDue(small.db, { group: 'books', partitions, most: 10 });
    assert.equal(taken?.attempts, 2);
    assert.deepEqual(await takeDue(small.db, { group: 'books', partitions, most: 10 }), []);
  });
});

describe('what waits', () => {
  it('is found and held in order by whoever takes the partition over', async () => {
    await using small = await platform();
    const first = picky(small, { retry: { baseMs: 600_000, capMs: 600_000 } });
    first.refused.add('bad:1');
    await first.consumer.start();
    await small.append('bad', 1);
    await eventually(
      'it waits',
      async () => (await scalar(small.db, 'select count(*) from waiting_events')) === '1',
    );
    await first.consumer.stop();
    await small.append('bad', 2, 3);
    const second = picky(small);
    await second.consumer.start();
    await eventually('its successors wait too', async () => {
      return (await scalar(small.db, `select count(*) from waiting_events where state = 'behind'`)) === '2';
    });
    await small.db.query(`update waiting_events set retry_at = now() where state = 'retry'`);
    await eventually('all applied', async () => (await count(small.db, 'books')) === '3');
    assert.deepEqual(await applied(small.db, 'books', 'bad'), [1, 2, 3]);
  });

  it('keeps the books and the order of every key while some events fail many times', async () => {
    await using small = await platform();
    const asked = new Map<string, number>();
    const consumer = small.consumer('books', {
      retry: { baseMs: 1, capMs: 10, attemptsMax: 1_000 },
      batchMax: 40,
      apply: async (tx, received) => {
        for (const { event } of received) {
          const { key, n } = event.data as { key: string; n: number };
          const times = (asked.get(event.id) ?? 0) + 1;
          asked.set(event.id, times);
          if ((Number(key.slice(4)) + n) % 13 === 0 && times < 15) throw new Error(`not yet: ${key} ${n}`);
          await tx.query(`insert into applied (consumer, key, n) values ('books', $1, $2)`, [key, n]);
        }
      },
    });
    await consumer.start();
    const keys = Array.from({ length: 25 }, (_, index) => `key-${index}`);
    for (let n = 0; n < 20; n += 1) {
      await Promise.all(keys.map((key) => small.append(key, n)));
      if (n % 5 === 0) await accounted(small.db).catch(() => undefined);
    }
    await eventually('something has waited', () =>
      small.log.lines.some((line) => line.message.includes('waits')),
    );
    await eventually('all applied', async () => (await count(small.db, 'books')) === '500');
    for (const key of keys) {
      assert.deepEqual(
        await applied(small.db, 'books', key),
        Array.from({ length: 20 }, (_, n) => n),
      );
    }
    await accounted(small.db);
    assert.equal(await scalar(small.db, 'select count(*) from waiting_events'), '0');
  });
});
