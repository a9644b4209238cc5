/** What routes read from a request the same way. */
import { type Principal, Problem } from '@surefire/service';
import { Type } from 'typebox';
import type { Visibility } from '../projections/accounts.ts';
import { UUID } from './cursor.ts';

export const PageQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 255, description: 'next_cursor of the page before' })),
  },
  { additionalProperties: false },
);

/** A customer sees what is its own; an operator sees everything. */
export function visibleTo(request: { principal: Principal }): Visibility {
  const { principal } = request;
  return { owner: principal.role === 'operator' ? undefined : principal.id };
}

/** An id that could not be one belongs to nothing, exactly as one that is not in use. */
export function accountId(text: string): string {
  const id = text.toLowerCase();
  if (!UUID.test(id)) throw new Problem('not-found', 'There is no such account.');
  return id;
}

export function operationId(text: string): string {
  const id = text.toLowerCase();
  if (!UUID.test(id)) throw new Problem('not-found', 'There is no such operation.');
  return id;
}

/** More is waiting than this installation wants to promise: come back later. Nothing was accepted. */
export function overload(): Problem {
  return new Problem('overloaded', 'Too many accepted requests are waiting to be processed.', {
    headers: { 'retry-after': '5' },
  });
}
