/**
 * The one place that knows the driver: a pool of pipelined connections, plain SQL in named
 * prepared statements, and a transaction whose commit is checked.
 *
 *   const db = connect({ url, max: 10 });
 *   const { rows } = await db.query(findAccount, [id]);          // one statement, one commit
 *   await db.transaction(async (tx) => { ... });                 // BEGIN … COMMIT
 *
 * Inside a transaction, statements issued without waiting travel together (`Promise.all`), so a
 * transaction of six statements costs three round trips instead of eight.
 */
import type { Socket } from 'node:net';
import pg from 'pg';
import { CommitUnknownError, isConnectionLost, sqlState, TransactionRolledBackError } from './errors.ts';

/** A prepared statement: `name` is unique per text and at most 63 bytes; parameters are `$1 …`. */
export type Statement = { readonly name: string; readonly text: string };

export type Result<Row> = { readonly rows: Row[]; readonly rowCount: number };

export interface Queryable {
  query<Row extends object = Record<string, unknown>>(
    statement: Statement | string,
    values?: readonly unknown[],
  ): Promise<Result<Row>>;
}

/**
 * Server settings for connections that work in sets: short lists joined to large tables by their indexes. The plan
 * must stay that way however wrong the statistics are of tables that fill all day, and it must not be made anew for
 * every batch.
 */
export const SET_BASED: Readonly<Record<string, string>> = {
  plan_cache_mode: 'force_generic_plan',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_seqscan: 'off',
};

declare const transactionBrand: unique symbol;

/** A handle that exists only inside an open transaction. What must be atomic asks for this type. */
export interface Transaction extends Queryable {
  readonly [transactionBrand]: true;
  /** Runs once the commit is confirmed: a place for hints, never for work that must happen. */
  afterCommit(act: () => void): void;
}

export interface Database extends Queryable {
  /**
   * Runs `work` in one READ COMMITTED transaction. Rolls back when it throws. Throws
   * `TransactionRolledBackError` when COMMIT answered anything but COMMIT, and `CommitUnknownError`
   * when the connection broke while committing: then the caller must look, not repeat.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Connections in use, idle, and callers waiting for one. */
  readonly pool: { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number };
  close(): Promise<void>;
}

export type DatabaseOptions = {
  url: string;
  /** Most connections this pool opens. */
  max: number;
  /** Shown in pg_stat_activity. */
  applicationName?: string;
  /** The server ends a statement that runs longer. Default 30 s. */
  statementTimeoutMs?: number;
  /** How long a caller waits for a free connection, or for a new one to be set up. Default 5 s. */
  acquireTimeoutMs?: number;
  /** Server settings for every connection of this pool, e.g. `SET_BASED`. */
  settings?: Readonly<Record<string, string>>;
  /** Hears of idle connections that broke; the pool replaces them by itself. */
  onIdleError?: (error: Error) => void;
};

// int8 as an exact value; the driver's own answer is text.
const INT8 = 20;
const TYPE_PARSERS = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === INT8 && format !== 'binary') return BigInt;
    return format === 'binary' ? pg.types.getTypeParser(oid, 'binary') : pg.types.getTypeParser(oid, 'text');
  },
};

/** What the code relies on, whatever the server's, the database's or the user's defaults are. */
const ALWAYS: Readonly<Record<string, string>> = {
  default_transaction_isolation: 'read committed',
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  bytea_output: 'hex',
  array_nulls: 'on',
  // Compiling a plan pays off after a second; none of ours runs that long.
  jit: 'off',
};

export function connect(options: DatabaseOptions): Database {
  const settings: Readonly<Record<string, string>> = { ...ALWAYS, ...options.settings };
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.max,
    application_name: options.applicationName ?? 'surefire',
    pipeline: true,
    types: TYPE_PARSERS,
    keepAlive: true,
    connectionTimeoutMillis: options.acquireTimeoutMs ?? 5_000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    // The client's own limit is the last resort for a server that hangs with its sockets open.
    query_timeout: (options.statementTimeoutMs ?? 30_000) + 5_000,
    lock_timeout: 10_000,
    idle_in_transaction_session_timeout: 30_000,
    idleTimeoutMillis: 60_000,
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
      .join(' '),
  });
  // Without a listener a broken idle connection would end the process.
  pool.on('error', (error) => options.onIdleError?.(error));

  return {
    pool,
    query: (statement, values) => run(pool, statement, values),
    transaction: (work) => transaction(pool, work),
    close: () => pool.end(),
  };
}

async function run<Row extends object>(
  target: pg.Pool | pg.PoolClient,
  statement: Statement | string,
  values: readonly unknown[] = [],
): Promise<Result<Row>> {
  const named = typeof statement === 'string' ? { text: statement } : statement;
  const result = await target.query<Row>({ ...named, values: values as unknown[] });
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

const TRANSACTION_ABORTED = '25P02';

async function transaction<T>(pool: pg.Pool, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  const afterCommit: (() => void)[] = [];
  let firstFault: unknown;
  const tx = {
    query(statement: Statement | string, values?: readonly unknown[]) {
      together(client);
      return run(client, statement, values).catch((error: unknown) => {
        firstFault ??= error;
        throw error;
      });
    },
    afterCommit: (act: () => void) => void afterCommit.push(act),
  } as unknown as Transaction;

  let broken: Error | undefined;
  // A connection that breaks between two statements says so only here; unheard, it would end the process.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query('begin');
    const value = await work(tx);
    await commit(client);
    for (const act of afterCommit) hint(act);
    return value;
  } catch (thrown) {
    // Of statements that travelled together, one failed and the others only say that it did.
    const error = sqlState(thrown) === TRANSACTION_ABORTED && firstFault !== undefined ? firstFault : thrown;
    if (error instanceof CommitUnknownError || isConnectionLost(error)) broken = error as Error;
    else broken ??= await rollback(client);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

/** What is issued in the same turn leaves in one write: the system call costs more than most statements. */
function together(client: pg.PoolClient): void {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}

/** The transaction is committed: a hint that fails must not make it look otherwise. */
function hint(act: () => void): void {
  try {
    act();
  } catch (error) {
    process.emitWarning(error as Error);
  }
}

async function commit(client: pg.PoolClient): Promise<void> {
  let command: string;
  try {
    ({ command } = await client.query('commit'));
  } catch (error) {
    if (isConnectionLost(error)) throw new CommitUnknownError({ cause: error });
    throw error;
  }
  // A failed transaction answers COMMIT with ROLLBACK, and the driver resolves.
  if (command !== 'COMMIT') throw new TransactionRolledBackError();
}

async function rollback(client: pg.PoolClient): Promise<Error | undefined> {
  try {
    await client.query('rollback');
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
