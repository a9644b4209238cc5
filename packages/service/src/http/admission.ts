/** Who and what may come in: decided from the head of a request, before its body is read. */
import type { FastifyReply, onRequestHookHandler } from 'fastify';
import { type Authenticate, type Principal, requireScope } from '../auth.ts';
import { traceparentOf } from './correlation.ts';
import { contentProblem, targetProblem } from './head.ts';

/** What every answer carries, however early it was decided. */
export function setCommonHeaders(reply: FastifyReply): void {
  reply.header('x-correlation-id', reply.request.id);
  reply.header('cache-control', 'no-store');
  reply.header('x-content-type-options', 'nosniff');
}

/** The hook that sets `request.principal`, or refuses. */
export function createAdmission(authenticate: Authenticate): onRequestHookHandler {
  // Written with a callback: nearly always the key is remembered, and no promise is needed.
  return (request, reply, done) => {
    setCommonHeaders(reply);
    const { raw } = request;
    request.traceparent = traceparentOf(raw.headers['traceparent']);
    const { public: isPublic, scope, url } = request.routeOptions.config;
    const problem = targetProblem(raw, request.query);
    // Without a URL there is no route, and the answer is 404 or 405 for everyone.
    if (problem !== undefined || isPublic === true || url === undefined) return done(problem);

    const admit = (principal: Principal) => {
      request.principal = principal;
      if (scope !== undefined) requireScope(principal, scope);
      return contentProblem(raw);
    };
    let refusal: Error | undefined;
    try {
      const principal = authenticate(raw.headers);
      if (principal instanceof Promise) {
        // oxlint-disable-next-line promise/no-callback-in-promise -- the hook's own way to go on
        principal.then(admit).then(done, done);
        return;
      }
      refusal = admit(principal);
    } catch (error) {
      refusal = error as Error;
    }
    done(refusal);
  };
}
