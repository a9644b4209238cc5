/**
 * Ownership of partitions: rows with an owner, an expiry by the database's clock, and an epoch that rises with
 * every change of owner. The expiry decides who may take a partition; the epoch decides whose writes count.
 * A process that slept through its lease is not stopped by any clock of its own: its writes first select the
 * lease row by partition and epoch (`for share`), find nothing, and it learns that it was replaced.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Database, Statement } from '@surefire/postgres';
import type { Log } from './log.ts';

export type LeaseOptions = {
  db: Database;
  /** `relay`, or the name of a consumer group. */
  scope: string;
  table: 'relay_lease' | 'consumer_lease';
  log: Log;
  /** A partition whose owner is silent for this long is free. Default 6 s. */
  ttlMs?: number;
  /** Default a third of `ttlMs`. */
  heartbeatMs?: number;
  /** Called when partitions turn out to belong to somebody else. */
  onLost?: (partitions: readonly number[]) => void;
  /** Called when partitions were newly acquired. */
  onAcquired?: () => void;
};

/** Partitions held and their epochs, as the two arrays that SQL takes. */
export type Holding = { readonly partitions: readonly number[]; readonly epochs: readonly bigint[] };

export interface Leases {
  readonly owner: string;
  start(): Promise<void>;
  /** Gives everything back, so that others need not wait for the expiry. May be called twice. */
  stop(): Promise<void>;
  holding(): Holding;
  /** Gives back what exceeds this process's fair share. Call between batches, never during one. */
  releaseSurplus(): Promise<void>;
  /** A fenced write found that these are no longer ours. */
  forget(partitions: readonly number[]): void;
}

/** A write was refused because another process owns the partition now. */
export class FencedError extends Error {
  readonly code = 'FENCED';
  readonly partitions: readonly number[];
  constructor(scope: string, partitions: readonly number[]) {
    super(`${scope}: partitions ${partitions.join(', ')} are owned by another process now`);
    this.name = 'FencedError';
    this.partitions = partitions;
  }
}

export function createLeases(options: LeaseOptions): Leases {
  const { db, scope, log } = options;
  const ttlMs = options.ttlMs ?? 6_000;
  const heartbeatMs = options.heartbeatMs ?? Math.round(ttlMs / 3);
  const owner = `${hostname()}/${process.pid}/${randomUUID().slice(0, 8)}`;
  const sql = statements(options.table);
  const held = new Map<number, bigint>();
  let fairShare = 0;
  let timer: NodeJS.Timeout | undefined;
  let beating: Promise<void> | undefined;
  let stopped = false;

  async function beat(): Promise<void> {
    const { rows: members } = await db.query<{ members: number; partitions: number }>(sql.announce, [
      scope,
      owner,
      ttlMs,
    ]);
    const { members: count, partitions } = members[0] as { members: number; partitions: number };
    fairShare = Math.ceil(partitions / count);

    // Only what is held here is renewed: a partition whose release failed half-way must expire.
    const { rows: renewed } = await db.query<{ partition: number; epoch: bigint }>(sql.renew, [
      scope,
      owner,
      ttlMs,
      [...held.keys()],
    ]);
    const mine = new Map(renewed.map((row) => [row.partition, row.epoch]));
    lose(
      [...held].filter(([partition, epoch]) => mine.get(partition) !== epoch).map(([partition]) => partition),
    );

    if (held.size < fairShare && !stopped) {
      const wanted = fairShare - held.size;
      const { rows } = await db.query<{ partition: number; epoch: bigint }>(sql.acquire, [
        scope,
        owner,
        ttlMs,
        wanted,
      ]);
      for (const { partition, epoch } of rows) held.set(partition, epoch);
      if (rows.length > 0) {
        log.info({ scope, owner, partitions: rows.map((row) => row.partition) }, 'partitions acquired');
        options.onAcquired?.();
      }
    }
  }

  function lose(partitions: readonly number[]): void {
    const lost = partitions.filter((partition) => held.delete(partition));
    if (lost.length === 0) return;
    log.error({ scope, owner, partitions: lost }, 'lease lost: another process owns these partitions now');
    options.onLost?.(lost);
  }

  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      beating = beat()
        .catch((error: unknown) => log.warn({ scope, err: error }, 'heartbeat failed, trying again'))
        .finally(schedule);
    }, heartbeatMs);
  }

  return {
    owner,
    async start() {
      const first = beat();
      beating = first.catch(() => undefined); // whoever starts hears of it
      await first;
      schedule();
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      clearTimeout(timer);
      await beating;
      const partitions = [...held.keys()];
      held.clear();
      await db.query(sql.release, [scope, owner, partitions]);
      await db.query(sql.leave, [scope, owner]);
    },
    holding: () => ({ partitions: [...held.keys()], epochs: [...held.values()] }),
    async releaseSurplus() {
      if (held.size <= fairShare) return;
      const surplus = [...held.keys()].slice(fairShare);
      for (const partition of surplus) held.delete(partition);
      await db.query(sql.release, [scope, owner, surplus]);
      log.info({ scope, owner, partitions: surplus }, 'partitions released to newcomers');
    },
    forget: lose,
  };
}

type LeaseStatements = Record<'announce' | 'renew' | 'acquire' | 'release' | 'leave', Statement>;

function statements(table: 'relay_lease' | 'consumer_lease'): LeaseStatements {
  // The relay's table has one set of partitions; a group's rows carry its name.
  const ours = table === 'relay_lease' ? '$1::text is not null' : 'lease.consumer = $1';
  const expiry = `clock_timestamp() + $3 * interval '1 millisecond'`;
  const named = (name: string, text: string): Statement => ({ name: `${table}_${name}`, text });
  return {
    announce: named(
      'announce',
      `with self as (
         insert into lease_member (scope, member, expires_at)
         values ($1, $2, ${expiry})
         on conflict (scope, member) do update set expires_at = excluded.expires_at
       ), gone as (
         delete from lease_member
          where scope = $1 and member <> $2 and expires_at < clock_timestamp()
       )
       select (select count(*) from ${table} lease where ${ours})::int as partitions,
              1 + (select count(*) from lease_member
                    where scope = $1 and member <> $2 and expires_at >= clock_timestamp())::int as members`,
    ),
    renew: named(
      'renew',
      `update ${table} lease
          set expires_at = ${expiry}
        where ${ours} and lease.owner = $2 and lease.partition = any($4::smallint[])
       returning lease.partition, lease.epoch`,
    ),
    acquire: named(
      'acquire',
      `update ${table} lease
          set owner = $2, epoch = lease.epoch + 1, expires_at = ${expiry}
         from (select lease.partition
                 from ${table} lease
                where ${ours} and (lease.owner is null or lease.expires_at < clock_timestamp())
                order by lease.partition
                limit $4
                  for update skip locked) free
        where ${ours} and lease.partition = free.partition
       returning lease.partition, lease.epoch`,
    ),
    release: named(
      'release',
      `update ${table} lease
          set owner = null, expires_at = '-infinity'
        where ${ours} and lease.owner = $2 and lease.partition = any($3::smallint[])`,
    ),
    leave: named('leave', `delete from lease_member where scope = $1 and member = $2`),
  };
}
