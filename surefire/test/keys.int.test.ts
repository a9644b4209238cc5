import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect, type Database, migrate } from '@surefire/postgres';
import { type TestDatabase, testDatabase } from '@surefire/postgres/testing';
import { createAuthenticator, createKeyFinder, DEFAULT_SCOPES, serviceMigrations } from '@surefire/service';
import { surefire } from './run-program.ts';

const MISSING = '0198c0de-0000-7000-8000-000000000000';

describe('surefire keys', () => {
  let database: TestDatabase;
  let db: Database;
  const keys = (args: string | readonly string[]) =>
    surefire(typeof args === 'string' ? `keys ${args}` : ['keys', ...args], {
      SUREFIRE_DATABASE_URL: database.url,
    });
  const listed = async () =>
    (JSON.parse((await keys('list --json')).stdout) as { keys: Record<string, unknown>[] }).keys;
  before(async () => {
    database = await testDatabase();
    await migrate({ url: database.url, modules: [serviceMigrations] });
    db = connect({ url: database.url, max: 2 });
  });
  after(async () => {
    await db.close();
    await database.drop();
  });

  const table: [string, string, number, RegExp][] = [
    ['no command', '', 2, /Usage: surefire keys/],
    ['an unknown role', 'issue --role admin --principal a', 2, /Allowed choices are operator, customer/],
    ['no role', 'issue --principal a', 2, /required option '--role <role>' not specified/],
    ['no principal', 'issue --role customer', 2, /required option '--principal <id>' not specified/],
    ['an unknown scope', 'issue --role customer --principal a --scope money', 2, /Allowed scopes are accounts:read, .*, \*\./],
    ['an endless life', 'issue --role customer --principal a --expires-in 3651d', 2, /at most 3650d/],
    ['a life without a unit', 'issue --role customer --principal a --expires-in 90', 2, /such as 90d/],
    ['an operator’s scope for a customer', 'issue --role customer --principal a --scope operate', 2, /A customer's key cannot hold operate/],
    ['a prefix for an id', 'revoke sk_live_abcd', 2, /It must be an id/],
    ['an id of no key', `revoke ${MISSING}`, 3, /^surefire: There is no key 0198c0de-/],
  ]; // biome-ignore format: one line per case
  for (const [name, args, code, message] of table) {
    it(`ends with ${code} after ${name}`, async () => {
      const ended = await keys(args);
      assert.match(ended.stderr, message);
      assert.deepEqual([ended.code, ended.stdout], [code, '']);
    });
  }

  it('says where to begin while there are none', async () => {
    const { code, stdout, stderr } = await keys('list');
    assert.deepEqual([code, stdout], [0, '']);
    assert.match(stderr, /no keys yet: npx surefire keys issue/);
    assert.deepEqual(await listed(), []);
  });

  it('issues a key that is all of stdout, and works', async () => {
    const { code, stdout, stderr } = await keys('issue --role customer --principal alice');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^sk_live_\w+\n$/);
    assert.match(stderr, /shown this once[^]*keys revoke [0-9a-f-]{36}\n$/);
    const authenticate = createAuthenticator({ findKey: createKeyFinder(db) });
    assert.deepEqual(await authenticate({ 'x-api-key': stdout.trim() }), {
      id: 'alice',
      role: 'customer',
      scopes: DEFAULT_SCOPES.customer,
    });
  });

  it('issues with a name, scopes and an expiry, as JSON', async () => {
    const words = 'issue --role operator --principal audit --scope accounts:read --scope operations:read';
    const { stdout } = await keys([
      ...words.split(' '),
      '--name',
      'The auditor',
      '--expires-in',
      '90d',
      '--json',
    ]);
    const { id, key, prefix, expires_at, ...rest } = JSON.parse(stdout) as Record<string, string>;
    assert.deepEqual(rest, {
      name: 'The auditor',
      role: 'operator',
      principal_id: 'audit',
      scopes: ['accounts:read', 'operations:read'],
    });
    assert.ok(key?.startsWith(prefix as string));
    const days = (Date.parse(expires_at as string) - Date.now()) / 86_400_000;
    assert.ok(days > 89.9 && days <= 90, `${days} days`);
    assert.equal((await listed())[0]?.['id'], id);
  });

  it('lists what is known of keys, and neither them nor their hashes', async () => {
    const { key } = JSON.parse((await keys('issue --role operator --principal ops --json')).stdout) as {
      key: string;
    };
    const { stdout } = await keys('list');
    const [heading = '', newest = ''] = stdout.split('\n');
    assert.match(heading, /^ID +KEY +ROLE +PRINCIPAL +SCOPES +CREATED +EXPIRES +REVOKED +NAME$/);
    assert.match(newest, /^[0-9a-f-]{36} {2}sk_live_\w{4}… {2}operator +ops +\* .* never +no +ops$/);
    const { rows } = await db.query<{ hash: string }>("select encode(hash, 'hex') as hash from api_keys");
    const shown = `${stdout}${JSON.stringify(await listed())}`;
    for (const secret of [key, ...rows.map(({ hash }) => hash)]) assert.ok(!shown.includes(secret));
  });

  it('revokes a key, and may be told to twice', async () => {
    const issued = JSON.parse((await keys('issue --role operator --principal brief --json')).stdout) as {
      id: string;
    };
    const first = await keys(`revoke ${issued.id}`);
    assert.deepEqual([first.code, first.stderr], [0, 'Revoked. It stops working within 5 s.\n']);
    const [{ revoked_at: revokedAt } = {}] = await listed();
    const second = await keys(`revoke ${issued.id}`);
    assert.deepEqual([second.code, second.stderr], [0, 'It was revoked before.\n']);
    assert.equal((await listed())[0]?.['revoked_at'], revokedAt);
    assert.notEqual(revokedAt, null);
  });

  it('says how to get the table of keys where there is none', async () => {
    await using empty = await testDatabase();
    const { code, stderr } = await surefire('keys list', { SUREFIRE_DATABASE_URL: empty.url });
    assert.equal(code, 1);
    assert.match(stderr, /^surefire: postgres:.* has no tables for this yet: run npx surefire migrate\.\n$/);
  });
});
