/**
 * `surefire load deposits`: real requests to the running platform, and then the proof, from the database.
 *
 *   open accounts → make deposits → wait until settled → verify → report
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type Database } from '@surefire/postgres';
import type { Config } from '@surefire/service';
import { apiUrl } from './api-url.ts';
import { needDatabase, shownUrl } from './database.ts';
import { CommandFailure, EXIT, type ExitCode, Interrupted } from './failure.ts';
import { createClient } from './load/client.ts';
import { type Driven, makeDeposits, openAccounts } from './load/drive.ts';
import type { LoadOptions } from './load/options.ts';
import { createPlan, type Plan } from './load/plan.ts';
import { createProgress } from './load/progress.ts';
import { judge, perSecond, type Report, renderReport } from './load/report.ts';
import { type Settling, waitUntilSettled } from './load/settle.ts';
import { compare, type Verified, verify } from './load/verify.ts';
import { painter, print, say } from './terminal.ts';

export async function loadDeposits(options: LoadOptions, context: { config: Config }): Promise<ExitCode> {
  const { config } = context;
  const urls = options.url.length > 0 ? options.url : [apiUrl(config.http)];
  const database = await needDatabase(config);
  const plan = createPlan(options);
  const giveUpAfterMs = options.timeout * 1_000;
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort(new Interrupted());
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);

  let retried = 0;
  const client = createClient({
    urls,
    apiKey: await findApiKey(options, config),
    connections: options.connections,
    giveUpAfterMs,
    signal: interrupt.signal,
    onRetry: () => (retried += 1),
  });
  interrupt.signal.addEventListener('abort', () => void client.close());
  const db = connect({
    url: database.url,
    max: 2,
    applicationName: 'surefire load',
    // A million rows are compared in one statement; and the plans must fit these rows, not the last ones.
    statementTimeoutMs: 600_000,
    settings: { work_mem: '64MB', jit: 'off', plan_cache_mode: 'force_custom_plan' },
  });

  const phase = <T>(label: string, total: number, work: (onProgress: (done: number) => void) => Promise<T>) =>
    withProgress({ label, total, quiet: options.json }, work);
  const common = { client, connections: options.connections, signal: interrupt.signal };
  try {
    await assertReachable(urls, interrupt.signal);
    if (!options.json) say(`${plan.run}: ${options.count} deposits to ${urls.join(', ')}, seed ${plan.seed}`);
    const owner = options.owner ?? plan.run;
    const accountIds = await phase('accounts', options.accounts, (onProgress) =>
      openAccounts({ ...common, count: options.accounts, owner, currency: options.currency, onProgress }),
    );
    await assertSameDatabase(db, { accountId: accountIds[0] as string, url: database.url, urls });
    const driven = await phase('deposits', options.count, (onProgress) =>
      makeDeposits({ ...common, plan, accountIds, rate: options.rate, giveUpAfterMs, onProgress }),
    );
    const expected = driven.counts.accepted + driven.counts.replayed;
    const settling = await phase('settling', expected, (onProgress) =>
      waitUntilSettled({ db, accountIds, expected, giveUpAfterMs, signal: interrupt.signal, onProgress }),
    );
    if (!options.json) say('verifying …');
    const verified = await verify({ db, plan, accountIds, receipts: driven.receipts });

    const report = composeReport({ options, urls, plan, driven, retried, settling, verified });
    if (options.json) print(JSON.stringify(report, null, 2));
    else print(`\n${renderReport(report, painter(process.stdout))}`);
    return report.ok ? EXIT.ok : EXIT.failed;
  } catch (error) {
    throw interrupt.signal.aborted
      ? new Interrupted(`Interrupted; what was accepted stands. Run ${plan.run}.`)
      : error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await client.close();
    await db.close();
  }
}

async function findApiKey(options: LoadOptions, config: Config): Promise<string> {
  const given = options.apiKey ?? config.apiKey;
  if (given !== undefined) return given;
  const file = join(config.dataDir, 'api-key');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new CommandFailure(
      `No API key: ${file} cannot be read, so give one with --api-key or SUREFIRE_API_KEY.`,
      { exitCode: EXIT.usage, cause },
    );
  }
}

/** Later on faults are waited out; but a platform that is not there at the start is a mistake. */
async function assertReachable(urls: readonly string[], signal: AbortSignal): Promise<void> {
  const answers = await Promise.allSettled(
    urls.map((url) =>
      fetch(`${url}/livez`, { signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) }),
    ),
  );
  signal.throwIfAborted();
  if (answers.some((answer) => answer.status === 'fulfilled')) return;
  throw new CommandFailure(
    `Nothing answers at ${urls.join(' or ')}: start the platform with npm start, or name its address with --url.`,
    { exitCode: EXIT.notFound },
  );
}

async function assertSameDatabase(
  db: Database,
  found: { accountId: string; url: string; urls: readonly string[] },
): Promise<void> {
  const { rows } = await db.query('select from accounts where id = $1', [found.accountId]);
  if (rows.length > 0) return;
  throw new CommandFailure(
    `The platform at ${found.urls.join(', ')} does not keep its accounts in ${shownUrl(found.url)}: set ` +
      'SUREFIRE_DATABASE_URL to the database it uses.',
  );
}

async function withProgress<T>(
  options: { label: string; total: number; quiet: boolean },
  work: (onProgress: (done: number) => void) => Promise<T>,
): Promise<T> {
  const progress = createProgress(options);
  let latest = 0;
  // The line also moves while nothing else does: its figures tell how long that lasts.
  const timer = setInterval(() => progress.update(latest), 200);
  try {
    return await work((done) => {
      latest = done;
      progress.update(done);
    });
  } finally {
    clearInterval(timer);
    progress.finish(latest);
  }
}

function composeReport(parts: {
  options: LoadOptions;
  urls: string[];
  plan: Plan;
  driven: Driven;
  retried: number;
  settling: Settling;
  verified: Verified;
}): Report {
  const { options, plan, driven, settling, verified } = parts;
  const { counts, latency, firstSentAt } = driven;
  const acknowledged = counts.accepted + counts.replayed;
  const acceptSeconds = (driven.lastAcknowledgedAt - firstSentAt) / 1_000;
  const settleSeconds = (settling.seenAt - firstSentAt) / 1_000;
  const settled = verified.completed + verified.failed;
  const everyAsked = compare({
    id: 'every-asked',
    name: 'every deposit was acknowledged',
    left: { is: 'asked for', value: String(options.count) },
    right: { is: 'acknowledged', value: String(acknowledged) },
    first: driven.lastReason,
  });
  const checks = [everyAsked, ...verified.checks];
  return {
    ...judge(checks),
    run: plan.run,
    seed: plan.seed,
    urls: parts.urls,
    asked: {
      count: options.count,
      accounts: options.accounts,
      connections: options.connections,
      amount: String(options.amount),
      currency: options.currency,
      ...(options.rate === undefined ? {} : { rate: options.rate }),
    },
    counts: {
      ...counts,
      retried: parts.retried,
      completed: verified.completed,
      failed: verified.failed,
      events: verified.events,
    },
    figures: {
      accept_seconds: acceptSeconds,
      accepted_per_second: perSecond(acknowledged, acceptSeconds),
      settle_seconds: settleSeconds,
      settled_per_second: perSecond(settled, settleSeconds),
      ...(verified.databaseSeconds === undefined
        ? {}
        : {
            database_seconds: verified.databaseSeconds,
            database_settled_per_second: perSecond(settled, verified.databaseSeconds),
          }),
      latency_ms: {
        p50: latency.percentile(50),
        p95: latency.percentile(95),
        p99: latency.percentile(99),
        max: latency.max,
      },
    },
    checks,
  };
}
