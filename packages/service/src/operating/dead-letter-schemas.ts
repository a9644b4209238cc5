/** Dead letters on the wire. */
import { DEAD_LETTER_CLASSES, DEAD_LETTER_STATUSES, type DeadLetter as Letter } from '@surefire/messaging';
import { Type } from 'typebox';
import { EXAMPLE, given, NextCursor } from './request.ts';

const Id = Type.String({ format: 'uuid' });
const Moment = Type.String({ format: 'date-time' });

const summaryExample = {
  id: EXAMPLE.letter,
  group: 'banking',
  event_id: EXAMPLE.event,
  event_type: EXAMPLE.type,
  topic: EXAMPLE.topic,
  partition: 3,
  position: 42,
  key: EXAMPLE.account,
  class: 'exhausted',
  reason: 'account is locked elsewhere',
  attempts: 5,
  status: 'open',
  first_failed_at: EXAMPLE.at,
  last_failed_at: EXAMPLE.at,
};

const Summary = Type.Object({
  id: Id,
  group: Type.String({ description: 'The consumer group that gave the event up' }),
  event_id: Id,
  event_type: Type.String(),
  topic: Type.String(),
  partition: Type.Integer(),
  position: Type.Integer(),
  key: Type.String({ description: 'Its key: later events of it wait until this is decided' }),
  class: Type.Enum([...DEAD_LETTER_CLASSES], {
    description:
      'poison: it can never be applied as it is; exhausted: it failed as often as it may; rejected: refused by the business',
  }),
  reason: Type.String({ description: 'The message of the error' }),
  attempts: Type.Integer({ description: 'How often it was tried, over all redrives' }),
  status: Type.Enum([...DEAD_LETTER_STATUSES], {
    description: 'redriving and discarding: decided, and still to be carried out by the group',
  }),
  first_failed_at: Moment,
  last_failed_at: Moment,
  resolved_at: Type.Optional(Moment),
});

export const DeadLetters = Type.Object(
  { dead_letters: Type.Array(Summary), next_cursor: NextCursor },
  { $id: 'DeadLetters', examples: [{ dead_letters: [summaryExample], next_cursor: EXAMPLE.cursor }] },
);

export const deadLetterExample = {
  ...summaryExample,
  error: { name: 'Error', message: 'account is locked elsewhere' },
  headers: { source: '/surefire/banking', correlationid: '0198c0de-0000-7000-8000-000000000000' },
  payload: { account_id: EXAMPLE.account, amount: 10_000 },
  acts: [],
};

export const DeadLetter = Type.Object(
  {
    ...Summary.properties,
    error: Type.Object({
      name: Type.String(),
      message: Type.String(),
      code: Type.Optional(Type.String()),
      stack: Type.Optional(Type.String()),
    }),
    headers: Type.Object({}, { additionalProperties: true, description: 'As the event was appended' }),
    payload: Type.Unknown({ description: 'The data of the event' }),
    acts: Type.Array(
      Type.Object({
        act: Type.Enum(['redrive', 'discard']),
        by: Type.String({ description: 'The principal who decided' }),
        reason: Type.Optional(Type.String()),
        at: Moment,
      }),
      { description: 'Every decision about it, oldest first' },
    ),
  },
  { $id: 'DeadLetter', examples: [deadLetterExample] },
);

export const Redriven = Type.Object(
  {
    dry_run: Type.Boolean(),
    count: Type.Optional(Type.Integer({ description: 'Dry run: how many would be marked, up to 100,000' })),
    ids: Type.Optional(Type.Array(Id, { description: 'Dry run: the hundred oldest of them' })),
    marked: Type.Optional(Type.Integer({ description: 'How many were marked to be tried again' })),
    remaining: Type.Optional(
      Type.Integer({ description: 'How many are still open, up to 100,000: ask again for these' }),
    ),
  },
  { $id: 'Redriven', examples: [{ dry_run: false, marked: 100, remaining: 20 }] },
);

export function summaryBody(letter: Letter) {
  const { id, event_id, event_type, topic, partition, key, reason, attempts, status } = letter;
  return {
    id,
    group: letter.consumer,
    event_id,
    event_type,
    topic,
    partition,
    position: Number(letter.position),
    key,
    class: letter.class,
    reason,
    attempts,
    status,
    first_failed_at: letter.first_failed_at.toISOString(),
    last_failed_at: letter.last_failed_at.toISOString(),
    ...given({ resolved_at: letter.resolved_at && letter.resolved_at.toISOString() }),
  };
}

export function deadLetterBody(letter: Letter) {
  const { error, headers, payload, acts } = letter;
  return { ...summaryBody(letter), error, headers, payload, acts: [...acts] };
}
