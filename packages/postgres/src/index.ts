/** PostgreSQL as Surefire uses it. No other package imports the driver. */
export { type CoalesceOptions, type Coalescer, coalesce, OverloadedError } from './coalesce.ts';
export {
  connect,
  type Database,
  type DatabaseOptions,
  type Queryable,
  type Result,
  SET_BASED,
  type Statement,
  type Transaction,
} from './database.ts';
export {
  CommitUnknownError,
  isConflict,
  isConnectionLost,
  isPoolExhausted,
  isTransient,
  sqlState,
  TransactionRolledBackError,
  violatedConstraint,
} from './errors.ts';
export { type Listening, type ListenOptions, listen } from './listen.ts';
export { type AppliedMigration, type MigrationModule, migrate, pendingMigrations } from './migrate.ts';
export { retryTransient } from './retry.ts';
