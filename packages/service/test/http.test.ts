import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  DEPOSIT,
  get,
  OPERATOR_KEY,
  type ProblemBody,
  post,
  READER_KEY,
  slugOf,
  startServer,
  type TestServer,
} from './support.ts';

let server: TestServer;
before(async () => {
  server = await startServer({
    isUnavailable: (error) => (error as NodeJS.ErrnoException).code === 'ECONNREFUSED',
    isOverloaded: (error) => (error as Error).message === 'queue full',
    asyncApi: () => ({ asyncapi: '3.0.0' }),
  });
});
after(() => server[Symbol.asyncDispose]());

test('a valid request reaches its handler unchanged, with its principal', async () => {
  const response = await post(server, DEPOSIT, '{"amount":100,"note":null}');
  assert.equal(response.status, 202);
  assert.deepEqual(await response.json(), { received: { amount: 100, note: null }, principal: 'operations' });
});

const BODIES: [body: string, status: number, slug: string][] = [
  ['{"amount":"100"}', 400, 'amount-format'],
  ['{"amount":true}', 400, 'amount-format'],
  ['{"amount":null}', 400, 'amount-format'],
  ['{"amount":[100]}', 400, 'amount-format'],
  ['{"amount":1e2}', 400, 'amount-format'],
  ['{"amount":100.0}', 400, 'amount-format'],
  ['{"amount":0}', 422, 'amount-out-of-range'],
  ['{"amount":-1}', 422, 'amount-out-of-range'],
  ['{"amount":1000001}', 422, 'amount-out-of-range'],
  ['{}', 400, 'schema-violation'],
  ['[]', 400, 'schema-violation'],
  ['null', 400, 'schema-violation'],
  ['"amount"', 400, 'schema-violation'],
  ['{"amount":1,"note":5}', 400, 'schema-violation'],
  ['{"amount":1,"note":{"$gt":0}}', 400, 'schema-violation'],
  ['{"amount":1,"kind":"cheque"}', 400, 'schema-violation'],
  ['{"amount":1,"balance":5}', 400, 'unknown-property'],
  ['{"amount":1,"idempotency_key":""}', 400, 'idempotency-key-format'],
  ['{"amount":1,"idempotency_key":7}', 400, 'idempotency-key-format'],
  ['', 400, 'malformed-json'],
  ['{"amount":1', 400, 'malformed-json'],
  ['{"amount":1,"amount":2}', 400, 'duplicate-key'],
  ['{"amount":1,"__proto__":{}}', 400, 'forbidden-key'],
];

for (const [body, status, slug] of BODIES) {
  test(`answers ${status} ${slug} to the body ${body || '(none)'}`, async () => {
    const response = await post(server, DEPOSIT, body);
    assert.equal(response.status, status);
    assert.equal(await slugOf(response), slug);
  });
}

const DETAILS: [body: string, detail: string][] = [
  ['{"amount":1,"kind":"cheque"}', 'The member /kind must be one of cash, card.'],
  ['{"amount":1,"balance":5}', 'The member /balance is not known.'],
  ['{"note":"x"}', 'The member /amount is missing.'],
  ['{"amount":0}', 'The member /amount must be >= 1.'],
];

for (const [body, detail] of DETAILS) {
  test(`explains ${body}`, async () => {
    const problem = (await (await post(server, DEPOSIT, body)).json()) as ProblemBody;
    assert.equal(problem.detail, detail);
  });
}

test('a body is expected where there is a schema for one, also without a content type', async () => {
  const response = await fetch(server.address.url + DEPOSIT, {
    method: 'POST',
    headers: { 'x-api-key': OPERATOR_KEY },
  });
  assert.equal(await slugOf(response), 'malformed-json');
});

test('no body is expected where there is no schema for one, whatever is announced', async () => {
  const response = await post(server, '/accounts/1/freeze', '');
  assert.deepEqual(await response.json(), { frozen: true });
});

const MEDIA_TYPES: [type: string, status: number][] = [
  ['application/json', 202],
  ['application/json; charset=utf-8', 202],
  ['application/json;charset=UTF-8', 202],
  ['Application/JSON', 202],
  ['application/json; charset="utf-8"', 202],
  ['application/json; charset=latin1', 415],
  ['application/json; charset=utf-8; x=y', 415],
  ['application/json;', 415],
  ['application/json\t', 202],
  ['application/json \tx', 415],
  ['application/json, application/json', 415],
  ['application/jsonx', 415],
  ['application/problem+json', 415],
  ['text/plain', 415],
  ['application/x-www-form-urlencoded', 415],
  ['multipart/form-data; boundary=x', 415],
];

for (const [type, status] of MEDIA_TYPES) {
  test(`answers ${status} to a body of type ${JSON.stringify(type)}`, async () => {
    const response = await post(server, DEPOSIT, '{"amount":1}', { 'content-type': type });
    assert.equal(response.status, status);
    if (status === 415) assert.equal(await slugOf(response), 'unsupported-media-type');
  });
}

test('answers 415 to a compressed body', async () => {
  for (const encoding of ['gzip', 'br', 'zstd', 'x']) {
    const response = await post(server, DEPOSIT, '{"amount":1}', { 'content-encoding': encoding });
    assert.equal(await slugOf(response), 'unsupported-encoding');
  }
});

/** A body of so many bytes, whose kind is none. */
const note = (bytes: number) => `{"amount":1,"kind":"${'x'.repeat(bytes - 22)}"}`;

test('answers 413 to a body above 64 KiB, announced or streamed, and takes one just below', async () => {
  assert.equal(note(65_536).length, 65_536);
  assert.equal(await slugOf(await post(server, DEPOSIT, note(65_536))), 'schema-violation');
  const large = await post(server, DEPOSIT, note(65_537));
  assert.equal(large.status, 413);
  assert.equal(await slugOf(large), 'body-too-large');
  const streamed = await fetch(server.address.url + DEPOSIT, {
    method: 'POST',
    headers: { 'x-api-key': OPERATOR_KEY, 'content-type': 'application/json' },
    body: new Blob([note(70_000)]).stream(),
    duplex: 'half',
  });
  assert.equal(await slugOf(streamed), 'body-too-large');
});

const TARGETS: [method: string, path: string, status: number, slug: string][] = [
  ['GET', '/nowhere', 404, 'not-found'],
  ['POST', '/nowhere', 404, 'not-found'],
  ['GET', '/accounts/', 404, 'not-found'],
  ['GET', '//accounts', 404, 'not-found'],
  ['GET', '/Accounts', 404, 'not-found'],
  ['GET', '/accounts;x', 404, 'not-found'],
  ['GET', '/accounts%2F', 404, 'not-found'],
  ['GET', '/%zz', 404, 'not-found'],
  ['GET', `/fail/${'x'.repeat(200)}`, 404, 'not-found'],
  ['POST', '/accounts/not-a-uuid/deposit', 404, 'not-found'],
  ['DELETE', DEPOSIT, 405, 'method-not-allowed'],
  ['GET', DEPOSIT, 405, 'method-not-allowed'],
  ['POST', '/accounts', 405, 'method-not-allowed'],
  ['OPTIONS', '/accounts', 405, 'method-not-allowed'],
  ['GET', `/accounts?x=${'y'.repeat(9_000)}`, 414, 'request-too-large'],
  [
    'GET',
    `/accounts?${Array.from({ length: 101 }, (_, n) => `p${n}=1`).join('&')}`,
    400,
    'request-too-large',
  ],
  ['GET', '/accounts?limit=1&limit=2', 400, 'ambiguous-parameter'],
  ['GET', '/accounts?limit=abc', 400, 'schema-violation'],
  ['GET', '/accounts?limit=0', 400, 'schema-violation'],
  ['GET', '/accounts?limit=1000000000', 400, 'schema-violation'],
  ['GET', '/accounts?offset=1', 400, 'unknown-property'],
  ['GET', '/accounts?limit=%00', 400, 'malformed-text'],
  ['GET', '/fail/x?verbose=1', 400, 'unknown-property'],
  ['POST', `${DEPOSIT}?amount=1`, 400, 'unknown-property'],
];

for (const [method, path, status, slug] of TARGETS) {
  test(`answers ${status} ${slug} to ${method} ${path.slice(0, 50)}`, async () => {
    const headers = {
      'x-api-key': OPERATOR_KEY,
      ...(method === 'POST' && { 'content-type': 'application/json' }),
    };
    const body = method === 'POST' ? '{"amount":1}' : null;
    const response = await fetch(server.address.url + path, { method, headers, body });
    assert.equal(response.status, status);
    assert.equal(await slugOf(response), slug);
  });
}

test('405 lists what is allowed', async () => {
  const remove = await fetch(server.address.url + DEPOSIT, { method: 'DELETE' });
  assert.equal(remove.headers.get('allow'), 'POST');
  const create = await fetch(`${server.address.url}/accounts`, { method: 'PUT' });
  assert.equal(create.headers.get('allow'), 'GET, HEAD');
});

test('parameters are converted and filled in, unlike bodies', async () => {
  assert.deepEqual(await (await get(server, '/accounts?limit=7')).json(), { limit: 7, traceparent: null });
  assert.deepEqual(await (await get(server, '/accounts')).json(), { limit: 20, traceparent: null });
});

test('a request without a valid key is refused before its body is looked at', async () => {
  const response = await post(server, DEPOSIT, '{{{{', { 'x-api-key': 'nonsense' });
  assert.equal(response.status, 401);
  assert.equal(await slugOf(response), 'unauthenticated');
});

test('a key in the query is no key', async () => {
  const response = await fetch(`${server.address.url}/accounts?api_key=${OPERATOR_KEY}`);
  assert.equal(response.status, 401);
});

test('a key without the scope of the route is refused', async () => {
  assert.equal((await get(server, '/accounts', { 'x-api-key': READER_KEY })).status, 200);
  const response = await post(server, DEPOSIT, '{"amount":1}', { 'x-api-key': READER_KEY });
  assert.equal(response.status, 403);
  assert.equal(await slugOf(response), 'forbidden');
});

const CORRELATION: [sent: string, kept: boolean][] = [
  ['order-42', true],
  ['a.b_c:d-E', true],
  ['x'.repeat(128), true],
  ['x'.repeat(129), false],
  ['', false],
  ['two words', false],
  ['<script>', false],
  ['ünïcode'.normalize('NFC'), false],
];

for (const [sent, kept] of CORRELATION) {
  test(`${kept ? 'keeps' : 'replaces'} the correlation id ${JSON.stringify(sent.slice(0, 20))}`, async () => {
    const response = await get(server, '/accounts', { 'x-correlation-id': sent });
    const answered = response.headers.get('x-correlation-id') ?? '';
    if (kept) assert.equal(answered, sent);
    else assert.match(answered, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
}

const TRACES: [sent: string, kept: boolean][] = [
  ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', true],
  ['01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more', true],
  ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more', false],
  ['ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', false],
  ['00-00000000000000000000000000000000-b7ad6b7169203331-01', false],
  ['00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01', false],
  ['00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01', false],
  ['nonsense', false],
];

for (const [sent, kept] of TRACES) {
  test(`${kept ? 'keeps' : 'ignores'} the traceparent ${sent}`, async () => {
    const answer = (await (await get(server, '/accounts', { traceparent: sent })).json()) as {
      traceparent: unknown;
    };
    assert.equal(answer.traceparent, kept ? sent : null);
  });
}

test('an unreachable database is 503, with Retry-After', async () => {
  const response = await get(server, '/fail/database');
  assert.equal(response.status, 503);
  assert.equal(response.headers.get('retry-after'), '1');
  assert.equal(await slugOf(response), 'unavailable');
});

test('a full queue is 503 overloaded, with Retry-After', async () => {
  const response = await get(server, '/fail/queue');
  assert.equal(response.headers.get('retry-after'), '1');
  assert.equal(await slugOf(response), 'overloaded');
});

test('an operation that outlasts the wait is 504 and says which', async () => {
  const response = await get(server, '/fail/pending');
  assert.equal(response.status, 504);
  const body = (await response.json()) as ProblemBody;
  assert.equal(body['operation_id'], '42');
  assert.equal(body['operation_status'], 'pending');
});

test('a bug is 500 without a word of it to the client, and is logged without its secrets', async () => {
  const response = await get(server, '/fail/bug', { 'x-correlation-id': 'find-me' });
  const text = await response.text();
  assert.equal(response.status, 500);
  assert.doesNotMatch(text, /broken|hunter2/);
  const line = server.lines.find((each) => each['correlation_id'] === 'find-me' && each.level === 'error');
  assert.match(JSON.stringify(line), /broken at postgres:\/\/surefire:\*\*\*@db/);
  assert.doesNotMatch(server.logText(), /hunter2|operator-key/);
});

test('every answer forbids sniffing and caching', async () => {
  for (const response of [
    await get(server, '/accounts'),
    await get(server, '/nowhere'),
    await get(server, '/%zz'),
    await get(server, '/fail/bug'),
  ]) {
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(response.headers.get('cache-control'), 'no-store');
  }
});

test('health, metrics and documentation need no key', async () => {
  for (const path of [
    '/livez',
    '/readyz',
    '/metrics',
    '/openapi.json',
    '/asyncapi.json',
    '/docs',
    '/docs/static/swagger-ui.css',
  ]) {
    const response = await fetch(server.address.url + path);
    assert.equal(response.status, 200, path);
    assert.ok(response.headers.has('x-correlation-id'), path);
    await response.text();
  }
});

test('the documentation page loads nothing from elsewhere', async () => {
  const response = await fetch(`${server.address.url}/docs/`);
  const policy = response.headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /upgrade-insecure-requests|swagger\.io/);
  assert.doesNotMatch(await response.text(), /(src|href)="https?:/);
});

test('not ready is 503 and says why', async () => {
  await using other = await startServer();
  other.health.add('database', () => Promise.reject(new Error('down')));
  const response = await fetch(`${other.address.url}/readyz`);
  assert.equal(response.status, 503);
  assert.deepEqual(await response.json(), { status: 'not-ready', checks: { database: 'failed' } });
});

test('the OpenAPI document has every route with security, and the problem schema once', async () => {
  const api = (await (await fetch(`${server.address.url}/openapi.json`)).json()) as {
    openapi: string;
    security: unknown;
    paths: Record<string, Record<string, { security?: unknown; responses: Record<string, unknown> }>>;
    components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
  };
  assert.match(api.openapi, /^3\.1\./);
  assert.deepEqual(api.security, [{ apiKey: [] }, { bearer: [] }]);
  assert.deepEqual(Object.keys(api.components.securitySchemes), ['apiKey', 'bearer']);
  assert.ok('Problem' in api.components.schemas);
  const deposit = api.paths['/accounts/{id}/deposit']?.['post'];
  assert.deepEqual(Object.keys(deposit?.responses ?? {}), [
    '400',
    '401',
    '403',
    '404',
    '413',
    '415',
    '500',
    '503',
    '4XX',
    '2XX',
  ]);
  assert.deepEqual(deposit?.security, [{ apiKey: ['money:write'] }, { bearer: ['money:write'] }]);
  assert.deepEqual(api.paths['/livez']?.['get']?.security, []);
  assert.ok(!('/docs/static/*' in api.paths));
});

test('request times are kept by route template, never by path', async () => {
  await post(server, DEPOSIT, '{"amount":1}');
  await get(server, '/some/invented/path');
  const text = await server.metrics.render();
  assert.match(
    text,
    /http_request_duration_seconds_count\{method="POST",route="\/accounts\/:id\/deposit",status="202"\}/,
  );
  assert.match(text, /http_request_duration_seconds_count\{method="any",route="unmatched",status="404"\}/);
  assert.doesNotMatch(text, /invented|01a1fb87/);
});

test('requests are logged at debug with route and status, and nothing of their contents', async () => {
  await using other = await startServer({ level: 'debug' });
  await post(other, DEPOSIT, '{"amount":123456}', { 'x-correlation-id': 'look' });
  await get(other, '/accounts'); // its answer comes after the first one's line was written
  const line = other.lines.find((each) => each['correlation_id'] === 'look');
  assert.equal(line?.['route'], '/accounts/:id/deposit');
  assert.equal(line?.['status'], 202);
  assert.doesNotMatch(other.logText(), /123456/);
});

test('a route that does not decide about unknown members cannot be registered', async () => {
  const lax = { type: 'object', properties: {} };
  await assert.rejects(async () => {
    await using _ = await startServer({
      routes: (app) => void app.post('/lax', { schema: { body: lax } }, async () => 1),
    });
  }, /the body schema of POST \/lax does not say additionalProperties: false/);
});
