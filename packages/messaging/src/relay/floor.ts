/**
 * The floor of a partition: no pending event stands at or below this sequence number, and none can appear
 * there any more. Without it every claim would walk over the index entries of what was published since the
 * oldest snapshot in the cluster began, because vacuum may not remove them while a long report runs.
 *
 * A number may be drawn long before its transaction commits, so the floor passes a number only once every
 * transaction that could have drawn it has ended:
 *
 *   mark    remember the newest number drawn, then take a transaction id. Numbers are drawn after their
 *           transaction has its id (see the column's default), so all drawers so far are below that id. (The
 *           upper end of a snapshot would not do: it is the newest id that has *ended*, plus one, and so may
 *           lie below one that is running.)
 *   raise   once the oldest running transaction is not below that id, whoever drew is visible or gone: what
 *           is still pending up to the mark can be seen, and the floor moves up to just below it.
 *
 * Whoever sets an event back to PENDING gives it a new sequence number, or it would stand below the floor.
 */
import type { Database, Statement } from '@surefire/postgres';
import type { Holding } from '../lease.ts';

export interface Floor {
  /** Raises the floor of the partitions held, now and then, when something was published since. */
  raise(holding: Holding, progress: { published: number }): Promise<void>;
}

const newestNumber: Statement = {
  name: 'floor_newest_number',
  // A fresh sequence shows the number it will give first.
  text: 'select last_value - (not is_called)::int as number from event_outbox_sequence',
};

const takeTransaction: Statement = {
  name: 'floor_take_transaction',
  text: 'select pg_current_xact_id()::text as xid',
};

const raise: Statement = {
  name: 'floor_raise',
  text: `
    update relay_lease lease
       set floor_sequence = greatest(
             lease.floor_sequence,
             least(
               $3::bigint,
               (select event.sequence - 1
                  from event_outbox event
                 where event.partition = lease.partition
                   and event.status = 'PENDING'
                   and event.sequence > lease.floor_sequence
                 order by event.sequence
                 limit 1)))
      from unnest($1::smallint[], $2::bigint[]) mine (partition, epoch)
     where lease.partition = mine.partition
       and lease.epoch = mine.epoch
       and pg_snapshot_xmin(pg_current_snapshot()) >= $4::xid8`,
};

export function createFloor(options: { db: Database; everyMs: number }): Floor {
  const { db } = options;
  let mark: { sequence: bigint; xid: string } | undefined;
  let publishedSince = 0;
  let lastAt = performance.now();

  return {
    async raise(holding, progress) {
      publishedSince += progress.published;
      if (performance.now() - lastAt < options.everyMs) return;
      lastAt = performance.now();

      if (mark !== undefined) {
        const { rowCount } = await db.query(raise, [
          holding.partitions,
          holding.epochs,
          mark.sequence,
          mark.xid,
        ]);
        if (rowCount === 0) return; // a transaction from before the mark is still running
        mark = undefined;
      }
      if (publishedSince === 0) return;
      publishedSince = 0;
      // Two statements, in this order: the id must be taken after the number was read.
      const { rows: numbers } = await db.query<{ number: bigint }>(newestNumber);
      const { rows: transactions } = await db.query<{ xid: string }>(takeTransaction);
      mark = {
        sequence: (numbers[0] as { number: bigint }).number,
        xid: (transactions[0] as { xid: string }).xid,
      };
    },
  };
}
