import assert from 'node:assert/strict';
import { randomUUIDv7 } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type Database, migrate } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import {
  createAuthenticator,
  createKeyFinder,
  ensureDevelopmentKey,
  issueKey,
  listKeys,
  revokeKey,
  serviceMigrations,
} from '../src/index.ts';

/** A migrated database and an empty data folder. */
async function scene(): Promise<{ db: Database; dataDir: string } & AsyncDisposable> {
  const database = await testDatabase();
  await migrate({ url: database.url, modules: [serviceMigrations] });
  const db = connect({ url: database.url, max: 8 });
  const dataDir = await mkdtemp(join(tmpdir(), 'surefire-keys-'));
  return {
    db,
    dataDir,
    async [Symbol.asyncDispose]() {
      await db.close();
      await database.drop();
      await rm(dataDir, { recursive: true });
    },
  };
}

const ALICE = { name: "Alice's phone", role: 'customer', principalId: 'alice' } as const;

test('an issued key is accepted for whom it was issued to, and the table does not hold it', async () => {
  await using s = await scene();
  const { key, prefix } = await issueKey(s.db, { ...ALICE, scopes: ['accounts:read', 'money:write'] });
  const authenticate = createAuthenticator({ findKey: createKeyFinder(s.db) });
  assert.deepEqual(await authenticate({ 'x-api-key': key }), {
    id: 'alice',
    role: 'customer',
    scopes: ['accounts:read', 'money:write'],
  });
  const { rows } = await s.db.query('select to_jsonb(k)::text as row from api_keys k');
  assert.ok(!String(rows[0]?.['row']).includes(key));
  assert.ok(key.startsWith(prefix));
});

test('a revoked key is refused, and can be revoked only once', async () => {
  await using s = await scene();
  const { id, key } = await issueKey(s.db, ALICE);
  const authenticate = createAuthenticator({ findKey: createKeyFinder(s.db), rememberMs: 0 });
  await authenticate({ 'x-api-key': key });
  assert.equal(await revokeKey(s.db, id), 'revoked');
  assert.equal(await revokeKey(s.db, id), 'revoked-before');
  assert.equal(await revokeKey(s.db, randomUUIDv7()), 'unknown');
  await assert.rejects(async () => authenticate({ 'x-api-key': key }), { slug: 'unauthenticated' });
});

test('a key past its expiry is refused', async () => {
  await using s = await scene();
  const { key } = await issueKey(s.db, { ...ALICE, expiresAt: new Date(Date.now() - 1_000) });
  const authenticate = createAuthenticator({ findKey: createKeyFinder(s.db) });
  await assert.rejects(async () => authenticate({ 'x-api-key': key }), { slug: 'unauthenticated' });
});

test('the development key is made once, in a file for its owner alone, by however many processes', async () => {
  await using s = await scene();
  const { db, dataDir } = s;
  const keys = await Promise.all(Array.from({ length: 8 }, () => ensureDevelopmentKey(db, { dataDir })));
  assert.equal(new Set(keys.map(({ key }) => key)).size, 1);
  const { key, file = '' } = await ensureDevelopmentKey(db, { dataDir });
  assert.equal((await readFile(file, 'utf8')).trim(), key);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const { rows } = await db.query('select role, scopes from api_keys');
  assert.deepEqual(rows, [{ role: 'operator', scopes: ['*'] }]);
});

test('a development key survives its database: the kept one is stored again', async () => {
  await using s = await scene();
  const first = await ensureDevelopmentKey(s.db, s);
  await s.db.query('delete from api_keys');
  assert.deepEqual(await ensureDevelopmentKey(s.db, s), first);
  const authenticate = createAuthenticator({ findKey: createKeyFinder(s.db) });
  assert.equal((await authenticate({ 'x-api-key': first.key })).role, 'operator');
});

test('a configured development key may be any plain text, and touches no file', async () => {
  await using s = await scene();
  const configured = 'local-development-key';
  assert.deepEqual(await ensureDevelopmentKey(s.db, { dataDir: '/nonexistent', configured }), {
    key: configured,
    revoked: false,
  });
  const authenticate = createAuthenticator({ findKey: createKeyFinder(s.db) });
  assert.equal((await authenticate({ authorization: `Bearer ${configured}` })).role, 'operator');
});

test('a mistyped and a damaged development key are reported', async () => {
  await using s = await scene();
  const { key } = await issueKey(s.db, { name: 'x', role: 'operator', principalId: 'x' });
  const mistyped = key.replace(/.$/, (last) => (last === 'x' ? 'y' : 'x'));
  await assert.rejects(ensureDevelopmentKey(s.db, { ...s, configured: mistyped }), /checksum is wrong/);
  const { file = '' } = await ensureDevelopmentKey(s.db, s);
  await writeFile(file, '');
  await assert.rejects(ensureDevelopmentKey(s.db, s), /holds no valid key/);
});

test('a revoked development key stays revoked, and whoever asks for it is told', async () => {
  await using s = await scene();
  const { key } = await ensureDevelopmentKey(s.db, s);
  await revokeKey(s.db, (await listKeys(s.db, { limit: 1 }))[0]?.id ?? '');
  const again = await ensureDevelopmentKey(s.db, s);
  assert.deepEqual([again.key, again.revoked], [key, true]);
  const authenticate = createAuthenticator({ findKey: createKeyFinder(s.db) });
  await assert.rejects(async () => authenticate({ 'x-api-key': key }), { slug: 'unauthenticated' });
});

test('another development key leaves the former one valid, and both are listed to be revoked', async () => {
  await using s = await scene();
  const kept = await ensureDevelopmentKey(s.db, s);
  await ensureDevelopmentKey(s.db, { ...s, configured: 'another-development-key' });
  const keys = await listKeys(s.db, { limit: 10 });
  assert.deepEqual(
    keys.map(({ name, prefix, revoked_at }) => [name, prefix, revoked_at]),
    [
      ['development', 'anot…', null],
      ['development', kept.key.slice(0, 11), null],
    ],
  );
  const authenticate = createAuthenticator({ findKey: createKeyFinder(s.db) });
  assert.equal((await authenticate({ 'x-api-key': kept.key })).role, 'operator');
});

test('a list of keys is newest first, no longer than asked for, and holds no hash', async () => {
  await using s = await scene();
  for (const name of ['first', 'second', 'third']) await issueKey(s.db, { ...ALICE, name });
  const keys = await listKeys(s.db, { limit: 2 });
  assert.deepEqual(
    keys.map(({ name }) => name),
    ['third', 'second'],
  );
  assert.deepEqual(Object.keys(keys[0] ?? {}), [
    'id',
    'prefix',
    'name',
    'role',
    'principal_id',
    'scopes',
    'created_at',
    'expires_at',
    'revoked_at',
  ]);
});

test('the table refuses what is no key', async () => {
  await using s = await scene();
  const insert = (column: string, value: unknown) => {
    const row: Record<string, unknown> = {
      id: '01a1fb87-08b1-7c8b-9535-f6f9da184356',
      name: 'n',
      prefix: 'p',
      hash: Buffer.alloc(32),
      role: 'operator',
      principal_id: 'o',
      scopes: ['*'],
      [column]: value,
    };
    const names = Object.keys(row);
    const places = names.map((_, index) => `$${index + 1}`);
    return s.db.query(`insert into api_keys (${names.join()}) values (${places.join()})`, Object.values(row));
  };
  await assert.rejects(insert('hash', Buffer.alloc(31)), { constraint: 'api_keys_hash_is_sha256' });
  await assert.rejects(insert('role', 'admin'), { constraint: 'api_keys_role_known' });
  await assert.rejects(insert('scopes', []), { constraint: 'api_keys_scopes_not_empty' });
  await assert.rejects(insert('principal_id', ''), { constraint: 'api_keys_principal_not_empty' });
});
