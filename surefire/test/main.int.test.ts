import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import { surefire } from './run-program.ts';

void describe('the command line', () => {
  const table: [string, Record<string, string>, number, RegExp][] = [
    ['lod', {}, 2, /unknown command 'lod'\n\(Did you mean load\?\)/],
    ['', {}, 2, /Usage: surefire/],
    ['run', {}, 2, /missing required argument 'role'/],
    ['run nonsense', {}, 2, /has the unknown role "nonsense"/],
    ['migrate --nonsense', {}, 2, /unknown option '--nonsense'/],
    ['load deposits --count 0', {}, 2, /It must be a whole number from 1 to 10000000/],
    ['migrate', { SUREFIRE_HTTP_PORT: 'x', SUREFIRE_NONSENSE: '1' }, 2, /SUREFIRE_HTTP_PORT[^]*SUREFIRE_NONSENSE|SUREFIRE_NONSENSE[^]*SUREFIRE_HTTP_PORT/],
    ['migrate', {}, 3, /^surefire: No database is running in .*: start the platform \(npm start\).*\n$/],
    ['run relay', {}, 3, /^surefire: No database is running/],
    ['load deposits', {}, 3, /^surefire: No database is running/],
    ['migrate', { SUREFIRE_DATABASE_URL: 'postgres://127.0.0.1:1/x' }, 1, /^surefire: The database postgres:\/\/127\.0\.0\.1:1\/x cannot be used: nothing listens there; start it, or correct SUREFIRE_DATABASE_URL\.\n$/],
    ['database', { SUREFIRE_DATABASE_URL: 'postgres://127.0.0.1:1/x' }, 2, /^surefire: SUREFIRE_DATABASE_URL names a database already/],
  ]; // biome-ignore format: one line per case
  for (const [args, variables, code, expected] of table) {
    void it(`ends with ${code} after "${args}" with ${JSON.stringify(variables)}`, async () => {
      const ended = await surefire(args, variables);
      assert.match(ended.stderr, expected);
      assert.deepEqual([ended.code, ended.stdout], [code, '']);
      assert.doesNotMatch(ended.stderr, /^ {4}at /m, 'no stack');
    });
  }

  void it('explains itself on stdout', async () => {
    const { code, stdout } = await surefire('--help');
    assert.equal(code, 0);
    for (const part of [
      'up',
      'run',
      'migrate',
      'database',
      'doctor',
      'keys',
      'load',
      'Examples:',
      'SUREFIRE_DATABASE_URL',
      '130 interrupted',
    ]) {
      assert.ok(stdout.includes(part), part);
    }
    assert.match((await surefire('--version')).stdout, /^surefire \d+\.\d+\.\d+ \(Node \d+/);
  });

  void it('explains itself without loading the server', async () => {
    const reports = `import { registerHooks } from 'node:module';
      registerHooks({ load: (url, context, next) => (console.error(url), next(url, context)) });`;
    const options = `--import=data:text/javascript,${encodeURIComponent(reports)}`;
    const { stdout, stderr } = await surefire('--help', { NODE_OPTIONS: options });
    assert.match(stdout, /SUREFIRE_HTTP_PORT/);
    assert.match(stderr, /commander/);
    assert.doesNotMatch(stderr, /fastify|pino|node_modules\/pg\//);
  });

  void it('shows the stack when debugging', async () => {
    const { stderr } = await surefire('migrate', { SUREFIRE_LOG_LEVEL: 'debug' });
    assert.match(stderr, /^CommandFailure: No database is running[^]*^ {4}at /m);
  });

  void it('lists and applies migrations, once', async () => {
    await using database = await testDatabase();
    const variables = { SUREFIRE_DATABASE_URL: database.url };
    const pending = await surefire('migrate --dry-run', variables);
    assert.match(pending.stdout, /^messaging\/0001_outbox$/m);
    const applied = await surefire('migrate', variables);
    assert.deepEqual([applied.code, applied.stdout], [0, pending.stdout]);
    assert.deepEqual(JSON.parse((await surefire('migrate --json', variables)).stdout), { applied: [] });
    const db = connect({ url: database.url, max: 1 });
    await db.query('select from ledger_entries');
    await db.close();
  });

  void it('needs a key and a platform to load', async () => {
    await using database = await testDatabase();
    const variables = { SUREFIRE_DATABASE_URL: database.url };
    const keyless = await surefire('load deposits', variables);
    assert.equal(keyless.code, 2);
    assert.match(
      keyless.stderr,
      /^surefire: No API key: .*api-key cannot be read, so give one with --api-key/,
    );
    const alone = await surefire('load deposits --api-key k', variables);
    assert.equal(alone.code, 3);
    assert.match(alone.stderr, /^surefire: Nothing answers at http:\/\/127\.0\.0\.1:1: start the platform/);
  });

  void it('has the doctor end with 4 when the database is away, and go on with the rest', async () => {
    const { code, stdout } = await surefire('doctor --json', {
      SUREFIRE_DATABASE_URL: 'postgres://x:secret@127.0.0.1:1/x',
    });
    assert.equal(code, 4);
    const { healthy, findings } = JSON.parse(stdout) as { healthy: boolean; findings: { area: string }[] };
    assert.equal(healthy, false);
    assert.deepEqual(
      [...new Set(findings.map(({ area }) => area))],
      ['node', 'config', 'data folder', 'api key', 'database', 'api'],
    );
    assert.ok(!stdout.includes('secret'));
  });

  void it('has the doctor find nothing unhealthy where nothing is there yet', async () => {
    const { code, stdout } = await surefire('doctor');
    assert.equal(code, 0, stdout);
    assert.match(stdout, /is not running, so the tables were not examined/);
  });
});
