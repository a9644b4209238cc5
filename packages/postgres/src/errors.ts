/** What can go wrong between us and PostgreSQL, in the three kinds that callers act upon. */

/** The server rolled the transaction back although COMMIT was sent: nothing of it happened. */
export class TransactionRolledBackError extends Error {
  readonly code = 'TRANSACTION_ROLLED_BACK';
  constructor() {
    super('COMMIT was answered with ROLLBACK: an earlier statement of the transaction had failed');
    this.name = 'TransactionRolledBackError';
  }
}

/** The connection broke between COMMIT and its answer: the transaction may or may not have happened. */
export class CommitUnknownError extends Error {
  readonly code = 'COMMIT_UNKNOWN';
  constructor(options: { cause: unknown }) {
    super('the connection broke while committing, so the outcome is unknown', options);
    this.name = 'CommitUnknownError';
  }
}

/** SQLSTATE of a PostgreSQL error, or undefined when it is none. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** The name of the constraint that refused a row, if one did. */
export function violatedConstraint(error: unknown): string | undefined {
  return (error as { constraint?: string } | null)?.constraint;
}

const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
]);

/** The connection is gone or could not be made. Whether the last statement took effect is unknown. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isConnectionLost);
  const state = sqlState(error);
  // 08: connection exceptions; 57P01-57P05: the server is shutting down, crashed or starting up, or dropped us;
  // 25P03: it dropped us because a transaction stood idle.
  if (state !== undefined) return state.startsWith('08') || state.startsWith('57P') || state === '25P03';
  const { code, message = '' } = (error ?? {}) as { code?: string; message?: string };
  if (code !== undefined && SOCKET_CODES.has(code)) return true;
  return /connection terminated|connection ended|connection error|not queryable|query read timeout|after calling end/i.test(
    message,
  );
}

/** No connection was free in time, or the server has none left. Nothing was sent. */
export function isPoolExhausted(error: unknown): boolean {
  const state = sqlState(error);
  if (state === '53300') return true;
  return /timeout exceeded when trying to connect/i.test((error as Error | null)?.message ?? '');
}

/** Two transactions stood in each other's way and this one was undone: running it again is right. */
export function isConflict(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01' || state === '55P03';
}

/** Trying the same again later may work: the fault is in the surroundings, not in the data. */
export function isTransient(error: unknown): boolean {
  if (error instanceof TransactionRolledBackError) return false;
  if (error instanceof CommitUnknownError || isConnectionLost(error) || isPoolExhausted(error)) return true;
  const state = sqlState(error);
  // 25006: the server is a standby or was made read-only. 53: out of memory, disk or connections; 58: the disk failed; 57014: a statement ran into its time limit.
  return (
    isConflict(error) ||
    (state !== undefined && (/^5[38]/.test(state) || state === '57014' || state === '25006'))
  );
}
