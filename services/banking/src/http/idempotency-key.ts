/**
 * The Idempotency-Key of a money request: the header (a bare token, or quoted as in the structured field of
 * draft-ietf-httpapi-idempotency-key-header) or `idempotency_key` in the body.
 */
import { Problem } from '@surefire/service';
import { Type } from 'typebox';
import { EXAMPLE } from './schemas.ts';

/** For the documentation: `idempotencyKey` reads and judges it. */
export const IdempotencyKeyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        'A value of your choice, new for each intent and the same for each repetition: 1 to 255 printable ASCII ' +
        'characters without quotes and backslashes, none of them a space at either end. Required, here or as ' +
        '`idempotency_key` in the body.',
      examples: [EXAMPLE.key],
    }),
  ),
});

/** Printable ASCII without quotes and backslashes, so that it means the same in a header, a body and a log. */
const KEY = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,255}$/;

export function idempotencyKey(request: {
  /** Each occurrence of the header. */
  headers: readonly string[] | undefined;
  body: string | undefined;
}): string {
  const { headers = [] } = request;
  if (headers.length > 1) {
    throw new Problem('idempotency-key-format', 'The request has more than one Idempotency-Key header.');
  }
  const header = headers[0] === undefined ? undefined : unquote(headers[0]);
  if (header !== undefined && request.body !== undefined && header !== request.body) {
    throw new Problem(
      'idempotency-key-format',
      'The Idempotency-Key header and idempotency_key in the body differ.',
    );
  }
  const key = header ?? request.body;
  if (key === undefined) {
    throw new Problem(
      'idempotency-key-required',
      'Send an Idempotency-Key header: a value of your choice, the same when you repeat this request.',
    );
  }
  if (!KEY.test(key) || key.trim() !== key) {
    throw new Problem(
      'idempotency-key-format',
      'The key must be 1 to 255 printable ASCII characters without quotes, backslashes and outer spaces.',
    );
  }
  return key;
}

function unquote(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}
