/**
 * What a run will do, fixed before anything is sent: deposit `n` has one account and one idempotency key, so
 * that every repetition of its request is the same request. Both are computed, so a plan of millions costs
 * nothing.
 */
import { randomBytes } from 'node:crypto';

export type Plan = {
  /** Names the run; part of every key. */
  readonly run: string;
  readonly seed: number;
  readonly count: number;
  readonly accounts: number;
  readonly amount: bigint;
  /** The account of a deposit, from 0. */
  accountOf(number: number): number;
  keyOf(number: number): string;
};

export function createPlan(options: {
  count: number;
  accounts: number;
  amount: bigint;
  seed?: number | undefined;
}): Plan {
  const { count, accounts, amount } = options;
  const seed = options.seed ?? randomBytes(4).readUInt32LE();
  const run = `load-${randomBytes(6).toString('hex')}`;
  return {
    run,
    seed,
    count,
    accounts,
    amount,
    accountOf: (number) => Math.floor((scramble(seed, number) / 2 ** 32) * accounts),
    keyOf: (number) => `${run}-${number}`,
  };
}

/** One well-mixed 32-bit number for each (seed, number): the finalizer of MurmurHash3. */
function scramble(seed: number, number: number): number {
  let hash = (seed ^ Math.imul(number + 1, 0x9e3779b1)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
