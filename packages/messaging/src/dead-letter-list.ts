/**
 * Dead letters as people deal with them: found by filter, page by page, and redriven together. Redriving only marks
 * rows, in bounded batches that each commit; the groups carry it out.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Queryable, Statement } from '@surefire/postgres';
import {
  DEAD_LETTER_STATUSES,
  type DeadLetter,
  type DeadLetterClass,
  type DeadLetterStatus,
} from './dead-letter.ts';

export type DeadLetterFilter = {
  group?: string | undefined;
  type?: string | undefined;
  class?: DeadLetterClass | undefined;
  key?: string | undefined;
  status?: DeadLetterStatus | undefined;
};

/** Of open ones. Without `class`, what the business refused (`rejected`) is left out: trying again changes no rule. */
export type RedriveFilter = Omit<DeadLetterFilter, 'status'>;

/** Counts stop here. */
export const COUNTED_MAX = 100_000;

const BATCH_MAX = 500;
const PREVIEW_MAX = 100;
const NEWEST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** Dead letters, newest first, older than `before` (an id). */
export async function listDeadLetters(
  db: Queryable,
  options: { filter?: DeadLetterFilter; before?: string | undefined; limit: number },
): Promise<DeadLetter[]> {
  const { filter = {}, before = NEWEST, limit } = options;
  const list = statement(
    'list',
    filter,
    (where, next) => `
      select *
        from dead_letters
       where ${where}
         and id < ${next(before)}
       order by id desc
       limit ${next(limit)}`,
  );
  const { rows } = await db.query<DeadLetter>(list.statement, list.values);
  return rows;
}

/** What `redriveAll` would mark: how many (at most `COUNTED_MAX`), and the ids of the hundred oldest. */
export async function previewRedrive(
  db: Queryable,
  filter: RedriveFilter,
): Promise<{ count: number; ids: string[] }> {
  const preview = statement(
    'preview',
    redrivable(filter),
    (where, next) => `
      select (select count(*) from (select from dead_letters where ${where} limit ${next(COUNTED_MAX)}) bounded)::int as count,
             array(select id::text from dead_letters where ${where} order by id limit ${next(PREVIEW_MAX)}) as ids`,
  );
  const { rows } = await db.query<{ count: number; ids: string[] }>(preview.statement, preview.values);
  return rows[0] as { count: number; ids: string[] };
}

export type RedriveOptions = {
  filter: RedriveFilter;
  by: string;
  /** Default: as fast as it goes. */
  maxPerSecond?: number | undefined;
  /** Ends, with the rest still open, after about this long. Default: when all are marked. */
  forMs?: number;
  /** Ends it between two batches. */
  signal?: AbortSignal;
  onMarked?: (marked: number) => void;
};

/**
 * Marks open dead letters to be tried again, oldest first. Answers how many it marked and how many of those that were
 * open when it began still are (at most `COUNTED_MAX`). What fails again meanwhile is not marked twice.
 */
export async function redriveAll(
  db: Queryable,
  options: RedriveOptions,
): Promise<{ marked: number; remaining: number }> {
  const { by, maxPerSecond = Number.POSITIVE_INFINITY, forMs = Number.POSITIVE_INFINITY, signal } = options;
  const filter = redrivable(options.filter);
  const startedAt = performance.now();
  // As text: a Date would cut the microseconds off, and with them what failed last.
  const { rows } = await db.query<{ now: string }>('select clock_timestamp()::text as now');
  const openSince = (rows[0] as { now: string }).now;
  const elapsedMs = () => performance.now() - startedAt;
  const over = () => signal?.aborted === true || elapsedMs() >= forMs;

  let marked = 0;
  while (!over()) {
    // What this second still allows; the first second begins with the first batch.
    const allowed = maxPerSecond * (Math.floor(elapsedMs() / 1_000) + 1) - marked;
    if (allowed <= 0) {
      await pause(1_000 - (elapsedMs() % 1_000), undefined, signal && { signal }).catch(() => undefined);
      continue;
    }
    const most = Math.min(allowed, BATCH_MAX);
    const count = await markBatch(db, { filter, by, openSince, most });
    marked += count;
    if (count > 0) options.onMarked?.(marked);
    if (count < most) break;
  }
  return { marked, remaining: await countOpen(db, { filter, openSince }) };
}

// The locked row decides, as for a single one; whoever is being decided upon by somebody else is passed over.
async function markBatch(
  db: Queryable,
  options: { filter: Narrowed; by: string; openSince: string; most: number },
): Promise<number> {
  const act = { act: 'redrive', by: options.by, at: new Date().toISOString() };
  const mark = statement(
    'redrive',
    options.filter,
    (where, next) => `
      with chosen as materialized (
        select id
          from dead_letters
         where ${where}
           and last_failed_at <= ${next(options.openSince)}::timestamptz
         order by id
         limit ${next(options.most)}
           for update skip locked
      )
      update dead_letters letter
         set status = 'redriving', acts = letter.acts || ${next(JSON.stringify(act))}::jsonb
        from chosen
       where letter.id = chosen.id`,
  );
  return (await db.query(mark.statement, mark.values)).rowCount ?? 0;
}

async function countOpen(db: Queryable, options: { filter: Narrowed; openSince: string }): Promise<number> {
  const count = statement(
    'count',
    options.filter,
    (where, next) => `
      select count(*)::int as count
        from (select from dead_letters
               where ${where}
                 and last_failed_at <= ${next(options.openSince)}::timestamptz
               limit ${next(COUNTED_MAX)}) bounded`,
  );
  const { rows } = await db.query<{ count: number }>(count.statement, count.values);
  return rows[0]?.count ?? 0;
}

const openByClass: Statement = {
  name: 'dead_letter_open_by_class',
  text: `
    select consumer as "group", class, count(*)::int as count
      from (select consumer, class from dead_letters where status = 'open' limit $1) open
     group by consumer, class
     order by consumer, class`,
};

/** Open dead letters by group and class, counted up to `COUNTED_MAX` in all. */
export async function countOpenDeadLetters(
  db: Queryable,
): Promise<{ group: string; class: DeadLetterClass; count: number }[]> {
  const { rows } = await db.query<{ group: string; class: DeadLetterClass; count: number }>(openByClass, [
    COUNTED_MAX,
  ]);
  return rows;
}

type Narrowed = DeadLetterFilter & { withoutRejected?: boolean };

const redrivable = (filter: RedriveFilter): Narrowed => ({
  ...filter,
  status: 'open',
  withoutRejected: filter.class === undefined,
});

const COLUMNS = { group: 'consumer', type: 'event_type', class: 'class', key: 'key' } as const;

/**
 * A statement with only the conditions that are given, so that each combination is planned for itself. The status is
 * written into the text, for the partial index of open ones to be seen.
 */
function statement(
  verb: string,
  filter: Narrowed,
  write: (where: string, next: (value: unknown) => string) => string,
): { statement: Statement; values: unknown[] } {
  const values: unknown[] = [];
  const next = (value: unknown) => `$${values.push(value)}`;
  const members = (Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]).filter(
    (member) => filter[member] !== undefined,
  );
  const status = DEAD_LETTER_STATUSES.find((each) => each === filter.status);
  const where = [
    ...members.map((member) => `${COLUMNS[member]} = ${next(filter[member])}`),
    ...(status === undefined ? [] : [`status = '${status}'`]),
    ...(filter.withoutRejected === true ? [`class <> 'rejected'`] : []),
    'true',
  ].join(' and ');
  const name = ['dead_letter', verb, ...members, status ?? 'any'].join('_');
  return { statement: { name, text: write(where, next) }, values };
}
