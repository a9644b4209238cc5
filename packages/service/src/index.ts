/** What every process needs: configuration, logs, metrics, health, HTTP, keys, lifecycle. */
export * from './auth.ts';
export * from './config.ts';
export * from './health.ts';
export * from './http.ts';
export { createLog, describeError, type Log, type LogContext, type LogOptions, logContext } from './log.ts';
export * from './metrics.ts';
export * from './problem.ts';
export * from './run.ts';
