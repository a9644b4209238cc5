/** The table `api_keys`: issuing, finding and revoking keys, and the key of a development machine. */
import { hash, randomUUIDv7 } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyRow, PrincipalRole } from '../auth.ts';
import { generateKey, isMistyped, prefixOf } from './format.ts';

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
  /** Default: `*` for an operator, and for a customer what customers need. */
  scopes?: readonly string[];
  /** The word after `sk_`. Default `live`. */
  environment?: string;
  expiresAt?: Date;
};

/** `key` is shown this once and stored nowhere. */
export type IssuedKey = { id: string; key: string; prefix: string };

const CUSTOMER_SCOPES = ['accounts:read', 'accounts:write', 'money:write', 'operations:read'];

export async function issueKey(sql: Sql, request: KeyRequest): Promise<IssuedKey> {
  const key = generateKey(request.environment ?? 'live');
  const id = await insertKey(sql, key, request);
  return { id, key, prefix: prefixOf(key) };
}

/** False when there is no such key, or it was revoked before. */
export async function revokeKey(sql: Sql, id: string): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update api_keys
        set revoked_at = now()
      where id = $1
        and revoked_at is null`,
    [id],
  );
  return rowCount === 1;
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

/**
 * Makes sure that an operator's key for development works: the configured one, else the one in
 * `<dataDir>/api-key` (mode 600), which is made at the first call. Any number of processes may call this at once.
 * @throws Error when the configured key is mistyped, or the key has been revoked.
 */
export async function ensureDevelopmentKey(
  sql: Sql,
  options: { dataDir: string; configured?: string | undefined },
): Promise<{ key: string; file?: string }> {
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
  if (row === undefined || row.revoked_at_ms !== null) {
    const remedy =
      configured === undefined ? `delete ${file} to have a new one made` : 'configure another one';
    throw new Error(`the development key was revoked; ${remedy}`);
  }
  return configured === undefined ? { key, file } : { key };
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
  const scopes = request.scopes ?? (request.role === 'operator' ? ['*'] : CUSTOMER_SCOPES);
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
