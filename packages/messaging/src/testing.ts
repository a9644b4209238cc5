/** For tests of processes: end this one, without any clean-up, when it reaches a crash point for the nth time. */
import { type CrashPoint, onCrashPoint } from './crash-points.ts';

export type { CrashPoint } from './crash-points.ts';
export { onCrashPoint } from './crash-points.ts';

export function killAt(point: CrashPoint, options: { times: number }): void {
  let seen = 0;
  onCrashPoint((reachedPoint) => {
    if (reachedPoint !== point) return;
    seen += 1;
    if (seen === options.times) process.kill(process.pid, 'SIGKILL');
  });
}
