/**
 * What a client is told when a request fails: problem details after RFC 9457.
 *
 *   throw new Problem('insufficient-funds', 'The available balance is too small.', { extensions: { operation_id } });
 *
 * The table is closed: an answer that is not in it does not compile, and `docs/reference/errors.md` is made from it.
 */
import { PROBLEMS, type ProblemSlug } from './problem/table.ts';

export { PROBLEMS, type ProblemSlug } from './problem/table.ts';

/** Members besides those of RFC 9457. None may be called `type`, `title`, `status`, `detail` or `correlation_id`. */
export type ProblemExtensions = { readonly operation_id?: string } & Readonly<Record<string, unknown>>;

export type ProblemOptions = {
  extensions?: ProblemExtensions;
  /** Answer headers, e.g. `{ 'retry-after': '1' }`. */
  headers?: Readonly<Record<string, string>>;
  /** Instead of the table's status: only one that the table lists under `otherStatuses`. */
  status?: number;
  /** Logged, never shown. */
  cause?: unknown;
};

export type ProblemDocument = {
  type: `urn:surefire:problem:${ProblemSlug}`;
  title: string;
  status: number;
  detail: string;
  correlation_id: string;
  operation_id?: string;
  [extension: string]: unknown;
};

/** An answer with a 4xx or 5xx status. `detail` is shown to the client: a sentence, without secrets. */
export class Problem extends Error {
  readonly code = 'PROBLEM';
  readonly slug: ProblemSlug;
  readonly detail: string;
  readonly status: number;
  readonly extensions: ProblemExtensions;
  readonly headers: Readonly<Record<string, string>>;

  constructor(slug: ProblemSlug, detail?: string, options: ProblemOptions = {}) {
    const row = PROBLEMS[slug];
    super(detail ?? row.title, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Problem';
    this.slug = slug;
    this.detail = detail ?? `${row.title}.`;
    this.status = options.status ?? row.status;
    this.extensions = options.extensions ?? {};
    this.headers = options.headers ?? {};
  }
}

export function problemDocument(problem: Problem, correlationId: string): ProblemDocument {
  return {
    ...problem.extensions,
    type: `urn:surefire:problem:${problem.slug}`,
    title: PROBLEMS[problem.slug].title,
    status: problem.status,
    detail: problem.detail,
    correlation_id: correlationId,
  };
}

/** The table as Markdown, for `docs/reference/errors.md`. */
export function problemsMarkdown(): string {
  const rows = Object.entries(PROBLEMS).map(([slug, row]) => {
    const statuses = 'otherStatuses' in row ? [row.status, ...row.otherStatuses] : [row.status];
    return `| \`${slug}\` | ${statuses.join(', ')} | ${row.title} | ${row.when} | ${row.remedy} |`;
  });
  return ['| Problem | Status | Title | When | What to do |', '|---|---|---|---|---|', ...rows, ''].join(
    '\n',
  );
}
