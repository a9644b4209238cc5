import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../src/index.ts';

test('has the metrics every process has, with its own name on errors', async () => {
  const metrics = createMetrics({ service: 'banking' });
  metrics.countError('unavailable');
  metrics.operations.inc({ kind: 'deposit', status: 'completed' });
  const text = await metrics.render();
  assert.match(text, /^process_cpu_seconds_total /m);
  assert.match(text, /^errors_total\{type="unavailable",service="banking"\} 1$/m);
  assert.match(text, /^operations_total\{kind="deposit",status="completed"\} 1$/m);
});

test('refuses a second metric of the same name', () => {
  const metrics = createMetrics({ process: false });
  metrics.counter({ name: 'seen_total', help: 'x' });
  assert.throws(
    () => metrics.gauge({ name: 'seen_total', help: 'x' }),
    /seen_total has already been registered/,
  );
});

test('shows the counts of the pools it was given', async () => {
  const metrics = createMetrics({ process: false });
  metrics.watchPool({ totalCount: 5, idleCount: 2, waitingCount: 7 }, 'api');
  const text = await metrics.render();
  assert.match(text, /^db_pool_total_connections\{pool="api"\} 5$/m);
  assert.match(text, /^db_pool_idle_connections\{pool="api"\} 2$/m);
  assert.match(text, /^db_pool_waiting_callers\{pool="api"\} 7$/m);
});

test('replaces all former values of a collected gauge', async () => {
  const metrics = createMetrics({ process: false });
  let topics = ['a', 'b'];
  metrics.gauge({
    name: 'lag',
    help: 'x',
    labels: ['topic'],
    collect: async () => topics.map((topic) => ({ labels: { topic }, value: 1 })),
  });
  assert.match(await metrics.render(), /lag\{topic="b"\} 1/);
  topics = ['a'];
  assert.doesNotMatch(await metrics.render(), /topic="b"/);
});

test('answers while a gauge hangs, leaves it out, and does not ask it a second time', async () => {
  const metrics = createMetrics({ process: false, collectTimeoutMs: 20 });
  let asked = 0;
  const hanging = Promise.withResolvers<number>();
  metrics.gauge({ name: 'backlog', help: 'x', collect: () => (asked++, hanging.promise) });
  metrics.gauge({ name: 'fine', help: 'x', collect: async () => 3 });
  for (const failures of [1, 2]) {
    assert.doesNotMatch(await metrics.render(), /^backlog /m);
    const text = await metrics.render().then(() => metrics.registry.getSingleMetricAsString('errors_total'));
    assert.match(text, new RegExp(`type="metric_collect",service="surefire"\\} ${failures * 2}`));
  }
  assert.equal(asked, 1);
  hanging.resolve(9);
  await hanging.promise;
  assert.match(await metrics.render(), /^fine 3$/m);
  assert.match(await metrics.render(), /^backlog 9$/m);
});

test('leaves a gauge out when its query fails, and tells of the others', async () => {
  const metrics = createMetrics({ process: false });
  metrics.gauge({ name: 'broken', help: 'x', collect: () => Promise.reject(new Error('no database')) });
  metrics.gauge({ name: 'fine', help: 'x', collect: async () => 3 });
  const text = await metrics.render();
  assert.match(text, /^fine 3$/m);
  assert.doesNotMatch(text, /^broken \d/m);
});
