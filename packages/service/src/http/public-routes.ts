/** The routes that need no key: health, metrics and documentation. */
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Health } from '../health.ts';
import type { Metrics } from '../metrics.ts';
import { answer } from './schemas.ts';

export type PublicRoutesOptions = {
  health: Health;
  metrics: Pick<Metrics, 'render' | 'contentType'>;
  asyncApi?: (() => object) | undefined;
};

export async function publicRoutes(app: FastifyInstance, options: PublicRoutesOptions): Promise<void> {
  const { health, metrics, asyncApi } = options;
  app.get('/livez', livez, async (_request, reply) => {
    const liveness = health.live();
    return reply.code(liveness.status === 'live' ? 200 : 503).send(liveness);
  });

  app.get('/readyz', readyz, async (_request, reply) => {
    const readiness = await health.ready();
    return reply.code(readiness.status === 'ready' ? 200 : 503).send(readiness);
  });

  app.get('/metrics', metricsPage, async (_request, reply) => {
    return reply.type(metrics.contentType).send(await metrics.render());
  });

  let openApi: string | undefined;
  app.get(
    '/openapi.json',
    document('getOpenApi', 'This API, as OpenAPI 3.1', { openapi: '3.1.1' }),
    async (_request, reply) => {
      openApi ??= JSON.stringify(app.swagger());
      return reply.type('application/json; charset=utf-8').send(openApi);
    },
  );

  if (asyncApi !== undefined) {
    let events: string | undefined;
    app.get(
      '/asyncapi.json',
      document('getAsyncApi', 'The events, as AsyncAPI 3', { asyncapi: '3.0.0' }),
      async (_request, reply) => {
        events ??= JSON.stringify(asyncApi());
        return reply.type('application/json; charset=utf-8').send(events);
      },
    );
  }

  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // The plugin's policy sends browsers to HTTPS, which is not ours to decide, and allows an outside validator.
    transformStaticCSP: (policy) =>
      policy.replace('upgrade-insecure-requests;', '').replace('validator.swagger.io', ''),
    uiConfig: { url: '/openapi.json', validatorUrl: null },
  });
}

const Liveness = Type.Object(
  {
    status: Type.Enum(['live', 'stuck']),
    event_loop_delay_ms: Type.Integer({ description: 'How late the event loop is' }),
  },
  { $id: 'Liveness' },
);

const Readiness = Type.Object(
  {
    status: Type.Enum(['ready', 'not-ready', 'draining']),
    checks: Type.Record(Type.String(), Type.Enum(['ok', 'failed', 'timeout']), {
      description: 'Each thing that is relied upon, by name',
    }),
  },
  { $id: 'Readiness' },
);

/** A route without a key. */
const open = (operationId: string, summary: string, response: object) => ({
  config: { public: true },
  schema: { operationId, tags: ['operating'], summary, security: [], response },
});

const livez = open('getLiveness', 'Whether the process is alive', {
  200: answer(Liveness, {
    description: 'The event loop turns',
    example: { status: 'live', event_loop_delay_ms: 0 },
  }),
  503: answer(Liveness, {
    description: 'The event loop has been stuck for more than 5 s: restart the process',
    example: { status: 'stuck', event_loop_delay_ms: 5_600 },
  }),
});

const readyz = open('getReadiness', 'Whether the process can serve', {
  200: answer(Readiness, {
    description: 'Everything that is relied upon answers',
    example: { status: 'ready', checks: { database: 'ok' } },
  }),
  503: answer(Readiness, {
    description: 'Something does not answer, or the process is stopping: send requests elsewhere',
    example: { status: 'not-ready', checks: { database: 'timeout' } },
  }),
});

const metricsPage = open('getMetrics', 'Metrics for Prometheus', {
  200: answer(Type.String(), {
    description: 'The text format of Prometheus; what cannot be read within 1 s is left out',
    mediaType: 'text/plain',
    example: '# TYPE outbox_pending_events_total gauge\noutbox_pending_events_total 0\n',
  }),
});

const document = (operationId: string, summary: string, example: Record<string, string>) =>
  open(operationId, summary, {
    200: answer(Type.Object({}, { additionalProperties: true }), {
      description: 'The document; it changes only with the version',
      example,
    }),
  });
