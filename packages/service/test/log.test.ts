import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logContext } from '../src/index.ts';
import { captureLog } from './support.ts';

test('a line has level, UTC time, service and message', () => {
  const { log, lines } = captureLog();
  log.info({ partition: 3 }, 'took a partition');
  const { time, ...rest } = lines[0] ?? { time: '' };
  assert.deepEqual(rest, { level: 'info', service: 'test', partition: 3, msg: 'took a partition' });
  assert.match(String(time), /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/);
});

test('context is carried in snake_case, without what is not known', () => {
  const { log, lines } = captureLog();
  logContext(log, { correlationId: 'c', operationId: 'o', eventId: undefined }).info('x');
  assert.equal(lines[0]?.['correlation_id'], 'c');
  assert.equal(lines[0]?.['operation_id'], 'o');
  assert.ok(!('event_id' in (lines[0] ?? {})));
});

const SECRETS: [what: string, fields: object][] = [
  ['an authorization header', { headers: { authorization: 'Bearer canary' } }],
  ['an API key header', { request: { headers: { 'x-api-key': 'canary' } } }],
  ['a cookie', { cookie: 'canary' }],
  ['a set-cookie header', { headers: { 'set-cookie': 'canary' } }],
  ['a configuration', { config: { apiKey: 'canary', databaseUrl: 'postgres://u:canary@db/x' } }],
  ['an error message', { err: new Error('cannot reach postgres://u:canary@db:5432/x') }],
  ['an error cause', { err: new Error('no', { cause: new Error('amqp://guest:canary@mq') }) }],
  [
    "an error's own properties",
    { err: Object.assign(new Error('no'), { connectionString: 'canary', detail: 'canary' }) },
  ],
  ['an aggregate error', { err: new AggregateError([new Error('redis://:canary@cache')]) }],
  ['an issued key', { note: 'sk_live_canarycanarycanarycanarycanarycanary_aaaaaa' }],
];

for (const [what, fields] of SECRETS) {
  test(`takes the secret out of ${what}`, () => {
    const { log, text } = captureLog();
    log.error(fields, 'it happened');
    assert.match(text(), /it happened/);
    assert.doesNotMatch(text(), /canary/);
  });
}

test('an error keeps its kind, code, stack and cause', () => {
  const { log, lines } = captureLog();
  const cause = Object.assign(new TypeError('inner'), { code: '23505', constraint: 'accounts_pkey' });
  log.error({ err: new Error('outer', { cause }) }, 'failed');
  const err = lines[0]?.['err'] as Record<string, unknown>;
  assert.equal(err['message'], 'outer');
  assert.match(String(err['stack']), /log\.test\.ts/);
  assert.partialDeepStrictEqual(err['cause'], {
    type: 'TypeError',
    message: 'inner',
    code: '23505',
    constraint: 'accounts_pkey',
  });
});

test('a circle of causes ends', () => {
  const { log, lines } = captureLog();
  const error = new Error('again');
  error.cause = error;
  log.error({ err: error }, 'failed');
  assert.equal(lines.length, 1);
});
