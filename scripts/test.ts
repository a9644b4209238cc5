/**
 * Runs the tests: `npm test`, `npm test -- outbox` (files whose path contains it), `--only unit|int|e2e`.
 *
 * One PostgreSQL serves the whole run. Each file is a process of its own, with a time limit; one that
 * crashes or hangs is a failure. The last line is always `N passed, N failed[, N skipped]`.
 */
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';
import { startTestServer } from '@surefire/postgres/testing';

const FOLDERS = ['packages', 'services', 'surefire', 'scripts', 'test', 'examples'];
const FILE_LIMIT_MS = 5 * 60_000;
const TEST_LIMIT_MS = 2 * 60_000;
const STILL_RUNNING_MS = 20_000;
const FILES_AT_ONCE = Math.max(2, availableParallelism());

type Kind = 'unit' | 'int' | 'e2e';
const KINDS: readonly Kind[] = ['unit', 'int', 'e2e'];

/** The part that we read of what the runner reports. */
type TestEvent = {
  type: string;
  data: {
    name: string;
    nesting: number;
    message?: string;
    testId?: number;
    parentId?: number;
    skip?: string | boolean;
    todo?: string | boolean;
    details?: { type?: string; error?: { failureType?: string } };
  };
};

type Tally = { passed: number; failed: number; skipped: string[] };

const root = process.cwd();
process.exitCode = await main();

async function main(): Promise<number> {
  const files = chooseFiles();
  if (typeof files === 'string') {
    console.error(files);
    return 2;
  }
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

  const startedAt = performance.now();
  const environment = await testEnvironment(files);
  try {
    const tally = await runFiles(files, environment.variables, stopping.signal);
    console.log(
      `\n${files.length} ${files.length === 1 ? 'file' : 'files'} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
    );
    for (const name of tally.skipped) console.log(`skipped: ${name}`);
    if (stopping.signal.aborted) console.log('Interrupted: not every test ran.');
    if (tally.passed + tally.failed === 0) console.log('No test ran.');
    const skipped = tally.skipped.length > 0 ? `, ${tally.skipped.length} skipped` : '';
    console.log(`${tally.passed} passed, ${tally.failed} failed${skipped}`);
    return tally.failed > 0 || tally.passed === 0 || stopping.signal.aborted ? 1 : 0;
  } finally {
    await environment.close();
  }
}

/** The files to run, the quick kinds first; or a sentence on why there are none. */
function chooseFiles(): string[] | string {
  let only: string | undefined;
  let patterns: string[];
  try {
    const parsed = parseArgs({ options: { only: { type: 'string' } }, allowPositionals: true });
    only = parsed.values.only;
    patterns = parsed.positionals;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (only !== undefined && !KINDS.some((kind) => kind === only)) {
    return `--only takes ${KINDS.join(', ')}, not ${only}.`;
  }
  const all = globSync(`{${FOLDERS.join(',')}}/**/*.test.ts`, { exclude: ['**/node_modules/**'] });
  const chosen = all
    .filter((file) => file.split('/').includes('test'))
    .filter((file) => only === undefined || kindOf(file) === only)
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .toSorted((a, b) => KINDS.indexOf(kindOf(a)) - KINDS.indexOf(kindOf(b)) || a.localeCompare(b));
  if (chosen.length > 0) return chosen;
  const wanted = [
    only && `of kind ${only}`,
    patterns.length > 0 && `with ${patterns.join(' or ')} in its path`,
  ];
  return `There is no test file ${wanted.filter(Boolean).join(' ')}.`;
}

function kindOf(file: string): Kind {
  const [, kind] = /\.(int|e2e)\.test\.ts$/.exec(file) ?? [];
  return kind === 'int' || kind === 'e2e' ? kind : 'unit';
}

/** What the files' processes see, with a server in it when one of them needs it. */
async function testEnvironment(
  files: string[],
): Promise<{ variables: NodeJS.ProcessEnv; close(): Promise<void> }> {
  // oxlint-disable-next-line node/no-process-env -- handed on to the tests' processes as it is
  const variables = { ...process.env };
  if (variables['SUREFIRE_TEST_DATABASE_URL'] || files.every((file) => kindOf(file) === 'unit')) {
    return { variables, close: async () => {} };
  }
  console.log('Starting PostgreSQL for the tests …');
  const server = await startTestServer();
  return { variables: { ...variables, SUREFIRE_TEST_DATABASE_URL: server.url }, close: () => server.stop() };
}

async function runFiles(files: string[], env: NodeJS.ProcessEnv, stop: AbortSignal): Promise<Tally> {
  const total: Tally = { passed: 0, failed: 0, skipped: [] };
  const reporter = new spec();
  const printed = print(reporter);

  const waiting = [...files];
  const running = new Set<string>();
  const reminder = setInterval(() => {
    console.log(`… still running ${[...running].join(', ')}; ${waiting.length} more to come`);
  }, STILL_RUNNING_MS);

  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file && !stop.aborted; file = waiting.shift()) {
      running.add(file);
      const events = await runFile(file, env, stop);
      running.delete(file);
      // Reported file by file, so that two that run side by side do not mix their lines.
      for (const event of events) reporter.write(event);
      const tally = count(file, events);
      total.passed += tally.passed;
      total.failed += tally.failed;
      total.skipped.push(...tally.skipped);
      reminder.refresh();
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker));
  clearInterval(reminder);
  reporter.end();
  await printed;
  return total;
}

/** Not a pipe, which would wait for ever once nobody reads our output any more. */
async function print(lines: AsyncIterable<unknown>): Promise<void> {
  for await (const line of lines) process.stdout.write(String(line));
}

async function runFile(file: string, env: NodeJS.ProcessEnv, stop: AbortSignal): Promise<TestEvent[]> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(FILE_LIMIT_MS)]);
  const startedAt = performance.now();
  const events: TestEvent[] = [];
  for await (const event of run({ files: [file], env, signal, timeout: TEST_LIMIT_MS })) {
    if (!isSummary(event)) events.push(event);
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const title = {
    type: 'test:diagnostic',
    data: { name: '', nesting: 0, message: `${file} (${seconds} s)` },
  };
  return [title, ...events];
}

/** The runner sums up each file; the sums that count are over all of them. */
function isSummary({ type, data }: TestEvent): boolean {
  if (type === 'test:summary' || type === 'test:coverage') return true;
  return (
    type === 'test:diagnostic' &&
    /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) \d/.test(data.message ?? '')
  );
}

/** Counts leaves: a test with subtests counts only for a failure of its own. */
function count(file: string, events: TestEvent[]): Tally {
  const results = events.filter(({ type }) => type === 'test:pass' || type === 'test:fail');
  const parents = new Set(results.map(({ data }) => data.parentId));
  const tally: Tally = { passed: 0, failed: 0, skipped: [] };
  for (const { type, data } of results) {
    const isFile = data.nesting === 0 && relative(root, data.name) === file;
    const isLeaf = !isFile && data.details?.type !== 'suite' && !parents.has(data.testId);
    const failedItself = type === 'test:fail' && data.details?.error?.failureType !== 'subtestsFailed';
    if (data.skip !== undefined || data.todo !== undefined) tally.skipped.push(describe(file, data));
    else if (failedItself) tally.failed += 1;
    else if (isLeaf && type === 'test:pass') tally.passed += 1;
  }
  return tally;
}

function describe(file: string, { name, skip, todo }: TestEvent['data']): string {
  const reason = [skip, todo].find((value) => typeof value === 'string' && value !== '');
  return `${file}: ${name}${reason ? ` (${reason})` : ''}`;
}
