/**
 * Validation that changes nothing. Fastify's default compiler coerces, fills in and removes members of bodies;
 * a body is money, so here only what arrives as text by nature (query, path, headers) is converted.
 */
import AjvCompiler from '@fastify/ajv-compiler';
import type { FastifyError, FastifyServerOptions } from 'fastify';
import { Problem, type ProblemSlug } from '../problem.ts';
import { AMOUNT_KEY } from './json.ts';

type BuildValidator = NonNullable<
  NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>['buildValidator']
>;

const STRICT = { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: false } as const;
const COERCING = { ...STRICT, coerceTypes: true, useDefaults: true } as const;

/** Fastify's validator factory: strict for bodies, converting for everything else. */
export function buildValidatorFactory(): BuildValidator {
  const factory = AjvCompiler();
  return ((externalSchemas: never, options: object) => {
    const strict = factory(externalSchemas, { ...options, customOptions: STRICT });
    const coercing = factory(externalSchemas, { ...options, customOptions: COERCING });
    return (route: { httpPart?: string }) => (route.httpPart === 'body' ? strict : coercing)(route);
  }) as unknown as BuildValidator;
}

type Fault = {
  keyword: string;
  instancePath: string;
  params: Record<string, unknown>;
  message?: string;
};

/** The problem behind an error of Fastify's validation. The first fault found is told, with its place. */
export function validationProblem(error: FastifyError): Problem {
  const faults = error.validation as unknown as Fault[];
  // A union reports what every branch missed, and itself last.
  const fault = faults.at(-1) as Fault;
  const context = error.validationContext ?? 'body';
  if (context === 'params') {
    // No resource can have such an id, so this is the same answer as for one that does not exist.
    return new Problem('not-found', `The path parameter ${lastWord(fault)} is not well formed.`);
  }
  return new Problem(slugOf(fault, context), describe(fault, faults, context));
}

function slugOf(fault: Fault, context: string): ProblemSlug {
  if (fault.keyword === 'additionalProperties') return 'unknown-property';
  if (context === 'headers' && lastWord(fault) === 'idempotency-key') {
    return fault.keyword === 'required' ? 'idempotency-key-required' : 'idempotency-key-format';
  }
  if (context === 'body' && fault.keyword !== 'required') {
    const key = lastWord(fault);
    if (key === 'idempotency_key') return 'idempotency-key-format';
    if (AMOUNT_KEY.test(key))
      return /minimum|maximum/i.test(fault.keyword) ? 'amount-out-of-range' : 'amount-format';
  }
  return 'schema-violation';
}

/** The name of the member or parameter at fault. */
function lastWord(fault: Fault): string {
  if (fault.keyword === 'required') return String(fault.params['missingProperty']);
  return fault.instancePath.slice(fault.instancePath.lastIndexOf('/') + 1);
}

function describe(fault: Fault, faults: readonly Fault[], context: string): string {
  const { keyword, params, instancePath, message = 'is not valid' } = fault;
  const place = (path: string) => {
    if (path === '') return context === 'body' ? 'The body' : `The ${CONTEXT_WORDS[context] ?? 'request'}`;
    const noun = context === 'body' ? 'member' : CONTEXT_WORDS[context];
    return `The ${noun} ${context === 'body' ? path : path.slice(1)}`.slice(0, 200);
  };
  if (keyword === 'additionalProperties') {
    return `${place(`${instancePath}/${String(params['additionalProperty'])}`)} is not known.`;
  }
  if (keyword === 'required')
    return `${place(`${instancePath}/${String(params['missingProperty'])}`)} is missing.`;
  const allowed = allowedValues(fault, faults);
  if (allowed !== undefined) return `${place(instancePath)} must be one of ${allowed.join(', ')}.`;
  return `${place(instancePath)} ${message}.`;
}

const CONTEXT_WORDS: Readonly<Record<string, string>> = {
  querystring: 'query parameter',
  headers: 'header',
};

function allowedValues(fault: Fault, faults: readonly Fault[]): unknown[] | undefined {
  if (fault.keyword === 'enum') return fault.params['allowedValues'] as unknown[];
  if (fault.keyword === 'const') return [fault.params['allowedValue']];
  const branches = faults.slice(0, -1);
  if (fault.keyword !== 'anyOf' || branches.length === 0) return undefined;
  if (branches.some(({ keyword }) => keyword !== 'const')) return undefined;
  return branches.map(({ params }) => params['allowedValue']);
}
