/** The parts of the platform that a process can run. Any number of processes may run any of them. */
export const ROLES = [
  'api',
  'relay',
  'banking',
  'trading',
  'revenue',
  'risk',
  'audit',
  'social',
  'gamification',
  'notifications',
] as const;

export type Role = (typeof ROLES)[number];

/** Words that stand for several roles. */
export const ROLE_GROUPS: ReadonlyMap<string, readonly Role[]> = new Map<string, readonly Role[]>([
  ['all', ROLES],
  ['engagement', ['social', 'gamification', 'notifications']],
]);
