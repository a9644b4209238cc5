/** Refuses routes that would be lax, when they are registered: a mistake of ours, found by starting. */
import type { RouteOptions } from 'fastify';

type ObjectSchema = { type?: string; additionalProperties?: unknown; properties?: Record<string, unknown> };

/**
 * Every route must say what it takes. A body's or query's schema that does not decide about unknown
 * members would silently let them pass; without a query schema there are no query parameters.
 * @throws Error naming the route.
 */
export function guardRoute(route: RouteOptions): void {
  const name = `${[route.method].flat().join(',')} ${route.url}`;
  if (route.schema === undefined) throw new Error(`${name} has no schema`);
  // Pages for people, such as the documentation's own.
  if (route.schema.hide === true) {
    route.config = { ...route.config, public: true };
    return;
  }
  const body = route.schema.body as ObjectSchema | undefined;
  const query = (route.schema.querystring ?? NO_QUERY) as ObjectSchema;
  for (const [part, schema] of Object.entries({ body, query })) {
    if (schema?.type === 'object' && schema.additionalProperties === undefined) {
      throw new Error(`the ${part} schema of ${name} does not say additionalProperties: false`);
    }
  }
  route.schema = { ...route.schema, querystring: query };
}

const NO_QUERY = { type: 'object', properties: {}, additionalProperties: false };
