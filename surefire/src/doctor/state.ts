/** What stands in the tables: whether everything that was accepted is on its way. */
import { countOpenDeadLetters, readBacklog, readGroups, readLag } from '@surefire/messaging';
import { type Database, pendingMigrations } from '@surefire/postgres';
import { MIGRATIONS } from '../migrations.ts';
import { grouped } from '../terminal.ts';
import { examineArea, type Finding } from './finding.ts';

/** Accepted work that has not moved for so long is stuck. */
const STUCK_SECONDS = 60;
const COUNT_MAX = 1_000_000;

export async function examineState(
  findings: Finding[],
  context: { db: Database; url: string },
): Promise<void> {
  const { db, url } = context;
  let migrated = false;

  await examineArea('migrations', findings, async (write) => {
    const pending = await pendingMigrations({ url, modules: MIGRATIONS });
    migrated = pending.length === 0;
    if (migrated) {
      write.ok('The tables are up to date.');
      return;
    }
    const names = pending.map(({ module, migration }) => `${module}/${migration}`).join(', ');
    const { rows } = await db.query<{ empty: boolean }>(
      `select to_regclass('event_outbox') is null as empty`,
    );
    const advice = 'The next start migrates, or run: npx surefire migrate';
    if (rows[0]?.empty) write.warn('The database is empty.', advice);
    else write.fault(`Migrations are missing: ${names}.`, advice);
  });
  // The questions below are about tables that may not be there.
  if (!migrated) return;

  await examineArea('partitions', findings, async (write) => {
    const { rows } = await db.query<{ parent: string; days: number }>(
      `select inhparent::regclass::text as parent,
              max(right(child.relname, 8))::date - 1 - (now() at time zone 'UTC')::date as days
         from pg_inherits
         join pg_class child on child.oid = inhrelid
        where inhparent in ('event_outbox'::regclass, 'processed_events'::regclass)
        group by inhparent
        order by 1`,
    );
    for (const { parent, days } of rows) {
      const text = `${parent} has its daily partitions for the next ${days} days.`;
      const advice = `A running relay creates them; or: select ensure_time_partitions('${parent}', 7)`;
      if (days < 1)
        write.fault(`${parent} has no partition for tomorrow: nothing could be accepted then.`, advice);
      else if (days < 3) write.warn(text, advice);
      else write.ok(text);
    }
  });

  const alive = await examineLeases(findings, db);

  await examineArea('outbox', findings, async (write) => {
    const { pending, oldestAgeSeconds } = await readBacklog(db, { countMax: COUNT_MAX });
    const atLeast = pending >= COUNT_MAX ? 'At least ' : '';
    const text = `${atLeast}${counted(pending, 'event')} before publication, the oldest for ${age(oldestAgeSeconds)}.`;
    if (pending === 0) write.ok('Every event is published.');
    else if (oldestAgeSeconds < STUCK_SECONDS) write.ok(text);
    else
      write.fault(
        text,
        alive.has('relay')
          ? "Look into the relay's log."
          : 'Start a relay: npm start, or npx surefire run relay',
      );

    const { rows } = await db.query<{ count: bigint; first: string | null }>(
      `select count(*) as count, min(id::text) as first from event_outbox where status = 'FAILED'`,
    );
    const { count: failed, first } = rows[0] as { count: bigint; first: string | null };
    if (failed > 0n)
      write.fault(
        `${counted(failed, 'event')} in quarantine (FAILED), first: ${first}.`,
        'Read last_error of that row.',
      );
  });

  await examineArea('consumers', findings, async (write) => {
    const lags = await readLag(db);
    if (lags.length === 0) write.ok('No consumer group has anything before it yet.');
    for (const { group, topic, events } of lags) {
      const text = `${group} has ${events === 0 ? 'no' : grouped(events)} published events of ${topic} before it.`;
      if (events === 0 || alive.has(group)) write.ok(text);
      else write.warn(text, `Nobody runs this group: npm start, or npx surefire run ${group}`);
    }
    await examineBlocked(write, db, alive);
  });

  await examineArea('dead letters', findings, async (write) => {
    const open = await countOpenDeadLetters(db);
    for (const { group, class: deadLetterClass, count } of open) {
      // What the business refused was answered, and holds nothing back.
      if (deadLetterClass === 'rejected') {
        write.ok(`${group} keeps a record of ${counted(count, 'event')} that the business refused.`);
        continue;
      }
      write.warn(
        `${group} gave up ${counted(count, 'event')} (${deadLetterClass}), whose keys may wait for a decision.`,
        `npx surefire dead-letters list --group ${group} --class ${deadLetterClass}, then redrive or discard`,
      );
    }
    if (open.length === 0) write.ok('No dead letter is open.');
    for (const { group, waiting_events: waiting, blocked_keys: keys } of await readGroups(db)) {
      if (waiting === 0) continue;
      write.warn(
        `${group} has ${counted(waiting, 'waiting event')} of ${counted(keys, 'key')}: failed, or behind one that did.`,
        alive.has(group)
          ? 'Those that are not dead letters are tried again by themselves.'
          : `Nobody runs this group: npm start, or npx surefire run ${group}`,
      );
    }
  });

  await examineArea('operations', findings, async (write) => {
    const { rows } = await db.query<{ count: bigint; first: string | null }>(
      `select count(*) as count, min(id::text) as first
         from operations
        where status = 'pending' and created_at < clock_timestamp() - $1 * interval '1 second'`,
      [STUCK_SECONDS],
    );
    const { count, first } = rows[0] as { count: bigint; first: string | null };
    if (count === 0n) {
      write.ok(`No operation has been pending for more than ${STUCK_SECONDS} s.`);
      return;
    }
    write.fault(
      `${counted(count, 'operation')} pending for more than ${STUCK_SECONDS} s, first: ${first}.`,
      'They are safe and wait for the relay or the consumer; see above which one.',
    );
  });

  await examineArea('ledger', findings, async (write) => {
    const { rows } = await db.query<{ currency: string; sum: string; entries: bigint }>(
      `select currency, sum(amount)::text as sum, count(*) as entries from ledger_entries group by currency order by currency`,
    );
    for (const { currency, sum } of rows.filter((row) => row.sum !== '0')) {
      write.fault(
        `The ledger does not sum to zero in ${currency}: ${sum}.`,
        'Stop the platform and find out why: money is missing or made up.',
      );
    }
    const entries = rows.reduce((total, row) => total + row.entries, 0n);
    if (rows.every((row) => row.sum === '0'))
      write.ok(`The ledger sums to zero in every currency, over ${grouped(entries)} entries.`);
  });
}

/** Answers the scopes (`relay`, names of groups) that somebody runs at the moment. */
async function examineLeases(findings: Finding[], db: Database): Promise<Set<string>> {
  const alive = new Set<string>();
  await examineArea('leases', findings, async (write) => {
    const { rows } = await db.query<{ scope: string; members: string[]; held: number; partitions: number }>(
      `with lease as (
         select 'relay' as scope, owner, expires_at from relay_lease
         union all
         select consumer, owner, expires_at from consumer_lease
       ), owned as (
         select scope, count(*)::int as partitions,
                count(*) filter (where owner is not null and expires_at >= clock_timestamp())::int as held
           from lease
          group by scope
       )
       select owned.scope, owned.partitions, owned.held,
              array(select member from lease_member
                     where lease_member.scope = owned.scope and expires_at >= clock_timestamp()
                     order by member) as members
         from owned
        order by owned.scope = 'relay' desc, owned.scope`,
    );
    for (const { scope, members, held, partitions } of rows) {
      if (members.length > 0) alive.add(scope);
      const text = `${scope}: ${held} of ${partitions} partitions are held`;
      if (members.length === 0 && held === 0)
        write.warn(`${scope}: nobody runs it.`, 'Normal while the platform is stopped.');
      else if (members.length === 0)
        write.warn(`${text} by a process that is gone; they expire within seconds.`);
      else if (held < partitions)
        write.warn(
          `${text} by ${members.join(', ')}; the others are about to be taken over.`,
          'Look again in ten seconds.',
        );
      else write.ok(`${text} by ${members.join(', ')}.`);
    }
  });
  return alive;
}

async function examineBlocked(
  write: { fault(finding: string, advice?: string): void },
  db: Database,
  alive: ReadonlySet<string>,
): Promise<void> {
  const { rows } = await db.query<{
    consumer: string;
    topic: string;
    partition: number;
    position: bigint;
    seconds: number;
  }>(
    `select cursor.consumer, cursor.topic, cursor.partition, cursor.position,
            extract(epoch from clock_timestamp() - cursor.updated_at)::float8 as seconds
       from consumer_cursor cursor
       join outbox_position log on log.topic = cursor.topic and log.partition = cursor.partition
      where log.last_position > cursor.position
        and cursor.updated_at < clock_timestamp() - $1 * interval '1 second'
      order by cursor.consumer, cursor.topic, cursor.partition`,
    [STUCK_SECONDS],
  );
  // Without anybody who runs the group this is no news.
  for (const { consumer, topic, partition, position, seconds } of rows.filter((row) =>
    alive.has(row.consumer),
  )) {
    write.fault(
      `${consumer} has stood before position ${position + 1n} of ${topic}/${partition} for ${age(seconds)}: that event cannot be applied.`,
      'The log of the consumer names the event and the error; it goes on by itself once the cause is gone.',
    );
  }
}

function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}

function counted(count: number | bigint, noun: string): string {
  return `${grouped(count)} ${noun}${BigInt(count) === 1n ? '' : 's'}`;
}
