/** `surefire dead-letters`: what the consumer groups gave up, and decisions about it, straight on the database. */
import { hostname, userInfo } from 'node:os';
import {
  type DeadLetter,
  discard,
  findDeadLetter,
  listDeadLetters,
  previewRedrive,
  redrive,
  redriveAll,
} from '@surefire/messaging';
import type { Database } from '@surefire/postgres';
import type { Config } from '@surefire/service';
import { deadLetterBody } from '@surefire/service/operating';
import { withDatabase } from '../database.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { grouped, print, say, shortened, shownTime, table } from '../terminal.ts';
import type { ListLetters, RedriveLetters } from './commands.ts';

type Context = { config: Config };

const REASON_SHOWN = 60;

export async function listLetters(options: ListLetters, { config }: Context): Promise<ExitCode> {
  const { limit, json, status } = options;
  const filter = { ...filterOf(options), status };
  const found = await withDatabase(config, (db) => listDeadLetters(db, { filter, limit: limit + 1 }));
  const letters = found.slice(0, limit);
  if (json) print(JSON.stringify({ dead_letters: letters.map(deadLetterBody) }, null, 2));
  else if (letters.length > 0) print(letterTable(letters));
  else say(status === 'open' ? 'Nothing to decide: there are no open dead letters.' : 'There are none.');
  if (found.length > limit) say(`There are more: these are the newest ${limit}. See --limit.`);
  return EXIT.ok;
}

export async function showLetter(options: { id: string }, { config }: Context): Promise<ExitCode> {
  const letter = await withDatabase(config, (db) => mustFind(db, options.id));
  print(JSON.stringify(deadLetterBody(letter), null, 2));
  return EXIT.ok;
}

export async function redriveLetter(
  options: { id: string; json: boolean },
  { config }: Context,
): Promise<ExitCode> {
  const { id, json } = options;
  const letter = await withDatabase(config, (db) =>
    decided(db, id, () => redrive(db, { id, by: whoDecides() })),
  );
  tell(letter, { json, text: `${letter.consumer} tries it again within seconds. See what became of it:` });
  return EXIT.ok;
}

export async function discardLetter(
  options: { id: string; reason: string; json: boolean },
  { config }: Context,
): Promise<ExitCode> {
  const { id, reason, json } = options;
  const letter = await withDatabase(config, (db) =>
    decided(db, id, () => discard(db, { id, by: whoDecides(), reason })),
  );
  tell(letter, { json, text: `${letter.consumer} passes it over within seconds. See what became of it:` });
  return EXIT.ok;
}

export async function redriveLetters(options: RedriveLetters, { config }: Context): Promise<ExitCode> {
  const { json, maxPerSecond } = options;
  const filter = filterOf(options);
  if (options.dryRun) {
    const preview = await withDatabase(config, (db) => previewRedrive(db, filter));
    if (json) print(JSON.stringify({ dry_run: true, ...preview }, null, 2));
    else {
      for (const id of preview.ids) print(id);
      say(`${grouped(preview.count)} would be redriven${shownOf(preview)}. Nothing was changed.`);
    }
    return EXIT.ok;
  }

  // Ctrl-C ends it between two batches; what is marked is marked, and what is not is still open.
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once('SIGINT', stop);
  try {
    const { marked, remaining } = await withDatabase(config, (db) =>
      redriveAll(db, { filter, by: whoDecides(), maxPerSecond, signal: stopping.signal }),
    );
    if (json) print(JSON.stringify({ dry_run: false, marked, remaining }, null, 2));
    else if (marked + remaining === 0) say('Nothing to redrive: the filter finds no open dead letter.');
    else say(`${grouped(marked)} are being redriven; ${grouped(remaining)} of the filter are still open.`);
    return stopping.signal.aborted ? EXIT.interrupted : EXIT.ok;
  } finally {
    process.removeListener('SIGINT', stop);
  }
}

function filterOf({ group, type, class: ofClass, key }: Partial<ListLetters>) {
  return { group, type, class: ofClass, key };
}

async function mustFind(db: Database, id: string): Promise<DeadLetter> {
  const letter = await findDeadLetter(db, id);
  if (letter !== undefined) return letter;
  throw new CommandFailure(
    `There is no dead letter ${id}: npx surefire dead-letters list shows the open ones.`,
    {
      exitCode: EXIT.notFound,
    },
  );
}

async function decided(db: Database, id: string, decide: () => Promise<boolean>): Promise<DeadLetter> {
  const done = await decide();
  const letter = await mustFind(db, id);
  if (!done) throw new CommandFailure(`The dead letter ${id} is not open: it is ${letter.status}.`);
  return letter;
}

function tell(letter: DeadLetter, { json, text }: { json: boolean; text: string }): void {
  if (json) {
    print(JSON.stringify(deadLetterBody(letter), null, 2));
    return;
  }
  say(text);
  say(`  npx surefire dead-letters show ${letter.id}`);
}

/** For the record of acts: there is no key here, so whose shell it is. */
function whoDecides(): string {
  try {
    return `${userInfo().username}@${hostname()} (surefire)`;
  } catch {
    // A container's user may have no name.
    return `${process.getuid?.() ?? 'somebody'}@${hostname()} (surefire)`;
  }
}

function shownOf({ count, ids }: { count: number; ids: readonly string[] }): string {
  return count > ids.length ? `; these are the oldest ${ids.length}` : '';
}

function letterTable(letters: readonly DeadLetter[]): string {
  return table(
    ['ID', 'GROUP', 'CLASS', 'STATUS', 'ATTEMPTS', 'LAST FAILED', 'TYPE', 'KEY', 'REASON'],
    letters.map((letter) => [
      letter.id,
      letter.consumer,
      letter.class,
      letter.status,
      String(letter.attempts),
      shownTime(letter.last_failed_at),
      letter.event_type,
      letter.key,
      shortened(letter.reason, REASON_SHOWN),
    ]),
  );
}
