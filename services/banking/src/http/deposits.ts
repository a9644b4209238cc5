/** `POST /accounts/:id/deposit`: 202 once the operation and its event are committed, and not before. */
import { answer, type Http, Problem, type ProblemSlug } from '@surefire/service';
import { Type } from 'typebox';
import type { DepositAnswer, DepositDesk } from '../commands/accept-deposit.ts';
import { IdempotencyKeyHeader, idempotencyKey } from './idempotency-key.ts';
import { AccountPath, accountId, overload, visibleTo } from './request.ts';
import { Accepted, acceptedBody } from './schemas.ts';

type Refusal = Extract<DepositAnswer, { outcome: 'refused' }>['refusal'];

const PROBLEMS: Readonly<Record<Refusal, readonly [ProblemSlug, string]>> = {
  AMOUNT_OUT_OF_RANGE: [
    'amount-out-of-range',
    'The amount must be between 1 and 9007199254740991 minor units.',
  ],
  UNKNOWN_CURRENCY: ['unknown-currency', 'The currency is not one of ISO 4217.'],
  ACCOUNT_NOT_FOUND: ['not-found', 'There is no such account.'],
  ACCOUNT_CLOSED: ['account-closed', 'The account is closed.'],
  ACCOUNT_FROZEN: ['account-frozen', 'The account is frozen.'],
  CURRENCY_MISMATCH: ['currency-mismatch', 'The account is held in another currency.'],
  IDEMPOTENCY_KEY_REUSED: ['idempotency-key-reused', 'This key came before with another request.'],
};

export function depositRoutes(app: Http, parts: { deposits: DepositDesk; overloaded: () => boolean }): void {
  app.post(
    '/accounts/:id/deposit',
    {
      config: {
        scope: 'money:write',
        problems: [
          'idempotency-key-required',
          'idempotency-key-format',
          ...Object.values(PROBLEMS).map(([slug]) => slug),
          'overloaded',
        ],
      },
      schema: {
        operationId: 'deposit',
        tags: ['money'],
        summary: 'Deposit money; settled in the background',
        description:
          'Needs an `Idempotency-Key` header, or `idempotency_key` in the body. The answer is 202 once the request ' +
          'is durable; `Location` says where to watch it. Repeating the request with its key is always safe.',
        params: AccountPath,
        headers: IdempotencyKeyHeader,
        body: Type.Object(
          {
            amount: Type.Integer({ description: 'Integer minor units, at least 1' }),
            currency: Type.Optional(Type.String({ description: 'Must be the account’s, if given' })),
            idempotency_key: Type.Optional(
              Type.String({ description: 'Instead of the header; if both are given they must be equal' }),
            ),
          },
          { additionalProperties: false, examples: [{ amount: 10_000 }] },
        ),
        response: {
          202: answer(Accepted, {
            description: 'The operation is durable, or was before: this is its present state',
            headers: ['Location', 'Idempotent-Replayed'],
          }),
        },
      },
    },
    async (request, reply) => {
      const { principal, id: correlationId, traceparent, body } = request;
      if (parts.overloaded()) throw overload();
      const key = idempotencyKey({
        headers: request.raw.headersDistinct['idempotency-key'],
        body: body.idempotency_key,
      });
      const accepted = await parts.deposits.accept({
        accountId: accountId(request.params.id),
        amount: BigInt(body.amount),
        currency: body.currency,
        idempotencyKey: key,
        owner: visibleTo(request).owner,
        principalId: principal.id,
        correlationId,
        traceparent,
      });
      if (accepted.outcome === 'refused') throw new Problem(...PROBLEMS[accepted.refusal]);
      if (accepted.outcome === 'replayed') reply.header('idempotent-replayed', 'true');
      reply.code(202).header('location', `/operations/${accepted.operation.operationId}`);
      return acceptedBody(accepted.operation);
    },
  );
}
