/** Waits, by looking into the database, until everything that the run set in motion has come to rest. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, isTransient } from '@surefire/postgres';

export type Settling = {
  /** Whether everything came to rest; otherwise nothing had moved for the whole of the time allowed. */
  settled: boolean;
  /** When this was seen, by `performance.now()`. */
  seenAt: number;
};

// Cheap enough to be asked often: the accounts' versions count the settled deposits.
const GLANCE = `
  select (select coalesce(sum(version), 0) from accounts where id = any($1::uuid[]))::bigint as settled,
         (select count(*) from event_outbox
           where status = 'PENDING' and key = any($1::uuid[]::text[])) as unpublished`;

// One snapshot: an operation leaves 'pending' in the transaction that appends its last events.
const LOOK = `
  select (select count(*) from operations
           where account_id = any($1::uuid[]) and status = 'pending') as pending,
         (select count(*) from event_outbox
           where status = 'PENDING' and key = any($1::uuid[]::text[])) as unpublished`;

const POLL_MIN_MS = 50;
const POLL_MAX_MS = 5_000;
/** Without movement for so long, the glance may be missing something: failed deposits leave no entry. */
const STILL_MS = 1_000;

export async function waitUntilSettled(options: {
  db: Database;
  accountIds: readonly string[];
  /** Acknowledged deposits. */
  expected: number;
  /** Gives up when nothing moved for so long. */
  giveUpAfterMs: number;
  signal: AbortSignal;
  onProgress: (settled: number) => void;
}): Promise<Settling> {
  const { db, accountIds, expected, signal } = options;
  let movedAt = performance.now();
  let lastSeen = '';

  for (;;) {
    const askedAt = performance.now();
    try {
      const glance = await one<{ settled: bigint; unpublished: bigint }>(db, GLANCE, accountIds);
      const seen = `${glance.settled} ${glance.unpublished}`;
      if (seen !== lastSeen) movedAt = performance.now();
      lastSeen = seen;
      options.onProgress(Math.min(Number(glance.settled), expected));

      const still = performance.now() - movedAt > STILL_MS;
      if (glance.unpublished === 0n && (glance.settled >= BigInt(expected) || still)) {
        const look = await one<{ pending: bigint; unpublished: bigint }>(db, LOOK, accountIds);
        if (look.pending === 0n && look.unpublished === 0n)
          return { settled: true, seenAt: performance.now() };
      }
    } catch (error) {
      // The database may be killed during a run like everything else.
      if (!isTransient(error)) throw error;
    }
    const now = performance.now();
    if (now - movedAt > options.giveUpAfterMs) return { settled: false, seenAt: now };
    // However long the question takes, most of the database's time belongs to those who settle.
    const pauseMs = Math.min(Math.max((now - askedAt) * 5, POLL_MIN_MS), POLL_MAX_MS);
    await sleep(pauseMs, undefined, { signal });
  }
}

async function one<Row extends object>(
  db: Database,
  sql: string,
  accountIds: readonly string[],
): Promise<Row> {
  const { rows } = await db.query<Row>(sql, [accountIds]);
  return rows[0] as Row;
}
