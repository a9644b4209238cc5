import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError, describeSettings, ROLES, readConfig, settingsMarkdown } from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'surefire-config-'));
after(() => rmSync(folder, { recursive: true }));

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.faults;
  }
}

test('an empty environment gives the documented defaults, frozen', () => {
  const config = readConfig({});
  assert.deepEqual(config, {
    dataDir: '.surefire',
    busUrl: 'postgres:',
    http: { host: '127.0.0.1', port: 8080 },
    roles: [...ROLES],
    relayMode: 'polling',
    depositMode: 'async',
    eventNamespace: 'surefire',
    retentionDays: 30,
    outboxPendingMax: 5_000_000,
    logLevel: 'info',
  });
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.http) && Object.isFrozen(config.roles));
});

const ACCEPTED: [
  variable: string,
  text: string,
  read: (config: ReturnType<typeof readConfig>) => unknown,
  value: unknown,
][] = [
  [
    'SUREFIRE_DATABASE_URL',
    'postgres://u:p@db:5432/ledger',
    (c) => c.databaseUrl,
    'postgres://u:p@db:5432/ledger',
  ],
  [
    'SUREFIRE_DATABASE_URL',
    'postgresql:///ledger?host=/run/postgresql',
    (c) => c.databaseUrl,
    'postgresql:///ledger?host=/run/postgresql',
  ],
  ['SUREFIRE_BUS_URL', 'kafka://a:9092,b:9093', (c) => c.busUrl, 'kafka://a:9092,b:9093'],
  [
    'SUREFIRE_BUS_URL',
    'amqp://guest:guest@127.0.0.1:5672',
    (c) => c.busUrl,
    'amqp://guest:guest@127.0.0.1:5672',
  ],
  ['SUREFIRE_BUS_URL', 'rediss://cache:6380', (c) => c.busUrl, 'rediss://cache:6380'],
  ['SUREFIRE_HTTP_HOST', '::1', (c) => c.http.host, '::1'],
  ['SUREFIRE_HTTP_PORT', '0', (c) => c.http.port, 0],
  ['SUREFIRE_HTTP_PORT', '65535', (c) => c.http.port, 65_535],
  ['SUREFIRE_ROLES', 'relay, api,relay', (c) => c.roles, ['api', 'relay']],
  ['SUREFIRE_ROLES', 'engagement', (c) => c.roles, ['social', 'gamification', 'notifications']],
  ['SUREFIRE_RELAY_MODE', 'streaming', (c) => c.relayMode, 'streaming'],
  ['SUREFIRE_DEPOSIT_MODE', 'sync', (c) => c.depositMode, 'sync'],
  ['SUREFIRE_API_KEY', 'sixteen-visible!', (c) => c.apiKey, 'sixteen-visible!'],
  ['SUREFIRE_EVENT_NAMESPACE', 'astra', (c) => c.eventNamespace, 'astra'],
  ['SUREFIRE_DB_POOL_MAX', '40', (c) => c.poolMax, 40],
  ['SUREFIRE_RETENTION_DAYS', '1', (c) => c.retentionDays, 1],
  ['SUREFIRE_OUTBOX_PENDING_MAX', '10', (c) => c.outboxPendingMax, 10],
  ['SUREFIRE_LOG_LEVEL', 'silent', (c) => c.logLevel, 'silent'],
];

for (const [variable, text, read, value] of ACCEPTED) {
  test(`takes ${variable}=${text}`, () => assert.deepEqual(read(readConfig({ [variable]: text })), value));
}

const REFUSED: [variable: string, text: string, says: RegExp][] = [
  ['SUREFIRE_DATABASE_URL', 'mysql://db/x', /does not begin with postgres:\/\//],
  ['SUREFIRE_DATABASE_URL', 'postgres://u:p w@db/x', /not a valid URL/],
  ['SUREFIRE_BUS_URL', 'nats://x', /names no bus/],
  ['SUREFIRE_BUS_URL', 'kafka://a,b:9092', /host:port/],
  ['SUREFIRE_BUS_URL', 'kafka://', /host:port/],
  ['SUREFIRE_BUS_URL', 'postgres://x', /names no bus/],
  ['SUREFIRE_HTTP_HOST', 'http://x/', /"http:\/\/x\/" is not a host/],
  ['SUREFIRE_HTTP_PORT', '65536', /="65536" is out of range; allowed: a whole number from 0 to 65535\.$/],
  ['SUREFIRE_HTTP_PORT', '-1', /plain digits/],
  ['SUREFIRE_HTTP_PORT', '1e3', /plain digits/],
  ['SUREFIRE_HTTP_PORT', '0x50', /plain digits/],
  ['SUREFIRE_HTTP_PORT', '080', /plain digits/],
  ['SUREFIRE_HTTP_PORT', ' 80', /plain digits/],
  ['SUREFIRE_HTTP_PORT', '', /is empty; unset it/],
  ['SUREFIRE_ROLES', '', /is empty/],
  ['SUREFIRE_ROLES', 'api,', /has an empty role/],
  ['SUREFIRE_ROLES', 'api,banker', /unknown role "banker"/],
  ['SUREFIRE_ROLES', 'constructor', /unknown role/],
  ['SUREFIRE_RELAY_MODE', 'Polling', /allowed: polling or streaming/],
  ['SUREFIRE_DEPOSIT_MODE', 'both', /allowed: async or sync/],
  ['SUREFIRE_API_KEY', 'short', /too short/],
  ['SUREFIRE_API_KEY', 'sixteen visible!', /not plain/],
  ['SUREFIRE_EVENT_NAMESPACE', 'Surefire.x', /allowed: lower-case/],
  ['SUREFIRE_DB_POOL_MAX', '1', /out of range/],
  ['SUREFIRE_RETENTION_DAYS', '0', /out of range/],
  ['SUREFIRE_OUTBOX_PENDING_MAX', '5000000.0', /plain digits/],
  ['SUREFIRE_LOG_LEVEL', 'verbose', /allowed: trace/],
  ['SUREFIRE_HTTP_PROT', '80', /^SUREFIRE_HTTP_PROT is not a setting\. Did you mean SUREFIRE_HTTP_PORT\?$/],
  ['SUREFIRE_HTTP_PORT_FIEL', 'x', /Did you mean SUREFIRE_HTTP_PORT_FILE\?$/],
  ['SUREFIRE_WEATHER', 'fine', /^SUREFIRE_WEATHER is not a setting\.$/],
];

for (const [variable, text, says] of REFUSED) {
  test(`refuses ${variable}=${text}`, () => {
    const [fault = '', ...others] = faultsOf({ [variable]: text });
    assert.equal(others.length, 0);
    assert.ok(fault.startsWith(variable), fault);
    assert.match(fault, says);
  });
}

test('reports every fault together, in one message', () => {
  const env = { SUREFIRE_HTTP_PORT: 'x', SUREFIRE_ROLES: 'y', SUREFIRE_NONSENSE: 'z' };
  assert.equal(faultsOf(env).length, 3);
  assert.throws(
    () => readConfig(env),
    /has faults:\n {2}- SUREFIRE_NONSENSE.*\n {2}- SUREFIRE_HTTP_PORT.*\n {2}- SUREFIRE_ROLES/,
  );
});

test('shows no secret value in a fault', () => {
  const env = {
    SUREFIRE_DATABASE_URL: 'mysql://u:hunter2@db/x',
    SUREFIRE_BUS_URL: 'nats://u:hunter2@x',
    SUREFIRE_API_KEY: 'hunter2',
  };
  const faults = faultsOf(env);
  assert.equal(faults.length, 3);
  assert.doesNotMatch(faults.join(), /hunter2/);
});

test('reads a value from the file that its _FILE twin names, without the final newline', () => {
  const path = join(folder, 'key');
  writeFileSync(path, 'sixteen-visible!\n');
  assert.equal(readConfig({ SUREFIRE_API_KEY_FILE: path }).apiKey, 'sixteen-visible!');
});

test('refuses a variable given both ways, and a file that cannot be read', () => {
  const path = join(folder, 'level');
  writeFileSync(path, 'debug');
  assert.match(faultsOf({ SUREFIRE_LOG_LEVEL: 'info', SUREFIRE_LOG_LEVEL_FILE: path })[0] ?? '', /both set/);
  assert.match(
    faultsOf({ SUREFIRE_LOG_LEVEL_FILE: join(folder, 'none') })[0] ?? '',
    /cannot be read \(ENOENT\)/,
  );
  assert.match(faultsOf({ SUREFIRE_LOG_LEVEL_FILE: folder })[0] ?? '', /cannot be read \(EISDIR\)/);
});

test('ignores what is not its own, and what only tests read', () => {
  assert.doesNotThrow(() =>
    readConfig({ PATH: '/bin', SUREFIRE_TEST_DATABASE_URL: 'x', SUREFIRE_REQUIRE_BROKERS: 'redis' }),
  );
});

test('help text and reference page name every variable', () => {
  const variables = settingsMarkdown().match(/(?<=\| `)SUREFIRE_\w+/g) ?? [];
  assert.equal(variables.length, 14);
  for (const variable of variables) assert.ok(describeSettings().includes(`${variable}\n`));
});
