/**
 * Who asks: API keys, and what a key's owner may do.
 *
 * A key is high-entropy, so its plain SHA-256 is stored and is enough. Answers of the table are kept for a few
 * seconds: a revoked key stops working within `REVOKED_WITHIN_MS`, everywhere, without any message being sent.
 */
import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { createKeyCache } from './auth/cache.ts';
import { isMistyped } from './auth/format.ts';
import { EVERY_SCOPE, mayHold, type PrincipalRole, type Scope } from './auth/scopes.ts';
import { Problem } from './problem.ts';

export {
  createKeyFinder,
  type DevelopmentKey,
  ensureDevelopmentKey,
  type IssuedKey,
  issueKey,
  type KeyRecord,
  type KeyRequest,
  listKeys,
  revokeKey,
  type Sql,
} from './auth/keys.ts';
export * from './auth/scopes.ts';

/** The one a request acts for. An operator sees all; a customer only what belongs to `id`. */
export type Principal = {
  readonly id: string;
  readonly role: PrincipalRole;
  /** E.g. `accounts:read`, `money:write`; `*` holds all. */
  readonly scopes: readonly string[];
};

/** A row of `api_keys`. Times are in milliseconds since 1970. */
export type KeyRow = {
  readonly id: string;
  readonly role: PrincipalRole;
  readonly principal_id: string;
  readonly scopes: readonly string[];
  readonly expires_at_ms: number | null;
  readonly revoked_at_ms: number | null;
};

/** The principal of a request. Throws `Problem` `unauthenticated`. Answers at once when the key is remembered. */
export type Authenticate = (headers: IncomingHttpHeaders) => Principal | Promise<Principal>;

/** The longest time a revoked key can still work. */
export const REVOKED_WITHIN_MS = 5_000;

export type AuthenticatorOptions = {
  /** Looks a key up by its SHA-256. See `createKeyFinder`. */
  findKey: (sha256: Buffer) => Promise<KeyRow | undefined>;
  /** How long a found key is remembered, at most and by default `REVOKED_WITHIN_MS`. */
  rememberMs?: number;
  /** How long an unknown key is remembered. Default 1 s. */
  rememberUnknownMs?: number;
  /** Keys remembered of each sort. Default 10,000. */
  rememberMax?: number;
  /** The time now, in milliseconds since 1970. */
  now?: () => number;
};

export function createAuthenticator(options: AuthenticatorOptions): Authenticate {
  const { now = Date.now, rememberMax = 10_000 } = options;
  const cache = createKeyCache({
    find: options.findKey,
    foundMs: Math.min(options.rememberMs ?? REVOKED_WITHIN_MS, REVOKED_WITHIN_MS),
    unknownMs: Math.min(options.rememberUnknownMs ?? 1_000, REVOKED_WITHIN_MS),
    entriesMax: rememberMax,
  });

  const judge = (found: { row: KeyRow; principal: Principal } | undefined): Principal => {
    if (found === undefined || found.row.revoked_at_ms !== null) throw unauthenticated();
    if (found.row.expires_at_ms !== null && found.row.expires_at_ms <= now()) throw unauthenticated();
    return found.principal;
  };

  return (headers) => {
    const key = keyOf(headers);
    // Comparing digests leaks nothing of the key, so no further constant-time step is needed.
    const sha256 = hash('sha256', key, 'hex');
    const found = cache.get(sha256);
    return found instanceof Promise ? found.then(judge) : judge(found);
  };
}

/** @throws Problem `forbidden` unless the principal holds the scope. A customer's `*` does not reach an operator's. */
export function requireScope(principal: Principal, scope: Scope): void {
  if (!mayHold(principal.role, scope)) throw new Problem('forbidden', 'Only an operator’s key allows this.');
  if (principal.scopes.includes(scope) || principal.scopes.includes(EVERY_SCOPE)) return;
  throw new Problem('forbidden', `The key lacks the scope ${scope}.`);
}

const KEY = /^[\x21-\x7e]{16,256}$/;
const BEARER = /^bearer +(?<key>\S+)$/i;

/** The key of the request, well formed. Two different ones are refused: which was meant is not ours to guess. */
function keyOf(headers: IncomingHttpHeaders): string {
  const { 'x-api-key': plain, authorization } = headers;
  const bearer = authorization === undefined ? undefined : BEARER.exec(authorization)?.groups?.['key'];
  if (authorization !== undefined && bearer === undefined) throw unauthenticated();
  const key = plain ?? bearer;
  if (typeof key !== 'string') throw unauthenticated('The request has no API key.');
  if (bearer !== undefined && bearer !== key)
    throw unauthenticated('The request has two different API keys.');
  // The checksum spares the database a lookup for every typing mistake.
  if (!KEY.test(key) || isMistyped(key)) throw unauthenticated();
  return key;
}

function unauthenticated(detail = 'The API key is not valid.'): Problem {
  return new Problem('unauthenticated', detail, {
    headers: { 'www-authenticate': 'Bearer realm="surefire"' },
  });
}
