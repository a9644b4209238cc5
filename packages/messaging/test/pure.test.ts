import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Received, Slice } from '../src/bus.ts';
import { divide } from '../src/consumer.ts';
import { createLoop } from '../src/loop.ts';
import { partitionOf } from '../src/partition.ts';
import { createShares } from '../src/relay/shares.ts';
import { backoffMs } from '../src/retry.ts';
import { createWake } from '../src/wake.ts';

describe('a key’s partition', () => {
  it('is stable for ever: these are stored', () => {
    const table: [string, number][] = [
      ['', 0],
      ['a', 3],
      ['account-1', 0],
      ['01a1fb78-0998-731e-88ee-79d805a4a073', 5],
      ['ключ', 10],
    ];
    assert.deepEqual(
      table.map(([key]) => [key, partitionOf(key, 16)]),
      table,
    );
  });

  it('spreads keys evenly', () => {
    const counts = new Array<number>(16).fill(0);
    for (let n = 0; n < 16_000; n += 1) {
      const partition = partitionOf(crypto.randomUUID(), 16);
      counts[partition] = (counts[partition] as number) + 1;
    }
    assert.ok(Math.min(...counts) > 800 && Math.max(...counts) < 1_200, `got ${counts.join(', ')}`);
  });
});

describe('back-off', () => {
  const most = () => 1;
  for (const [attempt, ceiling] of [
    [1, 100],
    [2, 200],
    [3, 400],
    [7, 5_000],
    [1_000, 5_000],
  ] as const) {
    it(`waits between 0 and ${ceiling} ms at attempt ${attempt}`, () => {
      assert.equal(backoffMs({ attempt, baseMs: 100, capMs: 5_000, random: most }), ceiling);
      assert.equal(backoffMs({ attempt, baseMs: 100, capMs: 5_000, random: () => 0 }), 0);
    });
  }
});

describe('the shares of a batch', () => {
  const sum = (limits: number[]) => limits.reduce((total, limit) => total + limit, 0);
  const all = Array.from({ length: 16 }, (_, partition) => partition);

  it('gives one busy partition nearly all of it', () => {
    const shares = createShares({ batchMax: 1_000 });
    shares.learn(new Map([[5, 64]]));
    assert.equal(shares.limits(all)[5], 1_000);
    assert.equal(shares.limits(all)[4], 64);
  });

  it('forgets a partition that has become quiet', () => {
    const shares = createShares({ batchMax: 1_000 });
    shares.learn(new Map([[5, 64]]));
    shares.learn(new Map([[5, 999]]));
    assert.equal(shares.limits(all)[5], 64);
  });

  it('stays bounded however many partitions are busy', () => {
    const counts = fc.array(fc.array(fc.nat(2_000), { minLength: 16, maxLength: 16 }), { maxLength: 20 });
    fc.assert(
      fc.property(counts, (rounds) => {
        const shares = createShares({ batchMax: 1_000 });
        for (const round of rounds) {
          const limits = shares.limits(all);
          assert.ok(sum(limits) <= 1_000 + 16 * 64);
          shares.learn(
            new Map(
              round.map((count, partition) => [partition, Math.min(count, limits[partition] as number)]),
            ),
          );
        }
      }),
    );
  });
});

describe('dividing a failed batch', () => {
  const slice = (partition: number, after: number, positions: number[], upTo: number): Slice => ({
    topic: 't',
    partition,
    epoch: 1n,
    after: BigInt(after),
    upTo: BigInt(upTo),
    events: positions.map((position) => ({ position: BigInt(position) }) as Received),
  });

  it('ends with single events that together cover the same stretches, in order and without a gap', () => {
    const batch = [slice(0, 10, [12, 15, 16], 20), slice(1, 0, [], 7), slice(2, 3, [4], 4)];
    const pieces: Slice[] = [];
    const descend = (part: readonly Slice[]): void => {
      const parts = divide(part);
      if (parts === undefined) pieces.push(part[0] as Slice);
      else for (const smaller of parts) descend(smaller);
    };
    descend(batch);
    assert.deepEqual(
      pieces.map(({ partition, after, upTo, events }) => [
        partition,
        after,
        upTo,
        events.map((e) => e.position),
      ]),
      [
        [0, 10n, 12n, [12n]],
        [0, 12n, 15n, [15n]],
        [0, 15n, 20n, [16n]],
        [1, 0n, 7n, []],
        [2, 3n, 4n, [4n]],
      ],
    );
  });
});

describe('a wake-up hint', () => {
  const never = new AbortController().signal;

  it('ends a wait', async () => {
    const wake = createWake();
    const waited = wake.listen().wait(60_000, never);
    wake.notify();
    assert.equal(await waited, 'hint');
  });

  it('is kept for whoever was busy when it came, and spent by the wait', async () => {
    const wake = createWake();
    const listeners = [wake.listen(), wake.listen()];
    wake.notify();
    wake.notify();
    for (const listener of listeners) {
      assert.equal(await listener.wait(60_000, never), 'hint');
      assert.equal(await listener.wait(1, never), 'time');
    }
  });

  it('does not keep a stopping loop', async () => {
    const stopping = new AbortController();
    const waited = createWake().listen().wait(60_000, stopping.signal);
    stopping.abort();
    assert.equal(await waited, 'stop');
    assert.equal(await createWake().listen().wait(60_000, stopping.signal), 'stop');
  });
});

describe('a loop', () => {
  const options = { pauseMinMs: 1, pauseMaxMs: 60_000, onError: () => {} };

  it('goes on at once while busy, pauses when idle, and looks again when hinted', async () => {
    const wake = createWake();
    const outcomes = ['busy', 'busy', 'idle'] as const;
    let rounds = 0;
    const reached = Promise.withResolvers<void>();
    const loop = createLoop({
      ...options,
      pauseMinMs: 60_000,
      wake,
      step: async () => {
        rounds += 1;
        if (rounds === 3) setImmediate(() => wake.notify());
        if (rounds === 4) reached.resolve();
        return outcomes[rounds - 1] ?? 'idle';
      },
    });
    loop.start();
    await reached.promise;
    await loop.stop();
    assert.equal(rounds, 4);
  });

  it('survives errors, and counts them until a round succeeds', async () => {
    const failures: number[] = [];
    let rounds = 0;
    const reached = Promise.withResolvers<void>();
    const loop = createLoop({
      ...options,
      wake: createWake(),
      onError: (_error, count) => void failures.push(count),
      step: async () => {
        rounds += 1;
        if (rounds === 5) reached.resolve();
        if (rounds !== 3) throw new Error('no');
        return 'busy';
      },
    });
    loop.start();
    await reached.promise;
    await loop.stop();
    assert.deepEqual(failures.slice(0, 3), [1, 2, 1]);
  });

  it('finishes the round under way when stopped, may be stopped twice, and before it was started', async () => {
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    let finished = false;
    const loop = createLoop({
      ...options,
      wake: createWake(),
      step: async () => {
        entered.resolve();
        await release.promise;
        finished = true;
        return 'busy';
      },
    });
    loop.start();
    await entered.promise;
    const stopping = Promise.all([loop.stop(), loop.stop()]);
    release.resolve();
    await stopping;
    assert.ok(finished);
    await createLoop({ ...options, wake: createWake(), step: async () => 'idle' }).stop();
  });
});
