/**
 * What stands between a commit and its loss. `synchronous_commit` is ours to set: a 202 promises that what was accepted
 * outlives a crash. The server's own settings are not; where they are unsafe, it is said at every start.
 */
import type { Queryable } from '@surefire/postgres';
import type { Log } from '@surefire/service';

/** Session settings for every connection that writes. Logs what the server does not keep safe. */
export async function assureDurability(db: Queryable, log: Log): Promise<Readonly<Record<string, string>>> {
  const { rows } = await db.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
  );
  const settings = new Map(rows.map(({ name, setting }) => [name, setting]));
  for (const name of ['fsync', 'full_page_writes']) {
    if (settings.get(name) === 'off') {
      log.warn({ setting: name }, 'the database may lose what it has committed when its machine fails');
    }
  }
  if (settings.get('synchronous_commit') !== 'off') return {};
  // Stronger settings than `on` are left as they are.
  log.warn(
    { setting: 'synchronous_commit' },
    'commits would not be waited for; it is switched on for this process',
  );
  return { synchronous_commit: 'on' };
}
