import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AMOUNT_MAX } from '../src/rules/account.ts';
import { acceptDeposit } from '../src/rules/deposit.ts';

type Target = Parameters<typeof acceptDeposit>[0];
const open: Target = { kind: 'customer', currency: 'EUR', status: 'open' };

describe('accepting a deposit', () => {
  // The order of lines is the order in which refusals win.
  const table: [string, Target, { amount: bigint; currency?: string }, string | undefined][] = [
    ['nothing', undefined, { amount: 0n, currency: 'XXQ' }, 'AMOUNT_OUT_OF_RANGE'],
    ['a negative amount', open, { amount: -1n }, 'AMOUNT_OUT_OF_RANGE'],
    ['more than a JSON number carries', open, { amount: AMOUNT_MAX + 1n }, 'AMOUNT_OUT_OF_RANGE'],
    ['a currency that does not exist', undefined, { amount: 1n, currency: 'XXQ' }, 'UNKNOWN_CURRENCY'],
    ['a currency in lower case', open, { amount: 1n, currency: 'eur' }, 'UNKNOWN_CURRENCY'],
    ['a missing account', undefined, { amount: 1n }, 'ACCOUNT_NOT_FOUND'],
    ['an account of the outside world', { ...open, kind: 'external' }, { amount: 1n }, 'ACCOUNT_NOT_FOUND'],
    ['a closed account', { ...open, status: 'closed' }, { amount: 1n, currency: 'USD' }, 'ACCOUNT_CLOSED'],
    ['a frozen account', { ...open, status: 'frozen' }, { amount: 1n, currency: 'USD' }, 'ACCOUNT_FROZEN'],
    ['another currency', open, { amount: 1n, currency: 'USD' }, 'CURRENCY_MISMATCH'],
    ['the smallest amount', open, { amount: 1n }, undefined],
    ['the largest amount', open, { amount: AMOUNT_MAX }, undefined],
    ['the account’s own currency', open, { amount: 1n, currency: 'EUR' }, undefined],
  ];
  for (const [name, account, command, refusal] of table) {
    it(refusal === undefined ? `accepts ${name}` : `refuses ${name}: ${refusal}`, () => {
      const expected =
        refusal === undefined ? { accepted: true, currency: 'EUR' } : { accepted: false, refusal };
      assert.deepEqual(acceptDeposit(account, command), expected);
    });
  }
});
