/**
 * Latencies of any number of requests in a few kilobytes: buckets that grow with the value, 64 to each
 * doubling, so that a percentile is at most 1.6 % too high. (The scheme of HdrHistogram.)
 */
export interface Histogram {
  record(milliseconds: number): void;
  /** The smallest value that at least `percent` of all values do not exceed, in milliseconds; 0 when empty. */
  percentile(percent: number): number;
  readonly count: number;
  readonly max: number;
}

const STEPS = 64;
const STEP_BITS = 6;
/** Values are counted in microseconds up to 2^36, some 19 hours. */
const DOUBLINGS = 30;

export function createHistogram(): Histogram {
  const buckets = new Float64Array(STEPS * (DOUBLINGS + 1));
  let count = 0;
  let max = 0;

  return {
    record(milliseconds) {
      const micros = Math.max(0, Math.round(milliseconds * 1_000));
      const bucket = Math.min(bucketOf(micros), buckets.length - 1);
      buckets[bucket] = (buckets[bucket] as number) + 1;
      count += 1;
      max = Math.max(max, milliseconds);
    },
    percentile(percent) {
      const rank = Math.max(1, Math.ceil((percent / 100) * count));
      let seen = 0;
      for (let bucket = 0; bucket < buckets.length; bucket++) {
        seen += buckets[bucket] as number;
        if (seen >= rank) return Math.min(highestOf(bucket) / 1_000, max);
      }
      return max;
    },
    get count() {
      return count;
    },
    get max() {
      return max;
    },
  };
}

/** Below 64 every value has its own bucket; above, the six bits after the first choose one. */
function bucketOf(micros: number): number {
  if (micros < STEPS) return micros;
  const doubling = Math.floor(Math.log2(micros)) - STEP_BITS;
  return STEPS * doubling + Math.floor(micros / 2 ** doubling);
}

function highestOf(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const doubling = Math.floor(bucket / STEPS) - 1;
  return (bucket - STEPS * doubling + 1) * 2 ** doubling - 1;
}
