import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { createClient } from '../src/load/client.ts';
import { makeDeposits, openAccounts } from '../src/load/drive.ts';
import { createPlan } from '../src/load/plan.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, times: number) => void;

/** An API whose answers the test decides; `times` counts the requests with the same idempotency key, from 1. */
async function api(handler: Handler) {
  const seen = new Map<string, number>();
  const server = createServer((request, response) => {
    request.resume();
    const key = String(request.headers['idempotency-key']);
    seen.set(key, (seen.get(key) ?? 0) + 1);
    handler(request, response, seen.get(key) as number);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

const OPERATION = '0199aabb-ccdd-7eef-8123-456789abcdef';

function accept(response: ServerResponse, headers: Record<string, string> = {}): void {
  response.writeHead(202, headers).end(JSON.stringify({ operation_id: OPERATION, status: 'pending' }));
}

async function drive(
  urls: string[],
  options: { count: number; giveUpAfterMs?: number; signal?: AbortSignal },
) {
  const { count, giveUpAfterMs = 5_000, signal = new AbortController().signal } = options;
  let retried = 0;
  const client = createClient({
    urls,
    apiKey: 'key',
    connections: 4,
    giveUpAfterMs,
    answerLimitMs: 1_000,
    signal,
    onRetry: () => (retried += 1),
  });
  const plan = createPlan({ count, accounts: 1, amount: 5n });
  try {
    const common = { client, connections: 4, signal, onProgress() {} };
    const driven = await makeDeposits({ ...common, plan, accountIds: ['a'], giveUpAfterMs });
    return { ...driven, plan, retried };
  } finally {
    await client.close();
  }
}

void describe('driving deposits', () => {
  void it('sends every key once when every answer comes', async () => {
    await using server = await api((_request, response) => accept(response));
    const { counts, receipts, latency, retried } = await drive([server.url], { count: 50 });
    assert.deepEqual(counts, { sent: 50, accepted: 50, replayed: 0, refused: {}, unknown: 0 });
    assert.equal(retried, 0);
    assert.equal(latency.count, 50);
    assert.equal(receipts.operationIdOf(49), OPERATION);
    assert.deepEqual(
      [...server.seen.values()],
      Array.from({ length: 50 }, () => 1),
    );
  });

  const passing: [string, Handler][] = [
    ['a broken connection', (request) => request.socket.destroy()],
    ['503', (_request, response) => response.writeHead(503).end('{"type":"urn:surefire:problem:overloaded"}')],
    ['500 without a body', (_request, response) => response.writeHead(500).end()],
    ['429 with Retry-After: 0', (_request, response) => response.writeHead(429, { 'retry-after': '0' }).end()],
    ['an answer that ends half-way', (request, response) => {
      response.writeHead(202, { 'content-length': '100' }).write('{');
      setImmediate(() => request.socket.destroy());
    }],
  ]; // biome-ignore format: one entry per case
  for (const [name, handler] of passing) {
    void it(`repeats the same key after ${name}, and counts the replay`, async () => {
      await using server = await api((request, response, times) => {
        if (times === 1) handler(request, response, times);
        else accept(response, { 'idempotent-replayed': 'true' });
      });
      const { counts, retried } = await drive([server.url], { count: 8 });
      assert.deepEqual(counts, { sent: 8, accepted: 0, replayed: 8, refused: {}, unknown: 0 });
      assert.equal(retried, 8);
    });
  }

  void it('does not repeat what was definitely refused, and lists it by its problem', async () => {
    await using server = await api((_request, response) => {
      response.writeHead(422).end('{"type":"urn:surefire:problem:account-frozen"}');
    });
    const { counts, receipts, retried } = await drive([server.url], { count: 10 });
    assert.deepEqual(counts.refused, { 'account-frozen': 10 });
    assert.equal(retried, 0);
    assert.equal(receipts.outcomeOf(0), 'refused');
  });

  void it('goes to another URL while one is down', async () => {
    await using down = await api((request) => request.socket.destroy());
    await using up = await api((_request, response) => accept(response));
    const { counts } = await drive([down.url, up.url], { count: 40 });
    assert.equal(counts.accepted, 40);
  });

  void it('gives up after the time allowed, and does not go on when nothing was answered for as long', async () => {
    await using server = await api((request) => request.socket.destroy());
    const { counts, lastReason, receipts } = await drive([server.url], { count: 1_000, giveUpAfterMs: 300 });
    assert.ok(counts.unknown >= 1 && counts.unknown <= 16, `${counts.unknown} unknown`);
    assert.equal(counts.accepted, 0);
    assert.equal(lastReason, 'the connection broke');
    assert.equal(receipts.outcomeOf(999), 'unsent');
  });

  void it('ends when it is interrupted', async () => {
    const interrupt = new AbortController();
    await using server = await api((_request, response, times) => {
      if (times === 3) interrupt.abort();
      response.writeHead(503).end();
    });
    await assert.rejects(drive([server.url], { count: 100, signal: interrupt.signal }), { exitCode: 130 });
  });

  void it('opens accounts, or says why it cannot', async () => {
    let refuses = false;
    await using server = await api((_request, response) => {
      if (refuses)
        response.writeHead(401).end('{"title":"Unauthenticated","detail":"The API key is not valid."}');
      else response.writeHead(201).end(JSON.stringify({ id: OPERATION }));
    });
    const signal = new AbortController().signal;
    const client = createClient({
      urls: [server.url],
      apiKey: undefined,
      connections: 2,
      giveUpAfterMs: 1_000,
      signal,
    });
    const options = {
      client,
      connections: 2,
      signal,
      onProgress() {},
      count: 3,
      owner: 'test',
      currency: 'EUR',
    };
    assert.deepEqual(await openAccounts(options), [OPERATION, OPERATION, OPERATION]);
    refuses = true;
    await assert.rejects(openAccounts(options), {
      message:
        'The API opens no accounts: it answered 401 (Unauthenticated: The API key is not valid); ' +
        'give a valid key with --api-key or SUREFIRE_API_KEY.',
    });
    await client.close();
  });
});
