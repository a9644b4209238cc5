/**
 * The two doors are kept apart by types: this file is compiled with the rest, and a wrong call that compiles
 * makes `@ts-expect-error` an error.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { contract, event } from '@surefire/events';
import type { Database, Transaction } from '@surefire/postgres';
import type { Outbox } from '../src/index.ts';
import { Happened } from './support.ts';

const Liked = contract({ ...Happened, name: 'test.liked', delivery: 'best-effort' });

export async function wrongDoors(outbox: Outbox, db: Database, tx: Transaction): Promise<void> {
  await outbox.append(tx, [event(Happened, { key: 'k', n: 1 })]);
  // @ts-expect-error a best-effort event does not belong in the outbox
  await outbox.append(tx, [event(Liked, { key: 'k', n: 1 })]);
  // @ts-expect-error the outbox takes an open transaction, not a database
  await outbox.append(db, [event(Happened, { key: 'k', n: 1 })]);
}

it('takes critical events and an open transaction, and nothing else compiles', () => {
  assert.equal(typeof wrongDoors, 'function');
});
