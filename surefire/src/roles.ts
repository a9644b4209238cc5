/** What this version can run. The configuration knows more names than there are services yet. */
import { type Config, ConfigError, ROLES, type Role } from '@surefire/service';

const AVAILABLE: readonly Role[] = ['api', 'relay', 'banking'];

/**
 * The roles this process runs: all that exist when all were asked for, else exactly those asked for.
 * Throws `ConfigError` for whatever the configuration asks that this version does not have, all of it together:
 * a setting is never silently ignored.
 */
export function availableRoles(config: Config): readonly Role[] {
  const faults: string[] = [];
  const everything = config.roles.length === ROLES.length;
  const missing = everything ? [] : config.roles.filter((role) => !AVAILABLE.includes(role));
  if (missing.length > 0) {
    faults.push(`This version has no role ${missing.join(', ')}; it has ${AVAILABLE.join(', ')}.`);
  }
  if (config.relayMode !== 'polling')
    faults.push('SUREFIRE_RELAY_MODE=streaming is not available in this version.');
  if (config.depositMode !== 'async')
    faults.push('SUREFIRE_DEPOSIT_MODE=sync is not available in this version.');
  if (config.busUrl !== 'postgres:')
    faults.push('SUREFIRE_BUS_URL: this version has the bus postgres: only.');
  if (faults.length > 0) throw new ConfigError(faults);
  return everything ? AVAILABLE : config.roles;
}
