/**
 * What `npm start`, `npm test` and `npm run check` do first on a fresh clone: install what is missing,
 * then run the program under the Node it is written for. Plain JavaScript for any Node from 20 on, and
 * no dependency, since there may be none yet.
 */
import { fileURLToPath } from 'node:url';
import { runProgram } from '../surefire/bin/node.js';
import { ensureInstalled } from './install.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

const COMMANDS = {
  up: ['surefire/src/main.ts', 'up'],
  test: ['scripts/test.ts'],
  check: ['scripts/check.ts'],
};

const [name, ...args] = process.argv.slice(2);
const command = COMMANDS[name];
if (!command) {
  console.error(`Usage: node scripts/bootstrap.js ${Object.keys(COMMANDS).join('|')} [arguments]`);
  process.exitCode = 2;
} else if (await ensureInstalled(ROOT)) {
  const [entry, ...first] = command;
  runProgram(`${ROOT}${entry}`, [...first, ...args]);
} else {
  process.exitCode = 1;
}
