/** Events and their delivery on the wire. */
import {
  DEAD_LETTER_CLASSES,
  DEAD_LETTER_STATUSES,
  type EventState,
  type GroupEvidence,
  type ListedEvent,
  OUTBOX_STATUSES,
} from '@surefire/messaging';
import { Type } from 'typebox';
import { EXAMPLE, given, NextCursor } from './request.ts';

const Id = Type.String({ format: 'uuid' });
const Moment = Type.String({ format: 'date-time' });

const eventExample = {
  event_id: EXAMPLE.event,
  event_type: EXAMPLE.type,
  status: 'PUBLISHED',
  aggregate_type: 'account',
  aggregate_id: EXAMPLE.account,
  key: EXAMPLE.account,
  topic: EXAMPLE.topic,
  partition: 3,
  position: 42,
  appended_at: EXAMPLE.at,
  published_at: EXAMPLE.at,
  attempts: 0,
};

const ListedEventSchema = Type.Object({
  event_id: Id,
  event_type: Type.String(),
  status: Type.Enum([...OUTBOX_STATUSES]),
  aggregate_type: Type.String(),
  aggregate_id: Type.String(),
  key: Type.String(),
  topic: Type.String(),
  partition: Type.Integer(),
  position: Type.Optional(
    Type.Integer({ description: 'Its place in the log; absent until it is published' }),
  ),
  appended_at: Type.String({
    format: 'date-time',
    description: 'Written in the transaction of the change it tells of; committed with it',
  }),
  published_at: Type.Optional(Moment),
  attempts: Type.Integer({ description: 'Failed attempts to publish it' }),
  last_error: Type.Optional(Type.String()),
});

export const Outbox = Type.Object(
  {
    partitions: Type.Array(
      Type.Object({
        partition: Type.Integer(),
        owner: Type.Optional(Type.String({ description: 'The relay that holds it; absent: nobody' })),
        pending: Type.Integer({ description: 'Events before publication, counted up to 100,000' }),
        oldest_age_seconds: Type.Number({ description: 'Age of the oldest of them' }),
        floor: Type.Integer({ description: 'No pending event has this sequence number or a lower one' }),
      }),
      { description: 'The backlog by partition, whatever the filter' },
    ),
    events: Type.Array(ListedEventSchema),
    next_cursor: NextCursor,
  },
  {
    $id: 'Outbox',
    examples: [
      {
        partitions: [{ partition: 3, owner: EXAMPLE.owner, pending: 0, oldest_age_seconds: 0, floor: 42 }],
        events: [eventExample],
        next_cursor: EXAMPLE.cursor,
      },
    ],
  },
);

export const EventEvidence = Type.Object(
  {
    ...ListedEventSchema.properties,
    headers: Type.Object({}, { additionalProperties: true }),
    payload: Type.Unknown(),
    groups: Type.Array(
      Type.Object({
        group: Type.String(),
        state: Type.Enum(['applied', 'waiting', 'dead', 'behind', 'passed'], {
          description:
            'applied: taken in, with an outcome; waiting: it failed, or stands behind one that did; dead: given up and not ' +
            'settled; behind: the cursor has not come to it; passed: the cursor is past it and nothing was taken in, as ' +
            'of types that the group does not take',
        }),
        cursor: Type.Integer({ description: 'How far the group has settled the event’s log' }),
        outcome: Type.Optional(Type.Enum(['applied', 'rejected', 'skipped'])),
        applied_at: Type.Optional(Moment),
        attempts: Type.Optional(Type.Integer()),
        retry_at: Type.Optional(Moment),
        last_error: Type.Optional(Type.String()),
        dead_letter: Type.Optional(
          Type.Object({
            id: Id,
            class: Type.Enum([...DEAD_LETTER_CLASSES]),
            status: Type.Enum([...DEAD_LETTER_STATUSES]),
          }),
        ),
      }),
      { description: 'What each consumer group of its topic has done with it' },
    ),
  },
  {
    $id: 'EventEvidence',
    examples: [
      {
        ...eventExample,
        headers: { source: '/surefire/banking' },
        payload: { account_id: EXAMPLE.account, amount: 10_000 },
        groups: [
          { group: 'banking', state: 'applied', cursor: 42, outcome: 'applied', applied_at: EXAMPLE.at },
        ],
      },
    ],
  },
);

export function listedEventBody(event: ListedEvent) {
  const { event_type, status, aggregate_type, aggregate_id, key, topic, partition, attempts } = event;
  return {
    event_id: event.id,
    event_type,
    status,
    aggregate_type,
    aggregate_id,
    key,
    topic,
    partition,
    ...given({ position: event.position === null ? null : Number(event.position) }),
    appended_at: event.created_at.toISOString(),
    ...given({ published_at: event.published_at && event.published_at.toISOString() }),
    attempts,
    ...given({ last_error: event.last_error }),
  };
}

export function evidenceBody(event: EventState) {
  const { headers, payload, groups } = event;
  return { ...listedEventBody(event), headers, payload, groups: groups.map(groupBody) };
}

function groupBody(evidence: GroupEvidence) {
  const { group, state, outcome, attempts, last_error } = evidence;
  const { dead_letter_id: id, dead_letter_class: deadClass, dead_letter_status: status } = evidence;
  return {
    group,
    state,
    cursor: Number(evidence.cursor),
    ...given({
      outcome,
      applied_at: evidence.applied_at && evidence.applied_at.toISOString(),
      attempts,
      retry_at: evidence.retry_at && evidence.retry_at.toISOString(),
      last_error,
      dead_letter:
        id === null || deadClass === null || status === null ? null : { id, class: deadClass, status },
    }),
  };
}
