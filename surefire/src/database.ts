/** Which database a command talks to: the configured one, else the embedded server that is running. */
import { existsSync } from 'node:fs';
import { findEmbedded } from '@surefire/postgres/embedded';
import type { Config } from '@surefire/service';
import { CommandFailure, EXIT } from './failure.ts';

export type FoundDatabase = {
  url: string;
  /** `configured`: by SUREFIRE_DATABASE_URL. `embedded`: the running server of the data folder. */
  origin: 'configured' | 'embedded';
};

/** The database of this configuration, or undefined when it is the embedded server and that is not running. */
export async function findDatabase(config: Config): Promise<FoundDatabase | undefined> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl, origin: 'configured' };
  // Looking for the server must not create its folder.
  const embedded = existsSync(config.dataDir) ? await findEmbedded({ dataDir: config.dataDir }) : undefined;
  return embedded === undefined ? undefined : { url: embedded.url, origin: 'embedded' };
}

/** The same, for commands that are nothing without it. */
export async function needDatabase(config: Config): Promise<FoundDatabase> {
  const found = await findDatabase(config);
  if (found !== undefined) return found;
  throw new CommandFailure(
    `No database is running in ${config.dataDir}: start the platform (npm start), start the database alone ` +
      '(npx surefire database), or set SUREFIRE_DATABASE_URL.',
    { exitCode: EXIT.notFound },
  );
}

/** A URL fit to be shown: without its password. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  shown.searchParams.delete('password');
  return shown.href;
}
