import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { readSource } from '../tidy/source.ts';
import { tidy } from '../tidy.ts';

/** A checkout in which everything is in order. */
const ORDERLY: Record<string, string> = {
  'package.json': json({
    name: 'root',
    workspaces: ['packages/*', 'services/*', 'surefire'],
    devDependencies: { 'fast-check': '1' },
  }),
  'packages/postgres/package.json': json({ name: '@surefire/postgres', dependencies: { pg: '1' } }),
  'packages/postgres/src/index.ts': `import pg from 'pg';\nexport const pool = new pg.Pool();\n`,
  'packages/events/package.json': json({ name: '@surefire/events' }),
  'packages/events/src/index.ts': `import { readFile } from 'node:fs/promises';\nexport { readFile };\n`,
  'packages/messaging/package.json': json({
    name: '@surefire/messaging',
    dependencies: { '@surefire/events': '1', '@surefire/postgres': '1' },
    peerDependencies: { amqplib: '1' },
  }),
  'packages/messaging/migrations/0001_outbox.sql': `-- create table not_this (id int)\ncreate table event_outbox (id uuid);\n`,
  'packages/messaging/src/outbox.ts': `import { pool } from '@surefire/postgres';\npool.query('insert into event_outbox values ($1)');\n`,
  'packages/messaging/src/bus/rabbitmq.ts': `import { connect } from 'amqplib';\nexport { connect };\n`,
  'packages/service/package.json': json({ name: '@surefire/service' }),
  'packages/service/src/config.ts': `export const port = process.env['PORT'];\n`,
  'services/banking/package.json': json({
    name: '@surefire/banking',
    dependencies: { '@surefire/messaging': '1' },
  }),
  'services/banking/migrations/0001_ledger.sql': 'create table if not exists accounts (id uuid);\n',
  'services/banking/src/ledger.ts': `/* update event_outbox set … is messaging's */\nconst sql = \`update accounts account set x = 1\`;\nexport { sql };\n`,
  'services/banking/test/ledger.test.ts': `import fc from 'fast-check';\nfc.assert('delete from event_outbox');\n`,
  'services/trading/package.json': json({
    name: '@surefire/trading',
    dependencies: { '@surefire/banking': '1' },
  }),
  'surefire/package.json': json({ name: 'surefire', dependencies: { '@surefire/banking': '1' } }),
  'surefire/src/main.ts': `import { sql } from '@surefire/banking';\nexport { sql };\n`,
  'scripts/tool.ts': `import { sql } from '@surefire/banking';\nexport { sql };\n`,
};

describe('the architecture check', () => {
  it('finds nothing where everything is in order', async () => {
    assert.deepEqual(await check({}), []);
  });

  const planted: [name: string, path: string, text: string, expected: string][] = [
    ['a package importing a service', 'packages/events/src/a.ts', `import '@surefire/banking';`, '1 layer'],
    [
      'a package importing one above it',
      'packages/postgres/src/a.ts',
      `\nimport '@surefire/messaging';`,
      '2 layer',
    ],
    ['messaging importing service', 'packages/messaging/src/a.ts', `import '@surefire/service';`, '1 layer'],
    [
      'a service importing another',
      'services/trading/src/a.ts',
      `export * from '@surefire/banking';`,
      '1 layer',
    ],
    ['a service importing the program', 'services/banking/src/a.ts', `import 'surefire';`, '1 layer'],
    ['a dynamic import upwards', 'packages/events/src/a.ts', `await import('@surefire/banking');`, '1 layer'],
    [
      'a type import upwards',
      'packages/events/src/a.ts',
      `import type { A } from '@surefire/banking';`,
      '1 layer',
    ],
    [
      'a path into another package',
      'packages/messaging/src/a.ts',
      `import {\n  pool,\n} from '../../postgres/src/index.ts';`,
      '3 public-name',
    ],
    ['the driver outside its package', 'services/banking/src/a.ts', `import pg from 'pg';`, '1 driver'],
    [
      'a broker’s driver outside its file',
      'packages/messaging/src/relay.ts',
      `import 'amqplib';`,
      '1 driver',
    ],
    ['an undeclared package', 'services/banking/src/a.ts', `import 'left-pad/lib.js';`, '1 declared'],
    ['a test tool outside tests', 'services/banking/src/a.ts', `import 'fast-check';`, '1 declared'],
    [
      'the environment outside config.ts',
      'packages/events/src/a.ts',
      `const x = process.env.HOME;`,
      '1 environment',
    ],
    [
      'another service’s table',
      'services/trading/src/a.ts',
      '\nconst s = `\n  UPDATE accounts SET x = 1`;',
      '3 table',
    ],
    ['a package’s table', 'services/banking/src/a.ts', `q('delete from event_outbox');`, '1 table'],
    [
      'a migration that writes elsewhere',
      'services/trading/migrations/0001.sql',
      'insert into accounts values (1);',
      '1 table',
    ],
    ['an enum', 'packages/events/src/a.ts', `export enum Color { Red }`, '1 erasable'],
    ['a namespace', 'packages/events/src/a.ts', `namespace Old { }`, '1 erasable'],
  ];
  for (const [name, path, text, expected] of planted) {
    it(`finds ${name}`, async () => {
      const found = await check({ [path]: text });
      assert.ok(
        found.some((line) => line === `${path}:${expected.replace(' ', '  ')}`),
        `expected ${path}:${expected}, found ${JSON.stringify(found)}`,
      );
    });
  }

  it('finds a cycle of files, once', async () => {
    const found = await check({
      'packages/events/src/a.ts': `import type { X } from './d.ts';\nimport './b.ts';\n`,
      'packages/events/src/d.ts': `import './a.ts';\n`,
      'packages/events/src/b.ts': `import './c.ts';\n`,
      'packages/events/src/c.ts': `\nimport './a.ts';\n`,
    });
    assert.deepEqual(found, ['packages/events/src/c.ts:2  cycle']);
  });

  it('is not misled by what only looks like code', () => {
    const { imports, code } = readSource(
      'a.ts',
      [
        `// import 'commented';`,
        `/* import 'commented too'; */ import real from 'real';`,
        'const planted = `import x from "template"; ${await import("inside")} import "after"`;',
        `const quoted = "import 'quoted'; process.env";`,
        `const pattern = /import 'regex'; \\/ ["'\`]/.test(quoted);`,
        `const ratio = 4 / 2 / 1; // import 'division';`,
        'const nested = `${[{ a: `${1}` }].map(({ a }) => a)} import "nested"`;',
        `export { last } from 'last';`,
      ].join('\n'),
    );
    assert.deepEqual(imports.map(({ specifier, line }) => `${line} ${specifier}`).toSorted(), [
      '2 real',
      '3 inside',
      '8 last',
    ]);
    assert.equal(code.includes('process.env'), false);
  });
});

/** Violations as `file:line  rule`, for the orderly checkout with these files added. */
async function check(added: Record<string, string>): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'surefire-tidy-'));
  try {
    for (const [path, text] of Object.entries({ ...ORDERLY, ...added })) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    return tidy(root).map(({ path, line, rule }) => `${path}:${line}  ${rule}`);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function json(value: object): string {
  return JSON.stringify(value);
}
