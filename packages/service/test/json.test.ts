import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseJsonBody } from '../src/http/json.ts';
import { Problem } from '../src/index.ts';

function outcome(input: string | Buffer): string {
  try {
    parseJsonBody(typeof input === 'string' ? Buffer.from(input) : input);
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    return error.slug;
  }
}

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const array = (length: number) => `[${Array.from({ length }, () => '0').join(',')}]`;

const TABLE: [what: string, input: string | Buffer, expected: string][] = [
  ['a small object', '{"amount":100}', 'ok'],
  ['white space around every token', ' \t\r\n{ "amount" : 100 , "x" : [ 1 , 2 ] } \n', 'ok'],
  ['a lone scalar', '7', 'ok'],
  ['escapes that mean something harmless', String.raw`{"note":"\"\\\/\b\f\n\r\té😀"}`, 'ok'],
  ['a string that looks like an object', String.raw`{"note":"{\"amount\":1e3,\"amount\":1}"}`, 'ok'],
  ['a string that ends in an escaped backslash', String.raw`{"note":"\\","amount":1}`, 'ok'],
  ['the same key in two objects', '{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}', 'ok'],
  ['the largest integer', '{"amount":9007199254740991}', 'ok'],
  ['the smallest integer', '{"amount":-9007199254740991}', 'ok'],
  ['32 levels', nested(32), 'ok'],
  ['1,000 values', array(999), 'ok'],
  ['text beyond ASCII', '{"note":"žluťoučký 👍"}', 'ok'],

  ['an empty body', '', 'malformed-json'],
  ['white space only', '  ', 'malformed-json'],
  ['a cut-off object', '{"amount":1', 'malformed-json'],
  ['a trailing comma', '{"amount":1,}', 'malformed-json'],
  ['a comment', '{"amount":1/*x*/}', 'malformed-json'],
  ['two documents', '{"amount":1}{"amount":2}', 'malformed-json'],
  ['a byte order mark', '\uFEFF{"amount":1}', 'malformed-json'],
  ['a leading zero', '{"amount":01}', 'malformed-json'],
  ['a leading plus', '{"amount":+1}', 'malformed-json'],
  ['hexadecimal', '{"amount":0x10}', 'malformed-json'],
  ['NaN', '{"amount":NaN}', 'malformed-json'],
  ['single quotes', "{'amount':1}", 'malformed-json'],
  ['a raw line break in a string', '{"note":"a\nb"}', 'malformed-json'],

  ['a key twice', '{"amount":1,"amount":2}', 'duplicate-key'],
  ['a key twice, once escaped', String.raw`{"amount":1,"\u0061mount":2}`, 'duplicate-key'],
  ['a key twice, deep inside', '{"a":[{"b":{"c":1,"d":2,"c":3}}]}', 'duplicate-key'],
  ['a key twice, around an object', '{"a":1,"b":{"x":1},"a":2}', 'duplicate-key'],
  ['an empty key twice', '{"":1,"":2}', 'duplicate-key'],
  ['__proto__', '{"__proto__":{"admin":true}}', 'forbidden-key'],
  ['__proto__, escaped', String.raw`{"\u005f_proto__":1}`, 'forbidden-key'],
  ['constructor.prototype', '{"constructor":{"prototype":{}}}', 'forbidden-key'],
  ['prototype in an array', '[{"prototype":1}]', 'forbidden-key'],
  ['33 levels', nested(33), 'too-deep'],
  ['10,000 levels', nested(10_000), 'too-deep'],
  ['1,001 values', array(1_001), 'too-many-members'],

  ['invalid UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'malformed-text'],
  ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'malformed-text'],
  ['half of a pair, escaped', String.raw`{"note":"\ud800"}`, 'malformed-text'],
  ['half of a pair in a key', String.raw`{"\udc00":1}`, 'malformed-text'],
  ['NUL, escaped', String.raw`{"note":"a\u0000b"}`, 'malformed-text'],

  ['an amount as a fraction', '{"amount":0.1}', 'amount-format'],
  ['an amount with a needless fraction', '{"amount":1.0}', 'amount-format'],
  ['an amount with an exponent', '{"amount":1e3}', 'amount-format'],
  ['an amount with a capital exponent', '{"amount":1E400}', 'amount-format'],
  ['an amount of minus zero', '{"amount":-0}', 'amount-format'],
  ['one more than the largest integer', '{"amount":9007199254740992}', 'amount-format'],
  ['an integer that rounds', '{"amount":9007199254740993}', 'amount-format'],
  ['one less than the smallest integer', '{"amount":-9007199254740992}', 'amount-format'],
  ['an amount of 400 digits', `{"amount":${'9'.repeat(400)}}`, 'amount-format'],
  ['a price as a fraction', '{"stop_price":1.5}', 'amount-format'],
  ['amounts in an array', '{"amount":[1,2.5]}', 'amount-format'],
  ['another member as a fraction', '{"count":1.5}', 'schema-violation'],
  ['a fraction without a member', '[1.5]', 'schema-violation'],
];

for (const [what, input, expected] of TABLE) {
  test(`answers ${expected} to ${what}`, () => assert.equal(outcome(input), expected));
}

test('names the place of a fault as a JSON Pointer', () => {
  assert.throws(() => parseJsonBody(Buffer.from('{"a":{"amount":1e3}}')), {
    detail: 'The member /a/amount must be an integer in plain digits within ±(2^53-1), not 1e3.',
  });
});

test('takes every document made of integers, and gives what JSON.parse gives', () => {
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      tie('leaf'),
      tie('object'),
      fc.array(tie('tree'), { maxLength: 4 }),
    ),
    object: fc.dictionary(
      fc.string().map((key) => `k${key.replaceAll('\0', '')}`),
      tie('tree'),
      { maxKeys: 4, noNullPrototype: true },
    ),
    leaf: fc.oneof(
      fc.maxSafeInteger().map((n) => n + 0),
      fc.boolean(),
      fc.constant(null),
      fc.string().map((text) => text.replaceAll('\0', '')),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(parseJsonBody(Buffer.from(text)), JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test('answers with a problem or a value to any bytes', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.json().map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(bytes, (input) => assert.equal(typeof outcome(Buffer.from(input)), 'string')),
    { numRuns: 1_000 },
  );
});
