/** The table `api_keys`: issuing, finding and revoking keys, and the key of a development machine. */
import { hash, randomUUIDv7 } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyRow } from '../auth.ts';
import { generateKey, isMistyped, prefixOf } from './format.ts';
import { DEFAULT_SCOPES, type KeyScope, type PrincipalRole } from './scopes.ts';

/** As much of a database as is needed here. */
export interface Sql {
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<SqlResult<Row>>;
}

export type SqlResult<Row> = { rows: Row[]; rowCount: number | null };

export type KeyRequest = {
  /** For people: whose key this is, and what for. */
  name: string;
  role: PrincipalRole;
  /** The principal that requests with this key act for. */
  principalId: string;
  /** Default: `DEFAULT_SCOPES` of the role. */
  scopes?: readonly KeyScope[];
  /** The word after `sk_`. Default `live`. */
  environment?: string;
  expiresAt?: Date;
};

/** `key` is shown this once and stored nowhere. */
export type IssuedKey = { id: string; key: string; prefix: string };

/** What may be known of a key. The hash stays in the table. */
export type KeyRecord = {
  id: string;
  prefix: string;
  name: string;
  role: PrincipalRole;
  principal_id: string;
  scopes: string[];
  created_at: Date;
  expires_at: Date | null;
  revoked_at: Date | null;
};

export async function issueKey(sql: Sql, request: KeyRequest): Promise<IssuedKey> {
  const key = generateKey(request.environment ?? 'live');
  const id = await insertKey(sql, key, request);
  return { id, key, prefix: prefixOf(key) };
}

/** Keys of every state, newest first. */
export async function listKeys(sql: Sql, page: { limit: number }): Promise<KeyRecord[]> {
  const { rows } = await sql.query<KeyRecord>(
    `select id, prefix, name, role, principal_id, scopes, created_at, expires_at, revoked_at
       from api_keys
      order by created_at desc, id desc
      limit $1`,
    [page.limit],
  );
  return rows;
}

/** It works for `REVOKED_WITHIN_MS` more. A key that was revoked before keeps the time at which it was. */
export async function revokeKey(sql: Sql, id: string): Promise<'revoked' | 'revoked-before' | 'unknown'> {
  const { rows } = await sql.query<{ revoked: boolean; known: boolean }>(
    `with revoked as (
       update api_keys
          set revoked_at = now()
        where id = $1
          and revoked_at is null
       returning id
     )
     select exists (select from revoked) as revoked,
            exists (select from api_keys where id = $1) as known`,
    [id],
  );
  const { revoked, known } = rows[0] as { revoked: boolean; known: boolean };
  return revoked ? 'revoked' : known ? 'revoked-before' : 'unknown';
}

/** The lookup that `createAuthenticator` asks for. */
export function createKeyFinder(sql: Sql): (sha256: Buffer) => Promise<KeyRow | undefined> {
  return async (sha256) => {
    const { rows } = await sql.query<KeyRow>(
      `select id, role, principal_id, scopes,
              (extract(epoch from expires_at) * 1000)::float8 as expires_at_ms,
              (extract(epoch from revoked_at) * 1000)::float8 as revoked_at_ms
         from api_keys
        where hash = $1`,
      [sha256],
    );
    return rows[0];
  };
}

const DEVELOPMENT_KEY: KeyRequest = { name: 'development', role: 'operator', principalId: 'development' };

export type DevelopmentKey = {
  key: string;
  /** Where it is kept. Absent when it is configured. */
  file?: string;
  /** Somebody revoked it, so it opens nothing, and nothing here makes it valid again. */
  revoked: boolean;
};

/**
 * Makes sure that there is an operator's key for development: the configured one, else the one in
 * `<dataDir>/api-key` (mode 600), which is made at the first call. Any number of processes may call this at once.
 * Each key has a row of its own, named `development`: a key that is no longer used stays valid until it is revoked.
 * @throws Error when the configured key is mistyped, or the file holds none.
 */
export async function ensureDevelopmentKey(
  sql: Sql,
  options: { dataDir: string; configured?: string | undefined },
): Promise<DevelopmentKey> {
  const { configured, dataDir } = options;
  if (configured !== undefined && isMistyped(configured)) {
    throw new Error(
      'SUREFIRE_API_KEY has the form of an issued key, but its checksum is wrong: it is mistyped',
    );
  }
  const file = join(dataDir, 'api-key');
  const key = configured ?? (await keptKey(file));
  await insertKey(sql, key, DEVELOPMENT_KEY);
  const row = await createKeyFinder(sql)(hash('sha256', key, 'buffer'));
  const revoked = row === undefined || row.revoked_at_ms !== null;
  return configured === undefined ? { key, file, revoked } : { key, revoked };
}

/** The key in the file; if there is no file yet, a new key, under a name that exists only with its contents. */
async function keptKey(file: string): Promise<string> {
  const existing = await readKey(file);
  if (existing !== undefined) return existing;
  await mkdir(join(file, '..'), { recursive: true });
  const draft = `${file}.${randomUUIDv7()}`;
  await writeFile(draft, `${generateKey('dev')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    await link(draft, file);
  } catch (error) {
    // Another process was faster, and its key is the one.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(draft);
  }
  const key = await readKey(file);
  if (key === undefined) throw new Error(`${file} vanished while it was being made`);
  return key;
}

async function readKey(file: string): Promise<string | undefined> {
  try {
    const key = (await readFile(file, 'utf8')).trim();
    if (key === '' || isMistyped(key))
      throw new Error(`${file} holds no valid key; delete it to have a new one made`);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Stores the key's hash, once. Returns the id of the row made, which is of no use if there was one. */
async function insertKey(sql: Sql, key: string, request: KeyRequest): Promise<string> {
  const id = randomUUIDv7();
  const scopes = request.scopes ?? DEFAULT_SCOPES[request.role];
  await sql.query(
    `insert into api_keys (id, name, prefix, hash, role, principal_id, scopes, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8)
     on conflict (hash) do nothing`,
    [
      id,
      request.name,
      prefixOf(key),
      hash('sha256', key, 'buffer'),
      request.role,
      request.principalId,
      scopes,
      request.expiresAt ?? null,
    ],
  );
  return id;
}
