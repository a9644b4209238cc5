/**
 * A small finished run for tests of the verifier, written with plain SQL: three accounts of the run, an external
 * one, a stranger; eight acknowledged deposits (one of them failed), one refused, one unknown without effect.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type Database, migrate, type Transaction } from '@surefire/postgres';
import { testDatabase } from '@surefire/postgres/testing';
import type { Plan } from '../src/load/plan.ts';
import { createReceipts, type Receipts } from '../src/load/receipts.ts';
import { MIGRATIONS } from '../src/migrations.ts';

const AMOUNT = 250n;
const DEPOSITS = 10;
const REFUSED = 8;
const UNKNOWN = 9;
const FAILED = 7;

/** Ids that tests can name: `id('e', 12)` is event 12. They lie before all days, in the first partition. */
export function id(kind: 'a' | 'd' | 'e' | 'f', number: number): string {
  return `0000000${kind}-0000-7000-8000-${String(number).padStart(12, '0')}`;
}

export const ACCOUNTS = [id('a', 0), id('a', 1), id('a', 2)];
export const EXTERNAL = id('a', 100);
export const STRANGER = id('a', 200);

export const PLAN: Plan = {
  run: 'load-test',
  seed: 0,
  count: DEPOSITS,
  accounts: ACCOUNTS.length,
  amount: AMOUNT,
  accountOf: (number) => number % ACCOUNTS.length,
  keyOf: (number) => `load-test-${number}`,
};

export function settledReceipts(): Receipts {
  const receipts = createReceipts(DEPOSITS);
  for (let number = 0; number < DEPOSITS; number++) {
    if (number === REFUSED) receipts.note(number, 'refused');
    else if (number === UNKNOWN) receipts.note(number, 'unknown');
    else receipts.acknowledge(number, id('d', number));
  }
  return receipts;
}

/** A database in which the run has settled, with `fault` planted: triggers and constraints look away. */
export async function settledRun(fault = ''): Promise<{ db: Database; url: string } & AsyncDisposable> {
  const database = await testDatabase({ template: `settled_run_${fingerprint()}`, migrate: prepare });
  const db = connect({ url: database.url, max: 2 });
  if (fault !== '') {
    await db.transaction(async (tx) => {
      await tx.query('set local session_replication_role = replica');
      // Parameters are never used here, so that all of it can go as one simple query.
      await tx.query(fault);
    });
  }
  return {
    db,
    url: database.url,
    async [Symbol.asyncDispose]() {
      await db.close();
      await database.drop();
    },
  };
}

/** Changes with the migrations and with this file, so that no old template is used. */
function fingerprint(): string {
  const hash = createHash('sha256').update(readFileSync(import.meta.filename));
  for (const { directory } of MIGRATIONS) {
    for (const file of readdirSync(directory).toSorted()) hash.update(readFileSync(join(directory, file)));
  }
  return hash.digest('hex').slice(0, 12);
}

async function prepare(url: string): Promise<void> {
  await migrate({ url, modules: MIGRATIONS });
  const db = connect({ url, max: 1 });
  try {
    await db.transaction(writeRun);
  } finally {
    await db.close();
  }
}

async function writeRun(tx: Transaction): Promise<void> {
  const balances = new Map<string, bigint>();
  const versions = new Map<string, bigint>();
  let event = 0;

  async function append(topic: string, type: string, key: string, aggregate: string, payload: object) {
    event += 1;
    await tx.query(
      `insert into event_outbox
         (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers, status, position)
       values ($1, $2, 0, $3, 'test', $4, $5, $6, '{}', 'PUBLISHED', $7)`,
      [id('e', event), topic, key, aggregate, `surefire.banking.${type}.v1`, payload, event],
    );
    return id('e', event);
  }
  async function post(account: string, transaction: string, amount: bigint) {
    const balance = (balances.get(account) ?? 0n) + amount;
    const version = (versions.get(account) ?? 0n) + 1n;
    balances.set(account, balance);
    versions.set(account, version);
    return [account, version, transaction, amount, 'EUR', balance] as const;
  }

  for (const account of [...ACCOUNTS, STRANGER, EXTERNAL]) {
    const kind = account === EXTERNAL ? 'external' : 'customer';
    await tx.query(`insert into accounts (id, kind, owner, currency) values ($1, $2, 'test', 'EUR')`, [
      account,
      kind,
    ]);
    if (kind === 'customer')
      await append('banking', 'account_opened', account, account, { account_id: account });
  }
  for (let number = 0; number < REFUSED; number++) {
    const operation = id('d', number);
    const account = ACCOUNTS[PLAN.accountOf(number)] as string;
    const failed = number === FAILED;
    const data = { operation_id: operation, account_id: account, amount: Number(AMOUNT) };
    const requested = await append('banking', 'deposit_requested', account, operation, data);
    await tx.query(`insert into processed_events (consumer, event_id) values ('banking', $1)`, [requested]);
    if (failed) {
      await append('banking', 'deposit_failed', account, operation, { ...data, error: 'Account frozen' });
    } else {
      const entries = [await post(account, operation, AMOUNT), await post(EXTERNAL, operation, -AMOUNT)];
      await tx.query(
        `insert into ledger_entries (account_id, version, transaction_id, amount, currency, balance_after)
         select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::bigint[])`,
        [0, 1, 2, 3, 4, 5].map((column) => entries.map((entry) => entry[column])),
      );
      const reply = { ...data, balance_after: Number(balances.get(account)) };
      await append('banking', 'deposit_completed', account, operation, reply);
      await append('banking', 'funds_deposited', account, account, { ...reply, currency: 'EUR' });
    }
    await tx.query(
      `insert into operations (id, kind, account_id, idempotency_key, request_hash, amount, currency, status,
                               balance_after, error, principal_id, correlation_id)
       values ($1, 'deposit', $2, $3, '', $4, 'EUR', $5, $6, $7, 'test', 'test')`,
      [
        operation,
        account,
        PLAN.keyOf(number),
        AMOUNT,
        failed ? 'failed' : 'completed',
        failed ? null : balances.get(account),
        failed ? 'Account frozen' : null,
      ],
    );
  }
  for (const [account, balance] of balances) {
    await tx.query('update accounts set balance = $2, version = $3 where id = $1', [
      account,
      balance,
      versions.get(account),
    ]);
  }
  await tx.query(`insert into outbox_position values ('banking', 0, $1)`, [event]);
}
