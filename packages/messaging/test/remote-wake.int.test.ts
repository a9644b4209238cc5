import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect, type Database, SET_BASED } from '@surefire/postgres';
import {
  createOutbox,
  createRelay,
  createRemoteWake,
  type RemoteWakeOptions,
  type Wake,
  type WakeMetrics,
} from '../src/index.ts';
import { eventually, happened, messagingDatabase, scalar, testCatalogue, testLog } from './support.ts';

type Place = Awaited<ReturnType<typeof messagingDatabase>>;

const NOBODY = { relays: 0, groups: 0 };
const never = new AbortController().signal;

/** One process's side, with a count of what went through it. */
function side(at: Place, options: Partial<RemoteWakeOptions> = {}) {
  const counts: Record<string, number> = {};
  const metrics: WakeMetrics = {
    woke(channel, outcome) {
      const key = `${channel} ${outcome}`;
      counts[key] = (counts[key] ?? 0) + 1;
    },
  };
  const log = testLog();
  const remote = createRemoteWake({
    db: at.connect(),
    url: at.url,
    local: NOBODY,
    log,
    metrics,
    membersEveryMs: 0,
    ...options,
  });
  return {
    ...remote,
    counts,
    log,
    [Symbol.asyncDispose]: () => remote.stop(),
  };
}

/** Listens, and has heard the hint that comes with connecting: the next is somebody's. */
async function listening(at: Place, local: RemoteWakeOptions['local']) {
  const one = side(at, { local });
  const first = [...(local.relays > 0 ? [one.outbox] : []), ...(local.groups > 0 ? [one.bus] : [])].map(
    (wake) => wake.listen().wait(60_000, never),
  );
  one.start();
  assert.deepEqual(new Set(await Promise.all(first)), new Set(['hint']));
  return one;
}

const join = (db: Database, scope: string, expires = 'infinity') =>
  db.query('insert into lease_member values ($1, gen_random_uuid()::text, $2::timestamptz)', [
    scope,
    expires,
  ]);

/** Never looks by itself: only a hint makes its listeners go on. */
const timeless = (wake: Wake): Wake => ({
  notify: () => wake.notify(),
  listen() {
    const hints = wake.listen();
    return { wait: (_limitMs, signal) => hints.wait(2 ** 31 - 1, signal) };
  },
});

const outboxOf = (wake: Wake) =>
  createOutbox({ catalogue: testCatalogue, source: '/surefire/test', partitions: 16, wake });

describe('a hint to another process', { timeout: 30_000 }, () => {
  it('wakes a relay that would never look by itself, after the commit', async () => {
    await using at = await messagingDatabase();
    await using theirs = await listening(at, { relays: 1, groups: 0 });
    const { outbox: wake } = theirs;
    const relay = createRelay({ db: at.connect(SET_BASED), log: testLog(), wake: timeless(wake) });
    await relay.start();
    await using ours = side(at);
    for (const n of [1, 2, 3]) {
      await at.db.transaction((tx) => outboxOf(ours.outbox).append(tx, [happened('a', n)]));
      await eventually('published', async () => {
        return (await scalar(at.db, `select count(*) from event_outbox where status = 'PENDING'`)) === '0';
      });
    }
    await relay.stop();
    assert.equal(theirs.counts['outbox sent'], undefined, 'what is heard is not sent on');
    assert.equal(ours.counts['outbox failed'], undefined);
  });

  it('reaches whoever listens to the channel, and nobody else', async () => {
    await using at = await messagingDatabase();
    await join(at.db, 'relay');
    await join(at.db, 'banking');
    await using relays = await listening(at, { relays: 1, groups: 0 });
    await using groups = await listening(at, { relays: 0, groups: 1 });
    await using ours = side(at);
    ours.bus.notify();
    await eventually('the group hears it', () => groups.counts['bus heard'] === 1);
    ours.outbox.notify();
    await eventually('the relay hears it', () => relays.counts['outbox heard'] === 1);
    assert.deepEqual(groups.counts, { 'bus heard': 1 });
    assert.deepEqual(relays.counts, { 'outbox heard': 1 });
  });

  it('is not heard by the process that sent it', async () => {
    await using at = await messagingDatabase();
    await join(at.db, 'relay');
    await using ours = await listening(at, { relays: 1, groups: 1 });
    await using theirs = await listening(at, { relays: 1, groups: 1 });
    await join(at.db, 'relay');
    ours.outbox.notify();
    await eventually('the other hears it', () => theirs.counts['outbox heard'] === 1);
    // Notifications come in the order of their commits: with the answer, our own would have been here before.
    theirs.outbox.notify();
    await eventually('the answer', () => ours.counts['outbox heard'] === 1);
    assert.deepEqual(ours.counts, { 'outbox sent': 1, 'outbox heard': 1 });
  });

  it('is sent only if another process runs a relay or a group, as far as the leases tell', async () => {
    await using at = await messagingDatabase();
    const sent = async (local: RemoteWakeOptions['local']): Promise<string[]> => {
      const found: string[] = [];
      for (const channel of ['outbox', 'bus'] as const) {
        const ours = side(at, { local });
        ours[channel].notify();
        await ours.stop(); // lets the statement under way finish
        found.push(...Object.keys(ours.counts));
      }
      return found;
    };
    const everything = { relays: 1, groups: 1 };
    assert.deepEqual(await sent(NOBODY), []);
    await join(at.db, 'relay', 'yesterday');
    assert.deepEqual(await sent(NOBODY), []);
    await join(at.db, 'relay');
    assert.deepEqual(await sent(NOBODY), ['outbox sent']);
    await join(at.db, 'banking');
    assert.deepEqual(await sent(NOBODY), ['outbox sent', 'bus sent']);
    assert.deepEqual(await sent(everything), []);
    await join(at.db, 'relay');
    assert.deepEqual(await sent(everything), ['outbox sent']);
  });
});

describe('commits', { timeout: 30_000 }, () => {
  it('succeed, and hint this process, while hints to others cannot be sent', async () => {
    await using at = await messagingDatabase();
    const nowhere = connect({ url: 'postgres://nobody@127.0.0.1:1/none', max: 1 });
    await using ours = side(at, { db: nowhere });
    const hint = ours.outbox.listen().wait(60_000, never);
    await at.db.transaction((tx) => outboxOf(ours.outbox).append(tx, [happened('a', 1)]));
    assert.equal(await hint, 'hint');
    await eventually('the failure is counted', () => ours.counts['outbox failed'] === 1);
    assert.deepEqual(
      ours.log.lines.map(({ level }) => level),
      ['debug'],
    );
    await at.db.transaction((tx) => outboxOf(ours.outbox).append(tx, [happened('a', 2)]));
    assert.equal(await scalar(at.db, 'select count(*) from event_outbox'), '2');
    await nowhere.close();
  });

  it('do not wait for a hint that hangs, and the transaction itself notifies nobody', async () => {
    await using at = await messagingDatabase();
    await using theirs = await listening(at, { relays: 1, groups: 0 });
    await join(at.db, 'relay');
    const sender = connect({ url: at.url, max: 1 });
    await using ours = side(at, { db: sender });
    // The only connection that could send is taken: hints pile up, as one.
    const release = Promise.withResolvers<void>();
    const taken = Promise.withResolvers<void>();
    const holding = sender.transaction(async (tx) => {
      await tx.query('select 1');
      taken.resolve();
      await release.promise;
    });
    await taken.promise;
    for (let n = 0; n < 20; n += 1) {
      await at.db.transaction((tx) => outboxOf(ours.outbox).append(tx, [happened('a', n)]));
    }
    assert.deepEqual(ours.counts, {});
    // Had the commits notified, that would have come before this.
    await at.db.query(`select pg_notify('surefire_outbox', 'test')`);
    await eventually('the notification', () => theirs.counts['outbox heard'] !== undefined);
    assert.equal(theirs.counts['outbox heard'], 1);
    release.resolve();
    await holding;
    await eventually('the rest goes together', () => ours.counts['outbox sent'] === 2);
    await ours.stop();
    assert.deepEqual(ours.counts, { 'outbox sent': 2 });
    await sender.close();
  });

  it('do not wait for a listener that sits in a transaction and reads nothing', async () => {
    await using at = await messagingDatabase();
    await join(at.db, 'relay');
    await using ours = side(at, { everyMs: 0 });
    const stuck = Promise.withResolvers<void>();
    const inside = Promise.withResolvers<void>();
    const listener = at.connect();
    await listener.query('listen surefire_outbox');
    const sitting = listener.transaction(async (tx) => {
      await tx.query('select pg_current_xact_id()');
      inside.resolve();
      await stuck.promise;
    });
    await inside.promise;
    for (let n = 0; n < 200; n += 1) {
      await at.db.transaction((tx) => outboxOf(ours.outbox).append(tx, [happened('a', n)]));
    }
    assert.equal(await scalar(at.db, 'select count(*) from event_outbox'), '200');
    assert.ok((ours.counts['outbox sent'] ?? 0) > 1);
    assert.equal(ours.counts['outbox failed'], undefined);
    stuck.resolve();
    await sitting;
  });
});
