/** The envelopes that consumers receive are CloudEvents, in the judgement of the official SDK. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type CloudEvent, EventAttributes, event } from '@surefire/events';
import { SET_BASED } from '@surefire/postgres';
import { HTTP, CloudEvent as OfficialCloudEvent } from 'cloudevents';
import { Check } from 'typebox/schema';
import { createOutbox, createPostgresBus, createRelay, createWake } from '../src/index.ts';
import { eventually, Happened, messagingDatabase, testCatalogue, testLog } from './support.ts';

const FULL = {
  correlationId: 'request-1',
  causationId: '0198c0de-0000-7000-8000-000000000000',
  idempotencyKey: 'a key, with spaces and "quotes"',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
};

describe('an event that went through outbox, relay and bus', () => {
  let received: CloudEvent[] = [];
  let database: Awaited<ReturnType<typeof messagingDatabase>>;

  before(async () => {
    database = await messagingDatabase();
    const settings = { log: testLog(), wake: createWake() };
    const outbox = createOutbox({ catalogue: testCatalogue, source: '/surefire/test', partitions: 16 });
    const relay = createRelay({ db: database.connect(SET_BASED), pauseMaxMs: 20, ...settings });
    const bus = createPostgresBus({
      db: database.connect(SET_BASED),
      catalogue: testCatalogue,
      log: settings.log,
    });
    const subscription = bus.subscribe({ group: 'official', contracts: [Happened] });
    await relay.start();
    await subscription.start();
    try {
      await database.db.transaction((tx) =>
        outbox.append(tx, [
          event(Happened, { key: 'plain', n: 1 }),
          event(Happened, { key: 'full', n: 2 }, FULL),
          event(Happened, { key: 'Zoë 💶', n: Number.MAX_SAFE_INTEGER }, { correlationId: 'Ω' }),
        ]),
      );
      await eventually('all events arrive', async () => {
        const slices = await subscription.fetch({ eventsMax: 100 });
        received = slices.flatMap((slice) => slice.events.map((each) => each.event));
        return received.length === 3;
      });
    } finally {
      await subscription.stop();
      await relay.stop();
    }
  });
  after(() => database[Symbol.asyncDispose]());

  it('is valid by the official SDK, which checks strictly', () => {
    for (const envelope of received) {
      const official = new OfficialCloudEvent(envelope, true);
      assert.ok(official.validate());
      assert.deepEqual(asJson(official), envelope);
    }
    const { source: _gone, ...broken } = received[0] as CloudEvent;
    assert.throws(() => new OfficialCloudEvent({ ...broken, source: '' }, true), 'the SDK refuses nothing');
    assert.throws(() => new OfficialCloudEvent({ ...broken, source: '/', 'not-a-name': 'x' }, true));
  });

  it('survives the structured mode of HTTP, there and back', () => {
    for (const envelope of received) {
      const { headers, body } = HTTP.structured(new OfficialCloudEvent(envelope, true));
      assert.match(String(headers['content-type']), /^application\/cloudevents\+json/);
      assert.deepEqual(JSON.parse(String(body)), envelope);
      const back = HTTP.toEvent<unknown>({ headers, body }) as OfficialCloudEvent<unknown>;
      assert.deepEqual(asJson(back), envelope);
    }
  });

  it('has the attributes that the reference lists, and carries all of its context', () => {
    for (const { data: _data, ...attributes } of received) {
      assert.ok(Check(EventAttributes, attributes));
      const unlisted = Object.keys(attributes).filter((name) => !(name in EventAttributes.properties));
      assert.deepEqual(unlisted, []);
    }
    const full = received.find(({ subject }) => subject === 'full');
    assert.deepEqual(
      [full?.correlationid, full?.causationid, full?.idempotencykey, full?.traceparent],
      Object.values(FULL),
    );
  });
});

/** As it travels: without the members that the SDK has but leaves undefined. */
function asJson(official: OfficialCloudEvent<unknown>): unknown {
  return JSON.parse(JSON.stringify(official));
}
