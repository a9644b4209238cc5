/**
 * Puts a process together: which parts its roles need, and in which order they start. Wiring only; read it from
 * top to bottom. `up` owns the embedded database, `run` uses a database that is there.
 */
import { bankingApi, bankingConsumer } from '@surefire/banking';
import { asyncApi, platformCatalogue } from '@surefire/events';
import {
  createBacklogWatch,
  createMaintenance,
  createPostgresBus,
  createRelay,
  createRemoteWake,
  ensurePartitions,
  messagingMetrics,
  readPartitionCount,
} from '@surefire/messaging';
import { connect, type Database, isTransient, migrate, OverloadedError, SET_BASED } from '@surefire/postgres';
import {
  assertCanListen,
  type Component,
  type Config,
  createAuthenticator,
  createHealth,
  createHttp,
  createKeyFinder,
  createLog,
  createMetrics,
  ensureDevelopmentKey,
  httpComponent,
  type Metrics,
  runComponents,
} from '@surefire/service';
import { operatingRoutes } from '@surefire/service/operating';
import { banner, ISSUE_ANOTHER } from './banner.ts';
import { assureDurability } from './durability.ts';
import { watchOutbox } from './gauges.ts';
import { MIGRATIONS } from './migrations.ts';
import { openDatabase } from './open-database.ts';
import { type PoolPlan, planPools } from './pools.ts';
import { availableRoles } from './roles.ts';
import { say } from './terminal.ts';
import { VERSION } from './version.ts';

export type PlatformOptions = {
  config: Config;
  command: 'up' | 'run';
  /**
   * Where to listen. Default: `SUREFIRE_HTTP_PORT` with the role `api`; without it, where only health and metrics
   * are served, a free port, which is logged: several processes of one environment must not want the same.
   */
  port?: number;
};

/** Runs until a signal; resolves with the exit code. Throws, with nothing left running, when it cannot start. */
export async function runPlatform(options: PlatformOptions): Promise<number> {
  const { config, command } = options;
  const roles = availableRoles(config);
  const plan = planPools({ roles, max: config.poolMax });
  const serves = roles.includes('api');
  const address = { host: config.http.host, port: options.port ?? (serves ? config.http.port : 0) };
  await assertCanListen(address);

  const log = createLog({
    service: 'surefire',
    level: config.logLevel,
    role: roles.join(','),
    version: VERSION,
  });
  await using database = await openDatabase({ config, command });
  const applied = await migrate({ url: database.url, modules: MIGRATIONS });
  if (applied.length > 0) log.info({ migrations: applied.length }, 'database migrated');

  const metrics = createMetrics();
  await using pools = createPools({
    url: database.url,
    plan,
    metrics,
    onIdleError: (err) => log.warn({ err }, 'an idle connection broke'),
  });
  const operations = pools.open('operations');
  const settings = { ...SET_BASED, ...(await assureDurability(operations, log)) };
  await ensurePartitions(operations);
  const partitions = await readPartitionCount(operations);
  const development = serves
    ? await ensureDevelopmentKey(operations, { dataDir: config.dataDir, configured: config.apiKey })
    : undefined;
  if (development?.revoked) {
    log.warn({ remedy: ISSUE_ANOTHER }, 'the development key is revoked');
  }

  const health = createHealth({ onFailure: (check, err) => log.warn({ check, err }, 'not ready') });
  health.add('database', () => assertWritable(operations));
  watchOutbox({ db: operations, metrics, countMax: config.outboxPendingMax + 1 });

  const catalogue = platformCatalogue({ namespace: config.eventNamespace });
  const messaging = messagingMetrics(metrics.registry, { topics: catalogue.topics });
  const wake = createRemoteWake({
    db: operations,
    url: database.url,
    local: { relays: Number(roles.includes('relay')), groups: Number(roles.includes('banking')) },
    log,
    metrics: messaging,
  });
  const { outbox: outboxWake, bus: busWake } = wake;
  const components: Component[] = [
    // First to start and last to stop: everything relies on the database.
    ...(database.guard === undefined ? [] : [database.guard(log)]),
    { name: 'wake-up', start: async () => wake.start(), stop: () => wake.stop() },
  ];

  if (roles.includes('relay')) {
    const db = pools.open('relay', settings);
    const onPublished = () => busWake.notify();
    const relay = createRelay({ db, log, wake: outboxWake, metrics: messaging, onPublished });
    components.push({ name: 'relay', start: () => relay.start(), stop: () => relay.stop() });
    const maintenance = createMaintenance({ db: operations, log });
    components.push({
      name: 'maintenance',
      start: async () => maintenance.start(),
      stop: () => maintenance.stop(),
    });
  }

  if (roles.includes('banking')) {
    const db = pools.open('consumers', settings);
    const bus = createPostgresBus({
      db: pools.open('bus', settings),
      catalogue,
      log,
      metrics: messaging,
    });
    const onSettled = countSettled(metrics);
    const wakes = { busWake, outboxWake };
    const consumer = bankingConsumer({
      db,
      bus,
      catalogue,
      partitions,
      log,
      metrics: messaging,
      ...wakes,
      onSettled,
    });
    components.push({ name: 'banking', start: () => consumer.start(), stop: () => consumer.stop() });
  }

  const app = createHttp({
    log,
    metrics,
    health,
    version: VERSION,
    asyncApi: () => asyncApi({ catalogue, version: VERSION }),
    authenticate: createAuthenticator({ findKey: createKeyFinder(operations) }),
    isUnavailable: isTransient,
    isOverloaded: (error) => error instanceof OverloadedError,
  });
  if (serves) {
    const db = pools.open('api', settings);
    const watch = createBacklogWatch({ db: operations, pendingMax: config.outboxPendingMax, log });
    components.push({ name: 'backlog watch', start: async () => watch.start(), stop: () => watch.stop() });
    app.register(async (scope) => operatingRoutes(scope, { db }));
    app.register(async (scope) => {
      bankingApi(scope, { db, catalogue, partitions, outboxWake, log, overloaded: () => watch.overloaded });
    });
  }
  // Last to start and first to stop: whoever is answered finds everything running.
  let url = '';
  const onListening = (bound: { url: string }) => {
    url = bound.url;
  };
  components.push(httpComponent({ app, ...address, onListening }));

  return await runComponents({
    components,
    log,
    onReady() {
      log.info({ url, roles }, 'ready');
      if (command === 'up' && development !== undefined) {
        say(banner({ url, development, interactive: process.stderr.isTTY }));
      }
    },
    onDraining: () => health.markDraining(),
  });
}

/** A standby, or a server that was made read-only, answers, but nothing can be accepted. */
async function assertWritable(db: Database): Promise<void> {
  const { rows } = await db.query<{ read_only: boolean }>(
    `select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as read_only`,
  );
  if (rows[0]?.read_only !== false) throw new Error('the database is read-only');
}

/** Whoever waits for an answer is better told in time that there is none. */
const ANSWER_WITHIN_MS = 5_000;

/** The process's connections, opened part by part and closed together. */
function createPools(options: {
  url: string;
  plan: PoolPlan;
  metrics: Metrics;
  onIdleError: (error: Error) => void;
}): {
  open: (part: keyof PoolPlan, settings?: Readonly<Record<string, string>>) => Database;
} & AsyncDisposable {
  const opened: Database[] = [];
  return {
    open(part, settings = {}) {
      const db = connect({
        url: options.url,
        max: options.plan[part] as number,
        applicationName: `surefire ${part}`,
        settings,
        ...((part === 'api' || part === 'operations') && { statementTimeoutMs: ANSWER_WITHIN_MS }),
        onIdleError: options.onIdleError,
      });
      options.metrics.watchPool(db.pool, part);
      opened.push(db);
      return db;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((db) => db.close()));
    },
  };
}

function countSettled(metrics: Metrics): Parameters<typeof bankingConsumer>[0]['onSettled'] {
  return (settled) => {
    const now = Date.now();
    for (const { kind, status, currency, requestedAt } of settled) {
      metrics.operations.inc({ kind, status });
      metrics.operationDuration.observe({ kind, status }, Math.max(0, now - Date.parse(requestedAt)) / 1_000);
      if (status === 'completed') metrics.balancesUpdated.inc({ currency });
    }
  };
}
