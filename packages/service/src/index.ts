/** What every process needs: configuration, logs, metrics, health, HTTP, keys, lifecycle. */
import { fileURLToPath } from 'node:url';

export * from './auth.ts';
export * from './config.ts';
export * from './health.ts';
export { decodeCursor, encodeCursor, UUID } from './http/cursor.ts';
export * from './http.ts';
export { createLog, describeError, type Log, type LogContext, type LogOptions, logContext } from './log.ts';
export * from './metrics.ts';
export * from './problem.ts';
export * from './run.ts';

/** The tables of this package. */
export const serviceMigrations: { name: string; directory: string } = {
  name: 'service',
  directory: fileURLToPath(new URL('../migrations', import.meta.url)),
};
