import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { type Component, type RunOptions, runComponents } from '../src/index.ts';
import { captureLog } from './support.ts';

/** Components that write down what happens to them. */
function scene(behaviour: Record<string, Partial<Component>>) {
  const events: string[] = [];
  const components = Object.entries(behaviour).map(
    ([name, { start, stop }]): Component => ({
      name,
      async start() {
        events.push(`start ${name}`);
        await start?.();
      },
      async stop() {
        events.push(`stop ${name}`);
        await stop?.();
      },
    }),
  );
  const source = new EventEmitter();
  const { log, lines } = captureLog();
  const ready = Promise.withResolvers<void>();
  const run = (options: Partial<RunOptions> = {}) =>
    runComponents({
      components,
      log,
      source,
      onReady: ready.resolve,
      onDraining: () => void events.push('draining'),
      ...options,
    });
  return { events, source, lines, run, ready: ready.promise };
}

const forever = () => new Promise<void>(() => undefined);

test('starts in order, and on a signal drains in reverse order and ends with 0', async () => {
  const { events, source, run, ready } = scene({ database: {}, http: {} });
  const code = run();
  await ready;
  source.emit('SIGTERM', 'SIGTERM');
  assert.equal(await code, 0);
  assert.deepEqual(events, ['start database', 'start http', 'draining', 'stop http', 'stop database']);
});

test('listens to nothing any more once it has ended', async () => {
  const { source, run, ready } = scene({ database: {} });
  const code = run();
  await ready;
  source.emit('SIGINT', 'SIGINT');
  await code;
  assert.deepEqual(source.eventNames(), []);
});

test('a failed start stops what was started, in reverse, and throws what it threw', async () => {
  const failure = new Error('port taken');
  const { events, run } = scene({ database: {}, http: { start: () => Promise.reject(failure) }, never: {} });
  await assert.rejects(run(), failure);
  assert.deepEqual(events, ['start database', 'start http', 'stop http', 'stop database']);
});

test('a stop that hangs is named, and the code is 1', async () => {
  const { lines, source, run, ready } = scene({ database: {}, relay: { stop: forever }, http: {} });
  const code = run({ drainMs: 20 });
  await ready;
  source.emit('SIGTERM', 'SIGTERM');
  assert.equal(await code, 1);
  assert.deepEqual(lines.find(({ level }) => level === 'error')?.['components'], ['database', 'relay']);
});

test('a stop that fails does not keep the others from stopping, and the code is 1', async () => {
  const { events, source, run, ready } = scene({
    database: {},
    http: { stop: () => Promise.reject(new Error('no')) },
  });
  const code = run();
  await ready;
  source.emit('SIGTERM', 'SIGTERM');
  assert.equal(await code, 1);
  assert.equal(events.at(-1), 'stop database');
});

test('a second signal ends it at once', async () => {
  const { source, run, ready } = scene({ http: { stop: forever } });
  const code = run({ drainMs: 1_000 });
  await ready;
  source.emit('SIGINT', 'SIGINT');
  source.emit('SIGINT', 'SIGINT');
  assert.equal(await code, 130);
});

test('a signal while starting stops what was started, and starts nothing more', async () => {
  const waiting = new EventEmitter();
  const { events, source, run } = scene({
    database: {},
    slow: {
      start() {
        waiting.emit('now');
        return forever();
      },
    },
    http: {},
  });
  const slow = once(waiting, 'now');
  const code = run();
  await slow;
  source.emit('SIGTERM', 'SIGTERM');
  assert.equal(await code, 0);
  assert.deepEqual(events, ['start database', 'start slow', 'draining', 'stop slow', 'stop database']);
});

for (const event of ['uncaughtException', 'unhandledRejection']) {
  test(`${event} is logged as fatal, ends in an attempt to stop, and gives 1`, async () => {
    const { events, lines, source, run, ready } = scene({ http: {} });
    const code = run();
    await ready;
    source.emit(event, new Error('bug'));
    assert.equal(await code, 1);
    assert.ok(events.includes('stop http'));
    assert.match(JSON.stringify(lines.find(({ level }) => level === 'fatal')), /"message":"bug"/);
  });
}

test('stops on an abort signal too', async () => {
  const { run, ready } = scene({ http: {} });
  const stopping = new AbortController();
  const code = run({ abort: stopping.signal });
  await ready;
  stopping.abort();
  assert.equal(await code, 0);
});
