/** `/operations`: what became of what was asked for. */
import type { Queryable } from '@surefire/postgres';
import { type Http, Problem } from '@surefire/service';
import { Type } from 'typebox';
import { findAccount } from '../projections/accounts.ts';
import { findOperation, listOperations, OPERATION_STATUSES } from '../projections/operations.ts';
import { decodeCursor, encodeCursor, UUID } from './cursor.ts';
import { accountId, operationId, PageQuery, visibleTo } from './request.ts';
import { Operation, Operations, operationBody } from './schemas.ts';

const Filter = Type.Object(
  {
    ...PageQuery.properties,
    idempotency_key: Type.Optional(Type.String({ maxLength: 255 })),
    status: Type.Optional(Type.Enum([...OPERATION_STATUSES])),
  },
  { additionalProperties: false },
);

export function operationRoutes(app: Http, parts: { db: Queryable }): void {
  const { db } = parts;

  app.get(
    '/operations/:id',
    {
      config: { scope: 'operations:read' },
      schema: {
        tags: ['operations'],
        summary: 'Read an operation',
        params: Type.Object({ id: Type.String() }),
        response: { 200: Operation },
      },
    },
    async (request) => {
      const operation = await findOperation(db, operationId(request.params.id), visibleTo(request));
      if (operation === undefined) throw new Problem('not-found', 'There is no such operation.');
      return operationBody(operation);
    },
  );

  app.get(
    '/operations',
    {
      config: { scope: 'operations:read' },
      schema: {
        tags: ['operations'],
        summary: 'Look an account’s operations up, newest first',
        querystring: Type.Object(
          { account_id: Type.String(), ...Filter.properties },
          { additionalProperties: false },
        ),
        response: { 200: Operations },
      },
    },
    (request) => page(request, request.query.account_id, request.query),
  );

  app.get(
    '/accounts/:id/operations',
    {
      config: { scope: 'operations:read' },
      schema: {
        tags: ['operations'],
        summary: 'The same, by the account’s own address',
        params: Type.Object({ id: Type.String() }),
        querystring: Filter,
        response: { 200: Operations },
      },
    },
    (request) => page(request, request.params.id, request.query),
  );

  async function page(
    request: Parameters<typeof visibleTo>[0],
    account: string,
    filter: {
      limit: number;
      cursor?: string;
      idempotency_key?: string;
      status?: (typeof OPERATION_STATUSES)[number];
    },
  ) {
    const found = await findAccount(db, accountId(account), visibleTo(request));
    if (found === undefined) throw new Problem('not-found', 'There is no such account.');
    const rows = await listOperations(db, {
      accountId: found.id,
      idempotencyKey: filter.idempotency_key,
      status: filter.status,
      before: decodeCursor(filter.cursor, UUID),
      limit: filter.limit + 1,
    });
    const operations = rows.slice(0, filter.limit);
    const last = operations.at(-1);
    return {
      operations: operations.map(operationBody),
      ...(rows.length > filter.limit && last !== undefined ? { next_cursor: encodeCursor(last.id) } : {}),
    };
  }
}
