/** The options of `load deposits`: their bounds, their defaults, and their text for `--help`. */
import { type Command, InvalidArgumentError, Option } from 'commander';

export type LoadOptions = {
  /** Deposits to make. */
  count: number;
  /** Accounts to open first and to spread the deposits over. */
  accounts: number;
  /** Requests under way at once. */
  connections: number;
  /** Minor units of each deposit. */
  amount: bigint;
  /** Base URLs of the API processes; empty: from the configuration. */
  url: string[];
  apiKey?: string;
  /** Owner of the accounts; absent: a name of this run's own. */
  owner?: string;
  currency: string;
  /** Seconds without any progress after which the client gives up. */
  timeout: number;
  /** Decides which deposit goes to which account; absent: drawn. */
  seed?: number;
  /** Deposits per second; absent: as fast as the answers come. */
  rate?: number;
  json: boolean;
};

/** Adds the options to the command. Wrong values are usage errors. */
export function addLoadOptions(command: Command): Command {
  return command
    .option('--count <n>', 'deposits to make', wholeNumber({ min: 1, max: 10_000_000 }), 10_000)
    .option('--accounts <n>', 'accounts to open for them', wholeNumber({ min: 1, max: 1_000_000 }), 1_000)
    .option('--connections <n>', 'requests under way at once', wholeNumber({ min: 1, max: 1_024 }), 64)
    .addOption(
      new Option('--amount <n>', 'minor units of each deposit').argParser(minorUnits).default(100n, '100'),
    )
    .option('--currency <code>', 'currency of the accounts', currencyCode, 'EUR')
    .addOption(
      new Option('--url <url>', 'base URL of the API; repeat it to spread over several processes')
        .argParser(baseUrl)
        .default([], 'SUREFIRE_HTTP_HOST and SUREFIRE_HTTP_PORT'),
    )
    .option('--api-key <key>', 'API key (default: SUREFIRE_API_KEY, or the generated one in the data folder)')
    .option('--owner <name>', 'owner of the accounts (default: a name of its own for each run)')
    .option(
      '--timeout <seconds>',
      'give up after so long without progress',
      wholeNumber({ min: 1, max: 86_400 }),
      120,
    )
    .option(
      '--rate <n>',
      'deposits per second (default: as fast as answers come)',
      wholeNumber({ min: 1, max: 1_000_000 }),
    )
    .option(
      '--seed <n>',
      'repeat the choice of accounts of an earlier run',
      wholeNumber({ min: 0, max: 2 ** 32 - 1 }),
    )
    .option('--json', 'print one JSON document instead of tables', false);
}

function wholeNumber(bounds: { min: number; max: number }): (text: string) => number {
  return (text) => {
    const number = /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : Number.NaN;
    if (number >= bounds.min && number <= bounds.max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${bounds.min} to ${bounds.max}.`);
  };
}

function minorUnits(text: string): bigint {
  const amount = /^[1-9][0-9]{0,15}$/.test(text) ? BigInt(text) : 0n;
  if (amount > 0n && amount <= BigInt(Number.MAX_SAFE_INTEGER)) return amount;
  throw new InvalidArgumentError('It must be a whole number of minor units from 1 to 9007199254740991.');
}

function currencyCode(text: string): string {
  if (/^[A-Z]{3}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be three capital letters, such as EUR.');
}

const URLS_MAX = 64;

function baseUrl(text: string, earlier: string[]): string[] {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new InvalidArgumentError('It must look like http://127.0.0.1:8080.');
  }
  if (earlier.length >= URLS_MAX) throw new InvalidArgumentError(`At most ${URLS_MAX} URLs are taken.`);
  return [...earlier, url.href.replace(/\/$/, '')];
}
