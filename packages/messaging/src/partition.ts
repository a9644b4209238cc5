/**
 * A key's partition: CRC-32 of its UTF-8 bytes, modulo the number of partitions. Events of a key share a
 * partition, and a partition has one owner at a time; that is where order per key comes from.
 */
import { crc32 } from 'node:zlib';
import type { Queryable } from '@surefire/postgres';

export function partitionOf(key: string, partitions: number): number {
  return crc32(key) % partitions;
}

/** The number of partitions of this database: fixed when it was first migrated. */
export async function readPartitionCount(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ partitions: number }>(
    'select count(*)::int as partitions from relay_lease',
  );
  const partitions = rows[0]?.partitions ?? 0;
  if (partitions === 0) throw new Error('relay_lease is empty: the database has not been migrated');
  return partitions;
}
