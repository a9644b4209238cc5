/** `surefire keys`: issues, lists and revokes API keys, in the database of the configuration. */
import {
  type Config,
  DEFAULT_SCOPES,
  issueKey,
  type KeyRecord,
  type KeyScope,
  listKeys,
  type PrincipalRole,
  REVOKED_WITHIN_MS,
  revokeKey,
} from '@surefire/service';
import { withDatabase } from './database.ts';
import { CommandFailure, EXIT, type ExitCode } from './failure.ts';
import { print, say, shownTime, table } from './terminal.ts';

export type IssueOptions = {
  role: PrincipalRole;
  principal: string;
  name?: string;
  /** Absent: by role. */
  scopes?: readonly KeyScope[] | undefined;
  /** Absent: never. */
  expiresInMs?: number | undefined;
  json: boolean;
};

type Context = { config: Config };

/** The most keys that `list` shows. */
const LISTED_MAX = 10_000;

/** Prints the key and nothing else on stdout, so that a script can take it from there. */
export async function issue(options: IssueOptions, context: Context): Promise<ExitCode> {
  const { role, principal: principalId, name = principalId, expiresInMs, json } = options;
  const scopes = options.scopes ?? DEFAULT_SCOPES[role];
  const expiresAt = expiresInMs === undefined ? undefined : new Date(Date.now() + expiresInMs);
  const request = { role, principalId, name, scopes, ...(expiresAt && { expiresAt }) };
  const { id, key, prefix } = await withDatabase(context.config, (db) => issueKey(db, request));
  if (json) {
    const shown = { id, key, prefix, name, role, principal_id: principalId, scopes };
    print(JSON.stringify({ ...shown, expires_at: expiresAt?.toISOString() ?? null }, null, 2));
    return EXIT.ok;
  }
  print(key);
  const expiry = expiresAt === undefined ? 'It does not expire.' : `It expires at ${shownTime(expiresAt)}.`;
  say(`A key for the ${role} ${principalId}, with ${scopes.join(', ')}. ${expiry}`);
  say('Keep it: it is shown this once and stored nowhere. To take it back:');
  say(`  npx surefire keys revoke ${id}`);
  return EXIT.ok;
}

export async function list(options: { json: boolean }, context: Context): Promise<ExitCode> {
  const found = await withDatabase(context.config, (db) => listKeys(db, { limit: LISTED_MAX + 1 }));
  const keys = found.slice(0, LISTED_MAX);
  if (options.json) print(JSON.stringify({ keys }, null, 2));
  else if (keys.length > 0) print(keyTable(keys));
  else say('There are no keys yet: npx surefire keys issue --help');
  if (found.length > LISTED_MAX) say(`There are more: these are the newest ${LISTED_MAX}.`);
  return EXIT.ok;
}

export async function revoke(options: { id: string }, context: Context): Promise<ExitCode> {
  const outcome = await withDatabase(context.config, (db) => revokeKey(db, options.id));
  if (outcome === 'unknown') {
    throw new CommandFailure(`There is no key ${options.id}: npx surefire keys list shows those there are.`, {
      exitCode: EXIT.notFound,
    });
  }
  if (outcome === 'revoked') say(`Revoked. It stops working within ${REVOKED_WITHIN_MS / 1_000} s.`);
  else say('It was revoked before.');
  return EXIT.ok;
}

function keyTable(keys: readonly KeyRecord[]): string {
  const heading = ['ID', 'KEY', 'ROLE', 'PRINCIPAL', 'SCOPES', 'CREATED', 'EXPIRES', 'REVOKED', 'NAME'];
  const rows = keys.map((key) => [
    key.id,
    key.prefix.endsWith('…') ? key.prefix : `${key.prefix}…`,
    key.role,
    key.principal_id,
    key.scopes.join(','),
    shownTime(key.created_at),
    key.expires_at === null ? 'never' : shownTime(key.expires_at),
    key.revoked_at === null ? 'no' : shownTime(key.revoked_at),
    key.name,
  ]);
  return table(heading, rows);
}
