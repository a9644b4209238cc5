/** `surefire consumers`: how far each consumer group is. */
import { type GroupState, readGroups } from '@surefire/messaging';
import type { Config } from '@surefire/service';
import { consumerBody } from '@surefire/service/operating';
import { withDatabase } from '../database.ts';
import { EXIT, type ExitCode } from '../failure.ts';
import { grouped, print, say, table } from '../terminal.ts';

export async function showConsumers(
  options: { json: boolean },
  { config }: { config: Config },
): Promise<ExitCode> {
  const groups = await withDatabase(config, readGroups);
  if (options.json) print(JSON.stringify({ consumers: groups.map(consumerBody) }, null, 2));
  else if (groups.length > 0) print(groupTable(groups));
  else say('No consumer group has run yet: npm start, or npx surefire run banking');
  return EXIT.ok;
}

function groupTable(groups: readonly GroupState[]): string {
  return table(
    ['GROUP', 'LAG', 'WAITING', 'BLOCKED KEYS', 'OPEN DEAD LETTERS', 'HELD', 'OWNERS'],
    groups.map((group) => {
      const held = group.partitions.flatMap(({ owner }) => owner ?? []);
      const owners = [...new Set(held)].toSorted();
      return [
        group.group,
        grouped(group.lag),
        grouped(group.waiting_events),
        grouped(group.blocked_keys),
        grouped(group.open_dead_letters),
        `${held.length} of ${group.partitions.length}`,
        owners.join(', ') || 'nobody',
      ];
    }),
  );
}
