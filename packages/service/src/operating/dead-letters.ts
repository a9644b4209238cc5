/** `/dead-letters`: what the consumer groups gave up, and what to do about it. */
import {
  DEAD_LETTER_CLASSES,
  DEAD_LETTER_STATUSES,
  discard,
  findDeadLetter,
  listDeadLetters,
  previewRedrive,
  redrive,
  redriveAll,
} from '@surefire/messaging';
import type { Queryable } from '@surefire/postgres';
import { Type } from 'typebox';
import { decodeCursor, encodeCursor, UUID } from '../http/cursor.ts';
import { answer, type Http } from '../http.ts';
import { Problem } from '../problem.ts';
import { DeadLetter, DeadLetters, deadLetterBody, Redriven, summaryBody } from './dead-letter-schemas.ts';
import { EXAMPLE, PageQuery, uuidOr, word } from './request.ts';

const MISSING = 'There is no such dead letter.';

/** How long a request marks dead letters before it answers with how many are left. */
const REDRIVE_FOR_MS = 5_000;

const FILTER = {
  group: word('Only those of this consumer group', 'banking'),
  type: word('Only events of this type', EXAMPLE.type),
  class: Type.Optional(
    Type.Enum([...DEAD_LETTER_CLASSES], { description: 'Only this class', examples: ['exhausted'] }),
  ),
  key: word('Only events of this key', EXAMPLE.account),
};

const LetterPath = Type.Object({
  id: Type.String({ description: 'The dead letter’s id', examples: [EXAMPLE.letter] }),
});

export function deadLetterRoutes(app: Http, { db }: { db: Queryable }): void {
  app.get(
    '/dead-letters',
    {
      config: { scope: 'operate' },
      schema: {
        operationId: 'listDeadLetters',
        tags: ['dead letters'],
        summary: 'List dead letters, newest first',
        querystring: Type.Object(
          {
            ...FILTER,
            status: Type.Enum([...DEAD_LETTER_STATUSES], {
              default: 'open',
              description: 'Only this status',
              examples: ['open'],
            }),
            ...PageQuery,
          },
          { additionalProperties: false },
        ),
        response: { 200: answer(DeadLetters, { description: 'A page of dead letters' }) },
      },
    },
    async (request) => {
      const { limit, cursor, ...filter } = request.query;
      const rows = await listDeadLetters(db, {
        filter,
        before: decodeCursor(cursor, UUID),
        limit: limit + 1,
      });
      const letters = rows.slice(0, limit);
      const last = letters.at(-1);
      return {
        dead_letters: letters.map(summaryBody),
        ...(rows.length > limit && last !== undefined ? { next_cursor: encodeCursor(last.id) } : {}),
      };
    },
  );

  app.get(
    '/dead-letters/:id',
    {
      config: { scope: 'operate' },
      schema: {
        operationId: 'getDeadLetter',
        tags: ['dead letters'],
        summary: 'Read a dead letter, with its error, headers, payload and what was decided',
        params: LetterPath,
        response: { 200: answer(DeadLetter, { description: 'The dead letter as it is now' }) },
      },
    },
    async (request) => read(uuidOr(request.params.id, MISSING)),
  );

  app.post(
    '/dead-letters/:id/redrive',
    {
      config: { scope: 'operate', problems: ['conflict'] },
      schema: {
        operationId: 'redriveDeadLetter',
        tags: ['dead letters'],
        summary: 'Have the event tried again',
        description:
          'It keeps its id and its place among the events of its key. The group that gave it up carries this out ' +
          'within seconds; if it fails again, it is the same dead letter again.',
        params: LetterPath,
        response: { 202: answer(DeadLetter, { description: 'Decided: it is being redriven' }) },
      },
    },
    async (request, reply) => {
      const id = uuidOr(request.params.id, MISSING);
      if (!(await redrive(db, { id, by: request.principal.id }))) throw await notOpen(id);
      return reply.code(202).send(await read(id));
    },
  );

  app.post(
    '/dead-letters/:id/discard',
    {
      config: { scope: 'operate', problems: ['conflict'] },
      schema: {
        operationId: 'discardDeadLetter',
        tags: ['dead letters'],
        summary: 'Pass the event over for good',
        description: 'The group will never apply it; the events of its key that wait behind it go on.',
        params: LetterPath,
        body: Type.Object(
          {
            reason: Type.String({
              minLength: 1,
              maxLength: 500,
              pattern: '\\S',
              description: 'Why, for whoever asks later',
            }),
          },
          { additionalProperties: false, examples: [{ reason: 'A test event, sent by mistake' }] },
        ),
        response: { 202: answer(DeadLetter, { description: 'Decided: it is being discarded' }) },
      },
    },
    async (request, reply) => {
      const id = uuidOr(request.params.id, MISSING);
      const { reason } = request.body;
      if (!(await discard(db, { id, by: request.principal.id, reason }))) throw await notOpen(id);
      return reply.code(202).send(await read(id));
    },
  );

  app.post(
    '/dead-letters/redrive',
    {
      config: { scope: 'operate' },
      schema: {
        operationId: 'redriveDeadLetters',
        tags: ['dead letters'],
        summary: 'Have all open ones of a filter tried again, oldest first',
        description:
          'An empty filter means all. Those of class `rejected` are left out unless the filter names the class. The ' +
          'answer comes after at most 5 s; while `remaining` is not 0, ask again.',
        body: Type.Object(
          {
            filter: Type.Object(FILTER, { additionalProperties: false, description: 'Which ones' }),
            dry_run: Type.Optional(Type.Boolean({ description: 'Only say what would be marked' })),
            max_per_second: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 10_000,
                description: 'Mark no more than this in each second',
              }),
            ),
          },
          {
            additionalProperties: false,
            examples: [{ filter: { group: 'banking', class: 'exhausted' }, max_per_second: 20 }],
          },
        ),
        response: { 200: answer(Redriven, { description: 'What was marked, or would be' }) },
      },
    },
    async (request) => {
      const { filter, dry_run: dryRun = false, max_per_second: maxPerSecond } = request.body;
      if (dryRun) return { dry_run: true, ...(await previewRedrive(db, filter)) };
      const by = request.principal.id;
      return {
        dry_run: false,
        ...(await redriveAll(db, { filter, by, maxPerSecond, forMs: REDRIVE_FOR_MS })),
      };
    },
  );

  async function read(id: string) {
    const letter = await findDeadLetter(db, id);
    if (letter === undefined) throw new Problem('not-found', MISSING);
    return deadLetterBody(letter);
  }

  async function notOpen(id: string): Promise<Problem> {
    const { status } = await read(id);
    return new Problem('conflict', `The dead letter is not open: it is ${status}.`);
  }
}
