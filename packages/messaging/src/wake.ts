/**
 * A hint from one part of a process to others that there is something to do. Hints are never needed for
 * correctness: whoever waits also looks by itself after a while.
 */
export interface Wake {
  notify(): void;
  /** One listener's side: each hears every hint, also one that came while it was busy. */
  listen(): Listener;
}

export interface Listener {
  /** Resolves at the next hint (or at once, if one came since the last wait), after `limitMs`, or on abort. */
  wait(limitMs: number, signal: AbortSignal): Promise<'hint' | 'time' | 'stop'>;
}

export function createWake(): Wake {
  let hints = 0;
  const waiting = new Set<() => void>();

  return {
    notify() {
      hints += 1;
      for (const wake of waiting) wake();
    },
    listen() {
      let heard = hints;
      return {
        wait(limitMs, signal) {
          if (signal.aborted) return Promise.resolve('stop');
          if (heard !== hints) {
            heard = hints;
            return Promise.resolve('hint');
          }
          return new Promise((resolve) => {
            const end = (reason: 'hint' | 'time' | 'stop') => {
              clearTimeout(timer);
              waiting.delete(onHint);
              signal.removeEventListener('abort', onAbort);
              heard = hints;
              resolve(reason);
            };
            const onHint = () => end('hint');
            const onAbort = () => end('stop');
            const timer = setTimeout(() => end('time'), limitMs);
            waiting.add(onHint);
            signal.addEventListener('abort', onAbort, { once: true });
          });
        },
      };
    },
  };
}
