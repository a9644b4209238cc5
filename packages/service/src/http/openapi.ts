/**
 * The OpenAPI document. Fastify's plugin finds the routes and turns their parameters and bodies into OpenAPI; the
 * answers are written here, because it would copy each schema into each route and knows nothing of our problems:
 *
 *   schemas with an `$id`   become components, by that name
 *   answer(…)               gives a 2xx its description, headers and example
 *   problemsOf(route)       gives the failures, each slug with its words and an example
 */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema, RouteOptions } from 'fastify';
import { PROBLEMS, type ProblemSlug } from '../problem.ts';
import { comesBack } from './answers.ts';
import { problemsOf, UNREADABLE } from './route-problems.ts';
import { ANSWER, type AnswerDocument, problemSchema } from './schemas.ts';

export type DocumentOptions = {
  title?: string | undefined;
  version?: string | undefined;
  description?: string | undefined;
  tags?: readonly { name: string; description: string }[] | undefined;
};

type Json = { [member: string]: unknown };
type Operation = Json & { parameters?: { name: string; in: string }[] };
type Document = { paths: Record<string, Record<string, Operation>>; components: Record<string, Json> };

/** The options of `@fastify/swagger`. */
export function documentation(options: DocumentOptions): FastifyDynamicSwaggerOptions {
  const { title = 'Surefire', version = '0.0.0', description, tags = [] } = options;
  const routes: RouteOptions[] = [];
  return {
    openapi: {
      openapi: '3.1.1',
      info: { title, version, ...(description !== undefined && { description }) },
      tags: [...tags, { name: 'operating', description: 'Looking after the platform' }],
      components: {
        securitySchemes: {
          apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
          bearer: { type: 'http', scheme: 'bearer' },
        },
      },
      security: [{ apiKey: [] }, { bearer: [] }],
    },
    convertConstToEnum: false,
    transform({ schema, url, route }) {
      if (schema?.hide === true) return { schema, url };
      routes.push(route);
      return { schema: withoutAnswers(route), url };
    },
    transformObject(made) {
      const document = (made as { openapiObject: unknown }).openapiObject as Document;
      const components = createComponents();
      for (const route of routes) {
        for (const method of [route.method].flat()) {
          const operation = document.paths[openApiPath(route.url)]?.[method.toLowerCase()];
          if (operation !== undefined) complete(operation, route, components);
        }
      }
      Object.assign(document.components, components.all);
      return document;
    },
  };
}

export function openApiPath(url: string): string {
  return url.replaceAll(/:(\w+)/g, '{$1}');
}

/** What the plugin is to make its part of: without answers, with the scope in words and as a requirement. */
function withoutAnswers({ schema = {}, config }: RouteOptions): FastifySchema {
  const { response: _ours, ...rest } = schema;
  const scope = config?.scope;
  const needs = config?.public
    ? 'Needs no key.'
    : scope === undefined
      ? 'Needs a key.'
      : `Needs a key with the scope \`${scope}\`.`;
  return {
    ...rest,
    description: [schema.description, needs].filter(Boolean).join('\n\n'),
    // Of a scheme other than OAuth these are role names, for the reader (OpenAPI 3.1 §4.8.30).
    ...(scope !== undefined && { security: [{ apiKey: [scope] }, { bearer: [scope] }] }),
  };
}

function complete(operation: Operation, route: RouteOptions, components: Components): void {
  for (const parameter of operation.parameters ?? []) {
    // Fastify wants header names in lower case; people know them otherwise.
    if (parameter.in === 'header')
      parameter.name = parameter.name.replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase());
  }
  const answers = Object.entries((route.schema?.response ?? {}) as Record<string, Json>);
  const slugs = Map.groupBy(problemsOf(route), (slug) => PROBLEMS[slug].status);
  operation['responses'] = {
    ...Object.fromEntries([...slugs].map(([status, same]) => [status, failure(status, same, components)])),
    '4XX': failure(undefined, UNREADABLE, components),
    ...Object.fromEntries(answers.map(([status, schema]) => [status, success(schema, components)])),
    ...(answers.length === 0 && { '2XX': { description: 'Done', headers: components.headers([]) } }),
  };
}

function success(schema: Json, components: Components): Json {
  const { [ANSWER]: document, ...shape } = schema;
  const {
    description,
    headers = [],
    mediaType = 'application/json',
    ...rest
  } = (document ?? {
    description: 'Done',
  }) as AnswerDocument;
  const example = rest.example ?? (shape['examples'] as unknown[] | undefined)?.[0];
  return {
    description,
    headers: components.headers(headers),
    content: { [mediaType]: { schema: components.schema(shape), ...(example !== undefined && { example }) } },
  };
}

/** `status` undefined: several of them. */
function failure(status: number | undefined, slugs: readonly ProblemSlug[], components: Components): Json {
  return {
    description: slugs.map((slug) => `- \`${slug}\`: ${PROBLEMS[slug].when}`).join('\n'),
    headers: components.headers([
      ...(status !== undefined && comesBack(status) ? ['Retry-After'] : []),
      ...(status === 401 ? ['WWW-Authenticate'] : []),
    ]),
    content: {
      'application/problem+json': {
        schema: components.schema(problemSchema),
        examples: Object.fromEntries(slugs.map((slug) => [slug, components.example(slug)])),
      },
    },
  };
}

const HEADERS: Readonly<Record<string, Json>> = {
  'X-Correlation-Id': {
    description: 'Joins everything that this request causes: yours, if you sent a plain one; else a new one',
    schema: { type: 'string' },
    example: '0198c0de-0000-7000-8000-000000000000',
  },
  Location: {
    description: 'The path of what was made',
    schema: { type: 'string' },
    example: '/operations/0198c0de-0002-7000-8000-000000000000',
  },
  'Idempotent-Replayed': {
    description: 'Given when the same request came before: the answer is the first operation’s present state',
    schema: { const: 'true' },
    example: 'true',
  },
  'Retry-After': {
    description: 'Seconds to wait',
    schema: { type: 'string', pattern: '^[0-9]+$' },
    example: '1',
  },
  'WWW-Authenticate': {
    description: 'How to authenticate',
    schema: { type: 'string' },
    example: 'Bearer realm="surefire"',
  },
};

type Components = ReturnType<typeof createComponents>;

/** What several routes share, gathered while they are written and referred to by name. */
function createComponents() {
  const schemas: Record<string, unknown> = {};
  const headers: Record<string, Json> = {};
  const examples: Record<string, Json> = {};
  const reference = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` });

  function schema(shape: unknown): unknown {
    if (Array.isArray(shape)) return shape.map(schema);
    if (typeof shape !== 'object' || shape === null) return shape;
    const { $id: name, ...members } = shape as Json;
    const copy = () =>
      Object.fromEntries(
        Object.entries(members).map(([key, member]) => [key, key === 'examples' ? member : schema(member)]),
      );
    if (typeof name !== 'string') return copy();
    schemas[name] ??= copy();
    return reference('schemas', name);
  }

  return {
    all: { schemas, headers, examples },
    schema,
    headers(names: readonly string[]): Json {
      const given = ['X-Correlation-Id', ...names];
      for (const name of given) headers[name] = HEADERS[name] as Json;
      return Object.fromEntries(given.map((name) => [name, reference('headers', name)]));
    },
    example(slug: ProblemSlug): Json {
      const { title, status, when } = PROBLEMS[slug];
      const value = {
        type: `urn:surefire:problem:${slug}`,
        title,
        status,
        detail: `${when}.`,
        correlation_id: '0198c0de-0000-7000-8000-000000000000',
      };
      examples[slug] = { summary: title, value };
      return reference('examples', slug);
    },
  };
}
