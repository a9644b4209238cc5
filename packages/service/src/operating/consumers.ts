/** `/consumers`: how far each consumer group is. */
import { type GroupState, readGroups } from '@surefire/messaging';
import type { Queryable } from '@surefire/postgres';
import { Type } from 'typebox';
import { answer, type Http } from '../http.ts';
import { EXAMPLE, given } from './request.ts';

const Consumers = Type.Object(
  {
    consumers: Type.Array(
      Type.Object({
        group: Type.String(),
        lag: Type.Integer({ description: 'Published events of its topics that it has not settled' }),
        waiting_events: Type.Integer({ description: 'Events that failed, and those behind them' }),
        blocked_keys: Type.Integer({ description: 'Keys that wait for one of their events' }),
        open_dead_letters: Type.Integer({ description: 'Given up, and for a person to decide upon' }),
        partitions: Type.Array(
          Type.Object({
            topic: Type.String(),
            partition: Type.Integer(),
            owner: Type.Optional(Type.String({ description: 'The process that holds it; absent: nobody' })),
            cursor: Type.Integer({ description: 'How far the group has settled this log' }),
            last_position: Type.Integer({ description: 'How far the log goes' }),
            lag: Type.Integer(),
          }),
        ),
      }),
      { description: 'Each count of events, keys and dead letters stops at 100,000' },
    ),
  },
  {
    $id: 'Consumers',
    examples: [
      {
        consumers: [
          {
            group: 'banking',
            lag: 2,
            waiting_events: 0,
            blocked_keys: 0,
            open_dead_letters: 0,
            partitions: [
              {
                topic: EXAMPLE.topic,
                partition: 3,
                owner: EXAMPLE.owner,
                cursor: 40,
                last_position: 42,
                lag: 2,
              },
            ],
          },
        ],
      },
    ],
  },
);

export function consumerRoutes(app: Http, { db }: { db: Queryable }): void {
  app.get(
    '/consumers',
    {
      config: { scope: 'operate' },
      schema: {
        operationId: 'listConsumers',
        tags: ['consumers'],
        summary: 'Every consumer group: who runs it, how far it is, what it could not apply',
        response: { 200: answer(Consumers, { description: 'All groups that ever ran' }) },
      },
    },
    async () => ({ consumers: (await readGroups(db)).map(consumerBody) }),
  );
}

export function consumerBody(state: GroupState) {
  const { group, waiting_events, blocked_keys, open_dead_letters, partitions } = state;
  return {
    group,
    lag: Number(state.lag),
    waiting_events,
    blocked_keys,
    open_dead_letters,
    partitions: partitions.map(({ owner, ...place }) => ({ ...place, ...given({ owner }) })),
  };
}
