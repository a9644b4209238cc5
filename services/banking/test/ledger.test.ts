import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Account, AMOUNT_MAX, externalAccountId } from '../src/rules/account.ts';
import { post } from '../src/rules/ledger.ts';

const account = (changes: Partial<Account>): Account => ({
  id: 'a',
  kind: 'customer',
  currency: 'EUR',
  status: 'open',
  balance: 100n,
  held: 0n,
  version: 7n,
  ...changes,
});
const outside = (changes: Partial<Account> = {}): Account =>
  account({ id: 'x', kind: 'external', balance: 0n, version: 3n, ...changes });

describe('posting a movement', () => {
  // from, to, amount → refusal, or both balances after. The order of lines is the order in which refusals win.
  const table: [string, Partial<Account>, Partial<Account>, bigint, string | [bigint, bigint]][] = [
    ['a closed source', { status: 'closed', currency: 'USD' }, { status: 'frozen' }, 1n, 'ACCOUNT_CLOSED'],
    ['a frozen source', { status: 'frozen', currency: 'USD' }, { status: 'closed' }, 1n, 'ACCOUNT_FROZEN'],
    ['a closed destination', { currency: 'USD' }, { status: 'closed' }, 1n, 'ACCOUNT_CLOSED'],
    ['a frozen destination', { currency: 'USD' }, { status: 'frozen' }, 1n, 'ACCOUNT_FROZEN'],
    ['another currency', { currency: 'USD' }, {}, 101n, 'CURRENCY_MISMATCH'],
    ['one more than there is', {}, {}, 101n, 'INSUFFICIENT_FUNDS'],
    ['one more than is available', { held: 40n }, {}, 61n, 'INSUFFICIENT_FUNDS'],
    ['one more than fits', { balance: AMOUNT_MAX }, { balance: 1n }, AMOUNT_MAX, 'BALANCE_OVERFLOW'],
    ['the last that fits', { balance: AMOUNT_MAX }, { balance: 1n }, AMOUNT_MAX - 1n, [1n, AMOUNT_MAX]],
    ['all that is available', { held: 40n }, {}, 60n, [40n, 160n]],
    ['the smallest amount', {}, {}, 1n, [99n, 101n]],
  ];
  for (const [name, from, to, amount, expected] of table) {
    it(typeof expected === 'string' ? `refuses ${name}: ${expected}` : `moves ${name}`, () => {
      const outcome = post({
        transactionId: 't',
        from: account({ id: 'from', ...from }),
        to: account({ id: 'to', ...to }),
        amount,
      });
      if (typeof expected === 'string') assert.deepEqual(outcome, { posted: false, refusal: expected });
      else assert.deepEqual(outcome.posted && outcome.accounts.map((after) => after.balance), expected);
    });
  }

  it('lets the outside world give and take without bounds', () => {
    const given = post({ transactionId: 't', from: outside(), to: account({}), amount: 5n });
    assert.deepEqual(
      given.posted && given.entries.map((entry) => [entry.accountId, entry.balanceAfter, entry.version]),
      [
        ['x', -5n, 4n],
        ['a', 105n, 8n],
      ],
    );
  });

  it('throws on what no caller may ask: no amount, or one account on both sides', () => {
    for (const amount of [0n, -1n, AMOUNT_MAX + 1n]) {
      assert.throws(() => post({ transactionId: 't', from: outside(), to: account({}), amount }), RangeError);
    }
    assert.throws(
      () => post({ transactionId: 't', from: account({}), to: account({}), amount: 1n }),
      RangeError,
    );
  });

  it('keeps the books whatever is posted: entries sum to zero, versions count them, balances are their sums', () => {
    const movements = fc.array(fc.record({ from: fc.nat(3), to: fc.nat(3), amount: fc.bigInt(1n, 300n) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(movements, (list) => {
        const opening = [
          outside({ version: 0n }),
          ...['a', 'b', 'c'].map((id) => account({ id, version: 0n })),
        ];
        const accounts = [...opening];
        const sums = accounts.map(() => 0n);
        const counts = accounts.map(() => 0n);
        for (const { from, to, amount } of list) {
          if (from === to) continue;
          const outcome = post({
            transactionId: 't',
            from: accounts[from] as Account,
            to: accounts[to] as Account,
            amount,
          });
          if (!outcome.posted) continue;
          assert.equal(
            outcome.entries.reduce((sum, entry) => sum + entry.amount, 0n),
            0n,
          );
          for (const [index, changed] of [from, to].map(
            (place, side) => [place, outcome.accounts[side]] as const,
          )) {
            accounts[index] = changed as Account;
            sums[index] = (sums[index] as bigint) + (outcome.entries[index === from ? 0 : 1]?.amount ?? 0n);
            counts[index] = (counts[index] as bigint) + 1n;
          }
        }
        accounts.forEach((after, index) => {
          assert.equal(after.balance, (opening[index] as Account).balance + (sums[index] as bigint));
          assert.equal(after.version, counts[index]);
          if (after.kind === 'customer') assert.ok(after.balance >= after.held);
        });
      }),
    );
  });
});

describe('external accounts', () => {
  it('have ids that are derived, stable, distinct per currency and partition, and valid UUIDs', () => {
    const ids = ['EUR', 'USD'].flatMap((currency) =>
      Array.from({ length: 16 }, (_, partition) => externalAccountId({ currency, partition })),
    );
    assert.equal(new Set(ids).size, 32);
    assert.equal(externalAccountId({ currency: 'EUR', partition: 0 }), ids[0]);
    for (const id of ids)
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
