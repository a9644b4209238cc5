/** What routes read from a request the same way. */
import { type Principal, Problem, UUID } from '@surefire/service';
import { Type } from 'typebox';
import { PAGE_MAX, type Visibility } from '../projections/accounts.ts';
import { EXAMPLE } from './schemas.ts';

export const PageQuery = Type.Object(
  {
    limit: Type.Integer({
      minimum: 1,
      maximum: PAGE_MAX,
      default: 50,
      description: 'The most that a page holds',
      examples: [50],
    }),
    cursor: Type.Optional(
      Type.String({ maxLength: 255, description: '`next_cursor` of the page before', examples: ['MTI'] }),
    ),
  },
  { additionalProperties: false },
);

export const AccountPath = Type.Object({
  id: Type.String({ description: 'The account’s id', examples: [EXAMPLE.account] }),
});

export const OperationPath = Type.Object({
  id: Type.String({ description: 'The operation’s id', examples: [EXAMPLE.operation] }),
});

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
