/** `/operations`: what became of what was asked for. */
import type { Queryable } from '@surefire/postgres';
import { answer, decodeCursor, encodeCursor, type Http, Problem, UUID } from '@surefire/service';
import { Type } from 'typebox';
import { findAccount } from '../projections/accounts.ts';
import {
  findOperation,
  listOperations,
  OPERATION_STATUSES,
  type OperationPage,
  type OperationStatus,
} from '../projections/operations.ts';
import { AccountPath, accountId, OperationPath, operationId, PageQuery, visibleTo } from './request.ts';
import { EXAMPLE, Operation, Operations, operationBody } from './schemas.ts';

const Filter = Type.Object(
  {
    ...PageQuery.properties,
    idempotency_key: Type.Optional(
      Type.String({
        maxLength: 255,
        description: 'The Idempotency-Key that the operation was asked for with',
        examples: [EXAMPLE.key],
      }),
    ),
    status: Type.Optional(
      Type.Enum([...OPERATION_STATUSES], {
        description: 'Only operations of this status',
        examples: ['pending'],
      }),
    ),
  },
  { additionalProperties: false },
);

const FilterOfAll = Type.Object(
  {
    account_id: Type.Optional(
      Type.String({ description: 'Only operations of this account', examples: [EXAMPLE.account] }),
    ),
    ...Filter.properties,
  },
  { additionalProperties: false },
);

type FilterValues = { limit: number; cursor?: string; idempotency_key?: string; status?: OperationStatus };

const Page = answer(Operations, { description: 'A page of operations' });

export function operationRoutes(app: Http, parts: { db: Queryable }): void {
  const { db } = parts;

  app.get(
    '/operations/:id',
    {
      config: { scope: 'operations:read' },
      schema: {
        operationId: 'getOperation',
        tags: ['operations'],
        summary: 'Read an operation',
        params: OperationPath,
        response: { 200: answer(Operation, { description: 'The operation as it is now' }) },
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
      config: { scope: 'operations:read', problems: ['not-found'] },
      schema: {
        operationId: 'listOperations',
        tags: ['operations'],
        summary: 'Look operations up, newest first',
        description:
          'Without `account_id`: an operator’s key finds everybody’s operations, a customer’s those of its own ' +
          'accounts. Give `account_id` where you know it: it makes the others fast however much there is.',
        querystring: FilterOfAll,
        response: { 200: Page },
      },
    },
    async (request) => {
      const { account_id: account } = request.query;
      const of = account === undefined ? visibleTo(request) : await mustFind(request, account);
      return page(of, request.query);
    },
  );

  app.get(
    '/accounts/:id/operations',
    {
      config: { scope: 'operations:read' },
      schema: {
        operationId: 'listAccountOperations',
        tags: ['operations'],
        summary: 'The same, by the account’s own address',
        params: AccountPath,
        querystring: Filter,
        response: { 200: Page },
      },
    },
    async (request) => page(await mustFind(request, request.params.id), request.query),
  );

  async function mustFind(request: Parameters<typeof visibleTo>[0], account: string) {
    const found = await findAccount(db, accountId(account), visibleTo(request));
    if (found === undefined) throw new Problem('not-found', 'There is no such account.');
    return { accountId: found.id };
  }

  async function page(of: OperationPage['of'], filter: FilterValues) {
    const rows = await listOperations(db, {
      of,
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
