/**
 * Prometheus metrics of one process: the registry, the metrics every process has, and makers for more.
 *
 * `/metrics` must answer while the database hangs, because that is when it is read. A gauge that needs a query
 * therefore has a time limit: too late, it is left out of that answer and counted as an error.
 */
import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  Registry,
  type RegistryContentType,
} from '@prometheus-io/client';

export type { Counter, Gauge, Histogram, Registry };

export type MetricOptions<Label extends string> = {
  name: string;
  help: string;
  labels?: readonly Label[];
};

/** One value of a collected gauge. */
export type Sample<Label extends string> = { value: number; labels?: Record<Label, string> };

export type GaugeOptions<Label extends string> = MetricOptions<Label> & {
  /** Asked at each scrape, never twice at a time. Its answer replaces all former values. */
  collect?: () => Promise<number | readonly Sample<Label>[]>;
};

/** The part of a connection pool that is watched. */
export type PoolLike = {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
};

export interface Metrics {
  readonly registry: Registry;
  readonly contentType: RegistryContentType;
  /** The text of `/metrics`. Never waits longer than the collect limit, never rejects for a gauge's sake. */
  render(): Promise<string>;
  /** The makers throw when the name is registered already. */
  counter<Label extends string = never>(options: MetricOptions<Label>): Counter<Label>;
  gauge<Label extends string = never>(options: GaugeOptions<Label>): Gauge<Label>;
  histogram<Label extends string = never>(
    options: MetricOptions<Label> & { buckets?: readonly number[] },
  ): Histogram<Label>;
  /** Shows the pool's counts as `db_pool_total_connections`, `…_idle_connections` and `…_waiting_callers`. */
  watchPool(pool: PoolLike, name?: string): void;
  /** Counts an error under `errors_total{type,service}`. `type` must be one of few: an error's code or class. */
  countError(type: string): void;
  readonly httpRequestDuration: Histogram<'method' | 'route' | 'status'>;
  readonly errors: Counter<'type' | 'service'>;
  readonly operations: Counter<'kind' | 'status'>;
  readonly balancesUpdated: Counter<'currency'>;
  readonly operationDuration: Histogram<'kind' | 'status'>;
}

export type MetricsOptions = {
  /** The `service` label of `errors_total`. Default `surefire`. */
  service?: string;
  /** How long a scrape waits for one gauge. Default 1 s. */
  collectTimeoutMs?: number;
  /** The process's own metrics: memory, CPU, event loop, garbage collection. Default true. */
  process?: boolean;
};

/** Seconds, from a cached read to a waiting route that ran out of its 30 s. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function createMetrics(options: MetricsOptions = {}): Metrics {
  const { service = 'surefire', collectTimeoutMs = 1_000 } = options;
  const registry = new Registry();
  if (options.process ?? true) collectDefaultMetrics({ register: registry });

  const base = <Label extends string>({ name, help, labels = [] }: MetricOptions<Label>) => ({
    name,
    help,
    labelNames: labels,
    registers: [registry],
  });
  const counter: Metrics['counter'] = (metric) => new Counter(base(metric));
  const histogram: Metrics['histogram'] = ({ buckets = DURATION_BUCKETS, ...metric }) =>
    new Histogram({ ...base(metric), buckets: [...buckets] });
  const gauge: Metrics['gauge'] = ({ collect, ...metric }) => {
    if (collect === undefined) return new Gauge(base(metric));
    const refresh = boundedCollect(collect, {
      timeoutMs: collectTimeoutMs,
      onFailure: () => errors.inc({ type: 'metric_collect', service }),
    });
    return new Gauge({
      ...base(metric),
      async collect() {
        const samples = await refresh();
        // A gauge without labels would be reset to 0, which is a claim; one that is not known has no value.
        if ((metric.labels ?? []).length === 0) this.remove();
        else this.reset();
        for (const { labels, value } of samples) {
          this.set((labels ?? {}) as Parameters<typeof this.labels>[0], value);
        }
      },
    });
  };

  const errors = counter({
    name: 'errors_total',
    help: 'Errors, by class and service',
    labels: ['type', 'service'],
  });

  const pools = new Map<string, PoolLike>();
  const poolGauge = (what: string, help: string, read: (pool: PoolLike) => number) =>
    gauge({
      name: `db_pool_${what}`,
      help,
      labels: ['pool'],
      collect: async () => [...pools].map(([pool, counts]) => ({ labels: { pool }, value: read(counts) })),
    });
  poolGauge('total_connections', 'Open database connections', (pool) => pool.totalCount);
  poolGauge('idle_connections', 'Open database connections nobody uses', (pool) => pool.idleCount);
  poolGauge('waiting_callers', 'Callers waiting for a database connection', (pool) => pool.waitingCount);

  return {
    registry,
    contentType: registry.contentType,
    render: () => registry.metrics(),
    counter,
    gauge,
    histogram,
    errors,
    countError: (type) => errors.inc({ type, service }),
    watchPool(pool, name = 'main') {
      pools.set(name, pool);
    },
    httpRequestDuration: histogram({
      name: 'http_request_duration_seconds',
      help: 'Time from the head of a request to the end of its answer; the route is its template',
      labels: ['method', 'route', 'status'],
    }),
    operations: counter({
      name: 'operations_total',
      help: 'Money operations that reached a state',
      labels: ['kind', 'status'],
    }),
    balancesUpdated: counter({
      name: 'balances_updated_total',
      help: 'Changes of account balances',
      labels: ['currency'],
    }),
    operationDuration: histogram({
      name: 'operation_duration_seconds',
      help: 'Time from acceptance of an operation to its end',
      labels: ['kind', 'status'],
    }),
  };
}

/**
 * Runs `collect` with a time limit. One that hangs is not started again: the next scrape waits for the same
 * answer, so that a stuck database gets one stuck query per gauge, not one per scrape.
 */
function boundedCollect<Label extends string>(
  collect: () => Promise<number | readonly Sample<Label>[]>,
  { timeoutMs, onFailure }: { timeoutMs: number; onFailure: () => void },
): () => Promise<readonly Sample<Label>[]> {
  let underWay: Promise<readonly Sample<Label>[]> | undefined;
  const start = async () => {
    try {
      const answer = await collect();
      return typeof answer === 'number' ? [{ value: answer }] : answer;
    } catch {
      onFailure();
      return [];
    } finally {
      underWay = undefined;
    }
  };
  return async () => {
    underWay ??= start();
    const tooLate = Promise.withResolvers<readonly Sample<Label>[]>();
    const timer = setTimeout(() => {
      onFailure();
      tooLate.resolve([]);
    }, timeoutMs);
    try {
      return await Promise.race([underWay, tooLate.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
}
