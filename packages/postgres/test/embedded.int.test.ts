import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, it } from 'node:test';
import { Client } from 'pg';
import { until } from '../src/embedded/postmaster.ts';
import { type EmbeddedServer, EmbeddedServerError, findEmbedded, startEmbedded } from '../src/embedded.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;
const LIMIT_MS = 20_000;

// Everything below stands in one folder, and every server and process in one list, to end them all.
let base: string;
const running: { stop(): Promise<void> }[] = [];
const children: ChildProcess[] = [];

before(async () => {
  base = await mkdtemp(join(tmpdir(), `surefire-test-${process.pid}-`));
  await chmod(base, 0o755);
  // A server whose folder is gone ends by itself, within a minute.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      for (const child of children) child.kill('SIGKILL');
      rmSync(base, { recursive: true, force: true, maxRetries: 3 });
      process.exit(1);
    });
  }
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
after(() => rm(base, { recursive: true, force: true }));

describe('the embedded server', () => {
  it('creates a database at the first start, and tells nobody the password', async () => {
    assert.equal(await findEmbedded({ dataDir: shared() }), undefined);
    const server = await start(shared());

    assert.equal(server.adopted, false);
    assert.deepEqual(await query(server.url, 'select current_database() as name, current_user as who'), [
      { name: 'surefire', who: 'surefire' },
    ]);
    assert.equal(statSync(join(shared(), 'postgres.json')).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(shared()).toSorted(), [
      'postgres',
      'postgres.json',
      'postgres.lock',
      'postgres.log',
    ]);
    const wrong = new URL(server.url);
    wrong.password = 'guess';
    await assert.rejects(query(wrong.href, 'select 1'), { code: '28P01' });
  });

  it('keeps what it promises whatever a configuration file says', async () => {
    const server = await start(shared());
    await query(server.url, 'alter system set fsync = off');
    await server.stop();
    const again = await start(shared());
    const rows = await query<{ name: string; setting: string }>(
      again.url,
      `select name, setting
         from pg_settings
        where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums', 'wal_level',
                       'listen_addresses', 'unix_socket_directories', 'server_encoding', 'TimeZone')
        order by name collate "C"`,
    );
    assert.deepEqual(Object.fromEntries(rows.map(({ name, setting }) => [name, setting])), {
      TimeZone: 'UTC',
      data_checksums: 'on',
      fsync: 'on',
      full_page_writes: 'on',
      listen_addresses: '127.0.0.1',
      server_encoding: 'UTF8',
      synchronous_commit: 'on',
      unix_socket_directories: '',
      wal_level: 'logical',
    });
    await query(again.url, 'alter system reset all');
  });

  it('has the same data on the same port at the next start', async () => {
    const first = await start(shared());
    await query(first.url, 'create table kept (n int); insert into kept values (1)');
    assert.deepEqual(await findEmbedded({ dataDir: shared() }), {
      url: first.url,
      port: first.port,
      pid: first.pid,
    });
    await first.stop();
    assert.equal(await findEmbedded({ dataDir: shared() }), undefined);

    const second = await start(shared());
    assert.equal(second.adopted, false);
    assert.equal(second.url, first.url);
    assert.deepEqual(await query(second.url, 'select n from kept'), [{ n: 1 }]);
  });

  it('takes another port when the last one is in use', async () => {
    const first = await start(shared());
    await first.stop();
    const squatter = spawnNode(
      `require('node:net').createServer().listen(${first.port}, '127.0.0.1', () => console.log('up'))`,
    );
    await once(squatter.stdout!, 'data');
    const second = await start(shared());
    assert.notEqual(second.port, first.port);
    assert.deepEqual(await query(second.url, 'select n from kept'), [{ n: 1 }]);
  });

  it('is adopted when it outlived the program that started it, and can then be stopped', async () => {
    const program = await startProgram(shared());
    program.child.kill('SIGKILL');
    await once(program.child, 'exit');
    assert.deepEqual(await query(program.url, 'select n from kept'), [{ n: 1 }]);

    const server = await start(shared());
    assert.equal(server.adopted, true);
    assert.equal(server.pid, program.pid);
    assert.equal(server.url, program.url);
    await server.stop();
    await server.stop();
    await assert.rejects(query(server.url, 'select 1'), { code: 'ECONNREFUSED' });
  });

  it('stands in a session of its own, out of the terminal’s reach', { skip: linuxOnly() }, async () => {
    const server = await start(shared());
    const [, afterName = ''] = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ');
    const [, , group, session] = afterName.split(' ').map(Number);
    assert.deepEqual({ group, session }, { group: server.pid, session: server.pid });
  });

  it('recovers every commit after all its processes were killed', { skip: linuxOnly() }, async () => {
    const server = await start(shared());
    await query(server.url, 'insert into kept select generate_series(2, 1000)');
    await killAll(server);
    assert.ok(existsSync(join(shared(), 'postgres', 'postmaster.pid')));

    const again = await start(shared());
    assert.equal(again.adopted, false);
    assert.deepEqual(await query(again.url, 'select count(*)::int as n from kept'), [{ n: 1000 }]);
  });

  it('starts although the pid in a stale file belongs to another process by now', {
    skip: linuxOnly(),
  }, async () => {
    await killAll(await start(shared()));
    // Of the same account, so that PostgreSQL by itself would refuse to start.
    const { uid, gid } = statSync(join(shared(), 'postgres'));
    const stranger = spawn('sleep', ['600'], { uid, gid, stdio: 'ignore' });
    children.push(stranger);
    await replacePid(shared(), stranger.pid!);

    assert.equal(await findEmbedded({ dataDir: shared() }), undefined);
    const server = await start(shared());
    assert.equal(server.adopted, false);
    assert.deepEqual(await query(server.url, 'select count(*)::int as n from kept'), [{ n: 1000 }]);
    assert.equal(stranger.exitCode, null);
  });

  it('starts although the pid in a stale file belongs to another PostgreSQL by now', {
    skip: linuxOnly(),
  }, async () => {
    await killAll(await start(shared()));
    const other = await start(join(base, 'other'));
    await replacePid(shared(), other.pid);

    const server = await start(shared());
    assert.notEqual(server.pid, other.pid);
    assert.deepEqual(await query(server.url, 'select count(*)::int as n from kept'), [{ n: 1000 }]);
    assert.deepEqual(await query(other.url, 'select 1 as one'), [{ one: 1 }]);
  });

  it('ends a busy backend that outlived its killed server', { skip: linuxOnly() }, async () => {
    const server = await start(shared());
    const busy = query(server.url, 'select count(*) from generate_series(1, 1e12)').catch(() => 'cut');
    await until(LIMIT_MS, async () => {
      const rows = await query<{ n: number }>(
        server.url,
        `select count(*)::int as n from pg_stat_activity where state = 'active' and query like '%1e12%' and pid <> pg_backend_pid()`,
      );
      return rows[0]?.n === 1;
    });
    process.kill(server.pid, 'SIGKILL');

    const again = await start(shared());
    assert.equal(await busy, 'cut');
    assert.equal(again.adopted, false);
    assert.deepEqual(await query(again.url, 'select count(*)::int as n from kept'), [{ n: 1000 }]);
  });

  it('is started once by programs that start at the same moment', async () => {
    const programs = await Promise.all([1, 2, 3].map(() => startProgram(shared())));
    assert.equal(new Set(programs.map(({ pid }) => pid)).size, 1);
    assert.equal(programs.filter(({ adopted }) => !adopted).length, 1);
    await (await start(shared())).stop();
  });

  it('does not mistake the server of the folder it was copied from for its own', async () => {
    const original = await start(shared());
    const copy = join(base, 'copy');
    await cp(shared(), copy, { recursive: true });
    const server = await start(copy);
    assert.equal(server.adopted, false);
    assert.notEqual(server.pid, original.pid);
    assert.notEqual(server.port, original.port);
  });

  it('says which version wrote the data when it is not ours', async () => {
    const file = join(shared(), 'postgres', 'PG_VERSION');
    const version = await readFile(file, 'utf8');
    await writeFile(file, '14\n');
    await assert.rejects(startEmbedded({ dataDir: shared() }), (error: Error) => {
      assert.ok(error instanceof EmbeddedServerError);
      assert.match(error.message, /written by PostgreSQL 14, and this is PostgreSQL 18/);
      return true;
    });
    await writeFile(file, version);
  });

  it('shows the server’s own words when it does not start', async () => {
    await assert.rejects(startEmbedded({ dataDir: shared(), settings: { shared_buffers: 'plenty' } }), {
      name: 'EmbeddedServerError',
      message: /did not start[\s\S]*invalid value for parameter "shared_buffers"/,
    });
  });

  it('asks for the file with the password when that is lost', async () => {
    const file = join(shared(), 'postgres.json');
    const facts = await readFile(file, 'utf8');
    await rm(file);
    await assert.rejects(startEmbedded({ dataDir: shared() }), { message: /postgres\.json .* put it back/ });
    await writeFile(file, facts, { mode: 0o600 });
    await start(shared());
  });
});

describe('a new data folder', () => {
  it('is created whole, whatever a killed start left behind', async () => {
    const dataDir = join(base, 'partial');
    await mkdir(join(dataDir, 'postgres.partial-1', 'cluster', 'base'), { recursive: true });
    await writeFile(join(dataDir, 'postgres.partial-1', 'password'), 'secret');
    const server = await start(dataDir);
    assert.deepEqual(await query(server.url, 'select 1 as one'), [{ one: 1 }]);
    assert.deepEqual(
      readdirSync(dataDir).filter((name) => name.includes('partial')),
      [],
    );
  });

  it('is refused when something else stands where the cluster belongs', async () => {
    const dataDir = join(base, 'occupied');
    await mkdir(join(dataDir, 'postgres'), { recursive: true });
    await writeFile(join(dataDir, 'postgres', 'letter.txt'), 'not a database');
    await assert.rejects(startEmbedded({ dataDir }), { message: /is not a PostgreSQL data folder/ });
    assert.equal(await readFile(join(dataDir, 'postgres', 'letter.txt'), 'utf8'), 'not a database');
  });

  it('may lie where only root gets in: extensions, workers and recovery included', {
    skip: isRoot ? linuxOnly() : 'needs root',
  }, async () => {
    const parent = join(base, 'for-root-only');
    await mkdir(parent, { mode: 0o700 });
    const dataDir = join(parent, 'data');
    const server = await start(dataDir);
    assert.notEqual(statSync(join(dataDir, 'postgres')).uid, 0);
    const rows = await queries(server.url, [
      'create extension pg_trgm',
      'create extension btree_gist',
      'create table things as select n, n::text as word from generate_series(1, 200000) n',
      `alter system set work_mem = '8MB'`,
      'select pg_reload_conf()',
      'checkpoint',
      `select pg_create_logical_replication_slot('slot', 'pgoutput')`,
      'set debug_parallel_query = on',
      'set min_parallel_table_scan_size = 0',
      'select count(*)::int as n, bool_or(similarity(word, $$1$$) > 0) as alike from things',
    ]);
    assert.deepEqual(rows, [{ n: 200_000, alike: true }]);

    // A backend's crash makes the server start itself again, from inside that folder.
    const victim = new Client({ connectionString: server.url });
    victim.on('error', () => {});
    await victim.connect();
    const backend = await victim.query<{ pid: number }>('select pg_backend_pid() as pid');
    const ended = new Promise((settle) => victim.once('end', settle));
    process.kill(backend.rows[0]!.pid, 'SIGKILL');
    await ended;
    assert.ok(
      await until(LIMIT_MS, () =>
        query(server.url, 'select count(*)::int as n from things').then(
          ([row]) => row?.['n'] === 200_000,
          () => false,
        ),
      ),
    );
    await killAll(server);
    const again = await start(dataDir);
    assert.deepEqual(await query(again.url, 'select count(*)::int as n from things'), [{ n: 200_000 }]);
  });

  it('belongs to the ordinary user who started it', { skip: ordinaryUser() }, async () => {
    const dataDir = join(base, 'ordinary');
    await mkdir(dataDir);
    await chown(dataDir, NOBODY, NOBODY);
    const program = await startProgram(dataDir, { uid: NOBODY, gid: NOBODY });
    assert.equal(statSync(join(dataDir, 'postgres')).uid, NOBODY);
    assert.equal(statSync(join(dataDir, 'postgres.json')).uid, NOBODY);
    // Root takes over, and leaves everything as that user needs it.
    const adopted = await start(dataDir);
    assert.equal(adopted.pid, program.pid);
    await adopted.stop();
    await (await start(dataDir)).stop();
    program.child.kill('SIGKILL');
    const again = await startProgram(dataDir, { uid: NOBODY, gid: NOBODY });
    assert.equal(again.adopted, false);
    await start(dataDir);
  });
});

/** One folder whose server goes through everything that can happen to it. */
function shared(): string {
  return join(base, 'data');
}

async function start(dataDir: string): Promise<EmbeddedServer> {
  const server = await startEmbedded({ dataDir });
  running.push(server);
  return server;
}

type Program = { child: ChildProcess; pid: number; port: number; url: string; adopted: boolean };

async function startProgram(dataDir: string, account: { uid?: number; gid?: number } = {}): Promise<Program> {
  const script = join(import.meta.dirname, 'start-server.ts');
  const child = spawn(process.execPath, [script, dataDir], {
    ...account,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) return { ...JSON.parse(line), child };
  throw new Error('The program ended without starting a server');
}

function spawnNode(code: string): ChildProcess {
  const child = spawn(process.execPath, ['--eval', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function query<Row extends object = Record<string, unknown>>(url: string, sql: string): Promise<Row[]> {
  return (await queries<Row>(url, [sql])) ?? [];
}

/** Runs statements on one connection; answers with the last one's rows. */
async function queries<Row extends object = Record<string, unknown>>(
  url: string,
  statements: string[],
): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    let rows: Row[] = [];
    for (const sql of statements) ({ rows } = await client.query<Row>(sql));
    return rows;
  } finally {
    await client.end().catch(() => {});
  }
}

/** As a power cut would: the server and all its children at once. */
async function killAll({ pid }: EmbeddedServer): Promise<void> {
  const family = [pid, ...childrenOf(pid)];
  for (const member of family) process.kill(member, 'SIGKILL');
  assert.ok(await until(LIMIT_MS, async () => family.every((member) => !isRunning(member))));
}

function childrenOf(pid: number): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return list.split(' ').filter(Boolean).map(Number);
}

function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
  } catch {
    return false;
  }
}

async function replacePid(dataDir: string, pid: number): Promise<void> {
  const file = join(dataDir, 'postgres', 'postmaster.pid');
  const [, ...rest] = (await readFile(file, 'utf8')).split('\n');
  await writeFile(file, [pid, ...rest].join('\n'));
}

function linuxOnly(): string | false {
  return process.platform === 'linux' ? false : 'looks into /proc';
}

function ordinaryUser(): string | false {
  if (!isRoot) return 'needs root, to become somebody else';
  for (let folder = import.meta.dirname; folder !== '/'; folder = join(folder, '..')) {
    if ((statSync(folder).mode & 0o005) !== 0o005) return 'the checkout can be read by root alone';
  }
  return linuxOnly();
}
