/**
 * Users. Events carry a user's id and what changed about the account of the user, and never a name, an address or a
 * secret: events are kept, and cannot be forgotten one by one.
 */
import { Type } from 'typebox';
import { type Contract, contract } from './contract.ts';
import { Timestamp, UserId, word } from './fields.ts';

const user = {
  version: 1,
  delivery: 'critical',
  topic: 'identity',
  aggregate: 'user',
  key: (data: { user_id: string }) => data.user_id,
  subject: (data: { user_id: string }) => data.user_id,
} as const;

const Status = Type.Enum(['active', 'suspended', 'closed']);
const Role = word('What the user may do, e.g. `customer`');

export const UserCreated = contract({
  ...user,
  name: 'identity.user_created',
  description: 'A user exists.',
  data: Type.Object({ user_id: UserId, role: Role, status: Status, timestamp: Timestamp }),
});

export const UserUpdated = contract({
  ...user,
  name: 'identity.user_updated',
  description: "A user's details changed; their owner has the new ones.",
  data: Type.Object({
    user_id: UserId,
    changed: Type.Array(word('A member'), { minItems: 1, description: 'The names of what changed' }),
    timestamp: Timestamp,
  }),
});

export const UserLogin = contract({
  ...user,
  name: 'identity.user_login',
  description: 'A user signed in.',
  data: Type.Object({ user_id: UserId, method: word('How, e.g. `password`'), timestamp: Timestamp }),
});

export const UserStatusChanged = contract({
  ...user,
  name: 'identity.user_status_changed',
  description: 'A user was suspended, closed or made active again.',
  data: Type.Object({ user_id: UserId, previous_status: Status, status: Status, timestamp: Timestamp }),
});

export const UserRoleChanged = contract({
  ...user,
  name: 'identity.user_role_changed',
  description: 'A user may do something else from now on.',
  data: Type.Object({ user_id: UserId, previous_role: Role, role: Role, timestamp: Timestamp }),
});

export const UserPasswordChanged = contract({
  ...user,
  name: 'identity.user_password_changed',
  description: 'A user has a new password, and what was signed in with the old one ends.',
  data: Type.Object({ user_id: UserId, timestamp: Timestamp }),
});

export const identityContracts: readonly Contract[] = [
  UserCreated,
  UserUpdated,
  UserLogin,
  UserStatusChanged,
  UserRoleChanged,
  UserPasswordChanged,
];
