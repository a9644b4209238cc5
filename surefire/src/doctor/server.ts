/** The PostgreSQL server: whether it keeps what it commits, and whether anything holds it back. */
import type { Database } from '@surefire/postgres';
import type { Config } from '@surefire/service';
import { reasonOf } from '../database.ts';
import { planPools } from '../pools.ts';
import { examineArea, type Finding } from './finding.ts';

const VERSION_MIN = 150_000;
/** A transaction that runs longer keeps vacuum from removing what has died since. */
const TRANSACTION_LONG = '5 minutes';

const SETTINGS = [
  'server_version', 'server_version_num', 'fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums',
  'max_connections', 'superuser_reserved_connections', 'wal_level',
]; // biome-ignore format: a list reads best as a list

/** Answers whether the server is fit to be asked further. */
export async function examineServer(
  findings: Finding[],
  context: { db: Database; config: Config; shownUrl: string },
): Promise<boolean> {
  const { db, config } = context;
  let reached = false;

  await examineArea('database', findings, async (write) => {
    let settings: Map<string, string>;
    try {
      const { rows } = await db.query<{ name: string; setting: string }>(
        'select name, setting from pg_settings where name = any($1::text[])',
        [SETTINGS],
      );
      settings = new Map(rows.map((row) => [row.name, row.setting]));
    } catch (error) {
      write.fault(
        `${context.shownUrl} cannot be used: ${reasonOf(error)}.`,
        'Start that server, or correct SUREFIRE_DATABASE_URL.',
      );
      return;
    }
    reached = true;
    const setting = (name: string) => settings.get(name) ?? 'unknown';
    const version = `PostgreSQL ${setting('server_version')} answers at ${context.shownUrl}.`;
    if (Number(setting('server_version_num')) >= VERSION_MIN) write.ok(version);
    else write.fault(version, 'Surefire needs PostgreSQL 15 or newer.');

    const { rows: standby } = await db.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    if (standby[0]?.standby)
      write.fault('It is a standby and takes no writes.', 'Name the primary in SUREFIRE_DATABASE_URL.');

    const careless = ['fsync', 'full_page_writes', 'synchronous_commit'].filter(
      (name) => setting(name) === 'off',
    );
    for (const name of careless) {
      write.fault(`${name} is off: a crash can lose what was answered with 202.`, `Set ${name} = on.`);
    }
    if (careless.length === 0)
      write.ok('What it commits is on disk (fsync, full_page_writes, synchronous_commit).');
    if (setting('data_checksums') === 'on') write.ok('Data checksums are on: a failing disk is noticed.');
    else
      write.warn(
        'Data checksums are off: a failing disk may go unnoticed.',
        'pg_checksums --enable, while it is stopped.',
      );

    examineConnections(write, config, {
      max: Number(setting('max_connections')) - Number(setting('superuser_reserved_connections')),
    });
    if (config.relayMode === 'streaming' && setting('wal_level') !== 'logical') {
      write.fault(
        `wal_level is ${setting('wal_level')}, but SUREFIRE_RELAY_MODE=streaming reads the write-ahead log.`,
        'Set wal_level = logical and restart PostgreSQL, or use polling.',
      );
    }
  });
  if (!reached) return false;

  await examineArea('clock', findings, async (write) => {
    const before = Date.now();
    const { rows } = await db.query<{ ms: number }>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
    );
    const after = Date.now();
    // The answer was made at some moment between the two.
    const ms = rows[0]?.ms ?? before;
    const apart = Math.max(0, before - ms, ms - after) / 1_000;
    const text = `The clocks here and of the database are ${apart < 0.1 ? 'less than 0.1' : apart.toFixed(1)} s apart.`;
    const advice = 'Nothing relies on them for order, but ids and times will look odd: run an NTP service.';
    if (apart > 86_400) write.fault(text, 'Set them right: ids of the wrong day find no partition.');
    else if (apart > 1) write.warn(text, advice);
    else write.ok(text);
  });

  await examineArea('transactions', findings, async (write) => {
    const { rows } = await db.query<{
      pid: number;
      application_name: string;
      state: string;
      minutes: number;
    }>(
      `select pid, application_name, state, (extract(epoch from clock_timestamp() - xact_start) / 60)::float8 as minutes
         from pg_stat_activity
        where xact_start < clock_timestamp() - $1::interval
          and pid <> pg_backend_pid()
          and backend_type in ('client backend', 'walsender')
        order by xact_start
        limit 5`,
      [TRANSACTION_LONG],
    );
    for (const { pid, application_name: name, state, minutes } of rows) {
      write.warn(
        `A transaction of ${name || 'a client'} (pid ${pid}, ${state}) has run for ${Math.round(minutes)} minutes; vacuum waits for it.`,
        `End it there, or: select pg_terminate_backend(${pid})`,
      );
    }
    const { rows: prepared } = await db.query<{ gid: string; minutes: number }>(
      `select gid, (extract(epoch from clock_timestamp() - prepared) / 60)::float8 as minutes
         from pg_prepared_xacts
        order by prepared
        limit 5`,
    );
    for (const { gid, minutes } of prepared) {
      write.warn(
        `The prepared transaction ${gid} has stood for ${Math.round(minutes)} minutes, with its locks.`,
        `commit prepared or rollback prepared '${gid}'`,
      );
    }
    const { rows: slots } = await db.query<{ slot_name: string }>(
      `select slot_name from pg_replication_slots where not active limit 5`,
    );
    for (const { slot_name: slot } of slots) {
      write.warn(
        `The replication slot ${slot} is read by nobody, and keeps the write-ahead log from being removed.`,
        `Start its reader, or: select pg_drop_replication_slot('${slot}')`,
      );
    }
    if (rows.length + prepared.length + slots.length === 0) write.ok('No old transaction holds vacuum back.');
  });
  return true;
}

function examineConnections(
  write: {
    ok(finding: string): void;
    warn(finding: string, advice?: string): void;
    fault(finding: string, advice?: string): void;
  },
  config: Config,
  server: { max: number },
): void {
  const pools = Object.values(planPools({ roles: config.roles, max: config.poolMax }));
  // Whoever is hinted by other processes listens on one more.
  const listening = config.roles.some((role) => role !== 'api') ? 1 : 0;
  const needed = pools.reduce((sum, size) => sum + size, listening);
  const text = `One process with these roles opens up to ${needed} of the server's ${server.max} connections.`;
  if (needed > server.max) write.fault(text, 'Raise max_connections, or lower SUREFIRE_DB_POOL_MAX.');
  else if (needed * 2 > server.max) write.warn(text, 'A second process will not fit: raise max_connections.');
  else write.ok(text);
}
