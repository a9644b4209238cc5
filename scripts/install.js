/**
 * Installs the dependencies when they are missing, belong to another package-lock.json, or are the
 * half of an install that was killed. Costs a few milliseconds when there is nothing to do.
 *
 * A mark in node_modules says what is installed: the hash of the lock file, or `installing`. Without a
 * mark (somebody ran npm by hand) npm's own record of what it installed is compared with the lock file.
 *
 * It is `npm install` and not `npm ci`, which refuses a lock file that lacks a package for some other
 * platform, although npm itself writes such files (npm/cli#4828). Versions and checksums come from the
 * lock file either way, and --no-save leaves that file as it is.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const INSTALLING = 'installing';
const HEARTBEAT_MS = 1_000;
const ABANDONED_MS = 10_000;
const TAKEOVER_MS = 500;

/** True when everything is there. Otherwise it has said why. */
export async function ensureInstalled(root) {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (isInstalled(root, wanted)) return true;

  const modules = join(root, 'node_modules');
  try {
    mkdirSync(modules, { recursive: true });
    return await withLock(join(modules, '.surefire-lock'), async () => {
      // Whoever held the lock before us may have done it.
      return isInstalled(root, wanted) || (await install(root, wanted));
    });
  } catch (error) {
    console.error(`The dependencies cannot be installed: ${error.message}.`);
    return false;
  }
}

function isInstalled(root, wanted) {
  const mark = read(markOf(root));
  if (mark !== undefined) return mark === wanted;
  if (missingPackages(root).length > 0) return false;
  try {
    writeFileSync(markOf(root), wanted);
  } catch {
    // Installed by someone else and read-only for us: compared again at the next start.
  }
  return true;
}

async function install(root, wanted) {
  // What a killed install left cannot be told from the real thing package by package.
  if (read(markOf(root)) === INSTALLING) emptyFolder(join(root, 'node_modules'));
  writeFileSync(markOf(root), INSTALLING);

  const startedAt = Date.now();
  const { ended, said } = await showing('Installing dependencies, once', () => runNpm(root));
  if (ended !== 0) {
    console.error(reasonOf(ended, said));
    return false;
  }
  // npm leaves out an optional package whose download failed, and calls that a success.
  const [missing] = missingPackages(root);
  if (missing) {
    console.error(`npm left out ${missing.replace('node_modules/', '')}; start again, with the network up.`);
    return false;
  }
  writeFileSync(markOf(root), wanted);
  console.error(`Installed in ${Math.round((Date.now() - startedAt) / 1000)} s.`);
  return true;
}

/** What the lock file wants on this machine and npm's own record does not have. */
function missingPackages(root) {
  const locked = JSON.parse(read(join(root, 'package-lock.json'))).packages;
  const record = read(join(root, 'node_modules', '.package-lock.json'));
  const installed = record === undefined ? {} : JSON.parse(record).packages;
  return Object.keys(locked).filter((path) => {
    const { version, os, cpu, libc, link } = locked[path];
    if (!path.startsWith('node_modules/') || link) return false;
    if (!fits(os, process.platform) || !fits(cpu, process.arch)) return false;
    if (libc && !fits(libc, hasGlibc() ? 'glibc' : 'musl')) return false;
    return installed[path]?.version !== version;
  });
}

function fits(allowed, mine) {
  return !allowed || allowed.includes(mine);
}

function hasGlibc() {
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime !== undefined;
}

/** Through the npm that started us, if one did; what it says is kept for the error message. */
function runNpm(root) {
  // oxlint-disable-next-line node/no-process-env -- npm says here where it is
  const cli = process.env.npm_execpath;
  const [command, ...first] = cli && /npm-cli\.c?js$/.test(cli) ? [process.execPath, cli] : ['npm'];
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--progress=false'];
  return new Promise((settle) => {
    let said = '';
    let interrupted = false;
    const child = spawn(command, [...first, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));

    const forward = (signal) => {
      interrupted = true;
      child.kill(signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, forward);
    const end = (ended) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, forward);
      settle({ ended: interrupted ? 'interrupted' : ended, said });
    };
    child.on('error', (error) => {
      said += error.message;
      end('not started');
    });
    child.on('close', (code, signal) => end(code ?? signal));
  });
}

function reasonOf(ended, said) {
  if (ended === 'interrupted') return 'The install was interrupted; the next start begins it anew.';
  if (/ENOTCACHED|ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|ENETUNREACH/.test(said)) {
    return 'The dependencies are not installed yet and the npm registry cannot be reached; go online once and start again.';
  }
  const lines = said.trim().split('\n');
  const detail = lines.filter((line) => !line.includes('complete log')).slice(-8);
  return `npm could not install the dependencies (${ended}):\n${detail.join('\n')}`;
}

/** A line that counts the seconds on a terminal, and stands still elsewhere. */
async function showing(text, work) {
  if (!process.stderr.isTTY) {
    console.error(`${text} …`);
    return await work();
  }
  const startedAt = Date.now();
  const draw = () => process.stderr.write(`\r${text} … ${Math.round((Date.now() - startedAt) / 1000)} s `);
  draw();
  const timer = setInterval(draw, 1_000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    process.stderr.write('\n');
  }
}

/** One installer at a time. The holder keeps touching its file, so that a killed one is found out. */
async function withLock(path, work) {
  const token = `${process.pid}-${Math.random()}`;
  for (let announced = false; !(await tryLock(path, token)); await sleep(200)) {
    if (!announced) console.error('Another process is installing the dependencies; waiting for it …');
    announced = true;
  }
  const heartbeat = setInterval(() => utimesSync(path, new Date(), new Date()), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    rmSync(path, { force: true });
  }
}

async function tryLock(path, token) {
  try {
    writeFileSync(path, token, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
  if (Date.now() - mtimeMs < ABANDONED_MS) return false;

  // Several may take over an abandoned lock at the same moment: the last to rename has it.
  writeFileSync(`${path}-${token}`, token);
  renameSync(`${path}-${token}`, path);
  await sleep(TAKEOVER_MS);
  return read(path) === token;
}

/** All but our own files, one of which is the lock that we hold. */
function emptyFolder(folder) {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith('.surefire-')) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function markOf(root) {
  return join(root, 'node_modules', '.surefire-installed');
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
