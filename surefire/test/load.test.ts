import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Command, CommanderError } from 'commander';
import { createHistogram } from '../src/load/histogram.ts';
import { addLoadOptions, type LoadOptions } from '../src/load/options.ts';
import { createPlan } from '../src/load/plan.ts';
import { progressLine } from '../src/load/progress.ts';
import { createReceipts } from '../src/load/receipts.ts';
import { judge, perSecond } from '../src/load/report.ts';
import { type Check, compare } from '../src/load/verify.ts';

function parse(args: string[]): LoadOptions {
  const command = new Command().exitOverride().configureOutput({ writeErr() {} });
  return addLoadOptions(command).parse(args, { from: 'user' }).opts<LoadOptions>();
}

void describe('the options of load deposits', () => {
  const taken: [string, Partial<LoadOptions>][] = [
    ['', { count: 10_000, accounts: 1_000, connections: 64, amount: 100n, currency: 'EUR', timeout: 120, json: false, url: [] }],
    ['--count 10000000 --accounts 1000000 --connections 1024', { count: 10_000_000, accounts: 1_000_000, connections: 1_024 }],
    ['--count 1 --accounts 1 --connections 1', { count: 1, accounts: 1, connections: 1 }],
    ['--amount 9007199254740991', { amount: 9_007_199_254_740_991n }],
    ['--url http://a:1 --url https://b/api/', { url: ['http://a:1', 'https://b/api'] }],
    ['--seed 0 --rate 500 --json', { seed: 0, rate: 500, json: true }],
    ['--seed 4294967295', { seed: 4_294_967_295 }],
  ]; // biome-ignore format: one line per case
  for (const [args, expected] of taken) {
    void it(`takes ${args === '' ? 'nothing' : args}`, () => {
      const options = parse(args.split(' ').filter(Boolean));
      assert.deepEqual({ ...options, ...expected }, options);
    });
  }

  const refused = [
    '--count 0', '--count 10000001', '--count 1e3', '--count 1.5', '--count -1', '--accounts 1000001',
    '--connections 1025', '--amount 0', '--amount 9007199254740992', '--amount 1.00', '--currency eur',
    '--currency EURO', '--url 127.0.0.1:8080', '--url ftp://a', '--url http://a/?b', '--timeout 0', '--rate 0',
    '--seed 4294967296', '--unknown',
  ]; // biome-ignore format: a list reads best as a list
  for (const args of refused) {
    void it(`refuses ${args}`, () => {
      assert.throws(() => parse(args.split(' ')), CommanderError);
    });
  }
});

void describe('a plan', () => {
  const plan = createPlan({ count: 100_000, accounts: 100, amount: 1n, seed: 7 });

  void it('gives every deposit one account, the same for the same seed', () => {
    const again = createPlan({ count: 1_000, accounts: 100, amount: 1n, seed: 7 });
    for (let number = 0; number < 1_000; number++) {
      assert.equal(plan.accountOf(number), again.accountOf(number));
    }
    assert.notEqual(plan.run, again.run, 'but never the same keys');
  });

  void it('spreads the deposits evenly', () => {
    const hits = Array.from({ length: 100 }, () => 0);
    for (let number = 0; number < plan.count; number++) {
      const account = plan.accountOf(number);
      hits[account] = (hits[account] as number) + 1;
    }
    assert.ok(Math.min(...hits) > 800 && Math.max(...hits) < 1_200, hits.join(' '));
  });

  void it('has a key of its own for every deposit', () => {
    const keys = new Set(Array.from({ length: 1_000 }, (_, number) => plan.keyOf(number)));
    assert.equal(keys.size, 1_000);
  });
});

void describe('receipts', () => {
  void it('remember each outcome and the operation of those that were acknowledged', () => {
    const receipts = createReceipts(4);
    receipts.acknowledge(1, '0199aabb-ccdd-7eef-8123-456789abcdef');
    receipts.note(2, 'refused');
    receipts.note(3, 'unknown');
    const outcomes = [0, 1, 2, 3].map((number) => receipts.outcomeOf(number));
    assert.deepEqual(outcomes, ['unsent', 'acknowledged', 'refused', 'unknown']);
    assert.equal(receipts.operationIdOf(1), '0199aabb-ccdd-7eef-8123-456789abcdef');
    assert.equal(receipts.operationIdOf(2), undefined);
  });
});

void describe('a histogram', () => {
  void it('is empty at first', () => {
    const histogram = createHistogram();
    assert.deepEqual([histogram.count, histogram.max, histogram.percentile(99)], [0, 0, 0]);
  });

  const distributions: [string, (index: number) => number][] = [
    ['one value', () => 12.5],
    ['microseconds', (index) => index / 1_000],
    ['milliseconds', (index) => index],
    ['powers', (index) => 1.0015 ** index],
  ];
  for (const [name, value] of distributions) {
    void it(`is never below the exact percentile of ${name}, and at most 1.6 % above`, () => {
      const histogram = createHistogram();
      const values = Array.from({ length: 10_000 }, (_, index) => value(index));
      for (const one of values) histogram.record(one);
      const sorted = values.toSorted((one, other) => one - other);
      for (const percent of [0.01, 1, 50, 95, 99, 99.99, 100]) {
        const exact = sorted[Math.ceil((percent / 100) * sorted.length) - 1] as number;
        const found = histogram.percentile(percent);
        assert.ok(
          found >= exact - 0.001 && found <= exact * 1.016 + 0.001,
          `p${percent}: ${found} for ${exact}`,
        );
      }
      assert.equal(histogram.max, sorted.at(-1));
    });
  }

  void it('keeps values beyond its range', () => {
    const histogram = createHistogram();
    histogram.record(1e12);
    assert.equal(histogram.max, 1e12);
    assert.ok(histogram.percentile(50) > 60_000_000);
  });
});

void describe('the progress line', () => {
  const table: [Parameters<typeof progressLine>, string][] = [
    [[{ label: 'deposits', done: 0, total: 10, elapsedMs: 0 }, 60], 'deposits  [····················]  0 / 10  0/s  waiting'],
    [[{ label: 'deposits', done: 5, total: 10, elapsedMs: 1_000 }, 60], 'deposits  [██████████··········]  5 / 10  5/s  1 s left'],
    [[{ label: 'deposits', done: 10, total: 10, elapsedMs: 2_500 }, 60], 'deposits  [████████████████████]  10 / 10  4/s  in 2.5 s'],
    [[{ label: 'x', done: 1, total: 1_000_000, elapsedMs: 1_000 }, 40], 'x  1 / 1,000,000  1/s  277 h 46 min left'],
    [[{ label: 'x', done: 100, total: 10_000, elapsedMs: 1_000 }, 30], 'x  100 / 10,000  100/s  1 min '],
    [[{ label: 'x', done: 0, total: 0, elapsedMs: 0 }, 40], 'x  [█████████████████]  0 / 0  0/s  in 0.0 s'],
  ]; // biome-ignore format: one line per case
  for (const [[state, width], expected] of table) {
    void it(`shows ${state.done} of ${state.total} in ${width} columns`, () => {
      const line = progressLine(state, width);
      assert.ok(line.length <= width, `${line.length} columns: ${line}`);
      assert.equal(line.replaceAll(/[█·]+/g, '#'), expected.replaceAll(/[█·]+/g, '#'));
    });
  }
});

const sides = { left: { is: 'sent', value: '2' }, right: { is: 'found', value: '2' } };

void describe('comparing and judging', () => {
  const table: [string, string, string | null, boolean][] = [
    ['2', '2', null, true],
    ['0', '0', null, true],
    ['2', '1', null, false],
    ['2', '2', 'an offender', false],
    ['EUR 5', 'EUR 5', null, true],
  ];
  for (const [left, right, first, ok] of table) {
    void it(`${ok ? 'accepts' : 'rejects'} ${left} and ${right} with ${first ?? 'nobody'} offending`, () => {
      const check = compare({
        id: 'x',
        name: 'x',
        left: { is: 'sent', value: left },
        right: { is: 'found', value: right },
        first,
      });
      assert.equal(check.ok, ok);
    });
  }

  const good: Check = { id: 'good', name: 'all is there', ...sides, ok: true };
  const bad: Check = {
    id: 'bad',
    name: 'none is lost',
    ...sides,
    right: { is: 'found', value: '1' },
    ok: false,
    first: 'op-1',
  };
  const verdicts: [Check[], boolean, string][] = [
    [[good, good], true, 'All 2 checks hold: nothing lost, nothing doubled.'],
    [[good, bad], false, '1 of 2 checks fail: none is lost: 2 sent, 1 found; first: op-1'],
    [[bad, bad], false, '2 of 2 checks fail: none is lost (and 1 more): 2 sent, 1 found; first: op-1'],
  ];
  for (const [checks, ok, verdict] of verdicts) {
    void it(`says: ${verdict}`, () => {
      assert.deepEqual(judge(checks), { ok, verdict });
    });
  }

  void it('has no rate when no time has passed', () => {
    assert.equal(perSecond(10, 0), 0);
    assert.equal(perSecond(10, 4), 2.5);
  });
});
