/** The routes that need no key: health, metrics and documentation. */
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Health } from '../health.ts';
import type { Metrics } from '../metrics.ts';

export type PublicRoutesOptions = {
  health: Health;
  metrics: Pick<Metrics, 'render' | 'contentType'>;
  asyncApi?: (() => object) | undefined;
};

export async function publicRoutes(app: FastifyInstance, options: PublicRoutesOptions): Promise<void> {
  const { health, metrics, asyncApi } = options;
  app.get(
    '/livez',
    open('Whether the process is alive', { 200: Liveness, 503: Liveness }),
    async (_request, reply) => {
      const liveness = health.live();
      return reply.code(liveness.status === 'live' ? 200 : 503).send(liveness);
    },
  );

  app.get(
    '/readyz',
    open('Whether the process can serve', { 200: Readiness, 503: Readiness }),
    async (_request, reply) => {
      const readiness = await health.ready();
      return reply.code(readiness.status === 'ready' ? 200 : 503).send(readiness);
    },
  );

  app.get('/metrics', open('Metrics for Prometheus'), async (_request, reply) => {
    return reply.type(metrics.contentType).send(await metrics.render());
  });

  let openApi: string | undefined;
  app.get('/openapi.json', open('This API, as OpenAPI 3.1'), async (_request, reply) => {
    openApi ??= JSON.stringify(app.swagger());
    return reply.type('application/json; charset=utf-8').send(openApi);
  });

  if (asyncApi !== undefined) {
    let document: string | undefined;
    app.get('/asyncapi.json', open('The events, as AsyncAPI 3'), async (_request, reply) => {
      document ??= JSON.stringify(asyncApi());
      return reply.type('application/json; charset=utf-8').send(document);
    });
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

/** A route without a key. */
const open = (summary: string, response: object = {}) => ({
  config: { public: true },
  schema: { tags: ['operating'], summary, security: [], response },
});

const Liveness = Type.Object({
  status: Type.Union([Type.Literal('live'), Type.Literal('stuck')]),
  event_loop_delay_ms: Type.Integer(),
});

const Readiness = Type.Object({
  status: Type.Union([Type.Literal('ready'), Type.Literal('not-ready'), Type.Literal('draining')]),
  checks: Type.Record(Type.String(), Type.String({ description: 'ok, failed or timeout' })),
});
