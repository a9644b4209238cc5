/**
 * A hint from one part of a process to another that there is something to do. Hints are never needed for
 * correctness: whoever waits also looks by itself after a while.
 */
export interface Wake {
  notify(): void;
  /** Resolves at the next hint (or at once, if one came since the last wait), after `limitMs`, or on abort. */
  wait(limitMs: number, signal: AbortSignal): Promise<'hint' | 'time' | 'stop'>;
}

export function createWake(): Wake {
  let hinted = false;
  const waiting = new Set<() => void>();

  return {
    notify() {
      hinted = true;
      for (const wake of waiting) wake();
    },
    wait(limitMs, signal) {
      if (signal.aborted) return Promise.resolve('stop');
      if (hinted) {
        hinted = false;
        return Promise.resolve('hint');
      }
      return new Promise((resolve) => {
        const end = (reason: 'hint' | 'time' | 'stop') => {
          clearTimeout(timer);
          waiting.delete(onHint);
          signal.removeEventListener('abort', onAbort);
          if (reason === 'hint') hinted = false;
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
}
