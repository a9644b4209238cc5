import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Role } from '@surefire/service';
import { planPools } from '../src/pools.ts';

describe('dividing the connections of a process', () => {
  const table: [Role[], number | undefined, object][] = [
    [['api'], undefined, { operations: 2, api: 8 }],
    [['relay'], undefined, { operations: 2, relay: 3 }],
    [['banking'], undefined, { operations: 2, consumers: 3, bus: 2 }],
    [['api', 'relay', 'banking'], undefined, { operations: 2, api: 8, relay: 3, consumers: 3, bus: 2 }],
    [['api'], 4, { operations: 2, api: 2 }],
    [['api'], 50, { operations: 2, api: 48 }],
    [['banking'], 10, { operations: 2, consumers: 6, bus: 2 }],
    [['relay'], 10, { operations: 2, relay: 8 }],
    [['api', 'relay', 'banking'], 10, { operations: 2, api: 2, relay: 2, consumers: 2, bus: 2 }],
  ];
  for (const [roles, max, plan] of table) {
    it(`gives ${roles.join(', ')} ${max === undefined ? 'the usual' : `at most ${max}`}`, () => {
      assert.deepEqual(planPools({ roles, max }), plan);
    });
  }

  it('refuses a limit that cannot carry the roles, in one sentence', () => {
    assert.throws(
      () => planPools({ roles: ['api', 'relay', 'banking'], max: 9 }),
      /SUREFIRE_DB_POOL_MAX=9 is too small: the roles api, relay, banking need at least 10 connections\./,
    );
  });
});
