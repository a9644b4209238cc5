/**
 * Loaded first into a process that is to die: CRASH_AT=<point>:<n> kills it, without any clean-up, when it reaches
 * the named point for the nth time.
 */
import { type CrashPoint, killAt } from '@surefire/messaging/testing';

// oxlint-disable-next-line node/no-process-env -- this is how the test tells the process
const [point, times] = (process.env['CRASH_AT'] ?? '').split(':');
killAt(point as CrashPoint, { times: Number(times) });
