/** `surefire outbox`: what stands before publication, and where one event has got to. */
import { findEvent, type ListedEvent, listEvents, readOutboxPartitions } from '@surefire/messaging';
import type { Config } from '@surefire/service';
import { evidenceBody, listedEventBody } from '@surefire/service/operating';
import { withDatabase } from '../database.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { grouped, print, say, shownTime, table } from '../terminal.ts';
import type { ListEvents } from './commands.ts';

type Context = { config: Config };

export async function listOutbox(options: ListEvents, { config }: Context): Promise<ExitCode> {
  const { status, aggregate: aggregateId, type, limit, json } = options;
  const { partitions, events, more } = await withDatabase(config, async (db) => {
    const backlog = await readOutboxPartitions(db);
    const found: ListedEvent[] = [];
    let before: string | undefined;
    do {
      const filter = { status, aggregateId, type };
      const page = await listEvents(db, { filter, before, limit: limit - found.length });
      found.push(...page.events);
      before = page.next;
    } while (before !== undefined && found.length < limit);
    return { partitions: backlog, events: found, more: before !== undefined };
  });
  if (json) {
    const shown = partitions.map((each) => ({ ...each, floor: Number(each.floor) }));
    print(JSON.stringify({ partitions: shown, events: events.map(listedEventBody) }, null, 2));
    return EXIT.ok;
  }
  const waiting = partitions.filter(({ pending }) => pending > 0);
  if (waiting.length === 0) say('Every event is published.');
  for (const { partition, pending, oldest_age_seconds: age, owner } of waiting) {
    const held = owner === null ? 'nobody holds it: start a relay' : `held by ${owner}`;
    say(
      `Partition ${partition}: ${grouped(pending)} before publication, the oldest for ${Math.round(age)} s; ${held}.`,
    );
  }
  if (events.length > 0) print(eventTable(events));
  else say('No event is as asked.');
  if (more) say(`There are more: these are the newest ${limit}. See --limit.`);
  return EXIT.ok;
}

export async function showEvent(options: { id: string }, { config }: Context): Promise<ExitCode> {
  const event = await withDatabase(config, (db) => findEvent(db, options.id));
  if (event === undefined) {
    throw new CommandFailure(`There is no event ${options.id} in the outbox.`, { exitCode: EXIT.notFound });
  }
  print(JSON.stringify(evidenceBody(event), null, 2));
  return EXIT.ok;
}

function eventTable(events: readonly ListedEvent[]): string {
  return table(
    ['ID', 'STATUS', 'TYPE', 'AGGREGATE', 'TOPIC', 'POSITION', 'APPENDED'],
    events.map((event) => [
      event.id,
      event.status,
      event.event_type,
      event.aggregate_id,
      `${event.topic}/${event.partition}`,
      event.position === null ? '-' : String(event.position),
      shownTime(event.created_at),
    ]),
  );
}
