/** What a key may be allowed to do. Each route asks for one of these. */
export const CUSTOMER_SCOPES = ['accounts:read', 'accounts:write', 'money:write', 'operations:read'] as const;

/** What concerns everybody's data: held by operators only, whatever is written into a customer's key. */
export const OPERATOR_SCOPES = ['operate'] as const;

export const SCOPES = [...CUSTOMER_SCOPES, ...OPERATOR_SCOPES] as const;

export type Scope = (typeof SCOPES)[number];

/** Holds every scope, also those of later versions. */
export const EVERY_SCOPE = '*';

/** What may be written into a key. */
export const KEY_SCOPES = [...SCOPES, EVERY_SCOPE] as const;

export type KeyScope = (typeof KEY_SCOPES)[number];

export const PRINCIPAL_ROLES = ['operator', 'customer'] as const;

export type PrincipalRole = (typeof PRINCIPAL_ROLES)[number];

/** What a key is given unless its scopes are named. */
export const DEFAULT_SCOPES: Readonly<Record<PrincipalRole, readonly KeyScope[]>> = {
  operator: [EVERY_SCOPE],
  customer: CUSTOMER_SCOPES,
};

/** Whether keys of the role may hold the scope. */
export function mayHold(role: PrincipalRole, scope: KeyScope): boolean {
  return role === 'operator' || !(OPERATOR_SCOPES as readonly string[]).includes(scope);
}
