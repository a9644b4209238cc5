/**
 * What is not yours does not exist: a customer's key, issued from the command line, is shown to every route of the
 * OpenAPI document, with things of its own, things of another customer, and things that nobody has.
 */
import assert from 'node:assert/strict';
import { randomUUIDv7 } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type TestDatabase, testDatabase } from '@surefire/postgres/testing';
import { OPERATOR_SCOPES } from '@surefire/service/scopes';
import { type OpenApi, readOpenApi } from '../scripts/reference.ts';
import { client } from './support/client.ts';
import { type Running, run, start } from './support/processes.ts';

const OPERATOR_KEY = 'an-operators-key-for-this-test';

/** The ids of one customer's things. */
type Things = { account: string; operation: string };

const { paths } = await readOpenApi();
type Operation = OpenApi['paths'][string][string];
const withKey = Object.entries(paths)
  .flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
  .filter(({ operation }) => operation.tags?.[0] !== 'operating');

/** Those for operators alone: their scope is one that no customer's key holds. */
const forOperators = withKey.filter(({ operation }) =>
  OPERATOR_SCOPES.some((scope) => operation.security?.some(({ apiKey }) => apiKey?.includes(scope))),
);
const routes = withKey.filter((route) => !forOperators.includes(route));

/** Which thing a path parameter, a query parameter or a member of a body names; undefined when it names none. */
function thingNamedBy(name: string, path: string): keyof Things | undefined {
  if (name === 'id') return path.startsWith('/operations/') ? 'operation' : 'account';
  return { account_id: 'account', operation_id: 'operation', from: 'account' }[name] as
    | keyof Things
    | undefined;
}

/** A request to the route about these things, from its documented examples. `names`: whether it names any. */
function requestAbout(things: Things, route: (typeof routes)[number]) {
  const { path, operation } = route;
  let names = false;
  const idFor = (name: string): string | undefined => {
    const thing = thingNamedBy(name, path);
    if (thing === undefined) return undefined;
    names = true;
    return things[thing];
  };
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const id = idFor(name);
    assert.ok(id !== undefined, `say in thingNamedBy what {${name}} of ${path} names`);
    return id;
  });
  const query = (operation.parameters ?? [])
    .filter((parameter) => parameter.in === 'query')
    .map(({ name }) => [name, idFor(name)])
    .filter(([, id]) => id !== undefined)
    .map(([name, id]) => `${name}=${id}`);
  const example = operation.requestBody?.content['application/json']?.example as object | undefined;
  const body =
    example &&
    Object.fromEntries(Object.entries(example).map(([name, value]) => [name, idFor(name) ?? value]));
  return { url: query.length === 0 ? filled : `${filled}?${query.join('&')}`, body, names };
}

describe('a customer’s key', () => {
  let database: TestDatabase;
  let dataDir: string;
  let running: Running;
  let key: string;
  const own: Things = { account: '', operation: '' };
  const others: Things = { account: '', operation: '' };
  const missing: Things = { account: randomUUIDv7(), operation: randomUUIDv7() };

  before(async () => {
    database = await testDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'surefire-e2e-'));
    const env = {
      SUREFIRE_DATABASE_URL: database.url,
      SUREFIRE_DATA_DIR: dataDir,
      SUREFIRE_API_KEY: OPERATOR_KEY,
      SUREFIRE_HTTP_PORT: '0',
    };
    running = await start(['run', 'api', 'relay', 'banking'], { env });
    const issued = await run(['keys', 'issue', '--role', 'customer', '--principal', 'alice'], { env });
    assert.equal(issued.code, 0, issued.stderr);
    key = issued.stdout.trim();
    const bank = client({ url: () => running.url, key: OPERATOR_KEY });
    for (const [owner, things] of [
      ['alice', own],
      ['bob', others],
    ] as const) {
      things.account = await bank.openAccount(owner);
      const { body } = await bank.deposit(things.account, 1_000, 'first');
      things.operation = String(body['operation_id']);
      await bank.settled(things.operation);
    }
  });
  after(async () => {
    await running.end('SIGKILL');
    await database.drop();
    await rm(dataDir, { recursive: true, force: true });
  });

  /** The answer, without what differs each time. */
  async function ask(route: (typeof routes)[number], things: Things, apiKey = key) {
    const { url, body } = requestAbout(things, route);
    const answer = await fetch(running.url + url, {
      method: route.method,
      headers: {
        'x-api-key': apiKey,
        'x-correlation-id': 'the-same',
        'idempotency-key': randomUUIDv7(),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const headers = [...answer.headers].filter(([name]) => name !== 'date');
    const text = await answer.text();
    assertDocumented(route.operation, answer.status, text);
    return { status: answer.status, headers, text };
  }

  for (const route of routes) {
    const { method, path } = route;
    it(`${method} ${path}: sees its own, and of another’s no more than of what is missing`, async () => {
      const mine = await ask(route, own);
      assert.match(String(mine.status), /^2/, mine.text);
      for (const id of Object.values(others)) assert.ok(!mine.text.includes(id), 'another’s thing is shown');
      if (!requestAbout(own, route).names) return;

      const anothers = await ask(route, others);
      assert.equal(anothers.status, 404, anothers.text);
      assert.deepEqual(anothers, await ask(route, missing));
      assert.match(
        String((await ask(route, others, OPERATOR_KEY)).status),
        /^2/,
        'it is there for an operator',
      );
    });
  }

  for (const { method, path, operation } of forOperators) {
    it(`${method} ${path}: is refused, whatever it asks for`, async () => {
      const example = operation.requestBody?.content['application/json']?.example;
      const answer = await fetch(running.url + path.replaceAll(/\{\w+\}/g, randomUUIDv7()), {
        method,
        headers: { 'x-api-key': key, ...(example !== undefined && { 'content-type': 'application/json' }) },
        ...(example !== undefined && { body: JSON.stringify(example) }),
      });
      const text = await answer.text();
      assert.equal(answer.status, 403, text);
      assertDocumented(operation, answer.status, text);
    });
  }

  it('finds its own operations alone when it names no account', async () => {
    const { body } = await client({ url: () => running.url, key }).get('/operations');
    const found = (body['operations'] as { account_id: string }[]).map((each) => each.account_id);
    assert.ok(found.length > 0);
    assert.deepEqual(new Set(found), new Set([own.account]));
  });

  it('opens accounts for nobody else', async () => {
    const answer = await client({ url: () => running.url, key }).post('/accounts', { owner: 'bob' });
    assert.deepEqual([answer.status, answer.body['type']], [403, 'urn:surefire:problem:forbidden']);
  });
});

/** The route's documentation has this status, and this problem under it. */
function assertDocumented(operation: Operation, status: number, text: string): void {
  const response = operation.responses[String(status)];
  assert.ok(response !== undefined, `${status} is not documented`);
  if (status < 400) return;
  const slug = (JSON.parse(text) as { type: string }).type.replace('urn:surefire:problem:', '');
  assert.ok(
    slug in (response.content?.['application/problem+json']?.examples ?? {}),
    `${slug} is not documented`,
  );
}
