/** What these routes read from a request, and write into an answer, the same way. */
import { Type } from 'typebox';
import { UUID } from '../http/cursor.ts';
import { Problem } from '../problem.ts';

export const EXAMPLE = {
  event: '0198c0de-0003-7000-8000-000000000000',
  letter: '0198c0de-0004-7000-8000-000000000000',
  account: '0198c0de-0001-7000-8000-000000000000',
  type: 'surefire.banking.deposit_requested.v1',
  topic: 'surefire.banking',
  owner: 'server-1/4242/7c9e6679',
  at: '2026-01-01T12:00:00.000Z',
  cursor: 'MDE5OGMwZGUtMDAwNC03MDAwLTgwMDAtMDAwMDAwMDAwMDAw',
} as const;

const PAGE_MAX = 200;

export const PageQuery = {
  limit: Type.Integer({
    minimum: 1,
    maximum: PAGE_MAX,
    default: 50,
    description: 'The most that a page holds',
    examples: [50],
  }),
  cursor: Type.Optional(
    Type.String({
      maxLength: 255,
      description: '`next_cursor` of the page before',
      examples: [EXAMPLE.cursor],
    }),
  ),
};

export const NextCursor = Type.Optional(
  Type.String({ description: '`cursor` of the next page; absent on the last' }),
);

/** A text that is compared as it is: a group, a type, a key. */
export const word = (description: string, example: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 255, description, examples: [example] }));

/** An id that could not be one belongs to nothing, exactly as one that is not in use. */
export function uuidOr(text: string, missing: string): string {
  const id = text.toLowerCase();
  if (!UUID.test(id)) throw new Problem('not-found', missing);
  return id;
}

/** Members that are null are left out. */
export function given<Members extends object>(
  members: Members,
): { [Name in keyof Members]?: NonNullable<Members[Name]> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null)) as never;
}
