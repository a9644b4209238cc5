/** Several versions of an event: how old ones are read, and what becomes of those that nobody knows here. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Type } from 'typebox';
import { type Contract, ContractViolationError, catalogue, contract } from '../src/index.ts';

const paid = {
  name: 'shop.paid',
  delivery: 'critical',
  topic: 'shop',
  aggregate: 'order',
  description: 'An order was paid.',
  key: (data: { order: string }) => data.order,
  subject: (data: { order: string }) => data.order,
} as const;

const Paid1 = contract({
  ...paid,
  version: 1,
  data: Type.Object({ order: Type.String(), euros: Type.Integer({ minimum: 0 }) }),
});

const Paid2 = contract({
  ...paid,
  version: 2,
  data: Type.Object({ order: Type.String(), cents: Type.Integer({ maximum: 1_000_000 }) }),
  upcast: ({ order, euros }: { order: string; euros: number }) => ({ order, cents: euros * 100 }),
});

const Paid3 = contract({
  ...paid,
  version: 3,
  data: Type.Object({ order: Type.String(), cents: Type.Integer(), currency: Type.String() }),
  upcast: (previous: { order: string; cents: number }) => ({ ...previous, currency: 'EUR' }),
});

const Lost = contract({ ...Paid1, name: 'shop.lost' });

const shop = catalogue({ namespace: 'test', contracts: [Paid3, Lost, Paid1, Paid2] });

describe('reading', () => {
  it('brings data of every version to the newest, step by step', () => {
    const newest = { order: 'a', cents: 500, currency: 'EUR' };
    for (const [type, data] of [
      ['test.shop.paid.v1', { order: 'a', euros: 5 }],
      ['test.shop.paid.v2', { order: 'a', cents: 500 }],
      ['test.shop.paid.v3', newest],
    ] as const) {
      assert.deepEqual(shop.read(type, data), { outcome: 'read', contract: Paid3, data: newest });
    }
  });

  it('leaves data of the newest version as they are, with members from the future', () => {
    const data = { order: 'a', euros: 5, coupon: 'x' };
    const reading = shop.read('test.shop.lost.v1', data);
    assert.equal(reading.outcome, 'read');
    assert.equal(reading.outcome === 'read' && reading.data, data);
  });

  for (const [type, reading] of [
    ['test.shop.paid.v4', { outcome: 'unknown-version', newestKnown: 3 }],
    ['test.shop.lost.v12', { outcome: 'unknown-version', newestKnown: 1 }],
    ['test.shop.paid.v0', { outcome: 'unknown-type' }],
    ['test.shop.paid.v01', { outcome: 'unknown-type' }],
    ['test.shop.paid', { outcome: 'unknown-type' }],
    ['test.shop.bought.v1', { outcome: 'unknown-type' }],
    ['other.shop.paid.v1', { outcome: 'unknown-type' }],
    ['other.shop.paid.v4', { outcome: 'unknown-type' }],
    ['testing.shop.paid.v4', { outcome: 'unknown-type' }],
    ['', { outcome: 'unknown-type' }],
  ] as const) {
    it(`answers ${reading.outcome} for '${type}', whatever the data`, () => {
      assert.deepEqual(shop.read(type, null), reading);
    });
  }

  it('refuses data that do not fit their own version, before any upcast sees them', () => {
    for (const data of [{ order: 'a' }, { order: 'a', euros: -1 }, null, 'text', []]) {
      assert.throws(() => shop.read('test.shop.paid.v1', data), {
        name: 'ContractViolationError',
        message: /^shop\.paid\.v1: /,
      });
    }
  });

  it('refuses what an upcast made when it does not fit: a fault of the upcast', () => {
    assert.throws(
      () => shop.read('test.shop.paid.v1', { order: 'a', euros: 10_001 }),
      (error) => error instanceof ContractViolationError && error.message.startsWith('shop.paid.v2: '),
    );
  });
});

describe('a catalogue', () => {
  const unconnected = contract({ ...Paid1, version: 2 });
  const cases: [string, readonly Contract[], RegExp][] = [
    ['a version twice', [Paid1, { ...Paid1 }], /lists test\.shop\.paid\.v1 twice/],
    ['a version without the first', [Paid2], /lists shop\.paid\.v2 without v1/],
    ['versions with a gap', [Paid1, Paid3], /lists shop\.paid\.v3 without v2/],
    ['a version that nothing leads to', [Paid1, unconnected], /shop\.paid\.v2 has no upcast from v1/],
    ['an upcast to the first', [{ ...Paid2, version: 1 }], /shop\.paid\.v1 has nothing to be upcast from/],
  ];
  for (const [what, contracts, message] of cases) {
    it(`refuses ${what}`, () => {
      assert.throws(() => catalogue({ namespace: 'test', contracts }), message);
    });
  }

  it('knows the type of each version', () => {
    for (const each of [Paid1, Paid2, Paid3]) assert.equal(shop.find(shop.typeOf(each)), each);
    assert.throws(() => shop.typeOf({ ...Lost }), /does not list shop\.lost\.v1/);
  });
});
