/** `/outbox`: what stands before publication, and where one event has got to. */
import { findEvent, listEvents, OUTBOX_STATUSES, readOutboxPartitions } from '@surefire/messaging';
import type { Queryable } from '@surefire/postgres';
import { Type } from 'typebox';
import { decodeCursor, encodeCursor, UUID } from '../http/cursor.ts';
import { answer, type Http } from '../http.ts';
import { Problem } from '../problem.ts';
import { EventEvidence, evidenceBody, listedEventBody, Outbox } from './outbox-schemas.ts';
import { EXAMPLE, given, PageQuery, uuidOr, word } from './request.ts';

const MISSING = 'There is no such event.';

export function outboxRoutes(app: Http, { db }: { db: Queryable }): void {
  app.get(
    '/outbox',
    {
      config: { scope: 'operate' },
      schema: {
        operationId: 'getOutbox',
        tags: ['outbox'],
        summary: 'The backlog by partition, and events, newest first',
        description:
          'With `type`, or a `status` other than `PENDING`, each page looks at 10,000 events: it may hold few or none ' +
          'and still have a `next_cursor`, to go on from.',
        querystring: Type.Object(
          {
            status: Type.Optional(
              Type.Enum([...OUTBOX_STATUSES], {
                description: 'Only events of this status',
                examples: ['PENDING'],
              }),
            ),
            aggregate_id: word('Only events of this aggregate', EXAMPLE.account),
            type: word('Only events of this type', EXAMPLE.type),
            ...PageQuery,
          },
          { additionalProperties: false },
        ),
        response: { 200: answer(Outbox, { description: 'The backlog and a page of events' }) },
      },
    },
    async (request) => {
      const { status, aggregate_id: aggregateId, type, limit, cursor } = request.query;
      const filter = { status, aggregateId, type };
      const before = decodeCursor(cursor, UUID);
      const [partitions, { events, next }] = await Promise.all([
        readOutboxPartitions(db),
        listEvents(db, { filter, before, limit }),
      ]);
      return {
        partitions: partitions.map(({ owner, floor, ...rest }) => ({
          ...rest,
          floor: Number(floor),
          ...given({ owner }),
        })),
        events: events.map(listedEventBody),
        ...(next === undefined ? {} : { next_cursor: encodeCursor(next) }),
      };
    },
  );

  app.get(
    '/outbox/:event_id',
    {
      config: { scope: 'operate' },
      schema: {
        operationId: 'getEvent',
        tags: ['outbox'],
        summary: 'One event: when it was published, where to, and what each consumer group has done with it',
        params: Type.Object({
          event_id: Type.String({ description: 'The event’s id', examples: [EXAMPLE.event] }),
        }),
        response: {
          200: answer(EventEvidence, { description: 'The event and its evidence, of one moment' }),
        },
      },
    },
    async (request) => {
      const event = await findEvent(db, uuidOr(request.params.event_id, MISSING));
      if (event === undefined) throw new Problem('not-found', MISSING);
      return evidenceBody(event);
    },
  );
}
