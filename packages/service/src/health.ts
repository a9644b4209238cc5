/**
 * Liveness and readiness.
 *
 * Live: the event loop turns. Nothing else belongs there, since a restart mends nothing else. Ready: every named
 * check answers in time, and the process is not draining.
 */

export type Readiness = {
  readonly status: 'ready' | 'not-ready' | 'draining';
  /** One entry per check: `ok`, or what is wrong in words that may be shown to anyone. */
  readonly checks: Readonly<Record<string, 'ok' | 'failed' | 'timeout'>>;
};

export type Liveness = { readonly status: 'live' | 'stuck'; readonly event_loop_delay_ms: number };

/** Rejects when the dependency is not fit for use. */
export type HealthCheck = () => Promise<unknown>;

export interface Health {
  /** Registers a check under a name (`database`, `bus`). The same name replaces. */
  add(name: string, check: HealthCheck): void;
  /** From now on not ready, whatever the checks say. */
  markDraining(): void;
  live(): Liveness;
  ready(): Promise<Readiness>;
  /** Stops watching the event loop. May be called twice. */
  close(): void;
}

export type HealthOptions = {
  checks?: Readonly<Record<string, HealthCheck>>;
  /** Longest wait for one check. Default 1 s. */
  timeoutMs?: number;
  /** How long an answer is given again, so that probes cannot load the database. Default 1 s. */
  cacheMs?: number;
  /** A turn of the event loop later than this is called stuck. Default 5 s. */
  stuckAfterMs?: number;
  /** Hears why a check failed; the reason is not shown to clients. */
  onFailure?: (name: string, error: unknown) => void;
};

const HEARTBEAT_MS = 500;

export function createHealth(options: HealthOptions = {}): Health {
  const { timeoutMs = 1_000, cacheMs = 1_000, stuckAfterMs = 5_000, onFailure } = options;
  const checks = new Map(Object.entries(options.checks ?? {}));
  let draining = false;
  let cached: { at: number; answer: Promise<Readiness['checks']> } | undefined;

  let beat = performance.now();
  let delayMs = 0;
  const heart = setInterval(() => {
    const now = performance.now();
    delayMs = Math.max(0, now - beat - HEARTBEAT_MS);
    beat = now;
  }, HEARTBEAT_MS).unref();

  async function run(name: string, check: HealthCheck): Promise<'ok' | 'failed' | 'timeout'> {
    const late = Promise.withResolvers<'timeout'>();
    const timer = setTimeout(() => late.resolve('timeout'), timeoutMs);
    try {
      const outcome = await Promise.race([check().then(() => 'ok' as const), late.promise]);
      if (outcome === 'timeout') onFailure?.(name, new Error(`no answer within ${timeoutMs} ms`));
      return outcome;
    } catch (error) {
      onFailure?.(name, error);
      return 'failed';
    } finally {
      clearTimeout(timer);
    }
  }

  async function runAll(): Promise<Readiness['checks']> {
    const outcomes = [...checks].map(async ([name, check]) => [name, await run(name, check)] as const);
    return Object.fromEntries(await Promise.all(outcomes));
  }

  return {
    add(name, check) {
      checks.set(name, check);
      cached = undefined;
    },
    markDraining() {
      draining = true;
    },
    live() {
      // A probe may be answered before the late heartbeat is, so the silence until now counts too.
      const late = Math.max(delayMs, performance.now() - beat - HEARTBEAT_MS, 0);
      return { status: late > stuckAfterMs ? 'stuck' : 'live', event_loop_delay_ms: Math.round(late) };
    },
    async ready() {
      const now = performance.now();
      if (cached === undefined || now - cached.at > cacheMs) cached = { at: now, answer: runAll() };
      const outcomes = await cached.answer;
      const healthy = Object.values(outcomes).every((outcome) => outcome === 'ok');
      return { status: draining ? 'draining' : healthy ? 'ready' : 'not-ready', checks: outcomes };
    },
    close() {
      clearInterval(heart);
    },
  };
}
