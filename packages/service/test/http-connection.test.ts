import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { assertCanListen, closeHttp } from '../src/index.ts';
import { DEPOSIT, exchange, OPERATOR_KEY, type ProblemBody, startServer } from './support.ts';

const HEAD = `POST ${DEPOSIT} HTTP/1.1\r\nhost: x\r\nx-api-key: ${OPERATOR_KEY}\r\ncontent-type: application/json\r\n`;

const MALFORMED: [what: string, bytes: string, status: number, slug: string][] = [
  ['no HTTP at all', 'hello\r\n\r\n', 400, 'malformed-http'],
  ['an unknown method', 'BREW / HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'method-not-allowed'],
  ['two lengths', `${HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`, 400, 'malformed-http'],
  [
    'a length and chunks',
    `${HEAD}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}`,
    400,
    'malformed-http',
  ],
  ['a bad chunk', `${HEAD}transfer-encoding: chunked\r\n\r\nZZ\r\n`, 400, 'malformed-http'],
  ['a folded header', 'GET / HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n', 400, 'malformed-http'],
  ['a space before the colon', 'GET / HTTP/1.1\r\nhost : x\r\n\r\n', 400, 'malformed-http'],
  ['bare line feeds', 'GET / HTTP/1.1\nhost: x\n\n', 400, 'malformed-http'],
  [
    'a head above 16 KiB',
    `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(17_000)}\r\n\r\n`,
    431,
    'request-too-large',
  ],
  ['no host', 'GET /accounts HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'malformed-http'],
  [
    'two content types',
    `${HEAD}content-type: text/plain\r\nconnection: close\r\ncontent-length: 12\r\n\r\n{"amount":1}`,
    415,
    'unsupported-media-type',
  ],
];

for (const [what, bytes, status, slug] of MALFORMED) {
  test(`answers ${status} ${slug} to ${what}, and closes the connection`, async () => {
    await using server = await startServer();
    const answer = await exchange(server.address.port, bytes);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.match(answer, /^connection: close\r$/im);
    const [, correlationId] = /^x-correlation-id: (.+)\r$/im.exec(answer) ?? [];
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as ProblemBody;
    assert.equal(body.type, `urn:surefire:problem:${slug}`);
    assert.equal(body.status, status);
    assert.equal(body.correlation_id, correlationId);
  });
}

test('a connection that was cut off by nonsense does not disturb the others', async () => {
  await using server = await startServer();
  await exchange(server.address.port, 'hello\r\n\r\n');
  assert.equal((await fetch(`${server.address.url}/livez`)).status, 200);
});

test('answers 408 to a head, and to a body, that does not arrive in time', async () => {
  await using server = await startServer({ limits: { headersTimeoutMs: 50, requestTimeoutMs: 100 } });
  for (const bytes of ['GET / HTTP/1.1\r\nhost', `${HEAD}content-length: 50\r\n\r\n{"amo`]) {
    const answer = await exchange(server.address.port, bytes);
    assert.match(answer, /^HTTP\/1\.1 408 /);
    assert.match(answer, /urn:surefire:problem:request-timeout/);
  }
});

test('closes a connection that stays idle', async () => {
  await using server = await startServer({ limits: { keepAliveTimeoutMs: 50 } });
  const answer = await exchange(server.address.port, 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 200 /);
});

test('while closing, finishes the request in hand with Connection: close, drops idle connections, takes no new ones', async () => {
  await using server = await startServer();
  const { port } = server.address;
  const idle = connect(port, '127.0.0.1');
  const idleClosed = once(idle, 'close');
  idle.resume().write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(idle, 'data');

  const inHand = exchange(port, `GET /hold HTTP/1.1\r\nhost: x\r\nx-api-key: ${OPERATOR_KEY}\r\n\r\n`);
  await server.held;
  const closed = closeHttp(server.app, 5_000);
  await idleClosed;
  await assert.rejects(fetch(`${server.address.url}/livez`));
  server.release();
  const answer = await inHand;
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.match(answer, /^connection: close\r$/im);
  assert.match(answer, /"held":true/);
  await closed;
  await closeHttp(server.app, 5_000);
});

test('closing cuts off whoever is not done in time', async () => {
  await using server = await startServer();
  const inHand = exchange(
    server.address.port,
    `GET /hold HTTP/1.1\r\nhost: x\r\nx-api-key: ${OPERATOR_KEY}\r\n\r\n`,
  );
  await server.held;
  await closeHttp(server.app, 20);
  assert.equal(await inHand, '');
});

test('a taken port is one clear sentence, when asked before and when listening', async () => {
  await using server = await startServer();
  const { host, port } = server.address;
  const taken = {
    name: 'ListenError',
    message: `Port ${port} on 127.0.0.1 is taken by another process; set SUREFIRE_HTTP_PORT to another one (0 picks a free one).`,
  };
  await assert.rejects(assertCanListen({ host, port }), taken);
  await assert.rejects(startServer({ port }), taken);
  await assert.doesNotReject(assertCanListen({ host, port: 0 }));
});

test('a foreign address is one clear sentence', async () => {
  await assert.rejects(
    assertCanListen({ host: '192.0.2.1', port: 8080 }),
    /^ListenError: 192\.0\.2\.1 is not an address of this machine/,
  );
});

test('a client that leaves in the middle of its body is nobody’s fault here', async () => {
  await using server = await startServer({
    isUnavailable: (error) => (error as { code?: string }).code === 'ECONNRESET',
  });
  const socket = connect(server.address.port, '127.0.0.1');
  socket.write(`${HEAD}content-length: 50\r\n\r\n{"amo`);
  const [request] = (await once(server.app.server, 'request')) as [IncomingMessage];
  const gone = new Promise<void>((resolve) => request.once('close', () => resolve()));
  socket.resetAndDestroy();
  await gone;
  assert.equal((await fetch(`${server.address.url}/livez`)).status, 200);
  assert.doesNotMatch(await server.metrics.render(), /^errors_total\{/m);
});
