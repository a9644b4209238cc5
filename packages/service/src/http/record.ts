/** What is kept of a request: its time, and a line of log. Never a body, a header or a query. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Problem } from '../problem.ts';

type Timer = { observe(seconds: number): void };

export interface RequestRecorder {
  answered(request: FastifyRequest, reply: FastifyReply): void;
  /** A request that failed through our fault. */
  failed(problem: Problem, request: FastifyRequest): void;
}

export function createRequestRecorder({ log, metrics }: { log: Log; metrics: Metrics }): RequestRecorder {
  // Looking a histogram's labels up costs more than the rest of the hook, so each combination is looked up once.
  // Their number is bounded by the routes there are.
  const timers = new Map<string, Timer>();
  const timerOf = (method: string, route: string, status: number): Timer => {
    const name = `${method} ${route} ${status}`;
    let timer = timers.get(name);
    if (timer === undefined) {
      timer = metrics.httpRequestDuration.labels({ method, route, status: String(status) });
      timers.set(name, timer);
    }
    return timer;
  };

  return {
    answered(request, reply) {
      const route = request.routeOptions.url ?? 'unmatched';
      // A client can invent methods, and each would be a new series.
      const method = route === 'unmatched' ? 'any' : request.method;
      timerOf(method, route, reply.statusCode).observe(reply.elapsedTime / 1_000);
      const severe = reply.statusCode >= 500;
      if (!severe && !log.isLevelEnabled('debug')) return;
      log[severe ? 'info' : 'debug'](
        {
          correlation_id: request.id,
          method,
          route,
          status: reply.statusCode,
          duration_ms: Math.round(reply.elapsedTime),
        },
        'request',
      );
    },
    failed(problem, request) {
      // The operation goes on and may well succeed.
      if (problem.slug === 'operation-timeout') return;
      metrics.countError(problem.slug);
      if (problem.cause === undefined) return;
      const level = problem.slug === 'internal' ? 'error' : 'warn';
      log[level](
        { correlation_id: request.id, route: request.routeOptions.url, err: problem.cause },
        problem.slug,
      );
    },
  };
}
