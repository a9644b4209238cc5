/** A server as a process would build it, with routes that show each behaviour, and ways to talk to it. */
// oxlint-disable oxc/no-async-endpoint-handlers -- a rule for Express; Fastify awaits its handlers
import { once } from 'node:events';
import { connect } from 'node:net';
import { Writable } from 'node:stream';
import { Type } from 'typebox';
import {
  type Address,
  closeHttp,
  createHealth,
  createHttp,
  createLog,
  createMetrics,
  type Health,
  type Http,
  type HttpOptions,
  type Log,
  listen,
  type Metrics,
  type Principal,
  Problem,
} from '../src/index.ts';

export const OPERATOR: Principal = { id: 'operations', role: 'operator', scopes: ['*'] };
export const OPERATOR_KEY = 'operator-key-for-tests';
export const READER: Principal = { id: 'reader', role: 'customer', scopes: ['accounts:read'] };
export const READER_KEY = 'reader-key-for-tests';

export type Line = Record<string, unknown> & { msg: string; level: string };

/** A log whose lines are kept. */
export function captureLog(level: 'debug' | 'info' | 'silent' = 'info'): {
  log: Log;
  lines: Line[];
  text: () => string;
} {
  const texts: string[] = [];
  const lines: Line[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      texts.push(chunk.toString());
      lines.push(JSON.parse(chunk.toString()) as Line);
      done();
    },
  });
  return { log: createLog({ service: 'test', level, destination }), lines, text: () => texts.join('') };
}

export type TestServer = {
  app: Http;
  address: Address;
  lines: Line[];
  logText(): string;
  metrics: Metrics;
  health: Health;
  /** Releases the request that waits in `/hold`. */
  release(): void;
  /** Resolves when a request waits in `/hold`. */
  held: Promise<void>;
} & AsyncDisposable;

export async function startServer(
  options: Partial<HttpOptions> & {
    level?: 'debug' | 'info';
    port?: number;
    routes?: (app: Http) => void;
  } = {},
): Promise<TestServer> {
  const { log, lines, text } = captureLog(options.level);
  const metrics = createMetrics({ process: false, collectTimeoutMs: 200 });
  const health = createHealth({ cacheMs: 0 });
  const hold = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const app = createHttp({
    log,
    metrics,
    health,
    authenticate: (headers) => {
      if (headers['x-api-key'] === OPERATOR_KEY) return OPERATOR;
      if (headers['x-api-key'] === READER_KEY) return Promise.resolve(READER);
      throw new Problem('unauthenticated');
    },
    ...options,
  });
  void app.register(async (scope: Http) => {
    exampleRoutes(scope, { hold: hold.promise, onHeld: held.resolve });
    options.routes?.(scope);
  });
  const address = await listen(app, { host: '127.0.0.1', port: options.port ?? 0 });
  return {
    app,
    address,
    lines,
    logText: text,
    metrics,
    health,
    release: hold.resolve,
    held: held.promise,
    async [Symbol.asyncDispose]() {
      hold.resolve();
      await closeHttp(app, 100);
      health.close();
    },
  };
}

function exampleRoutes(app: Http, { hold, onHeld }: { hold: Promise<void>; onHeld: () => void }): void {
  const strict = { additionalProperties: false };
  app.post(
    '/accounts/:id/deposit',
    {
      config: { scope: 'money:write' },
      schema: {
        tags: ['banking'],
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        body: Type.Object(
          {
            amount: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
            note: Type.Optional(Type.Union([Type.String({ maxLength: 20 }), Type.Null()])),
            kind: Type.Optional(Type.Union([Type.Literal('cash'), Type.Literal('card')])),
            idempotency_key: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
          },
          strict,
        ),
      },
    },
    async (request, reply) => {
      return reply.code(202).send({ received: request.body, principal: request.principal.id });
    },
  );
  app.get(
    '/accounts',
    {
      config: { scope: 'accounts:read' },
      schema: {
        querystring: Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }) }, strict),
      },
    },
    async (request) => ({ limit: request.query.limit, traceparent: request.traceparent ?? null }),
  );
  app.post('/accounts/:id/freeze', { schema: {} }, async () => ({ frozen: true }));
  app.get('/fail/:how', { schema: { params: Type.Object({ how: Type.String() }) } }, async (request) => {
    const { how } = request.params;
    if (how === 'database') throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    if (how === 'queue') throw new Error('queue full');
    if (how === 'pending') {
      throw new Problem('operation-timeout', undefined, {
        extensions: { operation_id: '42', operation_status: 'pending' },
      });
    }
    throw new Error('broken at postgres://surefire:hunter2@db/ledger');
  });
  app.get('/hold', { schema: {} }, async () => {
    onHeld();
    await hold;
    return { held: true };
  });
}

export const DEPOSIT = '/accounts/01a1fb87-08b1-7c8b-9535-f6f9da184356/deposit';

/** A POST of this text as JSON, by the operator. */
export function post(
  server: TestServer,
  path: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
) {
  return fetch(server.address.url + path, {
    method: 'POST',
    body: body as string,
    headers: { 'x-api-key': OPERATOR_KEY, 'content-type': 'application/json', ...headers },
  });
}

export function get(server: TestServer, path: string, headers: Record<string, string> = {}) {
  return fetch(server.address.url + path, { headers: { 'x-api-key': OPERATOR_KEY, ...headers } });
}

export type ProblemBody = {
  type: string;
  title: string;
  status: number;
  detail: string;
  correlation_id: string;
  [extension: string]: unknown;
};

/** The slug of a problem answer, once everything every problem must have is checked. */
export async function slugOf(response: Response): Promise<string> {
  const body = (await response.json()) as ProblemBody;
  const type = response.headers.get('content-type');
  if (type?.startsWith('application/problem+json') !== true) return 'no problem document';
  if (body.status !== response.status) return `status ${body.status} in an answer with ${response.status}`;
  if (body.correlation_id !== response.headers.get('x-correlation-id')) return 'another correlation id';
  return body.type.replace('urn:surefire:problem:', '');
}

/** Writes these bytes to a new connection and reads until the server closes it. */
export async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.on('error', () => undefined);
  socket.write(bytes);
  await once(socket, 'close');
  return answer;
}
