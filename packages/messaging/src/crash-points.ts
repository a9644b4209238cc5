/**
 * Named points at which a test may end the process, to prove that nothing is lost or doubled there.
 * In production nothing is installed and a point costs one property read.
 */
export type CrashPoint =
  | 'after-accept' // a command and its event are committed, nobody has been told
  | 'before-publish' // the relay holds its leases and is about to publish
  | 'after-publish' // the relay has published and its loop has not gone on
  | 'before-apply' // a batch was fetched, its transaction not begun
  | 'before-commit' // a batch was applied, its transaction not committed
  | 'after-commit'; // a batch was committed, nobody has been told

const HOOK = Symbol.for('surefire.crash-point');

export function reached(point: CrashPoint): void {
  (globalThis as { [HOOK]?: (point: CrashPoint) => void })[HOOK]?.(point);
}

/** Called at every point that is reached. For tests; see `@surefire/messaging/testing`. */
export function onCrashPoint(act: (point: CrashPoint) => void): void {
  (globalThis as { [HOOK]?: (point: CrashPoint) => void })[HOOK] = act;
}
