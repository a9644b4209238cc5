/**
 * Writes `docs/reference/` from the code: settings, problems, event contracts (for people and as AsyncAPI), routes.
 *
 *   node scripts/reference.ts            writes the pages
 *   node scripts/reference.ts --check    compares them, and fails when one differs
 *
 * Introductions are here; everything else comes from the tables, contracts and schemas that the platform runs on.
 * No database is needed: routes are registered, never called.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bankingApi } from '@surefire/banking';
import {
  asyncApi,
  type Catalogue,
  type Contract,
  type ContractSchema,
  classNameOf,
  EventAttributes,
  platformCatalogue,
  schemaOf,
} from '@surefire/events';
import { createWake } from '@surefire/messaging';
import { connect } from '@surefire/postgres';
import {
  createHealth,
  createHttp,
  createLog,
  createMetrics,
  problemsMarkdown,
  settingsMarkdown,
} from '@surefire/service';
import { operatingRoutes } from '@surefire/service/operating';
import manifest from '../package.json' with { type: 'json' };
import { formatJson } from './format-json.ts';

const FOLDER = join(import.meta.dirname, '..', 'docs', 'reference');
const NOTE = '<!-- Written by scripts/reference.ts from the code. Change the code, then run it. -->';

/** The text of every page by its file name, as it should be. */
export async function referencePages(): Promise<ReadonlyMap<string, string>> {
  const catalogue = platformCatalogue({ namespace: 'surefire' });
  return new Map([
    ['asyncapi.json', formatJson(asyncApi({ catalogue, version: manifest.version }))],
    ['configuration.md', page('Configuration', configurationIntroduction, settingsMarkdown())],
    ['errors.md', page('Errors', errorsIntroduction, problemsMarkdown())],
    ['events.md', page('Events', eventsIntroduction, eventsMarkdown(catalogue))],
    ['http.md', page('HTTP', httpIntroduction, routesMarkdown(await readRoutes()))],
  ]);
}

/** The page as it stands in the repository, or '' when there is none. */
export function writtenPage(name: string): string {
  try {
    return readFileSync(join(FOLDER, name), 'utf8');
  } catch {
    return '';
  }
}

function page(title: string, introduction: string, body: string): string {
  return aligned(`# ${title}\n\n${NOTE}\n\n${introduction.trim()}\n\n${body.trim()}\n`);
}

/** Pads the cells of tables to columns, as the formatter wants them. */
function aligned(text: string): string {
  return text.replaceAll(/(?:^\|.*\|\n)+/gm, (table) => {
    const rows = table
      .trimEnd()
      .split('\n')
      .map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      );
    const widths = (rows[0] ?? []).map((_, column) =>
      Math.max(
        3,
        ...rows.map((cells) => (/^-+$/.test(cells[column] ?? '') ? 3 : (cells[column] ?? '').length)),
      ),
    );
    const padded = rows.map((cells) =>
      cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, /^-+$/.test(cell) ? '-' : ' ')),
    );
    return `${padded.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
  });
}

const configurationIntroduction = `
Surefire reads environment variables, once, at the start. A value that is not allowed, or an unknown variable that
begins with \`SUREFIRE_\`, stops the start; all faults are reported together. Every variable can come from a file
instead: \`SUREFIRE_DATABASE_URL_FILE=/run/secrets/database\` names it, and a newline at its end is ignored. Giving
both is a fault. \`npx surefire --help\` prints the same table.

This version has the roles \`api\`, \`relay\` and \`banking\`, the bus \`postgres:\`, the relay mode \`polling\` and the
deposit mode \`async\`. Asking for another stops the start too. \`SUREFIRE_RETENTION_DAYS\` is checked, but nothing is
dropped yet.
`;

const errorsIntroduction = `
Every failure is an \`application/problem+json\` document (RFC 9457). Its \`type\` is
\`urn:surefire:problem:<problem>\`, with a name of this table. Branch on \`type\`; \`title\` never changes, \`detail\` is
for people and may.

\`\`\`json
{
  "type": "urn:surefire:problem:idempotency-key-required",
  "title": "The Idempotency-Key is missing",
  "status": 400,
  "detail": "Send an Idempotency-Key header: a value of your choice, the same when you repeat this request.",
  "correlation_id": "0198c0de-0000-7000-8000-000000000000"
}
\`\`\`

- **4xx**: definite. Nothing happened, and nothing will.
- **5xx, or no answer**: unknown. Repeat with the same Idempotency-Key, or look it up with
  \`GET /operations?account_id=&idempotency_key=\`.
- \`correlation_id\` is also the header \`X-Correlation-Id\`. Name it in a report.

Not every problem has a route yet: some belong to operations that are planned.
`;

const eventsIntroduction = `
Events are CloudEvents 1.0. Services know of each other what stands here and nothing else. The same is in
\`/asyncapi.json\` (AsyncAPI 3), a copy of which is [asyncapi.json](asyncapi.json), and as one JSON Schema per event
and version in [packages/events/schemas](../../packages/events/schemas).

- **Critical** events are appended to the outbox in the transaction of the change, and are never lost.
  **Best-effort** events are fired, and may be dropped.
- **The topic** of an event is its domain. Events of one key keep their order, across the types of a topic.
- **Amounts** are integers in minor units of the currency, up to 2^53-1. Quantities are integers too.
- **Versions.** Within a major version, optional members are added, and bounds and lists of values widen. Consumers
  allow members they do not know. Anything else is a new major version, beside the old one, which can be read as the
  new one.
- **No personal data** beyond ids, but for the owner that an account was opened with.

A contract stands here once it is agreed on; the service that emits it may follow later.
`;

const httpIntroduction = `
JSON over HTTP, \`snake_case\`, UTC times with milliseconds, amounts as integer minor units, ids as UUIDs in lower case.
The same routes are in \`/openapi.json\` (OpenAPI 3.1), and as pages under \`/docs\`.

- **Key.** \`X-API-Key: …\` or \`Authorization: Bearer …\`. A route names the scope its caller needs. Something that
  belongs to somebody else answers 404.
- **Idempotency-Key.** Required where money moves: as a header, or as \`idempotency_key\` in the body. 1 to 255
  printable ASCII characters without quotes and backslashes; spaces only inside. Unique per account, for ever. The
  same request again answers the first operation's present state with \`Idempotent-Replayed: true\`. Another request
  with the key answers 422 \`idempotency-key-reused\`; leaving out \`currency\` and giving it are two different requests.
- **X-Correlation-Id.** On every answer: yours, if you send up to 128 letters, digits, dots, colons, dashes and
  underscores; else a new one.
- **Pages.** \`limit\` is 1 to 200, 50 by default. \`next_cursor\` of one page is \`cursor\` of the next; it is absent on
  the last.
- **Failures** are problem documents: see [errors.md](errors.md). A route lists those it can answer. What cannot be
  read as a request for any route answers \`malformed-http\`, \`request-timeout\` or \`request-too-large\`.
  With 503, \`Retry-After\` says how long to wait.
- **Bodies** are strict JSON, at most 64 KiB. Unknown members are refused.
`;

// ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

function eventsMarkdown(catalogue: Catalogue): string {
  const { contracts, topics } = catalogue;
  return [
    '## The envelope\n',
    'Besides `data`, which is described by the event:\n',
    ...fieldTable(EventAttributes),
    ...topics.flatMap((topic) => {
      const own = contracts.filter((contract) => contract.topic === topic);
      return [
        `\n## ${capitalised(topic)}\n`,
        ...overview(own),
        '',
        ...own.map((of) => eventMarkdown(of, catalogue.typeOf(of))),
      ];
    }),
  ].join('\n');
}

function overview(contracts: readonly Contract[]): string[] {
  return [
    '| Event | Says | Delivery |',
    '|---|---|---|',
    ...contracts.map((contract) => {
      const event = `[${classNameOf(contract)}](#${contract.name.split('.')[1]}-v${contract.version})`;
      return `| ${event} | ${contract.description} | ${contract.delivery} |`;
    }),
  ];
}

function eventMarkdown(contract: Contract, type: string): string {
  const schema = schemaOf(contract);
  return [
    `### ${contract.name.split('.')[1]} v${contract.version}`,
    '',
    contract.description,
    '',
    `\`${type}\`, key ${members(schema, 'x-key')}, subject ${members(schema, 'x-subject')} (the ${contract.aggregate}).`,
    '',
    ...fieldTable(contract.data),
    '',
  ].join('\n');
}

function members(schema: ContractSchema, of: 'x-key' | 'x-subject'): string {
  return schema[of].map((name) => `\`${name}\``).join(', ');
}

// ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────

type Schema = {
  type?: string;
  format?: string;
  description?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  default?: string | number | boolean;
  enum?: (string | number | boolean)[];
  const?: string | number | boolean;
  anyOf?: Schema[];
  items?: Schema;
  required?: string[];
  properties?: Record<string, Schema>;
  $ref?: string;
};

type Route = {
  method: string;
  path: string;
  tag: string;
  summary: string;
  /** With the scope that its caller needs. */
  description: string;
  parameters: { name: string; in: string; required: boolean; schema: Schema }[];
  body: Schema | undefined;
  answers: { status: string; description: string; headers: string[]; schema: Schema | undefined }[];
  /** By status. */
  problems: { status: string; slugs: string[] }[];
};

type Content = Record<string, { schema: Schema; example?: unknown; examples?: Record<string, unknown> }>;

type Operation = {
  operationId?: string;
  tags?: string[];
  summary?: string;
  description?: string;
  security?: Record<string, string[]>[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Schema }[];
  requestBody?: { content: Content };
  responses: Record<string, { description: string; headers?: Record<string, unknown>; content?: Content }>;
};

export type OpenApi = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};

/** The OpenAPI document of a process with the role `api`. */
export async function readOpenApi(): Promise<OpenApi> {
  // Opens no connection until somebody asks, and nobody does.
  const db = connect({ url: 'postgres://127.0.0.1:1/none', max: 1 });
  const health = createHealth();
  const log = createLog({ service: 'reference', level: 'silent' });
  const app = createHttp({
    log,
    metrics: createMetrics({ process: false }),
    health,
    authenticate: () => ({ id: 'nobody', role: 'customer', scopes: [] }),
    asyncApi: () => ({}),
  });
  try {
    app.register(async (scope) => {
      bankingApi(scope, {
        db,
        catalogue: platformCatalogue({ namespace: 'surefire' }),
        partitions: 16,
        outboxWake: createWake(),
        log,
        overloaded: () => false,
      });
    });
    app.register(async (scope) => operatingRoutes(scope, { db }));
    return JSON.parse((await app.inject('/openapi.json')).body) as OpenApi;
  } finally {
    await app.close();
    health.close();
    await db.close();
  }
}

/** Every route of that document. */
export async function readRoutes(): Promise<readonly Route[]> {
  const { paths, components } = await readOpenApi();
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) =>
      routeOf({ method: method.toUpperCase(), path, operation, shared: components.schemas }),
    ),
  );
}

const PROBLEM = 'application/problem+json';

function routeOf(found: {
  method: string;
  path: string;
  operation: Operation;
  shared: Record<string, Schema>;
}): Route {
  const { method, path, operation, shared } = found;
  const json = (content: Content | undefined) => {
    const schema = content?.['application/json']?.schema;
    return schema === undefined ? undefined : resolved(schema, shared);
  };
  const responses = Object.entries(operation.responses).filter(([status]) => /^\d+$/.test(status));
  return {
    method,
    path,
    tag: operation.tags?.[0] ?? 'other',
    summary: operation.summary ?? '',
    description: operation.description ?? '',
    parameters: (operation.parameters ?? []).map(
      ({ name, in: where, required = false, description, schema }) => ({
        name,
        in: where,
        required,
        schema: description === undefined ? schema : { ...schema, description },
      }),
    ),
    body: json(operation.requestBody?.content),
    answers: responses
      .filter(([, { content }]) => content?.[PROBLEM] === undefined)
      .map(([status, { description, headers = {}, content }]) => ({
        status,
        description,
        headers: Object.keys(headers).filter((name) => name !== 'X-Correlation-Id'),
        schema: json(content),
      })),
    problems: responses.flatMap(([status, { content }]) => {
      const slugs = Object.keys(content?.[PROBLEM]?.examples ?? {});
      return slugs.length === 0 ? [] : [{ status, slugs }];
    }),
  };
}

function resolved(schema: Schema, shared: Record<string, Schema>): Schema {
  const name = schema.$ref?.split('/').at(-1);
  if (name !== undefined) return resolved(shared[name] ?? {}, shared);
  return {
    ...schema,
    ...(schema.items && { items: resolved(schema.items, shared) }),
    ...(schema.properties && {
      properties: Object.fromEntries(
        Object.entries(schema.properties).map(([key, member]) => [key, resolved(member, shared)]),
      ),
    }),
  };
}

function routesMarkdown(routes: readonly Route[]): string {
  const tags = [...new Set(routes.map(({ tag }) => tag))].toSorted(
    // What looks after the platform comes last.
    (a, b) => Number(a === 'operating') - Number(b === 'operating'),
  );
  return tags
    .flatMap((tag) => [
      `## ${capitalised(tag)}\n`,
      ...routes.filter((route) => route.tag === tag).map(routeMarkdown),
    ])
    .join('\n');
}

const PLACES = ['path', 'query', 'header'];

function routeMarkdown(route: Route): string {
  // In the order in which they stand in a request.
  const parameters = route.parameters
    .toSorted((a, b) => PLACES.indexOf(a.in) - PLACES.indexOf(b.in))
    .map(({ name, in: where, required, schema }) =>
      row(name, `${where}, ${typeOf(schema)}`, required, schema),
    );
  return [
    `### \`${route.method} ${route.path}\``,
    '',
    `${route.summary}.`,
    '',
    route.description,
    '',
    ...(parameters.length === 0
      ? []
      : ['| Parameter | Type | Meaning |', '|---|---|---|', ...parameters, '']),
    ...(route.body === undefined ? [] : ['Body:', '', ...fieldTable(route.body), '']),
    ...answersMarkdown(route.answers),
    `Problems: ${route.problems.map(problemsOfStatus).join('; ')}.`,
    '',
  ].join('\n');
}

function problemsOfStatus({ status, slugs }: Route['problems'][number]): string {
  return `${status} ${slugs.map((slug) => `\`${slug}\``).join(', ')}`;
}

/** Each status in a line; those that answer the same share a table. */
function answersMarkdown(answers: Route['answers']): string[] {
  const lines = new Map<string, string[]>();
  for (const { status, description, headers, schema } of answers) {
    const table = schema === undefined ? '' : fieldTable(schema).join('\n');
    const given = headers.length === 0 ? '' : ` Headers: ${headers.map((name) => `\`${name}\``).join(', ')}.`;
    lines.set(table, [...(lines.get(table) ?? []), `**${status}**: ${description}.${given}`]);
  }
  return [...lines].flatMap(([table, of]) => [
    ...of.flatMap((line) => [line, '']),
    ...(table === '' || !table.includes('`') ? [] : [table, '']),
  ]);
}

// ── tables ────────────────────────────────────────────────────────────────────────────────────────────────────

function fieldTable(schema: Schema): string[] {
  return ['| Member | Type | Meaning |', '|---|---|---|', ...fieldRows(schema, '')];
}

function fieldRows(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const required = schema.required?.includes(name) ?? false;
    const inner = member.type === 'array' ? member.items : member;
    const path = `${prefix}${name}${member.type === 'array' ? '[]' : ''}`;
    return [
      row(path, typeOf(member), required, member),
      ...(inner?.properties ? fieldRows(inner, `${path}.`) : []),
    ];
  });
}

function row(name: string, type: string, required: boolean, schema: Schema): string {
  const fallback = schema.default === undefined ? '' : `default ${String(schema.default)}`;
  const meaning = [schema.description ?? '', fallback].filter((part) => part !== '').join('; ');
  return `| \`${name}\` | ${type}${required || schema.default !== undefined ? '' : ', optional'} | ${meaning} |`;
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(' or ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.type === 'array') return 'array';
  const kind =
    schema.format === 'uuid' ? 'UUID' : schema.format === 'date-time' ? 'time' : (schema.type ?? 'any');
  const pattern = schema.pattern === undefined ? '' : ` matching \`${schema.pattern}\``;
  return `${kind}${bounds(schema)}${pattern}`;
}

function bounds({ minimum, maximum, minLength, maxLength }: Schema): string {
  const most = maximum === Number.MAX_SAFE_INTEGER ? '2^53-1' : maximum;
  if (minimum !== undefined && most !== undefined) return ` from ${minimum} to ${most}`;
  if (minimum !== undefined) return ` from ${minimum}`;
  if (minLength !== undefined && maxLength !== undefined)
    return ` of ${minLength} to ${maxLength} characters`;
  if (maxLength !== undefined) return ` of at most ${maxLength} characters`;
  return '';
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

if (import.meta.main) {
  const check = process.argv.includes('--check');
  for (const [name, text] of await referencePages()) {
    if (writtenPage(name) === text) continue;
    if (check) {
      console.error(`docs/reference/${name} is not what the code says; run node scripts/reference.ts`);
      process.exitCode = 1;
    } else {
      writeFileSync(join(FOLDER, name), text);
      console.log(`wrote docs/reference/${name}`);
    }
  }
}
