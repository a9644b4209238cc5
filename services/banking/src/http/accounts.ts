/** `/accounts`: open one, and read it, its balance, its entries and its operations. */

import type { Queryable } from '@surefire/postgres';
import { answer, decodeCursor, encodeCursor, type Http, Problem } from '@surefire/service';
import { Type } from 'typebox';
import type { AccountDesk } from '../commands/open-account.ts';
import { type AccountView, findAccount, listEntries } from '../projections/accounts.ts';
import { DEFAULT_CURRENCY, isCurrency } from '../rules/currency.ts';
import { AccountPath, accountId, overload, PageQuery, visibleTo } from './request.ts';
import { Account, accountBody, accountExample, Balance, balanceBody, Entries, entryBody } from './schemas.ts';

/** A ledger entry's place in a statement: its version. */
const VERSION = /^[1-9][0-9]{0,17}$/;

export function accountRoutes(
  app: Http,
  parts: { db: Queryable; accounts: AccountDesk; overloaded: () => boolean },
): void {
  const { db, accounts } = parts;

  app.post(
    '/accounts',
    {
      config: { scope: 'accounts:write', problems: ['unknown-currency', 'overloaded'] },
      schema: {
        operationId: 'openAccount',
        tags: ['accounts'],
        summary: 'Open an account',
        body: Type.Object(
          {
            owner: Type.String({
              minLength: 1,
              maxLength: 255,
              pattern: '\\S',
              description: 'The principal it will belong to; a customer’s own',
            }),
            currency: Type.Optional(Type.String({ description: `ISO 4217; default ${DEFAULT_CURRENCY}` })),
          },
          { additionalProperties: false, examples: [{ owner: 'alice', currency: 'EUR' }] },
        ),
        response: {
          201: answer(Account, {
            description: 'The account is open',
            headers: ['Location'],
            example: { ...accountExample, balance: 0, available: 0, version: 0 },
          }),
        },
      },
    },
    async (request, reply) => {
      const { principal, id: correlationId, traceparent } = request;
      if (parts.overloaded()) throw overload();
      const { owner, currency = DEFAULT_CURRENCY } = request.body;
      if (!isCurrency(currency)) {
        throw new Problem('unknown-currency', `${currency} is not a currency of ISO 4217.`);
      }
      if (principal.role === 'customer' && owner !== principal.id) {
        throw new Problem('forbidden', 'A customer opens accounts for nobody else.');
      }
      const opened = await accounts.open({ owner, currency, correlationId, traceparent });
      reply.code(201).header('location', `/accounts/${opened.id}`);
      return accountBody({
        ...opened,
        balance: 0n,
        held: 0n,
        status: 'open',
        version: 0n,
        created_at: opened.createdAt,
      });
    },
  );

  app.get(
    '/accounts/:id',
    {
      config: { scope: 'accounts:read' },
      schema: {
        operationId: 'getAccount',
        tags: ['accounts'],
        summary: 'Read an account',
        params: AccountPath,
        response: { 200: answer(Account, { description: 'The account' }) },
      },
    },
    async (request) => accountBody(await mustFind(request)),
  );

  app.get(
    '/accounts/:id/balance',
    {
      config: { scope: 'accounts:read' },
      schema: {
        operationId: 'getBalance',
        tags: ['accounts'],
        summary: 'Read an account’s balance',
        params: AccountPath,
        response: { 200: answer(Balance, { description: 'The balance' }) },
      },
    },
    async (request) => balanceBody(await mustFind(request)),
  );

  app.get(
    '/accounts/:id/entries',
    {
      config: { scope: 'accounts:read' },
      schema: {
        operationId: 'listEntries',
        tags: ['accounts'],
        summary: 'Read an account’s statement, newest entry first',
        params: AccountPath,
        querystring: PageQuery,
        response: { 200: answer(Entries, { description: 'A page of entries' }) },
      },
    },
    async (request) => {
      const { id } = await mustFind(request);
      const { limit, cursor } = request.query;
      const before = decodeCursor(cursor, VERSION);
      const rows = await listEntries(db, {
        accountId: id,
        before: before === undefined ? undefined : BigInt(before),
        limit: limit + 1,
      });
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return {
        entries: page.map(entryBody),
        ...(rows.length > limit && last !== undefined
          ? { next_cursor: encodeCursor(String(last.version)) }
          : {}),
      };
    },
  );

  async function mustFind(
    request: Parameters<typeof visibleTo>[0] & { params: { id: string } },
  ): Promise<AccountView> {
    const account = await findAccount(db, accountId(request.params.id), visibleTo(request));
    if (account === undefined) throw new Problem('not-found', 'There is no such account.');
    return account;
  }
}
