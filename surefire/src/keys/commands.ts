/** `surefire keys …`: its commands, their options, and their text for `--help`. */
import {
  DEFAULT_SCOPES,
  EVERY_SCOPE,
  KEY_SCOPES,
  type KeyScope,
  mayHold,
  PRINCIPAL_ROLES,
  SCOPES,
} from '@surefire/service/scopes';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ExitCode } from '../failure.ts';
import type { IssueOptions } from '../keys.ts';

const EXPIRES_IN_DAYS_MAX = 3_650;

const EXAMPLES = `
Examples:
  $ npx surefire keys issue --role operator --principal ops
  $ npx surefire keys issue --role customer --principal alice --expires-in 90d
  $ KEY=$(npx surefire keys issue --role customer --principal alice --scope accounts:read)
  $ npx surefire keys list
  $ npx surefire keys revoke 0198c0de-0000-7000-8000-000000000000

Scopes: ${SCOPES.join(', ')}; ${EVERY_SCOPE} holds all.
Without --scope, an operator's key has ${DEFAULT_SCOPES.operator.join(', ')}, a customer's ${DEFAULT_SCOPES.customer.join(', ')}.`;

export function addKeyCommands(program: Command, onEnd: (code: ExitCode) => void): void {
  const keys = program
    .command('keys')
    .description('issue, list and revoke API keys')
    .addHelpText('after', EXAMPLES);

  keys
    .command('issue')
    .description('make a key and print it, this once')
    .addOption(
      new Option('--role <role>', 'an operator sees everything, a customer what is its own')
        .choices(PRINCIPAL_ROLES)
        .makeOptionMandatory(),
    )
    .requiredOption(
      '--principal <id>',
      'whom the key acts for; a customer is the owner of its accounts',
      label,
    )
    .option('--name <text>', 'for people: what the key is for (default: the principal)', label)
    .addOption(
      new Option('--scope <scope>', 'what the key may do; repeat it (default: by role, see below)').argParser(
        scope,
      ),
    )
    .option('--expires-in <time>', 'a number and m, h or d, such as 90d (default: never)', duration)
    .option('--json', 'print one JSON document', false)
    .addHelpText('after', EXAMPLES)
    .action(async ({ scope: scopes, expiresIn, ...chosen }: Chosen, command: Command) => {
      const beyond = scopes?.find((each) => !mayHold(chosen.role, each));
      if (beyond !== undefined) command.error(`error: A ${chosen.role}'s key cannot hold ${beyond}.`);
      const { issue } = await import('../keys.ts');
      onEnd(await issue({ ...chosen, scopes, expiresInMs: expiresIn }, await context()));
    });

  keys
    .command('list')
    .description('list the keys, newest first; never the keys themselves')
    .option('--json', 'print one JSON document', false)
    .action(async (chosen: { json: boolean }) => {
      const { list } = await import('../keys.ts');
      onEnd(await list(chosen, await context()));
    });

  keys
    .command('revoke')
    .description('make a key stop working, everywhere, within 5 s')
    .argument('<id>', 'the id that `surefire keys list` shows', uuid)
    .action(async (id: string) => {
      const { revoke } = await import('../keys.ts');
      onEnd(await revoke({ id }, await context()));
    });
}

type Chosen = Omit<IssueOptions, 'scopes' | 'expiresInMs'> & {
  scope?: KeyScope[];
  expiresIn?: number;
};

async function context() {
  const { readProgramConfig } = await import('../config.ts');
  return { config: readProgramConfig() };
}

/** As the owner of an account. */
function label(text: string): string {
  if (/^\P{Cc}{1,255}$/u.test(text) && /\S/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 255 characters, not all of them blank.');
}

function scope(text: string, earlier: readonly KeyScope[] = []): KeyScope[] {
  const known = KEY_SCOPES.find((each) => each === text);
  if (known === undefined) throw new InvalidArgumentError(`Allowed scopes are ${KEY_SCOPES.join(', ')}.`);
  return [...new Set([...earlier, known])];
}

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** In milliseconds. */
function duration(text: string): number {
  const [, count, unit = ''] = /^([1-9][0-9]{0,8})([mhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS_MS[unit] ?? Number.NaN);
  if (ms <= EXPIRES_IN_DAYS_MAX * 86_400_000) return ms;
  throw new InvalidArgumentError(
    `It must be a whole number and m, h or d, such as 90d, at most ${EXPIRES_IN_DAYS_MAX}d.`,
  );
}

function uuid(text: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text;
  throw new InvalidArgumentError('It must be an id as `surefire keys list` shows it, not the key.');
}
