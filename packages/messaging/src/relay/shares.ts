/**
 * How many events each partition may contribute to a batch. A partition that filled its share last time gets
 * more, so that one hot key is published in full batches, and sixteen busy partitions share the same limit.
 */
export interface Shares {
  limits(partitions: readonly number[]): number[];
  learn(countByPartition: ReadonlyMap<number, number>): void;
}

/** What a quiet partition may bring without having been seen before. */
const QUIET_SHARE = 64;

export function createShares(options: { batchMax: number }): Shares {
  let limitByPartition = new Map<number, number>();
  return {
    limits: (partitions) => partitions.map((partition) => limitByPartition.get(partition) ?? QUIET_SHARE),
    learn(countByPartition) {
      const full = [...countByPartition].filter(
        ([partition, count]) => count >= (limitByPartition.get(partition) ?? QUIET_SHARE),
      );
      const share = Math.max(QUIET_SHARE, Math.floor(options.batchMax / Math.max(1, full.length)));
      limitByPartition = new Map(full.map(([partition]) => [partition, share]));
    },
  };
}
