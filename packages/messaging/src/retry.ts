/**
 * Capped exponential back-off with full jitter: attempt n waits a random time between 0 and
 * `baseMs * 2^(n-1)`, at most `capMs`. Jitter keeps many that failed together from returning together
 * (M. Brooker, "Exponential Backoff And Jitter", 2015).
 */
export function backoffMs(options: {
  attempt: number;
  baseMs: number;
  capMs: number;
  random?: () => number;
}): number {
  const ceiling = Math.min(options.capMs, options.baseMs * 2 ** Math.min(options.attempt - 1, 30));
  return Math.round((options.random ?? Math.random)() * ceiling);
}
