/**
 * The life of a process: start in order, run until a signal, stop in reverse order, within a limit.
 *
 *   starting ──► running ──signal──► draining ──► code 0
 *       │           │                   ├─ took longer than `drainMs`, or a stop failed ──► code 1
 *       │           │                   └─ second signal ──► code 128 + signal, at once
 *       │           └─ uncaught error ──► draining (shortly) ──► code 1
 *       └─ a start failed ──► what was started is stopped ──► the error is thrown
 *
 * Nothing here ends the process: the program does, with the code it gets.
 */
import { constants } from 'node:os';
import type { Log } from './log.ts';

/**
 * A part of a process. `stop` lets work in hand finish; it may be called twice, also while `start` is under way.
 */
export type Component = {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
};

// oxlint-disable-next-line typescript/no-explicit-any -- as EventEmitter has it
type Listener = (...values: any[]) => void;

/** The part of `process` that is listened to. */
export type SignalSource = {
  on(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
};

export type RunOptions = {
  /** In starting order: what others rely on comes first. */
  components: readonly Component[];
  log: Pick<Log, 'info' | 'error' | 'fatal'>;
  /** How long stopping may take in total. Default 10 s. */
  drainMs?: number;
  /** Default SIGTERM and SIGINT. */
  signals?: readonly NodeJS.Signals[];
  /** Called when all components run. */
  onReady?: () => void;
  /** Called first when stopping begins: the place to fail readiness. */
  onDraining?: () => void;
  /** Stops as a signal would. */
  abort?: AbortSignal;
  /** Default `process`. */
  source?: SignalSource;
};

/** How long a process that has met an uncaught error tries to leave in good order. */
const FATAL_DRAIN_MS = 2_000;

type Ending = { code: number; drainMs: number };

/**
 * Runs until a signal, the abort signal, or an uncaught error.
 * @returns the exit code: 0 after a clean stop, 1 after a failed one, 128 + signal after a second signal.
 * @throws what a component's `start` threw.
 */
export async function runComponents(options: RunOptions): Promise<number> {
  const { components, log, drainMs = 10_000 } = options;
  const leaving = listen(options, { drainMs, fatalDrainMs: Math.min(FATAL_DRAIN_MS, drainMs) });
  const started: Component[] = [];
  try {
    let ending: Ending | undefined;
    for (const component of components) {
      started.push(component);
      ending = await Promise.race([component.start().then(() => undefined), leaving.ending]);
      if (ending !== undefined) break;
      log.info({ component: component.name }, 'started');
    }
    if (ending === undefined) {
      options.onReady?.();
      ending = await leaving.ending;
    }
    options.onDraining?.();
    const stopped = stopAll(started, { log, drainMs: ending.drainMs });
    const clean = await Promise.race([stopped, leaving.atOnce]);
    if (typeof clean === 'number') return clean;
    return clean ? ending.code : 1;
  } catch (error) {
    // Whoever failed to start may hold something already, so it is stopped like the others.
    await Promise.race([stopAll(started, { log, drainMs }), leaving.atOnce]);
    throw error;
  } finally {
    leaving.dispose();
  }
}

type Leaving = { ending: Promise<Ending>; atOnce: Promise<number>; dispose(): void };

/** Turns signals and uncaught errors into two promises: the wish to leave, and the wish to leave now. */
function listen(options: RunOptions, limits: { drainMs: number; fatalDrainMs: number }): Leaving {
  const { log, abort, signals = ['SIGTERM', 'SIGINT'], source = process } = options;
  const ending = Promise.withResolvers<Ending>();
  const atOnce = Promise.withResolvers<number>();
  let stopping = false;

  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping) {
      log.info({ signal }, 'second signal, leaving at once');
      return atOnce.resolve(128 + constants.signals[signal]);
    }
    stopping = true;
    log.info({ signal }, 'stopping');
    ending.resolve({ code: 0, drainMs: limits.drainMs });
  };
  const onAbort = () => {
    stopping = true;
    ending.resolve({ code: 0, drainMs: limits.drainMs });
  };
  // After an uncaught error nothing can be relied upon: a short attempt to finish, then out.
  const onFatal = (error: unknown) => {
    log.fatal({ err: error }, 'uncaught error');
    if (stopping) return atOnce.resolve(1);
    stopping = true;
    ending.resolve({ code: 1, drainMs: limits.fatalDrainMs });
  };

  const events: [string, Listener][] = [
    ...signals.map((signal): [string, Listener] => [signal, onSignal]),
    ['uncaughtException', onFatal],
    ['unhandledRejection', onFatal],
  ];
  for (const [event, listener] of events) source.on(event, listener);
  if (abort?.aborted) onAbort();
  else abort?.addEventListener('abort', onAbort, { once: true });

  return {
    ending: ending.promise,
    atOnce: atOnce.promise,
    dispose() {
      for (const [event, listener] of events) source.off(event, listener);
      abort?.removeEventListener('abort', onAbort);
    },
  };
}

/** Stops in reverse order. False when one failed, or when time ran out: then those left are named and left alone. */
async function stopAll(
  components: readonly Component[],
  { log, drainMs }: { log: RunOptions['log']; drainMs: number },
): Promise<boolean> {
  const deadline = performance.now() + drainMs;
  const left = [...components];
  let clean = true;
  for (let component = left.at(-1); component !== undefined; component = left.at(-1)) {
    try {
      if (!(await within(component.stop(), deadline - performance.now()))) {
        log.error(
          { components: left.map(({ name }) => name), drain_ms: drainMs },
          'still running at the limit',
        );
        return false;
      }
      log.info({ component: component.name }, 'stopped');
    } catch (error) {
      clean = false;
      log.error({ component: component.name, err: error }, 'failed to stop');
    }
    left.pop();
  }
  return clean;
}

/** Whether the work finished in time; rejects if it did. */
async function within(work: Promise<void>, ms: number): Promise<boolean> {
  const tooLate = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => tooLate.resolve(false), Math.max(0, ms));
  try {
    return await Promise.race([work.then(() => true), tooLate.promise]);
  } finally {
    clearTimeout(timer);
  }
}
