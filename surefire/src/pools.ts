/** How the connections of a process are divided among its parts, so that none can starve another. */
import type { Role } from '@surefire/service';

export type PoolPlan = {
  /** Requests; present with the role `api`. */
  readonly api?: number;
  /** Publishing, leases and upkeep; present with the role `relay`. */
  readonly relay?: number;
  /** Batches and their transactions; present with a consuming role. */
  readonly consumers?: number;
  /** Reading the log and keeping the groups' leases; present with a consuming role. */
  readonly bus?: number;
  /** Health, metrics, keys: always answers, whatever the others do. */
  readonly operations: number;
};

const LEAST = { api: 2, relay: 2, consumers: 2, bus: 2, operations: 2 } as const;
const USUAL = { api: 8, relay: 3, consumers: 3, bus: 2, operations: 2 } as const;

export class PoolTooSmallError extends Error {
  readonly code = 'POOL_TOO_SMALL';
}

/** Throws `PoolTooSmallError` when `max` connections cannot carry the roles. */
export function planPools(options: { roles: readonly Role[]; max: number | undefined }): PoolPlan {
  const { roles, max } = options;
  const parts: (keyof typeof LEAST)[] = ['operations'];
  if (roles.includes('api')) parts.push('api');
  if (roles.includes('relay')) parts.push('relay');
  if (roles.some((role) => role !== 'api' && role !== 'relay')) parts.push('consumers', 'bus');

  const plan: Record<string, number> = {};
  if (max === undefined) {
    for (const part of parts) plan[part] = USUAL[part];
    return plan as PoolPlan;
  }
  const least = parts.reduce((sum, part) => sum + LEAST[part], 0);
  if (max < least) {
    throw new PoolTooSmallError(
      `SUREFIRE_DB_POOL_MAX=${max} is too small: the roles ${roles.join(', ')} need at least ${least} connections.`,
    );
  }
  for (const part of parts) plan[part] = LEAST[part];
  // What is left over goes where callers wait: to requests, else to the consumers, else to the relay.
  const greedy =
    (['api', 'consumers', 'relay'] as const).find((part) => parts.includes(part)) ?? 'operations';
  plan[greedy] = (plan[greedy] as number) + max - least;
  return plan as PoolPlan;
}
