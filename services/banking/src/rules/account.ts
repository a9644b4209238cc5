/** Accounts as the rules see them. Amounts are integer minor units of the account's currency. */
import { createHash } from 'node:crypto';

/** `external` accounts are the outside world: the other side of every deposit. Nobody owns them. */
export type AccountKind = 'customer' | 'external';
export type AccountStatus = 'open' | 'frozen' | 'closed';

export type Account = {
  readonly id: string;
  readonly kind: AccountKind;
  readonly currency: string;
  readonly status: AccountStatus;
  readonly balance: bigint;
  /** Reserved for operations under way. */
  readonly held: bigint;
  /** How many ledger entries the account has. */
  readonly version: bigint;
};

/** The largest customer balance and amount: what a JSON number carries exactly (2^53 - 1). */
export const AMOUNT_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** The id of the system, as the owner of accounts that belong to no customer. */
export const SYSTEM_OWNER = 'system';

/**
 * The external account that faces a partition's customers. It is split by partition so that it is never a
 * bottleneck: each is written by the one consumer that owns the partition. The id is derived, so nobody has to
 * look it up: UUID version 8 (RFC 9562), from a hash of what it stands for.
 */
export function externalAccountId(options: { currency: string; partition: number }): string {
  const known = externalIds.get(options.currency)?.[options.partition];
  if (known !== undefined) return known;
  const id = nameBasedId(`surefire:external:${options.currency}:${options.partition}`);
  let ids = externalIds.get(options.currency);
  if (ids === undefined) externalIds.set(options.currency, (ids = []));
  ids[options.partition] = id;
  return id;
}

// At most one entry per currency and partition.
const externalIds = new Map<string, string[]>();

function nameBasedId(name: string): string {
  const hash = createHash('sha256').update(name).digest();
  hash[6] = ((hash[6] as number) & 0x0f) | 0x80;
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
