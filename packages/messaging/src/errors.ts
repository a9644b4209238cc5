/**
 * What becomes of an event whose handler failed: one table for everything that can be thrown.
 *
 *   later    the surroundings failed: the batch is repeated for as long as that lasts, and nothing is counted
 *   retry    the event failed: it waits, and is tried again a limited number of times
 *   park     trying again is pointless: it is given up at once, as poison
 */
import { ContractViolationError } from '@surefire/events';
import { isTransient } from '@surefire/postgres';

export type Verdict = 'later' | 'retry' | 'park';

/** Thrown by a handler: this event can never be applied as it is. */
export class ParkError extends Error {
  readonly code = 'PARK';
  constructor(reason: string, options?: { cause?: unknown }) {
    super(reason, options);
    this.name = 'ParkError';
  }
}

export function classify(error: unknown): Verdict {
  if (error instanceof ParkError || error instanceof ContractViolationError) return 'park';
  return isTransient(error) ? 'later' : 'retry';
}
