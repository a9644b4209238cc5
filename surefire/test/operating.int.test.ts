/** Dead letters, outbox and consumers from the command line, on tables as a stopped platform leaves them. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  DEAD_LETTER_CLASSES,
  DEAD_LETTER_STATUSES,
  messagingMigrations,
  OUTBOX_STATUSES,
} from '@surefire/messaging';
import { connect, type Database, migrate } from '@surefire/postgres';
import { type TestDatabase, testDatabase } from '@surefire/postgres/testing';
import { createMetrics } from '@surefire/service';
import { watchOutbox } from '../src/gauges.ts';
import { CLASSES, EVENT_STATUSES, LETTER_STATUSES } from '../src/operating/commands.ts';
import { surefire } from './run-program.ts';

const MISSING = '0198c0de-0000-7000-8000-000000000000';
const letterId = (n: number) => `0198c0de-0004-7000-8000-${String(n).padStart(12, '0')}`;
const eventId = (n: number) => `0198c0de-0003-7000-8000-${String(n).padStart(12, '0')}`;

let database: TestDatabase;
let db: Database;
const run = (args: string | readonly string[]) => surefire(args, { SUREFIRE_DATABASE_URL: database.url });
const json = async (args: string) => JSON.parse((await run(`${args} --json`)).stdout);
const statuses = async () => {
  const { rows } = await db.query<{ status: string }>('select status from dead_letters order by id');
  return rows.map(({ status }) => status);
};

/** Events 1 to 3 were given up by the group books: poison, exhausted and rejected. */
async function giveUpThree(): Promise<void> {
  await db.query('truncate dead_letters, event_outbox, consumer_cursor, waiting_events');
  await db.query(
    `insert into event_outbox (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers, status, position)
     select event, 'test', 0, 'key-' || n, 'thing', 'thing-' || n, 'test.happened.v1', '{"n": 1}', '{}', 'PUBLISHED', n
       from unnest($1::uuid[]) with ordinality given (event, n)`,
    [[1, 2, 3].map(eventId)],
  );
  await db.query(
    `insert into dead_letters (id, consumer, topic, partition, position, key, event_id, event_type, class, reason, error,
                               attempts, headers, payload, first_failed_at)
     select letter, 'books', 'test', 0, n, 'key-' || n, event, 'test.happened.v1',
            (array['poison', 'exhausted', 'rejected'])[n], E'no\\nway', '{"name": "Error", "message": "no way"}', 1, '{}', '{"n": 1}', now()
       from unnest($1::uuid[], $2::uuid[]) with ordinality given (letter, event, n)`,
    [[1, 2, 3].map(letterId), [1, 2, 3].map(eventId)],
  );
  await db.query(
    `insert into consumer_cursor (consumer, topic, partition, position) values ('books', 'test', 0, 2)`,
  );
}

before(async () => {
  database = await testDatabase();
  await migrate({ url: database.url, modules: [messagingMigrations] });
  db = connect({ url: database.url, max: 2 });
});
after(async () => {
  await db.close();
  await database.drop();
});

describe('where there is nothing', () => {
  const table: [string, RegExp][] = [
    ['dead-letters list', /^Nothing to decide: there are no open dead letters\.\n$/],
    ['dead-letters list --status discarded', /^There are none\.\n$/],
    ['dead-letters redrive --all', /^Nothing to redrive: /],
    ['outbox list', /^Every event is published\.\nNo event is as asked\.\n$/],
    ['consumers', /^No consumer group has run yet: npm start/],
  ];
  for (const [args, message] of table) {
    it(`${args} says so`, async () => {
      const { code, stdout, stderr } = await run(args);
      assert.deepEqual([code, stdout], [0, '']);
      assert.match(stderr, message);
    });
  }

  it('documents have the same members', async () => {
    assert.deepEqual(await json('dead-letters list'), { dead_letters: [] });
    assert.deepEqual(await json('consumers'), { consumers: [] });
    assert.deepEqual((await json('outbox list')).events, []);
  });
});

describe('commands that cannot be carried out', () => {
  beforeEach(giveUpThree);
  const table: [string, string, number, RegExp][] = [
    ['no command', 'dead-letters', 2, /Usage: surefire dead-letters/],
    ['neither id nor --all', 'dead-letters redrive', 2, /Give one id, or --all/],
    ['a filter without --all', 'dead-letters redrive --group books', 2, /Give one id, or --all/],
    ['an id and --all', `dead-letters redrive ${letterId(1)} --all`, 2, /Give one id, or --all/],
    ['an id and a filter', `dead-letters redrive ${letterId(1)} --key a`, 2, /belong to --all/],
    ['an id and --dry-run', `dead-letters redrive ${letterId(1)} --dry-run`, 2, /belong to --all/],
    ['none per second', 'dead-letters redrive --all --max-per-second 0', 2, /whole number from 1 to 10000/],
    ['no reason', `dead-letters discard ${letterId(1)}`, 2, /required option '--reason <text>'/],
    ['an unknown class', 'dead-letters list --class sad', 2, /Allowed choices are poison, exhausted, rejected/],
    ['an id that is none', 'dead-letters show 1', 2, /It must be an id/],
    ['an unknown dead letter', `dead-letters show ${MISSING}`, 3, /^surefire: There is no dead letter 0198c0de/],
    ['redriving an unknown one', `dead-letters redrive ${MISSING}`, 3, /There is no dead letter/],
    ['discarding an unknown one', `dead-letters discard ${MISSING} --reason x`, 3, /There is no dead letter/],
    ['an unknown event', `outbox show ${MISSING}`, 3, /^surefire: There is no event 0198c0de/],
  ]; // biome-ignore format: one line per case
  for (const [name, args, code, message] of table) {
    it(`end with ${code}: ${name}`, async () => {
      const ended = await run(args);
      assert.match(ended.stderr, message);
      assert.deepEqual([ended.code, ended.stdout], [code, '']);
      assert.deepEqual(await statuses(), ['open', 'open', 'open']);
    });
  }
});

describe('dead letters', () => {
  beforeEach(giveUpThree);

  it('are listed in lines, newest first, and read whole', async () => {
    const { stdout } = await run('dead-letters list');
    const [heading = '', newest = '', ...rest] = stdout.trimEnd().split('\n');
    assert.match(heading, /^ID +GROUP +CLASS +STATUS +ATTEMPTS +LAST FAILED +TYPE +KEY +REASON$/);
    assert.match(newest, new RegExp(`^${letterId(3)} +books +rejected +open +1 .* key-3 +no way$`));
    assert.equal(rest.length, 2);
    assert.equal((await json('dead-letters list --class poison --limit 1')).dead_letters[0].id, letterId(1));
    assert.match((await run('dead-letters list --limit 1')).stderr, /There are more/);
    const shown = JSON.parse((await run(`dead-letters show ${letterId(2).toUpperCase()}`)).stdout);
    assert.deepEqual([shown.payload, shown.class, shown.acts], [{ n: 1 }, 'exhausted', []]);
  });

  it('are redriven one at a time, once, and the act names who did it', async () => {
    assert.equal((await run(`dead-letters redrive ${letterId(1)}`)).code, 0);
    const again = await run(`dead-letters redrive ${letterId(1)}`);
    assert.deepEqual([again.code, again.stdout], [1, '']);
    assert.match(again.stderr, /is not open: it is redriving/);
    const [act] = JSON.parse((await run(`dead-letters show ${letterId(1)}`)).stdout).acts;
    assert.match(act.by, /^\S+@\S+ \(surefire\)$/);
    assert.deepEqual(await statuses(), ['redriving', 'open', 'open']);
  });

  it('are redriven together, those that the business refused only by name', async () => {
    const dry = await run('dead-letters redrive --all --dry-run');
    assert.deepEqual(dry.stdout.trim().split('\n'), [letterId(1), letterId(2)]);
    assert.match(dry.stderr, /^2 would be redriven\. Nothing was changed\.\n$/);
    assert.deepEqual(await statuses(), ['open', 'open', 'open']);
    assert.deepEqual(await json('dead-letters redrive --all --max-per-second 1000'), {
      dry_run: false,
      marked: 2,
      remaining: 0,
    });
    assert.deepEqual(await statuses(), ['redriving', 'redriving', 'open']);
    assert.match(
      (await run('dead-letters redrive --all --class rejected')).stderr,
      /^1 are being redriven; 0 /,
    );
  });

  it('are discarded for a reason', async () => {
    const ended = await run([
      'dead-letters',
      'discard',
      letterId(2),
      '--reason',
      'sent by mistake',
      '--json',
    ]);
    const { status, acts } = JSON.parse(ended.stdout);
    assert.deepEqual([status, acts[0].act, acts[0].reason], ['discarding', 'discard', 'sent by mistake']);
  });

  it('are counted by group and class for Prometheus', async () => {
    const metrics = createMetrics({ process: false });
    watchOutbox({ db, metrics, countMax: 10 });
    const text = await metrics.render();
    assert.match(text, /^dead_letters_open\{group="books",class="poison"\} 1$/m);
    assert.match(text, /^dead_letters_open\{group="books",class="rejected"\} 1$/m);
  });
});

describe('the outbox and the groups', () => {
  beforeEach(giveUpThree);

  it('are shown: events, one event with its evidence, consumers', async () => {
    const { stdout } = await run('outbox list --aggregate thing-2');
    assert.match(
      stdout,
      new RegExp(`^ID +STATUS[^\\n]*\\n${eventId(2)} +PUBLISHED +test\\.happened\\.v1 +thing-2 +test/0 +2 `),
    );
    const event = JSON.parse((await run(`outbox show ${eventId(3)}`)).stdout);
    assert.deepEqual(event.groups[0].dead_letter, { id: letterId(3), class: 'rejected', status: 'open' });
    await db.query(`update event_outbox set status = 'PENDING', position = null where id = $1`, [eventId(1)]);
    const pending = await run('outbox list --status PENDING');
    assert.match(pending.stderr, /Partition 0: 1 before publication, .* nobody holds it: start a relay\./);
    const consumers = await run('consumers');
    assert.match(consumers.stdout, /\nbooks +0 +0 +0 +3 +0 of 1 +nobody\n$/);
  });
});

describe('the words of the options', () => {
  it('are those of the tables', () => {
    assert.deepEqual(
      [CLASSES, LETTER_STATUSES, EVENT_STATUSES],
      [DEAD_LETTER_CLASSES, DEAD_LETTER_STATUSES, OUTBOX_STATUSES],
    );
  });
});
