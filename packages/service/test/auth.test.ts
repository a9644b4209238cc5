import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { generateKey, isMistyped, prefixOf } from '../src/auth/format.ts';
import { createAuthenticator, type KeyRow, Problem, requireScope } from '../src/index.ts';

const KEY = 'a-key-of-more-than-16-letters';
const ROW: KeyRow = {
  id: '1',
  role: 'customer',
  principal_id: 'alice',
  scopes: ['accounts:read'],
  expires_at_ms: null,
  revoked_at_ms: null,
};

/** An authenticator over one key, counting the questions the table is asked. */
function scene({
  row = ROW,
  now = () => 0,
  ...options
}: {
  row?: KeyRow;
  now?: () => number;
  rememberMs?: number;
} = {}) {
  const asked: string[] = [];
  const answer = { row: row as KeyRow | undefined };
  const authenticate = createAuthenticator({
    now,
    ...options,
    async findKey(sha256) {
      asked.push(sha256.toString('hex'));
      return sha256.equals(hash('sha256', KEY, 'buffer')) ? answer.row : undefined;
    },
  });
  return {
    asked,
    answer,
    authenticate: async (headers: Record<string, string>) => authenticate(headers),
    atOnce: authenticate,
  };
}

const slugOf = (slug: string) => (error: unknown) => error instanceof Problem && error.slug === slug;

const ACCEPTED: [what: string, headers: Record<string, string>][] = [
  ['X-API-Key', { 'x-api-key': KEY }],
  ['a bearer token', { authorization: `Bearer ${KEY}` }],
  ['a bearer token in odd case', { authorization: `bEARER  ${KEY}` }],
  ['both, when they agree', { 'x-api-key': KEY, authorization: `Bearer ${KEY}` }],
];

for (const [what, headers] of ACCEPTED) {
  test(`accepts the key as ${what}`, async () => {
    const principal = await scene().authenticate(headers);
    assert.deepEqual(principal, { id: 'alice', role: 'customer', scopes: ['accounts:read'] });
    assert.ok(Object.isFrozen(principal));
  });
}

const mistyped = generateKey('live').replace(/.$/, (last) => (last === 'x' ? 'y' : 'x'));
const REFUSED_UNASKED: [what: string, headers: Record<string, string>][] = [
  ['no key', {}],
  ['an empty key', { 'x-api-key': '' }],
  ['a short key', { 'x-api-key': 'short' }],
  ['a key with a space', { 'x-api-key': `${KEY} ${KEY}` }],
  ['a key of 10,000 letters', { 'x-api-key': 'k'.repeat(10_000) }],
  ['an issued key with a wrong checksum', { 'x-api-key': mistyped }],
  ['two different keys', { 'x-api-key': KEY, authorization: `Bearer ${KEY}x` }],
  ['basic credentials', { authorization: 'Basic YTpi' }],
  ['a key beside basic credentials', { 'x-api-key': KEY, authorization: 'Basic YTpi' }],
  ['an empty bearer token', { authorization: 'Bearer ' }],
];

for (const [what, headers] of REFUSED_UNASKED) {
  test(`refuses ${what}, without asking the table`, async () => {
    const { asked, authenticate } = scene();
    await assert.rejects(authenticate(headers), slugOf('unauthenticated'));
    assert.equal(asked.length, 0);
  });
}

test('names the scheme in its refusal', async () => {
  await assert.rejects(scene().authenticate({}), {
    headers: { 'www-authenticate': 'Bearer realm="surefire"' },
  });
});

test('refuses an unknown, a revoked and an expired key alike', async () => {
  const unknown = scene().authenticate({ 'x-api-key': `${KEY}x` });
  const revoked = scene({ row: { ...ROW, revoked_at_ms: 1 } }).authenticate({ 'x-api-key': KEY });
  const expired = scene({ row: { ...ROW, expires_at_ms: 99 }, now: () => 99 }).authenticate({
    'x-api-key': KEY,
  });
  for (const attempt of [unknown, revoked, expired]) {
    await assert.rejects(attempt, { slug: 'unauthenticated', detail: 'The API key is not valid.' });
  }
});

test('asks once for one key however many wait, and then answers at once', async () => {
  const { asked, authenticate, atOnce } = scene();
  await Promise.all(Array.from({ length: 20 }, () => authenticate({ 'x-api-key': KEY })));
  assert.ok(!(atOnce({ 'x-api-key': KEY }) instanceof Promise));
  assert.equal(asked.length, 1);
});

test('remembers an unknown key too', async () => {
  const { asked, authenticate } = scene();
  for (let attempt = 0; attempt < 5; attempt++) {
    await assert.rejects(authenticate({ 'x-api-key': `${KEY}x` }), slugOf('unauthenticated'));
  }
  assert.equal(asked.length, 1);
});

test('an expiry that comes while the key is remembered counts', async () => {
  let now = 0;
  const { authenticate } = scene({ row: { ...ROW, expires_at_ms: 10 }, now: () => now });
  await authenticate({ 'x-api-key': KEY });
  now = 10;
  await assert.rejects(authenticate({ 'x-api-key': KEY }), slugOf('unauthenticated'));
});

test('a revocation acts once the key is no longer remembered', async () => {
  const { answer, authenticate } = scene({ rememberMs: 0 });
  await authenticate({ 'x-api-key': KEY });
  answer.row = { ...ROW, revoked_at_ms: 1 };
  await assert.rejects(authenticate({ 'x-api-key': KEY }), slugOf('unauthenticated'));
});

test('a flood of wrong keys pushes out no right one', async () => {
  const asked: Buffer[] = [];
  const authenticate = createAuthenticator({
    rememberMax: 10,
    async findKey(sha256) {
      asked.push(sha256);
      return sha256.equals(hash('sha256', KEY, 'buffer')) ? ROW : undefined;
    },
  });
  await authenticate({ 'x-api-key': KEY });
  for (let wrong = 0; wrong < 100; wrong++) {
    await assert.rejects(async () => authenticate({ 'x-api-key': `wrong-key-number-${wrong}` }));
  }
  assert.ok(!(authenticate({ 'x-api-key': KEY }) instanceof Promise));
  assert.equal(asked.length, 101);
});

test('a lookup that fails is not remembered', async () => {
  let reachable = false;
  const authenticate = createAuthenticator({
    async findKey() {
      if (!reachable) throw new Error('no database');
      return ROW;
    },
  });
  await assert.rejects(async () => authenticate({ 'x-api-key': KEY }), /no database/);
  reachable = true;
  assert.equal((await authenticate({ 'x-api-key': KEY })).id, 'alice');
});

test('a scope is held by name or by the star', () => {
  const customer = { id: 'a', role: 'customer', scopes: ['accounts:read'] } as const;
  assert.doesNotThrow(() => requireScope(customer, 'accounts:read'));
  assert.doesNotThrow(() => requireScope({ id: 'o', role: 'operator', scopes: ['*'] }, 'money:write'));
  assert.throws(() => requireScope(customer, 'money:write'), slugOf('forbidden'));
});

test('issued keys have 36 random letters, a prefix that tells them apart, and a checksum', () => {
  const key = generateKey('live');
  assert.match(key, /^sk_live_[0-9A-Za-z]{36}_[0-9A-Za-z]{6}$/);
  assert.notEqual(key, generateKey('live'));
  assert.equal(prefixOf(key), key.slice(0, 12));
  assert.equal(isMistyped(key), false);
  // Every single wrong letter of the random part is noticed.
  for (let index = 8; index < 44; index++) {
    const other = key[index] === 'a' ? 'b' : 'a';
    assert.equal(isMistyped(key.slice(0, index) + other + key.slice(index + 1)), true);
  }
});
