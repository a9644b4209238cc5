/**
 * The HTTP server every process with an API has: Fastify with its conveniences for money switched off.
 *
 *   const app = createHttp({ log, metrics, health, authenticate, isUnavailable });
 *   app.register(bankingRoutes, { ... });            // routes go into plugins, and each has a schema
 *   await listen(app, config.http);
 *
 * Every answer carries `X-Correlation-Id`, every failure is a problem document (RFC 9457), every route asks for a
 * key unless its `config` says `public`, and for `config.scope` if it says so. Nothing in a body is coerced,
 * filled in or dropped.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RawServerDefault,
} from 'fastify';
import type { Authenticate, Principal, Scope } from './auth.ts';
import type { Health } from './health.ts';
import { createAdmission, setCommonHeaders } from './http/admission.ts';
import { type AllowedMethods, createAllowedMethods } from './http/allowed-methods.ts';
import { answerClientError, type Classifiers, sendProblem, toProblem } from './http/answers.ts';
import { correlationIdOf } from './http/correlation.ts';
import { parseJsonBody } from './http/json.ts';
import { type DocumentOptions, documentation } from './http/openapi.ts';
import { publicRoutes } from './http/public-routes.ts';
import { createRequestRecorder } from './http/record.ts';
import { guardRoute } from './http/route-guard.ts';
import { buildValidatorFactory } from './http/validation.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { Problem, type ProblemSlug } from './problem.ts';

export {
  type Address,
  assertCanListen,
  closeHttp,
  type HttpComponentOptions,
  httpComponent,
  ListenError,
  listen,
} from './http/listen.ts';
export { openApiPath } from './http/openapi.ts';
export { type AnswerDocument, type AnswerHeader, answer } from './http/schemas.ts';

export type Http = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module 'fastify' {
  interface FastifyRequest {
    /** Whom the request acts for. Not set on public routes. */
    principal: Principal;
    /** The client's W3C trace context, if it sent a valid one; `request.id` is the correlation id. */
    traceparent: string | undefined;
  }
  interface FastifyContextConfig {
    /** The route needs no key. */
    public?: boolean;
    /** The scope its caller must hold. */
    scope?: Scope;
    /** What it can answer besides that which follows from its kind; see `http/route-problems.ts`. */
    problems?: readonly ProblemSlug[];
  }
}

export type HttpOptions = Classifiers &
  DocumentOptions & {
    log: Log;
    metrics: Metrics;
    health: Health;
    authenticate: Authenticate;
    /** The document of `/asyncapi.json`. Absent: there is no such route. */
    asyncApi?: () => object;
    limits?: Partial<HttpLimits>;
  };

export type HttpLimits = {
  bodyBytes: number;
  headerBytes: number;
  headersTimeoutMs: number;
  /** For the whole request to arrive, not for the answer. */
  requestTimeoutMs: number;
  /** For the next request on an idle connection: longer than a load balancer's own 60 s. */
  keepAliveTimeoutMs: number;
  connectionsMax: number;
};

const LIMITS: HttpLimits = {
  bodyBytes: 64 * 1024,
  headerBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  connectionsMax: 10_000,
};

/** The longest path parameter that is looked at. */
const PARAM_LENGTH_MAX = 128;

/** Builds the server; it does not listen yet. Routes must be registered in plugins, so that they are documented. */
export function createHttp(options: HttpOptions): Http {
  const recorder = createRequestRecorder(options);
  const answerProblem = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const problem = toProblem(error, request, options);
    if (problem.status >= 500) recorder.failed(problem, request);
    return sendProblem(problem, reply);
  };
  const app: Http = fastify({
    ...serverOptions(options.log, { ...LIMITS, ...options.limits }),
    frameworkErrors: (error, request, reply) => {
      setCommonHeaders(reply);
      void answerProblem(error, request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.server.maxConnections = options.limits?.connectionsMax ?? LIMITS.connectionsMax;

  app.decorateRequest('principal', null as unknown as Principal);
  app.decorateRequest('traceparent', undefined);
  acceptStrictJson(app);

  let draining = false;
  app.addHook('preClose', (done) => {
    draining = true;
    done();
  });
  app.addHook('onRequest', createAdmission(options.authenticate));
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (draining) reply.header('connection', 'close');
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    recorder.answered(request, reply);
    done();
  });

  const allowed = createAllowedMethods();
  app.addHook('onRoute', (route) => {
    allowed.add(route.url, route.method);
    guardRoute(route);
  });
  app.setErrorHandler(answerProblem);
  app.setNotFoundHandler((request, reply) => sendProblem(notFound(allowed, request), reply));

  void app.register(swagger, documentation(options));
  void app.register(publicRoutes, options);
  return app;
}

function serverOptions(loggerInstance: FastifyBaseLogger, limits: HttpLimits) {
  return {
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'correlation_id' }),
    genReqId: (raw: IncomingMessage) => correlationIdOf(raw.headers['x-correlation-id']),
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      // How often Node looks for requests past their time: by default only every 30 s.
      connectionsCheckingInterval: Math.min(1_000, limits.headersTimeoutMs),
      // Node's own answer would be no problem document; `targetProblem` refuses instead.
      requireHostHeader: false,
    },
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    schemaController: { compilersFactory: { buildValidator: buildValidatorFactory() } },
    clientErrorHandler: answerClientError,
  } as const;
}

function acceptStrictJson(app: Http): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    // Clients often announce JSON and send nothing; that is only wrong where something is expected.
    if (body.length === 0 && request.routeOptions.schema?.body === undefined) return done(null, undefined);
    try {
      done(null, parseJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

function notFound(allowed: AllowedMethods, request: FastifyRequest): Problem {
  const methods = allowed.of(request.raw.url?.split('?', 1)[0] ?? '');
  if (methods.length === 0) return new Problem('not-found', 'There is no such route.');
  return new Problem('method-not-allowed', undefined, { headers: { allow: methods.join(', ') } });
}
