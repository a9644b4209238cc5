/** Schemas that routes share, and what the documentation says of an answer. */
import { type TSchema, Type } from 'typebox';

/** RFC 9457. */
export const problemSchema = Type.Object(
  {
    type: Type.String({ description: '`urn:surefire:problem:` and a name of the table of problems' }),
    title: Type.String({ description: 'The same words for every problem of this type' }),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String({ description: 'For people: what is wrong with this request' }),
    correlation_id: Type.String({ description: 'As in `X-Correlation-Id`' }),
    operation_id: Type.Optional(Type.String({ description: 'The operation that goes on, if one does' })),
  },
  { $id: 'Problem', description: 'What went wrong, after RFC 9457' },
);

/** Headers that an answer may carry besides `X-Correlation-Id`. */
export type AnswerHeader = 'Location' | 'Idempotent-Replayed';

export type AnswerDocument = {
  /** One sentence. */
  readonly description: string;
  readonly headers?: readonly AnswerHeader[];
  /** Default `application/json`. */
  readonly mediaType?: string;
  /** Default: the first of the schema's `examples`. */
  readonly example?: unknown;
};

/** The keyword under which a schema carries its `AnswerDocument`: validators and serializers do not know it. */
export const ANSWER = 'x-answer';

/** For the `response` of a route: the schema of an answer, and what the documentation says of it. */
export function answer<Schema extends TSchema>(schema: Schema, document: AnswerDocument): Schema {
  return { ...schema, [ANSWER]: document };
}
