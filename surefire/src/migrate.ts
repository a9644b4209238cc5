/** `surefire migrate`: brings the database up to date, or lists what is missing. */
import { migrate, pendingMigrations } from '@surefire/postgres';
import type { Config } from '@surefire/service';
import { needDatabase, shownUrl } from './database.ts';
import { EXIT, type ExitCode } from './failure.ts';
import { MIGRATIONS } from './migrations.ts';
import { print, say } from './terminal.ts';

export async function migrateDatabase(
  options: { dryRun: boolean; json: boolean },
  context: { config: Config },
): Promise<ExitCode> {
  const { url } = await needDatabase(context.config);
  const found = options.dryRun
    ? await pendingMigrations({ url, modules: MIGRATIONS })
    : await migrate({ url, modules: MIGRATIONS });

  if (options.json) {
    print(JSON.stringify({ [options.dryRun ? 'pending' : 'applied']: found }, null, 2));
    return EXIT.ok;
  }
  for (const { module, migration } of found) print(`${module}/${migration}`);
  const verb = options.dryRun ? 'missing' : 'applied';
  say(`${found.length === 0 ? 'Nothing' : found.length} ${verb} in ${shownUrl(url)}.`);
  return EXIT.ok;
}
