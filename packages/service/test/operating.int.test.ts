/** Looking after the platform over HTTP, with a real relay and a real consumer behind it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { readGroups } from '@surefire/messaging';
import { eventually, operatingPlatform } from './operating-platform.ts';

const MISSING = '0198c0de-0000-7000-8000-000000000000';
const slugOf = (body: { type?: string }) => body.type?.replace('urn:surefire:problem:', '');

let platform: Awaited<ReturnType<typeof operatingPlatform>>;
before(async () => {
  platform = await operatingPlatform();
});
after(() => platform[Symbol.asyncDispose]());

const get = (url: string) => platform.call('GET', url);
const post = (url: string, body?: object) => platform.call('POST', url, body);
const open = async (filter = '') => (await get(`/dead-letters?${filter}`)).body.dead_letters;

/** Has these events refused, and answers their dead letters' ids in their order. */
async function deadLetters(...names: string[]): Promise<string[]> {
  for (const name of names) platform.refused.add(name);
  const events = await platform.append(...names);
  const idsOf = async () => {
    const { rows } = await platform.db.query<{ id: string }>(
      `select letter.id from unnest($1::uuid[]) with ordinality wanted (event, place)
         join dead_letters letter on letter.event_id = wanted.event and letter.status = 'open'
        order by wanted.place`,
      [events],
    );
    return rows.map(({ id }) => id);
  };
  await eventually('the dead letters', async () => (await idsOf()).length === names.length);
  return idsOf();
}

describe('the operating routes refuse', () => {
  const all = { filter: {} };
  const table: [string, 'GET' | 'POST', string, object | undefined, string, number, string][] = [
    ['a customer, whatever its key holds', 'GET', '/dead-letters', undefined, 'customer', 403, 'forbidden'],
    ['a customer that redrives', 'POST', '/dead-letters/redrive', all, 'customer', 403, 'forbidden'],
    ['a customer that looks at the outbox', 'GET', '/outbox', undefined, 'customer', 403, 'forbidden'],
    ['a customer that looks at consumers', 'GET', '/consumers', undefined, 'customer', 403, 'forbidden'],
    ['an operator without the scope', 'GET', `/outbox/${MISSING}`, undefined, 'reader', 403, 'forbidden'],
    ['an unknown dead letter', 'GET', `/dead-letters/${MISSING}`, undefined, 'operator', 404, 'not-found'],
    ['an id that is none', 'GET', '/dead-letters/none', undefined, 'operator', 404, 'not-found'],
    ['redriving what is not there', 'POST', `/dead-letters/${MISSING}/redrive`, undefined, 'operator', 404, 'not-found'],
    ['discarding what is not there', 'POST', `/dead-letters/${MISSING}/discard`, { reason: 'x' }, 'operator', 404, 'not-found'],
    ['discarding without a reason', 'POST', `/dead-letters/${MISSING}/discard`, {}, 'operator', 400, 'schema-violation'],
    ['discarding for no reason', 'POST', `/dead-letters/${MISSING}/discard`, { reason: '' }, 'operator', 400, 'schema-violation'],
    ['discarding for a blank reason', 'POST', `/dead-letters/${MISSING}/discard`, { reason: '  ' }, 'operator', 400, 'schema-violation'],
    ['a reason of 501 characters', 'POST', `/dead-letters/${MISSING}/discard`, { reason: 'x'.repeat(501) }, 'operator', 400, 'schema-violation'],
    ['redriving without a filter', 'POST', '/dead-letters/redrive', {}, 'operator', 400, 'schema-violation'],
    ['a filter that is no object', 'POST', '/dead-letters/redrive', { filter: null }, 'operator', 400, 'schema-violation'],
    ['a filter by status', 'POST', '/dead-letters/redrive', { filter: { status: 'open' } }, 'operator', 400, 'unknown-property'],
    ['no one per second', 'POST', '/dead-letters/redrive', { ...all, max_per_second: 0 }, 'operator', 400, 'schema-violation'],
    ['an unknown class', 'GET', '/dead-letters?class=sad', undefined, 'operator', 400, 'schema-violation'],
    ['a page of 201', 'GET', '/dead-letters?limit=201', undefined, 'operator', 400, 'schema-violation'],
    ['a cursor of nobody’s', 'GET', '/dead-letters?cursor=MTI', undefined, 'operator', 400, 'invalid-cursor'],
    ['an unknown status', 'GET', '/outbox?status=LOST', undefined, 'operator', 400, 'schema-violation'],
    ['an unknown event', 'GET', `/outbox/${MISSING}`, undefined, 'operator', 404, 'not-found'],
  ]; // biome-ignore format: one line per case
  for (const [name, method, url, body, key, status, slug] of table) {
    it(name, async () => {
      const answer = await platform.call(method, url, body, key);
      assert.deepEqual([answer.status, slugOf(answer.body)], [status, slug], JSON.stringify(answer.body));
    });
  }
});

describe('a dead letter', () => {
  it('is listed and read with all that is known, redriven once, and its key goes on', async () => {
    const [id] = await deadLetters('one:1');
    await platform.append('one:2');
    const [summary] = await open('key=one');
    assert.deepEqual(
      [summary.id, summary.group, summary.class, summary.reason, summary.status, 'payload' in summary],
      [id, 'books', 'poison', 'no one:1', 'open', false],
    );
    const { body: letter } = await get(`/dead-letters/${String(id).toUpperCase()}`);
    assert.deepEqual(
      [letter.payload, letter.headers.source, letter.error.name],
      [{ key: 'one', n: 1 }, '/test', 'ParkError'],
    );
    assert.deepEqual(letter.acts, []);

    platform.refused.clear();
    const answers = await Promise.all([1, 2, 3].map(() => post(`/dead-letters/${id}/redrive`)));
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [202, 409, 409],
    );
    const conflict = answers.find(({ status }) => status === 409);
    assert.equal(slugOf(conflict?.body), 'conflict');
    await eventually('both are applied', () => platform.applied.includes('one:2'));
    assert.deepEqual(
      platform.applied.filter((name) => name.startsWith('one:')),
      ['one:1', 'one:2'],
    );
    await eventually(
      'it is settled',
      async () => (await get(`/dead-letters/${id}`)).body.status === 'redriven',
    );
    const { body: settled } = await get(`/dead-letters/${id}`);
    assert.deepEqual([settled.status, settled.acts.length, settled.acts[0].by], ['redriven', 1, 'olga']);
    assert.deepEqual(await open('key=one'), []);
    assert.equal((await get('/dead-letters?key=one&status=redriven')).body.dead_letters.length, 1);
  });

  it('is discarded with a reason, by whom, and can then be neither redriven nor discarded', async () => {
    const [id] = await deadLetters('two:1');
    const { status, body } = await post(`/dead-letters/${id}/discard`, { reason: 'x'.repeat(500) });
    assert.equal(status, 202);
    assert.deepEqual(
      [body.acts[0].act, body.acts[0].by, body.acts[0].reason.length],
      ['discard', 'olga', 500],
    );
    await eventually(
      'it is discarded',
      async () => (await get(`/dead-letters/${id}`)).body.status === 'discarded',
    );
    for (const again of [
      post(`/dead-letters/${id}/redrive`),
      post(`/dead-letters/${id}/discard`, { reason: 'x' }),
    ]) {
      const answer = await again;
      assert.deepEqual(
        [answer.status, answer.body.detail],
        [409, 'The dead letter is not open: it is discarded.'],
      );
    }
  });

  it('is found page by page, newest first', async () => {
    const ids = await deadLetters('p1:1', 'p2:1', 'p3:1', 'p4:1', 'p5:1');
    const seen: string[] = [];
    let url = '/dead-letters?limit=2&type=surefire.test.happened.v1&group=books&class=poison';
    for (let pages = 0; url !== ''; pages += 1) {
      assert.ok(pages < 5);
      const { body } = await get(url);
      seen.push(...body.dead_letters.map((letter: { id: string }) => letter.id));
      const rest = url.replace(/&cursor=.*/, '');
      url = body.next_cursor === undefined ? '' : `${rest}&cursor=${body.next_cursor}`;
    }
    assert.deepEqual(seen, seen.toSorted().toReversed());
    assert.deepEqual(new Set(seen), new Set(ids));
    platform.refused.clear();
    assert.equal((await post('/dead-letters/redrive', { filter: {} })).body.marked, 5);
    await eventually(
      'all are redriven',
      async () => (await get('/dead-letters?status=redriving')).body.dead_letters.length === 0,
    );
  });
});

describe('redriving by filter', () => {
  it('says first what it would mark, and leaves out what the business refused unless that is named', async () => {
    const ids = await deadLetters('a:1', 'b:1', 'c:1');
    await platform.db.query(`update dead_letters set class = 'rejected' where id = $1`, [ids[2]]);
    const dry = await post('/dead-letters/redrive', { filter: {}, dry_run: true });
    assert.deepEqual(dry, {
      status: 200,
      body: { dry_run: true, count: 2, ids: ids.slice(0, 2).toSorted() },
    });
    const rejected = { class: 'rejected' };
    assert.deepEqual((await post('/dead-letters/redrive', { filter: rejected, dry_run: true })).body.ids, [
      ids[2],
    ]);
    assert.equal((await open()).length, 3, 'nothing was marked');

    platform.refused.clear();
    const { body } = await post('/dead-letters/redrive', { filter: { key: 'a' } });
    assert.deepEqual(body, { dry_run: false, marked: 1, remaining: 0 });
    assert.deepEqual((await post('/dead-letters/redrive', { filter: {} })).body, {
      dry_run: false,
      marked: 1,
      remaining: 0,
    });
    assert.deepEqual(
      (await open()).map((letter: { id: string }) => letter.id),
      [ids[2]],
    );
    await post('/dead-letters/redrive', { filter: rejected });
    await eventually('all were applied', () =>
      ['a:1', 'b:1', 'c:1'].every((name) => platform.applied.includes(name)),
    );
  });

  it('marks no more per second than it may, within 5 s, and says how many are left', async () => {
    await deadLetters(...Array.from({ length: 12 }, (_, n) => `slow${n}:1`));
    platform.refused.clear();
    const startedAt = performance.now();
    const { body } = await post('/dead-letters/redrive', { filter: { group: 'books' }, max_per_second: 2 });
    const seconds = (performance.now() - startedAt) / 1_000;
    assert.ok(seconds > 4 && seconds < 7, `${seconds} s`);
    assert.equal(body.marked + body.remaining, 12);
    assert.ok(body.marked >= 6 && body.marked <= 12, JSON.stringify(body));
    await post('/dead-letters/redrive', { filter: {} });
    await eventually('none is left', async () => (await open()).length === 0);
  });

  it('marks what fails again only once', async () => {
    await deadLetters('stubborn:1');
    const { body } = await post('/dead-letters/redrive', { filter: {}, max_per_second: 1 });
    assert.deepEqual(body, { dry_run: false, marked: 1, remaining: 0 });
    await eventually('it is back', async () => (await open('key=stubborn')).length === 1);
    const [letter] = await open('key=stubborn');
    await post(`/dead-letters/${letter.id}/discard`, { reason: 'tidying up' });
    platform.refused.clear();
  });
});

describe('the outbox', () => {
  it('shows the backlog by partition, and events by what is asked', async () => {
    const [event] = await platform.append('box:1', 'box:ignored', 'other:1');
    await eventually('it is applied', () => platform.applied.includes('box:1'));
    const { body } = await get('/outbox?aggregate_id=box');
    assert.equal(body.partitions.length, 16);
    assert.ok(
      body.partitions.every(
        ({ owner, pending }: { owner?: string; pending: number }) => owner && pending === 0,
      ),
    );
    assert.equal(body.events.length, 2);
    const { body: typed } = await get(
      '/outbox?aggregate_id=box&type=surefire.test.happened.v1&status=PUBLISHED',
    );
    assert.deepEqual([typed.events.length, typed.events[0].event_id], [1, event]);
    assert.ok(typed.events[0].published_at >= typed.events[0].appended_at);
    assert.deepEqual((await get('/outbox?status=PENDING')).body.events, []);
    const first = await get('/outbox?limit=1');
    const second = await get(`/outbox?limit=1&cursor=${first.body.next_cursor}`);
    assert.ok(first.body.events[0].event_id > second.body.events[0].event_id);
  });

  it('goes on behind ten thousand events that are not wanted', async () => {
    await platform.append('rare:ignored');
    await platform.db.query(
      `insert into event_outbox (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers, status, position)
       select uuid_at(clock_timestamp() + n * interval '1 ms'), 'bulk', 0, 'k', 'thing', 'k', 'bulk.v1', '{}', '{}', 'PUBLISHED', n
         from generate_series(1, 10001) n`,
    );
    const url = '/outbox?type=surefire.test.ignored.v1&limit=1';
    const { body: nothing } = await get(url);
    assert.deepEqual(nothing.events, []);
    const { body: found } = await get(`${url}&cursor=${nothing.next_cursor}`);
    assert.equal(found.events[0].aggregate_id, 'rare');
  });

  it('tells an event’s whole way, for each group', async () => {
    const [applied, ignored] = await platform.append('way:1', 'way:ignored');
    await eventually('it is applied', () => platform.applied.includes('way:1'));
    const { body } = await get(`/outbox/${applied}`);
    const [group] = body.groups;
    assert.deepEqual([body.topic, body.status, body.payload], ['test', 'PUBLISHED', { key: 'way', n: 1 }]);
    assert.ok(body.position > 0 && body.published_at >= body.appended_at);
    assert.deepEqual([group.group, group.state, group.outcome], ['books', 'applied', 'applied']);
    assert.ok(group.applied_at >= body.appended_at && group.cursor >= body.position);
    await eventually(
      'it is passed',
      async () => (await get(`/outbox/${ignored}`)).body.groups[0].state === 'passed',
    );

    const [id] = await deadLetters('stuck:1');
    const [behind] = await platform.append('stuck:2');
    const { event_id: dead } = (await get(`/dead-letters/${id}`)).body;
    const [deadGroup] = (await get(`/outbox/${dead}`)).body.groups;
    assert.deepEqual(deadGroup.dead_letter, { id, class: 'poison', status: 'open' });
    assert.deepEqual([deadGroup.state, deadGroup.last_error, deadGroup.attempts], ['dead', 'no stuck:1', 1]);
    await eventually(
      'the next waits',
      async () => (await get(`/outbox/${behind}`)).body.groups[0].state === 'waiting',
    );

    const { body: state } = await get('/consumers');
    const { partitions, ...totals } = state.consumers[0];
    assert.deepEqual(totals, {
      group: 'books',
      lag: 0,
      waiting_events: 2,
      blocked_keys: 1,
      open_dead_letters: 1,
    });
    assert.equal(partitions.length, 16);
    assert.ok(partitions.every(({ owner }: { owner?: string }) => owner !== undefined));

    await post(`/dead-letters/${id}/discard`, { reason: 'seen' });
    await eventually('the next is applied', () => platform.applied.includes('stuck:2'));
    const [skipped] = (await get(`/outbox/${dead}`)).body.groups;
    assert.deepEqual(
      [skipped.state, skipped.outcome, skipped.dead_letter.status],
      ['applied', 'skipped', 'discarded'],
    );
    assert.deepEqual(
      (await readGroups(platform.db)).map(({ waiting_events: waiting }) => waiting),
      [0],
    );
  });
});
