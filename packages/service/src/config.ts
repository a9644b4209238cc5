/**
 * Configuration: read once, from text to a frozen value, with every fault reported together.
 *
 *   const config = readConfig(process.env);          // the program does this in one place
 *
 * The table in `config/settings.ts` is the only list of variables. The help text and the reference page are
 * made from it, so that they cannot disagree with what is parsed.
 */
import { readFileSync } from 'node:fs';
import { nearest } from './config/nearest.ts';
import type { Role } from './config/roles.ts';
import { IGNORED_VARIABLES, PREFIX, SETTINGS, type Setting } from './config/settings.ts';

export { describeSettings, settingsMarkdown } from './config/describe.ts';
export { ROLES, type Role } from './config/roles.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export type Config = {
  /** PostgreSQL ≥ 15. Absent: the embedded server in `dataDir`. May hold a password. */
  readonly databaseUrl?: string;
  readonly dataDir: string;
  /** `postgres:`, or a broker's URL. May hold a password. */
  readonly busUrl: string;
  /** Port 0 lets the system choose a free one. */
  readonly http: { readonly host: string; readonly port: number };
  /** What this process runs, in the order of `ROLES`, without repetition, never empty. */
  readonly roles: readonly Role[];
  readonly relayMode: 'polling' | 'streaming';
  readonly depositMode: 'async' | 'sync';
  /** A fixed development key. Absent: one is generated. */
  readonly apiKey?: string;
  readonly eventNamespace: string;
  /** Connections of this process. Absent: chosen by role. */
  readonly poolMax?: number;
  readonly retentionDays: number;
  readonly outboxPendingMax: number;
  readonly logLevel: LogLevel;
};

/** The environment is not fit to start with. `faults` holds one sentence for each thing to mend. */
export class ConfigError extends Error {
  readonly code = 'CONFIG_INVALID';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    const heading = faults.length === 1 ? 'The configuration has a fault' : 'The configuration has faults';
    super(`${heading}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/**
 * Reads every `SUREFIRE_…` variable, or the file that its `…_FILE` twin names.
 * @throws ConfigError listing every unknown variable and every value that is not allowed.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults = unknownVariables(env);
  const values: Record<string, unknown> = {};
  for (const setting of SETTINGS) {
    const text = readText(setting, env, faults);
    if (text === undefined) continue;
    const parsed = setting.parse(text);
    if ('fault' in parsed) faults.push(sentence(setting, text, parsed.fault));
    else values[setting.key] = parsed.value;
  }
  if (faults.length > 0) throw new ConfigError(faults);

  const { httpHost: host, httpPort: port, ...rest } = values;
  return Object.freeze({ ...rest, http: Object.freeze({ host, port }) }) as unknown as Config;
}

/** The variable's text: from the environment, else from its file, else its default. */
function readText(
  setting: Setting,
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): string | undefined {
  const fileVariable = `${setting.variable}_FILE`;
  const text = env[setting.variable];
  const path = env[fileVariable];
  if (path === undefined) return text ?? setting.default;
  if (text !== undefined) {
    faults.push(`${setting.variable} and ${fileVariable} are both set; set one of them.`);
    return undefined;
  }
  try {
    // Editors and `echo` end a file with a newline that nobody means.
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    faults.push(`${fileVariable} names the file ${JSON.stringify(path)}, which cannot be read (${reason}).`);
    return undefined;
  }
}

function sentence(setting: Setting, text: string, fault: string): string {
  if (text === '') return `${setting.variable} is empty; unset it, or give ${setting.allowed}.`;
  const subject = setting.secret
    ? setting.variable
    : `${setting.variable}=${JSON.stringify(shortened(text))}`;
  return `${subject} ${fault}; allowed: ${setting.allowed}.`;
}

const shortened = (text: string) => (text.length > 80 ? `${text.slice(0, 80)}…` : text);

function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(SETTINGS.flatMap(({ variable }) => [variable, `${variable}_FILE`]));
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && env[name] !== undefined)
    .filter((name) => !known.has(name) && !IGNORED_VARIABLES.has(name))
    .toSorted()
    .map((name) => {
      const guess = nearest(name, known);
      return `${name} is not a setting.${guess === undefined ? '' : ` Did you mean ${guess}?`}`;
    });
}
