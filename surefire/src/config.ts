/** The environment as the program sees it. No other file of the program reads it. */
import { type Config, ConfigError, readConfig } from '@surefire/service/config';

/**
 * The configuration of this process; `roles`, when given, outrank `SUREFIRE_ROLES`.
 * @throws ConfigError with every fault.
 */
export function readProgramConfig(overrides: { roles?: readonly string[] } = {}): Config {
  const { roles } = overrides;
  return readConfig(
    roles === undefined ? environment() : { ...environment(), SUREFIRE_ROLES: roles.join(',') },
  );
}

/** For whoever examines rather than runs: the faults, and a configuration of all that has none. */
export function readFaultyConfig(): { config: Config; faults: readonly string[] } {
  try {
    return { config: readConfig(environment()), faults: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const sound = Object.entries(environment()).filter(([name, value]) => isSound({ [name]: value }));
    return { config: readConfig(Object.fromEntries(sound)), faults: error.faults };
  }
}

function isSound(variable: Record<string, string | undefined>): boolean {
  try {
    readConfig(variable);
    return true;
  } catch {
    return false;
  }
}

/** Whether errors are shown with their stacks. Works even where the configuration is at fault. */
export function isDebugging(): boolean {
  return /^(debug|trace)$/.test(environment().SUREFIRE_LOG_LEVEL ?? '');
}

function environment(): Readonly<Record<string, string | undefined>> {
  // oxlint-disable-next-line node/no-process-env -- this is the one place
  return process.env;
}
