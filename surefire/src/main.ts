/** The command line. Each command's code is loaded when it runs, so that `--help` is instant. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { CommandFailure, EXIT, type ExitCode } from './failure.ts';
import { addKeyCommands } from './keys/commands.ts';
import { addLoadOptions, type LoadOptions } from './load/options.ts';
import { addOperatingCommands } from './operating/commands.ts';
import { say } from './terminal.ts';
import { VERSION } from './version.ts';

const EXAMPLES = `
Examples:
  $ npm start                                         everything, on an embedded PostgreSQL
  $ npx surefire run api                              one role, on SUREFIRE_DATABASE_URL
  $ npx surefire run relay banking                    two roles in one process
  $ npx surefire load deposits --count 10000          10,000 deposits over HTTP, then the proof
  $ npx surefire keys issue --role customer --principal alice
  $ npx surefire dead-letters list                    what was given up and waits for you
  $ npx surefire doctor                               what is well, what is not, and what to do

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 unhealthy, 130 interrupted.`;

const LOAD_EXAMPLES = `
Examples:
  $ npx surefire load deposits
  $ npx surefire load deposits --count 1000000 --accounts 10000 --connections 128
  $ npx surefire load deposits --url http://127.0.0.1:8080 --url http://127.0.0.1:8081 --json
  $ npx surefire load deposits --rate 500 --count 30000`;

/** Runs the command line and answers the exit code. Never throws. */
export async function main(args: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const program = createProgram({
    settings: asksForHelp(args) ? await settingsText() : '',
    onEnd: (code) => (exitCode = code),
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    return await explain(error);
  }
}

/** The commands and their options; `onEnd` hears how the one that ran has ended. */
export function createProgram(options: { settings: string; onEnd: (code: ExitCode) => void }): Command {
  const { onEnd } = options;
  const program = new Command('surefire')
    .description('An event-driven financial backend on PostgreSQL: no event lost, none applied twice.')
    .version(`surefire ${VERSION} (Node ${process.versions.node})`, '-V, --version')
    .addHelpText('after', `${EXAMPLES}\n\nSettings, read from the environment:\n\n${options.settings}`)
    .showSuggestionAfterError()
    .exitOverride();

  program
    .command('up')
    .description(
      'run every role in this process; without SUREFIRE_DATABASE_URL, start the embedded PostgreSQL',
    )
    .action(async () => {
      const config = await readConfig();
      const { runPlatform } = await import('./platform.ts');
      onEnd((await runPlatform({ config, command: 'up' })) as ExitCode);
    });

  program
    .command('run')
    .description('run some roles in this process, e.g. api, relay or banking')
    .argument('<role...>', 'what to run; `surefire --help` lists the roles under SUREFIRE_ROLES')
    .option(
      '--port <port>',
      'where to serve, instead of SUREFIRE_HTTP_PORT; without the role api a free port is taken',
      port,
    )
    .action(async (roles: string[], chosen: { port?: number }) => {
      const config = await readConfig({ roles });
      const { runPlatform } = await import('./platform.ts');
      onEnd((await runPlatform({ config, command: 'run', ...chosen })) as ExitCode);
    });

  program
    .command('migrate')
    .description('bring the database up to date')
    .option('--dry-run', 'only list what is missing', false)
    .option('--json', 'print one JSON document', false)
    .action(async (chosen: { dryRun: boolean; json: boolean }) => {
      const { migrateDatabase } = await import('./migrate.ts');
      onEnd(await migrateDatabase(chosen, { config: await readConfig() }));
    });

  program
    .command('database')
    .description('run the embedded PostgreSQL alone and print its URL; Ctrl-C stops it')
    .action(async () => {
      const { serveDatabase } = await import('./serve-database.ts');
      onEnd(await serveDatabase({ config: await readConfig() }));
    });

  program
    .command('doctor')
    .description('examine configuration, database and platform, and say what to do')
    .option('--json', 'print one JSON document', false)
    .action(async (chosen: { json: boolean }) => {
      const { examine } = await import('./doctor.ts');
      onEnd(await examine(chosen));
    });

  addKeyCommands(program, onEnd);
  addOperatingCommands(program, onEnd);

  const load = program.command('load').description('drive the running platform over HTTP');
  const deposits = load
    .command('deposits')
    .description(
      'make deposits as fast as they are answered, then prove from the database that each took effect once',
    )
    .addHelpText('after', LOAD_EXAMPLES)
    .action(async (chosen: LoadOptions) => {
      const { loadDeposits } = await import('./load.ts');
      onEnd(await loadDeposits(chosen, { config: await readConfig() }));
    });
  addLoadOptions(deposits);
  return program;
}

function port(text: string): number {
  const number = Number(text);
  if (/^\d{1,5}$/.test(text) && number <= 65_535) return number;
  throw new InvalidArgumentError('A port is a whole number from 0 to 65535.');
}

async function readConfig(overrides: { roles?: readonly string[] } = {}) {
  const { readProgramConfig } = await import('./config.ts');
  return readProgramConfig(overrides);
}

function asksForHelp(args: readonly string[]): boolean {
  return args.length === 0 || ['-h', '--help', 'help'].includes(args[0] as string);
}

async function settingsText(): Promise<string> {
  const { describeSettings } = await import('@surefire/service/config');
  return describeSettings().replace(/^(?=.)/gm, '  ');
}

/** One clear sentence on stderr, and the exit code that belongs to it. */
async function explain(error: unknown): Promise<ExitCode> {
  // Commander has written its own message already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const { isDebugging } = await import('./config.ts');
  if (isDebugging() && error instanceof Error) say(error.stack ?? error.message);
  else say(`surefire: ${sentenceOf(error)}`);
  if (error instanceof CommandFailure) return error.exitCode;
  return (error as { code?: unknown }).code === 'CONFIG_INVALID' ? EXIT.usage : EXIT.failed;
}

/** Refused connections to a name with several addresses come as an AggregateError with an empty message. */
function sentenceOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(sentenceOf).join('; ');
  const { message, code } = (error ?? {}) as { message?: string; code?: string };
  return message || code || String(error);
}

if (import.meta.main) {
  // A reader that has seen enough (`surefire doctor | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.ok);
  });
  process.exitCode = await main(process.argv.slice(2));
}
