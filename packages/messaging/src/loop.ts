/**
 * A loop that works while there is work and otherwise looks again at growing intervals, sooner when hinted.
 * Errors never end it: it backs off with full jitter and goes on until it is stopped.
 */
import { backoffMs } from './retry.ts';
import type { Wake } from './wake.ts';

export type LoopOptions = {
  /**
   * One round. `busy`: look again at once. `light`: there was little to do, so let a little more come together
   * first; a round costs the same for one event as for a hundred. `idle`: there was nothing to do.
   */
  step: (signal: AbortSignal) => Promise<'busy' | 'light' | 'idle'>;
  wake: Wake;
  /** The first pause when idle; doubles up to `pauseMaxMs`. */
  pauseMinMs: number;
  pauseMaxMs: number;
  onError: (error: unknown, failures: number) => void;
};

export interface Loop {
  start(): void;
  /** Lets the round under way finish. May be called twice. */
  stop(): Promise<void>;
}

/** Short against the commit that every event has waited for already. */
const GATHER_MS = 4;

const ERROR_BACKOFF = { baseMs: 100, capMs: 5_000 };

export function createLoop(options: LoopOptions): Loop {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    const hints = options.wake.listen();
    let pauseMs = options.pauseMinMs;
    let failures = 0;
    while (!stopping.signal.aborted) {
      try {
        const outcome = await options.step(stopping.signal);
        failures = 0;
        if (outcome === 'busy') {
          pauseMs = options.pauseMinMs;
          continue;
        }
        if (outcome === 'light') {
          pauseMs = options.pauseMinMs;
          await sleep(GATHER_MS, stopping.signal);
          continue;
        }
        const reason = await hints.wait(pauseMs, stopping.signal);
        pauseMs = reason === 'hint' ? options.pauseMinMs : Math.min(pauseMs * 2, options.pauseMaxMs);
      } catch (error) {
        failures += 1;
        options.onError(error, failures);
        // A hint does not shorten this pause: what failed would only fail sooner.
        await sleep(backoffMs({ attempt: failures, ...ERROR_BACKOFF }), stopping.signal);
      }
    }
  }

  return {
    start() {
      running ??= run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Resolves after `ms`, or at once when aborted. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
