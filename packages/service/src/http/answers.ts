/** From whatever went wrong to the problem a client is told, and onto the wire. */
import { randomUUIDv7 } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply } from 'fastify';
import { Problem, type ProblemSlug, problemDocument } from '../problem.ts';
import { validationProblem } from './validation.ts';

export type Classifiers = {
  /** The database cannot be reached or has no free connection: 503 `unavailable`. */
  isUnavailable?: ((error: unknown) => boolean) | undefined;
  /** A queue of ours is full: 503 `overloaded`. */
  isOverloaded?: ((error: unknown) => boolean) | undefined;
};

/** Whether an answer asks the client to come back; a second is long enough for a full queue to drain. */
export function comesBack(status: number): boolean {
  return status === 429 || status === 503;
}

/** Fastify's own errors. What is not here and not ours is `internal`. */
const FASTIFY_PROBLEMS: Readonly<Record<string, readonly [ProblemSlug, string?]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['body-too-large'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported-media-type'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed-http', 'The body is not as long as Content-Length says.'],
  FST_ERR_MAX_PARAM_LENGTH: ['not-found'],
  FST_ERR_BAD_URL: ['not-found'],
  FST_ERR_NOT_FOUND: ['not-found'],
  FST_STATIC_FORBIDDEN_PATH: ['not-found'],
  ECONNRESET: ['malformed-http', 'The request was cut off.'],
};

/** `request` is asked only whether it had a body. */
export function toProblem(error: unknown, request: { body: unknown }, classifiers: Classifiers): Problem {
  const { isUnavailable, isOverloaded } = classifiers;
  if (error instanceof Problem) return error;
  const { code, validation, statusCode } = (error ?? {}) as Partial<FastifyError>;
  if (validation !== undefined) {
    const missing = request.body === undefined && (error as FastifyError).validationContext === 'body';
    return missing
      ? new Problem('malformed-json', 'The body is empty.')
      : validationProblem(error as FastifyError);
  }
  const [slug, detail] = FASTIFY_PROBLEMS[code ?? ''] ?? [];
  // A socket to the database can be reset as well, so the code alone does not make it the client's fault.
  if (slug !== undefined && (code !== 'ECONNRESET' || statusCode === 400)) return new Problem(slug, detail);
  if (isOverloaded?.(error)) return new Problem('overloaded', undefined, { cause: error });
  if (isUnavailable?.(error)) return new Problem('unavailable', undefined, { cause: error });
  if (statusCode === 404) return new Problem('not-found');
  return new Problem('internal', undefined, { cause: error });
}

/** Sends the problem as `application/problem+json`. */
export function sendProblem(problem: Problem, reply: FastifyReply): FastifyReply {
  if (comesBack(problem.status)) reply.header('retry-after', '1');
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .type('application/problem+json')
    .send(JSON.stringify(problemDocument(problem, reply.request.id)));
}

/**
 * Answers what was not even HTTP (RFC 9112), on the bare socket, and closes the connection: where the next request
 * would begin is not known.
 */
export function answerClientError(error: ClientError, socket: Socket): void {
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: { headersSent: boolean } };
  if (error.code === 'ECONNRESET' || !socket.writable || answer?.headersSent) {
    socket.destroy();
    return;
  }
  const problem = clientProblem(error);
  const correlationId = randomUUIDv7();
  const body = JSON.stringify(problemDocument(problem, correlationId));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `date: ${new Date().toUTCString()}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-correlation-id: ${correlationId}`,
    'x-content-type-options: nosniff',
    'cache-control: no-store',
    'connection: close',
    ...Object.entries(problem.headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

type ClientError = NodeJS.ErrnoException & { rawPacket?: unknown };

const REQUEST_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP\/1\.[01]\r?\n/;

function clientProblem({ code, rawPacket }: ClientError): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') return new Problem('request-too-large');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('request-timeout');
  // The parser calls any noise an invalid method; only after a whole request line is it one.
  const head = Buffer.isBuffer(rawPacket) ? rawPacket.toString('latin1', 0, 8_192) : '';
  if (code === 'HPE_INVALID_METHOD' && REQUEST_LINE.test(head)) {
    const allow = 'GET, HEAD, POST, PUT, DELETE';
    return new Problem('method-not-allowed', 'The method is not known.', { headers: { allow } });
  }
  return new Problem('malformed-http');
}
