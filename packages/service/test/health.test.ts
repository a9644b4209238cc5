import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth } from '../src/index.ts';

test('is ready when every check is', async () => {
  const health = createHealth({ checks: { database: async () => 1, bus: async () => undefined } });
  assert.deepEqual(await health.ready(), { status: 'ready', checks: { database: 'ok', bus: 'ok' } });
  health.close();
});

test('tells which check failed and which hangs, and tells the reason to the log alone', async () => {
  const reasons: string[] = [];
  const health = createHealth({
    timeoutMs: 10,
    checks: {
      database: () => Promise.reject(new Error('refused')),
      bus: () => new Promise(() => undefined),
      disk: async () => undefined,
    },
    onFailure: (name, error) => void reasons.push(`${name}: ${(error as Error).message}`),
  });
  assert.deepEqual(await health.ready(), {
    status: 'not-ready',
    checks: { database: 'failed', bus: 'timeout', disk: 'ok' },
  });
  assert.deepEqual(reasons, ['database: refused', 'bus: no answer within 10 ms']);
  health.close();
});

test('asks once for many probes, and again when the answer is old', async () => {
  let asked = 0;
  const health = createHealth({ cacheMs: 60_000, checks: { database: async () => void asked++ } });
  await Promise.all([health.ready(), health.ready()]);
  await health.ready();
  assert.equal(asked, 1);
  health.add('bus', async () => undefined);
  await health.ready();
  assert.equal(asked, 2);
  health.close();
});

test('is not ready while draining, however healthy', async () => {
  const health = createHealth({ checks: { database: async () => 1 } });
  health.markDraining();
  assert.equal((await health.ready()).status, 'draining');
  health.close();
});

test('is called stuck after the event loop stood still', () => {
  const health = createHealth({ stuckAfterMs: 50 });
  assert.equal(health.live().status, 'live');
  const until = performance.now() + 600;
  while (performance.now() < until); // stand still on purpose
  assert.equal(health.live().status, 'stuck');
  health.close();
  health.close();
});
