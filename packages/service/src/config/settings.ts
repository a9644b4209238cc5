/** The table of settings: every variable that Surefire reads, and how its text becomes a value. */
import { ROLE_GROUPS, ROLES, type Role } from './roles.ts';

/** A parsed value, or what is wrong with the text, worded to follow the variable's name. */
export type Parsed = { value: unknown } | { fault: string };

export type Setting = {
  readonly variable: string;
  /** Its name in `Config` (the two HTTP settings are put together there). */
  readonly key: string;
  readonly meaning: string;
  /** What may stand there, worded to follow "allowed: ". */
  readonly allowed: string;
  /** The default as text. Absent: the setting stays unset, and `unset` says what happens then. */
  readonly default?: string;
  readonly unset?: string;
  /** Its value is never shown in faults. */
  readonly secret: boolean;
  readonly parse: (text: string) => Parsed;
};

export const PREFIX = 'SUREFIRE_';

/** Variables that the test suite reads; a process that is given them does not mind. */
export const IGNORED_VARIABLES: ReadonlySet<string> = new Set([
  'SUREFIRE_TEST_DATABASE_URL',
  'SUREFIRE_REQUIRE_BROKERS',
]);

export const SETTINGS: readonly Setting[] = [
  {
    variable: 'SUREFIRE_DATABASE_URL',
    key: 'databaseUrl',
    meaning: 'The PostgreSQL server (15 or newer) that holds everything',
    allowed: 'postgres://user:password@host:port/database',
    unset: 'an embedded server in `SUREFIRE_DATA_DIR`',
    secret: true,
    parse: urlOf('postgres', 'postgresql'),
  },
  {
    variable: 'SUREFIRE_DATA_DIR',
    key: 'dataDir',
    meaning: "The embedded server's data and the generated development key",
    allowed: 'a path',
    default: '.surefire',
    secret: false,
    parse: (text) => (/\S/.test(text) && !text.includes('\0') ? ok(text) : fault('is not a path')),
  },
  {
    variable: 'SUREFIRE_BUS_URL',
    key: 'busUrl',
    meaning: 'The bus that events travel on',
    allowed:
      'postgres: (the database itself), redis://…, rediss://…, amqp://…, amqps://… or kafka://host:port,…',
    default: 'postgres:',
    secret: true,
    parse: busUrl,
  },
  {
    variable: 'SUREFIRE_HTTP_HOST',
    key: 'httpHost',
    meaning: 'The address the API listens on (0.0.0.0 or :: for all)',
    allowed: 'an IP address or a host name',
    default: '127.0.0.1',
    secret: false,
    parse: (text) => (/^[0-9A-Za-z._:%-]{1,253}$/.test(text) ? ok(text) : fault('is not a host')),
  },
  {
    variable: 'SUREFIRE_HTTP_PORT',
    key: 'httpPort',
    meaning: 'The port the API listens on (0 picks a free one)',
    allowed: 'a whole number from 0 to 65535',
    default: '8080',
    secret: false,
    parse: wholeNumber({ min: 0, max: 65_535 }),
  },
  {
    variable: 'SUREFIRE_ROLES',
    key: 'roles',
    meaning: 'What this process runs',
    allowed: `all, or a comma-separated list of ${ROLES.join(', ')}, engagement (the last three)`,
    default: 'all',
    secret: false,
    parse: roles,
  },
  {
    variable: 'SUREFIRE_RELAY_MODE',
    key: 'relayMode',
    meaning: 'How the relay finds new events',
    allowed: 'polling or streaming',
    default: 'polling',
    secret: false,
    parse: oneOf('polling', 'streaming'),
  },
  {
    variable: 'SUREFIRE_DEPOSIT_MODE',
    key: 'depositMode',
    meaning: 'What `POST /accounts/:id/deposit` does while clients migrate',
    allowed: 'async or sync',
    default: 'async',
    secret: false,
    parse: oneOf('async', 'sync'),
  },
  {
    variable: 'SUREFIRE_API_KEY',
    key: 'apiKey',
    meaning: "A fixed operator's key for development",
    allowed: '16 to 256 visible ASCII characters without spaces',
    unset: 'generated, in `SUREFIRE_DATA_DIR`',
    secret: true,
    parse: (text) =>
      /^[\x21-\x7e]{16,256}$/.test(text) ? ok(text) : fault('is too short, too long or not plain'),
  },
  {
    variable: 'SUREFIRE_EVENT_NAMESPACE',
    key: 'eventNamespace',
    meaning: 'The first word of every event type and topic',
    allowed: 'lower-case letters, digits and underscores, a letter first, 32 at most',
    default: 'surefire',
    secret: false,
    parse: (text) => (/^[a-z][a-z0-9_]{0,31}$/.test(text) ? ok(text) : fault('is not such a word')),
  },
  {
    variable: 'SUREFIRE_DB_POOL_MAX',
    key: 'poolMax',
    meaning: 'The most database connections this process opens',
    allowed: 'a whole number from 2 to 1000',
    unset: 'chosen by role',
    secret: false,
    parse: wholeNumber({ min: 2, max: 1_000 }),
  },
  {
    variable: 'SUREFIRE_RETENTION_DAYS',
    key: 'retentionDays',
    meaning: 'How many days published events stay',
    allowed: 'a whole number from 1 to 36500',
    default: '30',
    secret: false,
    parse: wholeNumber({ min: 1, max: 36_500 }),
  },
  {
    variable: 'SUREFIRE_OUTBOX_PENDING_MAX',
    key: 'outboxPendingMax',
    meaning: 'How many events may wait for publication before new commands are refused as overloaded',
    allowed: 'a whole number from 1 to 1000000000',
    default: '5000000',
    secret: false,
    parse: wholeNumber({ min: 1, max: 1_000_000_000 }),
  },
  {
    variable: 'SUREFIRE_LOG_LEVEL',
    key: 'logLevel',
    meaning: 'The least severe log lines that are written',
    allowed: 'trace, debug, info, warn, error, fatal or silent',
    default: 'info',
    secret: false,
    parse: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
  },
];

function ok(value: unknown): Parsed {
  return { value };
}

function fault(text: string): Parsed {
  return { fault: text };
}

function oneOf(...words: string[]) {
  return (text: string) => (words.includes(text) ? ok(text) : fault('is none of the choices'));
}

/** Digits only: `Number` would also take `1e3`, `0x10`, ` 7 ` and the empty text. */
function wholeNumber({ min, max }: { min: number; max: number }) {
  return (text: string) => {
    if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) return fault('is not a whole number in plain digits');
    const number = Number(text);
    return number >= min && number <= max ? ok(number) : fault('is out of range');
  };
}

function urlOf(...schemes: string[]) {
  return (text: string) => {
    const scheme = /^([a-z]+):\/\//.exec(text)?.[1];
    if (scheme === undefined || !schemes.includes(scheme))
      return fault(`does not begin with ${schemes[0]}://`);
    return /\s/.test(text) || !URL.canParse(text) ? fault('is not a valid URL') : ok(text);
  };
}

function busUrl(text: string): Parsed {
  if (text === 'postgres:') return ok(text);
  // A list of brokers is no URL in the sense of RFC 3986, so it is checked by hand.
  if (text.startsWith('kafka://')) return kafkaBrokers(text.slice('kafka://'.length)) ?? ok(text);
  const parsed = urlOf('redis', 'rediss', 'amqp', 'amqps')(text);
  return 'fault' in parsed && !/^(rediss?|amqps?):/.test(text) ? fault('names no bus that is known') : parsed;
}

function kafkaBrokers(text: string): Parsed | undefined {
  const brokers = text.replace(/^[^@/]*@/, '').replace(/[/?].*$/, '');
  for (const broker of brokers.split(',')) {
    const port = /^(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/.exec(broker)?.[1];
    if (port === undefined || Number(port) < 1 || Number(port) > 65_535) {
      return fault('does not list its brokers as host:port,host:port');
    }
  }
  return undefined;
}

function roles(text: string): Parsed {
  const chosen = new Set<Role>();
  for (const word of text.split(',').map((part) => part.trim())) {
    const meant = ROLE_GROUPS.get(word) ?? ROLES.filter((role) => role === word);
    if (meant.length === 0)
      return fault(word === '' ? 'has an empty role' : `has the unknown role "${word}"`);
    for (const role of meant) chosen.add(role);
  }
  return ok(Object.freeze(ROLES.filter((role) => chosen.has(role))));
}
