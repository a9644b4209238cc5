/** Which problems a route can answer: what follows from its kind, and what it says itself. */
import type { RouteOptions } from 'fastify';
import type { ProblemSlug } from '../problem.ts';
import { AMOUNT_KEY } from './json.ts';

/** Of any route: every query string is looked at, also where none is expected. */
const ANY: readonly ProblemSlug[] = ['ambiguous-parameter', 'malformed-text', 'unknown-property', 'internal'];

/** The key is looked up in the database. */
const WITH_KEY: readonly ProblemSlug[] = ['unauthenticated', 'unavailable'];

const WITH_BODY: readonly ProblemSlug[] = [
  'malformed-json',
  'duplicate-key',
  'forbidden-key',
  'too-deep',
  'too-many-members',
  'schema-violation',
  'body-too-large',
  'unsupported-media-type',
  'unsupported-encoding',
];

/** Told before a route is known, of whatever arrives: documented for all routes together. */
export const UNREADABLE: readonly ProblemSlug[] = ['malformed-http', 'request-timeout', 'request-too-large'];

type Members = { properties?: Record<string, unknown> };

/** Without repetition, in the order of the lists above. */
export function problemsOf({ config, schema }: RouteOptions): readonly ProblemSlug[] {
  const slugs = new Set(ANY);
  const add = (more: readonly ProblemSlug[]) => more.forEach((slug) => slugs.add(slug));
  if (config?.public !== true) add(WITH_KEY);
  if (config?.scope !== undefined) add(['forbidden']);
  if (membersOf(schema?.params).length > 0) add(['not-found']);
  if (membersOf(schema?.querystring).length > 0) add(['schema-violation']);
  if (membersOf(schema?.querystring).includes('cursor')) add(['invalid-cursor']);
  if (schema?.body !== undefined) add(WITH_BODY);
  if (membersOf(schema?.body).some((name) => AMOUNT_KEY.test(name))) add(['amount-format']);
  add(config?.problems ?? []);
  return [...slugs];
}

function membersOf(schema: unknown): string[] {
  return Object.keys((schema as Members | undefined)?.properties ?? {});
}
