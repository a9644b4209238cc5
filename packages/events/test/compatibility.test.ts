/** Which changes to a contract break those who rely on it, and that no committed schema was changed so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type TSchema, Type } from 'typebox';
import { committedSchemas, schemaFiles } from '../../../scripts/schemas.ts';
import { breakingChanges, type Contract, contract, platformCatalogue, schemaOf } from '../src/index.ts';

const Base = contract({
  name: 'shop.paid',
  version: 1,
  delivery: 'critical',
  topic: 'shop',
  aggregate: 'order',
  description: 'An order was paid.',
  data: Type.Object({
    id: Type.String({ format: 'uuid' }),
    other: Type.String(),
    amount: Type.Integer({ minimum: 1, maximum: 100 }),
    note: Type.Optional(Type.String({ maxLength: 10 })),
    state: Type.Enum(['open', 'paid']),
    tags: Type.Array(Type.String(), { maxItems: 3 }),
    code: Type.String({ pattern: '^[A-Z]$' }),
    kind: Type.Union([Type.Literal('a'), Type.Literal('b')]),
    place: Type.Object({ city: Type.String(), zip: Type.Optional(Type.String()) }),
  }),
  key: (data) => data.id,
  subject: (data) => data.id,
});

const members = Base.data.properties;
const having = (changed: Record<string, TSchema>): Contract => ({
  ...Base,
  data: Type.Object({ ...members, ...changed }),
});
const without = (name: keyof typeof members): Contract => {
  const { [name]: _gone, ...rest } = members;
  return { ...Base, data: Type.Object(rest) };
};

const BREAKING: readonly [string, Contract, RegExp][] = [
  [
    'another delivery',
    { ...Base, delivery: 'best-effort' },
    /^delivery was "critical" and is "best-effort"$/,
  ],
  ['another topic', { ...Base, topic: 'store' }, /^topic was "shop" and is "store"$/],
  ['another key', { ...Base, key: ({ other }) => String(other) }, /^key was \["id"\] and is \["other"\]$/],
  ['a longer key', { ...Base, key: ({ id, other }) => [id, other].join() }, /^key was/],
  ['another subject', { ...Base, subject: ({ other }) => String(other) }, /^subject was/],
  ['another aggregate', { ...Base, aggregate: 'sale' }, /^aggregate was/],
  ['a removed member', without('other'), /^data\.other was removed$/],
  ['a removed optional member', without('note'), /^data\.note was removed$/],
  ['a new required member', having({ extra: Type.String() }), /^data\.extra is required now$/],
  [
    'an optional member that is required',
    having({ note: Type.String({ maxLength: 10 }) }),
    /note is required now$/,
  ],
  [
    'a required member that is optional',
    having({ other: Type.Optional(Type.String()) }),
    /other became optional$/,
  ],
  ['another type', having({ other: Type.Integer() }), /^data\.other: string is no longer a type of it$/],
  ['text where there was a list', having({ tags: Type.String() }), /^data\.tags: array is no longer a type/],
  [
    'a higher minimum',
    having({ amount: Type.Integer({ minimum: 2, maximum: 100 }) }),
    /amount: minimum was 1 and is 2$/,
  ],
  [
    'a lower maximum',
    having({ amount: Type.Integer({ minimum: 1, maximum: 99 }) }),
    /amount: maximum was 100 and is 99$/,
  ],
  ['a new bound', having({ other: Type.String({ minLength: 1 }) }), /other: minLength was absent and is 1$/],
  [
    'a shorter text',
    having({ note: Type.Optional(Type.String({ maxLength: 9 })) }),
    /maxLength was 10 and is 9$/,
  ],
  ['fewer items', having({ tags: Type.Array(Type.String(), { maxItems: 2 }) }), /tags: maxItems was 3/],
  [
    'narrower items',
    having({ tags: Type.Array(Type.String({ pattern: 'a' }), { maxItems: 3 }) }),
    /tags\[\]: pattern/,
  ],
  [
    'items that must differ',
    having({ tags: Type.Array(Type.String(), { maxItems: 3, uniqueItems: true }) }),
    /uniqueItems/,
  ],
  ['a new pattern', having({ other: Type.String({ pattern: '^.*$' }) }), /other: pattern was absent/],
  ['another pattern', having({ code: Type.String({ pattern: '^[A-Z]+$' }) }), /code: pattern was/],
  ['a new format', having({ other: Type.String({ format: 'uuid' }) }), /other: format was absent/],
  ['a value less', having({ state: Type.Enum(['open']) }), /^data\.state: "paid" is no longer allowed$/],
  ['a renamed value', having({ state: Type.Enum(['open', 'PAID']) }), /"paid" is no longer allowed$/],
  ['an alternative less', having({ kind: Type.Literal('a') }), /kind: "b" is no longer allowed$/],
  [
    'listed values where there was text',
    having({ other: Type.Enum(['x']) }),
    /other: only "x" is allowed now$/,
  ],
  [
    'text that listed values do not fit',
    having({ state: Type.String({ pattern: '^p' }) }),
    /"open" is no longer allowed/,
  ],
  [
    'a removed inner member',
    having({ place: Type.Object({ city: Type.String() }) }),
    /^data\.place\.zip was removed$/,
  ],
  [
    'a closed object',
    { ...Base, data: Type.Object(members, { additionalProperties: false }) },
    /^data allows fewer other members now$/,
  ],
];

const COMPATIBLE: readonly [string, Contract][] = [
  ['nothing', Base],
  ['another description', { ...Base, description: 'Somebody paid for an order.' }],
  ['a described member', having({ other: Type.String({ description: 'Something else' }) })],
  ['a new optional member', having({ extra: Type.Optional(Type.Integer()) })],
  ['a lower minimum', having({ amount: Type.Integer({ minimum: 0, maximum: 100 }) })],
  ['a higher maximum', having({ amount: Type.Integer({ minimum: 1, maximum: 1_000 }) })],
  ['no bounds', having({ amount: Type.Integer() })],
  ['a longer text', having({ note: Type.Optional(Type.String({ maxLength: 11 })) })],
  ['more items', having({ tags: Type.Array(Type.String()) })],
  ['no pattern', having({ code: Type.String() })],
  ['no format', having({ id: Type.String() })],
  ['a value more', having({ state: Type.Enum(['paid', 'open', 'void']) })],
  [
    'the same values in another way',
    having({ state: Type.Union([Type.Literal('open'), Type.Literal('paid')]) }),
  ],
  ['any text instead of listed values', having({ state: Type.String() })],
  ['an alternative more', having({ kind: Type.Union([Type.Literal('a'), Type.Literal('b'), Type.Null()]) })],
  ['numbers that need not be whole', having({ amount: Type.Number({ minimum: 1, maximum: 100 }) })],
  ['an alternative to text', having({ other: Type.Union([Type.String(), Type.Integer()]) })],
  [
    'a new optional inner member',
    having({ place: Type.Object({ ...members.place.properties, hall: Type.Optional(Type.String()) }) }),
  ],
];

describe('within a major version', () => {
  for (const [what, after, reason] of BREAKING) {
    it(`${what} is refused`, () => {
      const reasons = breakingChanges(schemaOf(Base), schemaOf(after));
      assert.equal(reasons.length, 1, reasons.join('\n'));
      assert.match(reasons[0] as string, reason);
    });
  }
  for (const [what, after] of COMPATIBLE) {
    it(`${what} is fine`, () => assert.deepEqual(breakingChanges(schemaOf(Base), schemaOf(after)), []));
  }

  it('what widens one way narrows the other way', () => {
    const bounds = fc
      .tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -50, max: 50 }))
      .map(([a, b]) => ({ minimum: Math.min(a, b), maximum: Math.max(a, b) }));
    fc.assert(
      fc.property(bounds, bounds, fc.integer({ min: -60, max: 60 }), (was, is, value) => {
        const reasons = breakingChanges(
          schemaOf(having({ amount: Type.Integer(was) })),
          schemaOf(having({ amount: Type.Integer(is) })),
        );
        const contained = is.minimum <= was.minimum && was.maximum <= is.maximum;
        assert.equal(reasons.length === 0, contained);
        const fits = ({ minimum, maximum }: typeof was) => minimum <= value && value <= maximum;
        if (contained && fits(was)) assert.ok(fits(is));
      }),
    );
  });
});

describe('the committed schemas', () => {
  const { contracts } = platformCatalogue({ namespace: 'surefire' });
  const files = schemaFiles(contracts, committedSchemas());

  it('are one for every version of every event', () => {
    assert.equal(files.length, contracts.length);
  });

  for (const { name, written, wanted, breaking } of files) {
    it(`${name} is what the code says (if not: node scripts/schemas.ts, or a new major version)`, () => {
      assert.deepEqual(breaking, []);
      assert.equal(written, wanted);
    });
  }

  it('are not overwritten by a breaking change, nor forgotten with a removed contract', () => {
    const [file] = schemaFiles(
      [without('other')],
      new Map([['shop.paid.v1.json', JSON.stringify(schemaOf(Base))]]),
    );
    assert.deepEqual(file?.breaking, ['data.other was removed']);
    const [orphan] = schemaFiles([], new Map([['shop.paid.v1.json', '{}']]));
    assert.match(orphan?.breaking[0] ?? '', /contract was removed/);
  });
});
