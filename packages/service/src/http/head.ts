/** Checks on the head of a request, before anything of its body is read. */
import type { IncomingMessage } from 'node:http';
import { Problem } from '../problem.ts';

export const URL_LENGTH_MAX = 8 * 1024;
export const QUERY_PARAMETERS_MAX = 100;

// RFC 9110 §8.3.1: types and parameter names are case-insensitive, and so is this charset's name.
const JSON_TYPE = /^application\/json(?: ?; ?charset=(?:utf-8|"utf-8"))?$/i;

/** What is wrong with target and query, if anything. */
export function targetProblem(raw: IncomingMessage, query: unknown): Problem | undefined {
  const url = raw.url ?? '';
  if (url.length > URL_LENGTH_MAX) {
    return new Problem('request-too-large', 'The URL is longer than 8 KiB.', { status: 414 });
  }
  if (raw.headers.host === undefined && raw.httpVersion === '1.1') {
    return new Problem('malformed-http', 'The Host header is missing.');
  }
  return url.includes('?') ? queryProblem(query as Record<string, unknown>) : undefined;
}

function queryProblem(query: Readonly<Record<string, unknown>>): Problem | undefined {
  let count = 0;
  for (const name in query) {
    const value = query[name];
    if (Array.isArray(value)) {
      return new Problem(
        'ambiguous-parameter',
        `The query parameter ${name.slice(0, 64)} is given more than once.`,
      );
    }
    if (++count > QUERY_PARAMETERS_MAX) {
      return new Problem('request-too-large', 'The URL has more than 100 query parameters.', { status: 400 });
    }
    // PostgreSQL's text cannot hold U+0000, and U+FFFD is what broken percent-encoding is read as.
    if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
      return new Problem('malformed-text', `The query parameter ${name.slice(0, 64)} is not plain text.`);
    }
  }
  return undefined;
}

/** What is wrong with the announced body, if anything: only plain JSON in UTF-8 is taken. */
export function contentProblem(raw: IncomingMessage): Problem | undefined {
  const { headers } = raw;
  const length = headers['content-length'];
  if (headers['transfer-encoding'] === undefined && (length === undefined || length === '0'))
    return undefined;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') return new Problem('unsupported-encoding');
  const type = headers['content-type'];
  const isJson = type === 'application/json' || (type !== undefined && JSON_TYPE.test(type));
  // Node keeps the first of several Content-Type headers; a proxy before us may have judged by another.
  if (!isJson || countHeader(raw, 'content-type') > 1) return new Problem('unsupported-media-type');
  return undefined;
}

function countHeader(raw: IncomingMessage, name: string): number {
  let count = 0;
  for (let index = 0; index < raw.rawHeaders.length; index += 2) {
    const header = raw.rawHeaders[index] as string;
    if (header.length === name.length && header.toLowerCase() === name) count++;
  }
  return count;
}
