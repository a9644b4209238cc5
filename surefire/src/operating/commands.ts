/** `surefire dead-letters …`, `outbox …` and `consumers`: their options, and their text for `--help`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ExitCode } from '../failure.ts';

const LETTER_EXAMPLES = `
Examples:
  $ npx surefire dead-letters list
  $ npx surefire dead-letters show 0198c0de-0004-7000-8000-000000000000
  $ npx surefire dead-letters redrive 0198c0de-0004-7000-8000-000000000000
  $ npx surefire dead-letters redrive --all --group banking --dry-run
  $ npx surefire dead-letters redrive --all --class exhausted --max-per-second 20
  $ npx surefire dead-letters discard 0198c0de-0004-7000-8000-000000000000 --reason "sent by mistake"`;

// As `@surefire/messaging` has them; written out, so that `--help` need not load it. A test compares them.
export const CLASSES = ['poison', 'exhausted', 'rejected'] as const;
export const LETTER_STATUSES = ['open', 'redriving', 'discarding', 'redriven', 'discarded'] as const;
export const EVENT_STATUSES = ['PENDING', 'PUBLISHED', 'FAILED'] as const;

const LISTED_MAX = 10_000;
const PER_SECOND_MAX = 10_000;
const REASON_MAX = 500;

type Json = { json: boolean };
type Letters = {
  group?: string;
  type?: string;
  class?: (typeof CLASSES)[number];
  key?: string;
};
export type ListLetters = Json & Letters & { status: (typeof LETTER_STATUSES)[number]; limit: number };
export type RedriveLetters = Json & Letters & { all: boolean; dryRun: boolean; maxPerSecond?: number };
export type ListEvents = Json & {
  status?: (typeof EVENT_STATUSES)[number];
  aggregate?: string;
  type?: string;
  limit: number;
};

export function addOperatingCommands(program: Command, onEnd: (code: ExitCode) => void): void {
  const letters = program
    .command('dead-letters')
    .description('see what consumer groups gave up; have it tried again, or passed over')
    .addHelpText('after', LETTER_EXAMPLES);

  filtered(letters.command('list'))
    .description('list dead letters, newest first')
    .addOption(new Option('--status <status>', 'only this status').choices(LETTER_STATUSES).default('open'))
    .option('--limit <number>', 'the most to list', upTo(LISTED_MAX), 50)
    .option('--json', 'print one JSON document', false)
    .action(async (chosen: ListLetters) => {
      const { listLetters } = await import('./dead-letters.ts');
      onEnd(await listLetters(chosen, await context()));
    });

  letters
    .command('show')
    .description('print all that is known of a dead letter, as JSON')
    .argument('<id>', 'the id that `surefire dead-letters list` shows', uuid)
    .option('--json', 'the same: it is always JSON', false)
    .action(async (id: string) => {
      const { showLetter } = await import('./dead-letters.ts');
      onEnd(await showLetter({ id }, await context()));
    });

  filtered(letters.command('redrive'))
    .description('have an event tried again, or with --all every open one of the filter, oldest first')
    .argument('[id]', 'one dead letter', uuid)
    .option('--all', 'all that the filter finds; `rejected` ones only if --class names them', false)
    .option('--dry-run', 'with --all: only say what would be redriven', false)
    .option('--max-per-second <number>', 'with --all: no more than this in each second', upTo(PER_SECOND_MAX))
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', LETTER_EXAMPLES)
    .action(async (id: string | undefined, chosen: RedriveLetters, command: Command) => {
      // Redriving everything by leaving something out must not happen.
      if ((id !== undefined) === chosen.all) command.error('error: Give one id, or --all.');
      const { group, type, class: ofClass, key, maxPerSecond } = chosen;
      const narrowed = [group, type, ofClass, key, maxPerSecond].some((each) => each !== undefined);
      if (id !== undefined && (narrowed || chosen.dryRun))
        command.error('error: Filters, --dry-run and --max-per-second belong to --all.');
      const { redriveLetter, redriveLetters } = await import('./dead-letters.ts');
      if (id === undefined) onEnd(await redriveLetters(chosen, await context()));
      else onEnd(await redriveLetter({ id, json: chosen.json }, await context()));
    });

  letters
    .command('discard')
    .description('have an event passed over for good; its key goes on')
    .argument('<id>', 'one dead letter', uuid)
    .requiredOption('--reason <text>', 'why, for whoever asks later', reason)
    .option('--json', 'print one JSON document', false)
    .action(async (id: string, chosen: Json & { reason: string }) => {
      const { discardLetter } = await import('./dead-letters.ts');
      onEnd(await discardLetter({ id, ...chosen }, await context()));
    });

  const outbox = program
    .command('outbox')
    .description('see what is before publication, and where an event is');

  outbox
    .command('list')
    .description('the backlog by partition, and events, newest first')
    .addOption(new Option('--status <status>', 'only events of this status').choices(EVENT_STATUSES))
    .option('--aggregate <id>', 'only events of this aggregate', word)
    .option('--type <type>', 'only events of this type', word)
    .option('--limit <number>', 'the most to list', upTo(LISTED_MAX), 50)
    .option('--json', 'print one JSON document', false)
    .action(async (chosen: ListEvents) => {
      const { listOutbox } = await import('./outbox.ts');
      onEnd(await listOutbox(chosen, await context()));
    });

  outbox
    .command('show')
    .description('print an event and what each consumer group has done with it, as JSON')
    .argument('<event-id>', 'the id of the event', uuid)
    .option('--json', 'the same: it is always JSON', false)
    .action(async (id: string) => {
      const { showEvent } = await import('./outbox.ts');
      onEnd(await showEvent({ id }, await context()));
    });

  program
    .command('consumers')
    .description('how far each consumer group is, who runs it, and what it could not apply')
    .option('--json', 'print one JSON document', false)
    .action(async (chosen: Json) => {
      const { showConsumers } = await import('./consumers.ts');
      onEnd(await showConsumers(chosen, await context()));
    });
}

function filtered(command: Command): Command {
  return command
    .option('--group <group>', 'only those of this consumer group', word)
    .option('--type <type>', 'only events of this type', word)
    .addOption(new Option('--class <class>', 'only this class').choices(CLASSES))
    .option('--key <key>', 'only events of this key', word);
}

async function context() {
  const { readProgramConfig } = await import('../config.ts');
  return { config: readProgramConfig() };
}

function word(text: string): string {
  if (text.length > 0 && text.length <= 255) return text;
  throw new InvalidArgumentError('It must be 1 to 255 characters.');
}

function reason(text: string): string {
  if (text.length <= REASON_MAX && /\S/.test(text)) return text;
  throw new InvalidArgumentError(`It must be 1 to ${REASON_MAX} characters, not all of them blank.`);
}

function upTo(max: number): (text: string) => number {
  return (text) => {
    if (/^[1-9][0-9]{0,8}$/.test(text) && Number(text) <= max) return Number(text);
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${max}.`);
  };
}

function uuid(text: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('It must be an id, such as 0198c0de-0004-7000-8000-000000000000.');
}
