/**
 * Structured logs: one JSON line per entry on stdout, or coloured text on a terminal.
 *
 * Lines are written synchronously, so that the last one before a crash is there. What must not be read in a
 * log is taken out twice: by field name, and once more from the finished line (credentials in URLs, API keys),
 * because secrets also travel inside error messages. Never log an amount beside an identity.
 */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import pretty from 'pino-pretty';
import type { LogLevel } from './config.ts';

export type Log = Logger;

export type LogOptions = {
  service: string;
  level: LogLevel;
  /** The roles of this process, e.g. `api` or `api,relay`. */
  role?: string;
  version?: string;
  /** Where lines go. Default: stdout. */
  destination?: DestinationStream;
  /** Text for people instead of JSON. Default: when stdout is a terminal and no destination is given. */
  pretty?: boolean;
};

export function createLog(options: LogOptions): Log {
  const { service, role, version } = options;
  return pino(
    {
      level: options.level,
      base: {
        service,
        ...(role !== undefined && { role }),
        ...(version !== undefined && { version }),
      },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      redact: { paths: SECRET_FIELDS.flatMap(everyDepth), censor: '[redacted]' },
      hooks: { streamWrite: withoutSecrets },
    },
    destinationOf(options),
  );
}

/** What a line can be found by. */
export type LogContext = {
  correlationId?: string | undefined;
  eventId?: string | undefined;
  operationId?: string | undefined;
  accountId?: string | undefined;
};

/** A logger that adds these ids, in `snake_case`, to each of its lines. */
export function logContext(log: Log, context: LogContext): Log {
  const { correlationId, eventId, operationId, accountId } = context;
  return log.child({
    ...(correlationId !== undefined && { correlation_id: correlationId }),
    ...(eventId !== undefined && { event_id: eventId }),
    ...(operationId !== undefined && { operation_id: operationId }),
    ...(accountId !== undefined && { account_id: accountId }),
  });
}

/** Credentials inside URLs, and API keys, replaced by stars. */
export function withoutSecrets(text: string): string {
  if (!text.includes('://') && !text.includes('sk_')) return text;
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"'\\]*):[^\s/"'\\]*@/gi, '$1:***@')
    .replace(/\b(sk_[a-z0-9]+_)[0-9A-Za-z]{8,}(_[0-9A-Za-z]+)?/g, '$1***');
}

function destinationOf(options: LogOptions): DestinationStream {
  const readable = options.pretty ?? (options.destination === undefined && process.stdout.isTTY);
  if (!readable) return options.destination ?? pino.destination({ fd: 1, sync: true });
  return pretty({
    sync: true,
    singleLine: true,
    colorize: options.destination === undefined,
    ignore: 'pid,hostname,service,role,version',
    translateTime: 'SYS:HH:MM:ss.l',
    ...(options.destination !== undefined && { destination: options.destination as NodeJS.WritableStream }),
  });
}

const SECRET_FIELDS = [
  'authorization',
  'cookie',
  '["set-cookie"]',
  '["x-api-key"]',
  'apiKey',
  'api_key',
  'password',
  'secret',
  'token',
];

/** Redaction works on paths, so each field is named at the depths where objects are logged. */
function everyDepth(field: string): string[] {
  const bracketed = field.startsWith('[');
  const below = (prefix: string) => (bracketed ? `${prefix}${field}` : `${prefix}.${field}`);
  return [field, below('*'), below('*.*')];
}

type ErrorFacts = { type: string; message: string; code?: string; stack?: string; [fact: string]: unknown };

/**
 * The facts of an error, by a list of what is known to be harmless: drivers hang whole connections, queries and
 * rows on theirs (PostgreSQL's `detail` quotes the row).
 */
export function describeError(error: unknown, depth = 0): ErrorFacts {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const facts: ErrorFacts = { type: error.name, message: error.message };
  const properties = error as unknown as Record<string, unknown>;
  for (const name of HARMLESS_PROPERTIES) {
    const value = properties[name];
    if (typeof value === 'string' || typeof value === 'number') facts[name] = value;
  }
  if (error.stack !== undefined) facts.stack = error.stack;
  if (depth < CAUSES_MAX && error.cause !== undefined) facts['cause'] = describeError(error.cause, depth + 1);
  if (depth < CAUSES_MAX && error instanceof AggregateError) {
    facts['errors'] = error.errors.slice(0, 5).map((each) => describeError(each, depth + 1));
  }
  return facts;
}

const CAUSES_MAX = 4;

const HARMLESS_PROPERTIES = [
  'code',
  'slug',
  'statusCode',
  'syscall',
  'address',
  'port',
  'severity',
  'schema',
  'table',
  'column',
  'constraint',
  'routine',
];
