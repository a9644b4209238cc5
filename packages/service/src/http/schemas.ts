/** Schemas that routes share. */
import { Type } from 'typebox';
import { PROBLEMS, type ProblemSlug } from '../problem.ts';

/** RFC 9457, registered under the id `Problem`. */
export const problemSchema = Type.Object(
  {
    type: Type.String({ examples: ['urn:surefire:problem:insufficient-funds'] }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String(),
    correlation_id: Type.String(),
    operation_id: Type.Optional(Type.String()),
  },
  { $id: 'Problem', description: 'What went wrong, after RFC 9457' },
);

type ProblemResponse = {
  description: string;
  content: { 'application/problem+json': { schema: { $ref: string } } };
};

const response = (description: string): ProblemResponse => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
});

/** For the `response` of a route's schema: the problems it is worth naming, by status. */
export function problemResponses(...slugs: ProblemSlug[]): Record<number, ProblemResponse> {
  const bySlug = Map.groupBy(slugs, (slug) => PROBLEMS[slug].status);
  return Object.fromEntries(
    [...bySlug].map(([status, same]) => [
      status,
      response(same.map((slug) => `\`${slug}\`: ${PROBLEMS[slug].when}`).join('. ')),
    ]),
  );
}

/** What every route may answer besides. */
export const ANY_PROBLEM: Readonly<Record<string, ProblemResponse>> = {
  '4xx': response('The request was refused; see `type`'),
  '5xx': response('Surefire failed; the outcome can be looked up by the Idempotency-Key'),
};
