/** The environment as the program sees it. No other file of the program reads it. */
import { type Config, readConfig } from '@surefire/service';

/**
 * The configuration of this process; `roles`, when given, outrank `SUREFIRE_ROLES`.
 * @throws ConfigError with every fault.
 */
export function readProgramConfig(overrides: { roles?: readonly string[] } = {}): Config {
  const { roles } = overrides;
  // oxlint-disable-next-line node/no-process-env -- this is the one place
  const environment = process.env;
  return readConfig(roles === undefined ? environment : { ...environment, SUREFIRE_ROLES: roles.join(',') });
}

/** Whether errors are shown with their stacks. Works even where the configuration is at fault. */
export function isDebugging(): boolean {
  // oxlint-disable-next-line node/no-process-env -- this is the one place
  return /^(debug|trace)$/.test(process.env.SUREFIRE_LOG_LEVEL ?? '');
}
