/**
 * Forward-only migrations: each module (a package or a service) owns a folder of numbered `.sql` files
 * and a bookkeeping table of its own, so that modules evolve without knowing each other.
 *
 * All modules are migrated under one advisory lock: of several processes that start together, one
 * migrates and the others wait and find nothing to do.
 */
import { readdir } from 'node:fs/promises';
import { runner } from 'node-pg-migrate';
import pg from 'pg';

export type MigrationModule = {
  /** Names the bookkeeping table: `migrations_<name>`. */
  name: string;
  /** Folder with `0001_words.sql` files. */
  directory: string;
};

export type AppliedMigration = { module: string; migration: string };

// Any fixed number will do; this one spells "sure" in ASCII.
const MIGRATION_LOCK = 0x73757265;

/**
 * Applies what is missing, in the order of `modules`. Every file runs in its own transaction with a lock
 * limit, so that a migration behind a long reader gives up rather than queueing everybody behind it.
 */
export async function migrate(options: {
  url: string;
  modules: readonly MigrationModule[];
  onApplied?: (applied: AppliedMigration) => void;
}): Promise<AppliedMigration[]> {
  const client = new pg.Client({ connectionString: options.url, application_name: 'surefire migrate' });
  client.on('error', () => undefined); // the failing statement reports it
  await client.connect();
  const applied: AppliedMigration[] = [];
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query(`set lock_timeout = '10s'`);
    for (const module of options.modules) {
      const ran = await runner({
        dbClient: client,
        dir: module.directory,
        migrationsTable: `migrations_${module.name}`,
        direction: 'up',
        checkOrder: true,
        singleTransaction: false,
        noLock: true, // ours spans all modules
        log: () => undefined,
        logger: { debug() {}, info() {}, warn() {}, error() {} },
      });
      for (const { name } of ran) {
        applied.push({ module: module.name, migration: name });
        options.onApplied?.({ module: module.name, migration: name });
      }
    }
    return applied;
  } finally {
    await client.end();
  }
}

/** The migrations of `modules` that the database lacks, without applying any. */
export async function pendingMigrations(options: {
  url: string;
  modules: readonly MigrationModule[];
}): Promise<AppliedMigration[]> {
  const client = new pg.Client({ connectionString: options.url, application_name: 'surefire doctor' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const pending: AppliedMigration[] = [];
    for (const module of options.modules) {
      const table = `migrations_${module.name}`;
      const { rows } = await client.query('select to_regclass($1) is not null as exists', [table]);
      const done = rows[0].exists ? await client.query(`select name from ${table}`) : { rows: [] };
      const names = new Set(done.rows.map((row: { name: string }) => row.name));
      for (const file of await migrationFiles(module.directory)) {
        if (!names.has(file)) pending.push({ module: module.name, migration: file });
      }
    }
    return pending;
  } finally {
    await client.end();
  }
}

async function migrationFiles(directory: string): Promise<string[]> {
  const files = await readdir(directory);
  return files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.slice(0, -'.sql'.length))
    .toSorted();
}
