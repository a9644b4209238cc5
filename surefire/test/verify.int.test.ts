import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CHECKS } from '../src/load/checks.ts';
import { verify } from '../src/load/verify.ts';
import { ACCOUNTS, EXTERNAL, id, PLAN, STRANGER, settledReceipts, settledRun } from './settled-run.ts';

async function verifyWith(fault: string) {
  await using run = await settledRun(fault);
  return await verify({ db: run.db, plan: PLAN, accountIds: ACCOUNTS, receipts: settledReceipts() });
}

const account = ACCOUNTS[0] as string;
/** Events of deposit 0, by the order in which the run appended them: four accounts were opened before. */
const [requested, completed, funds] = [id('e', 5), id('e', 6), id('e', 7)];
const copyOperation = (newId: string, key: string) => `
  insert into operations
    (id, kind, account_id, idempotency_key, request_hash, amount, currency, status, error, principal_id, correlation_id)
  select '${newId}', kind, account_id, '${key}', request_hash, amount, currency, 'failed', 'x', principal_id, correlation_id
    from operations where id = '${id('d', 0)}'`;
const copyEvent = (
  from: string,
  changes: { id: string; position: string; status?: string; key?: string },
) => `
  insert into event_outbox
    (id, topic, partition, key, aggregate_type, aggregate_id, event_type, payload, headers, status, position, sequence)
  select '${changes.id}', topic, partition, ${changes.key ?? 'key'}, aggregate_type, aggregate_id, event_type, payload,
         headers, '${changes.status ?? 'PUBLISHED'}', ${changes.position}, 1000
    from event_outbox where id = '${from}'`;

/** What is planted, its SQL, the checks that must fail, and the first offender that one of them must name. */
const FAULTS: [string, string, string[], string?][] = [
  [
    'an acknowledged operation is lost',
    `delete from operations where id = '${id('d', 0)}'`,
    ['acknowledged', 'events-of-operations', 'entries-of-operations', 'balances'],
    id('d', 0),
  ],
  [
    'an acknowledged operation has another id',
    `update operations set id = '${id('d', 77)}' where id = '${id('d', 7)}'`,
    ['acknowledged', 'requested', 'failed', 'events-of-operations'],
    id('d', 7),
  ],
  [
    'an operation has another amount than was asked for',
    `update operations set amount = 300 where id = '${id('d', 0)}'`,
    ['acknowledged', 'posted', 'balances'],
    id('d', 0),
  ],
  [
    'an operation stands twice under one key',
    `alter table operations drop constraint operations_idempotency; ${copyOperation(id('d', 50), PLAN.keyOf(0))}`,
    ['acknowledged', 'requested', 'failed'],
    id('d', 50),
  ],
  [
    'a refused deposit has an operation',
    copyOperation(id('d', 50), PLAN.keyOf(8)),
    ['asked-for', 'requested', 'failed'],
    id('d', 50),
  ],
  [
    'an operation exists that nobody asked for',
    copyOperation(id('d', 50), 'somebody else'),
    ['asked-for', 'requested', 'failed'],
    id('d', 50),
  ],
  [
    'an operation is never settled',
    `update operations set status = 'pending' where id = '${id('d', 7)}'`,
    ['settled'],
    id('d', 7),
  ],
  [
    'an outbox row is lost',
    `delete from event_outbox where id = '${requested}'`,
    ['requested', 'positions'],
    'banking/0',
  ],
  [
    'a reply is lost',
    `delete from event_outbox where id = '${completed}'`,
    ['completed', 'positions'],
    id('d', 0),
  ],
  [
    'a fact is lost',
    `delete from event_outbox where id = '${funds}'`,
    ['completed', 'positions'],
    id('d', 0),
  ],
  [
    'a reply tells of another balance',
    `update event_outbox set payload = jsonb_set(payload, '{balance_after}', '1') where id = '${completed}'`,
    ['completed'],
    id('d', 0),
  ],
  [
    'an event was appended twice',
    `${copyEvent(requested, { id: id('f', 1), position: '28' })}; update outbox_position set last_position = 28`,
    ['requested', 'inbox'],
    id('f', 1),
  ],
  [
    'an event is still pending',
    `update event_outbox set status = 'PENDING', position = null where id = '${id('e', 27)}';
     update outbox_position set last_position = 26`,
    ['published'],
    id('e', 27),
  ],
  [
    'an event is in quarantine',
    `update event_outbox set status = 'FAILED' where id = '${funds}'`,
    ['published'],
    funds,
  ],
  [
    'a failed operation has a fact of money',
    `update event_outbox set event_type = 'surefire.banking.funds_deposited.v1'
      where payload ->> 'operation_id' = '${id('d', 7)}' and event_type like '%deposit_failed%'`,
    ['failed'],
    id('d', 7),
  ],
  [
    'the inbox lost a row',
    `delete from processed_events where event_id = '${requested}'`,
    ['inbox'],
    requested,
  ],
  [
    'the inbox has a row twice',
    `alter table processed_events drop constraint processed_events_pkey;
     insert into processed_events (consumer, event_id) values ('banking', '${requested}')`,
    ['inbox'],
    requested,
  ],
  [
    "the inbox row is another group's",
    `update processed_events set consumer = 'other' where event_id = '${requested}'`,
    ['inbox'],
    requested,
  ],
  [
    'an entry is lost',
    `delete from ledger_entries where transaction_id = '${id('d', 6)}' and account_id = '${account}'`,
    ['posted', 'all-balances', 'whole-ledger'],
    id('d', 6),
  ],
  [
    'an entry has another amount',
    `update ledger_entries set amount = amount + 1 where transaction_id = '${id('d', 0)}' and account_id = '${account}'`,
    ['posted', 'running-balance', 'all-balances', 'whole-ledger'],
    'EUR',
  ],
  [
    'a transaction was posted twice',
    `insert into ledger_entries select account_id, version + 100, transaction_id, amount, currency, balance_after, now()
       from ledger_entries where transaction_id = '${id('d', 6)}'`,
    ['posted', 'running-balance', 'all-balances'],
    id('d', 6),
  ],
  [
    'money came from nowhere, in balance',
    `insert into ledger_entries values ('${account}', 4, '${id('f', 9)}', 5, 'EUR', 755),
                                       ('${EXTERNAL}', 8, '${id('f', 9)}', -5, 'EUR', -1755);
     update accounts set balance = 755, version = 4 where id = '${account}';
     update accounts set balance = -1755, version = 8 where id = '${EXTERNAL}'`,
    ['entries-of-operations', 'balances'],
    id('f', 9),
  ],
  [
    'a balance was altered',
    `update accounts set balance = balance + 1 where id = '${account}'`,
    ['balances', 'all-balances'],
    account,
  ],
  [
    'a version was altered',
    `update accounts set version = version + 1 where id = '${account}'`,
    ['balances', 'all-balances'],
    account,
  ],
  [
    "a stranger's balance was altered",
    `update accounts set balance = 1 where id = '${STRANGER}'`,
    ['all-balances'],
    STRANGER,
  ],
  [
    'an account is gone',
    `delete from accounts where id = '${account}'`,
    ['balances', 'all-balances'],
    account,
  ],
  [
    'a position was given twice',
    `update event_outbox set position = 6 where id = '${requested}'`,
    ['positions'],
    'banking/0',
  ],
  [
    'a position is missing',
    `update event_outbox set position = position + 1 where position > 20`,
    ['positions'],
    'banking/0',
  ],
  ['a log is ahead of its rows', `update outbox_position set last_position = 40`, ['positions'], 'banking/0'],
  ['a log has rows and no end', `delete from outbox_position`, ['positions'], 'banking/0'],
  [
    "two replies of an account stand in the other's place",
    `update event_outbox set position = case id when '${completed}' then 15 else 6 end
      where id in ('${completed}', '${id('e', 15)}')`,
    ['order'],
    id('e', 6),
  ],
  [
    'an event waits below the floor',
    `${copyEvent(requested, { id: id('f', 1), position: 'null', status: 'PENDING', key: `'stranger'` })};
     update relay_lease set floor_sequence = 1000`,
    ['stranded'],
    id('f', 1),
  ],
];

void describe('verifying a run', () => {
  void it('finds nothing wrong with a run that has settled', async () => {
    const { checks, ...figures } = await verifyWith('');
    assert.deepEqual(
      checks.filter((check) => !check.ok),
      [],
    );
    assert.equal(checks.length, CHECKS.length);
    const { databaseSeconds, ...counts } = figures;
    assert.deepEqual(counts, { completed: 7, failed: 1, events: 23 });
    assert.ok(databaseSeconds !== undefined && databaseSeconds < 60);
  });

  for (const [fault, sql, failing, first] of FAULTS) {
    void it(`notices when ${fault}`, async () => {
      const { checks } = await verifyWith(sql);
      const failed = checks.filter((check) => !check.ok);
      assert.deepEqual(failed.map((check) => check.id).toSorted(), failing.toSorted());
      if (first !== undefined)
        assert.ok(
          failed.some((check) => check.first === first),
          JSON.stringify(failed),
        );
    });
  }

  void it('has a planted fault for every check', () => {
    const proven = new Set(FAULTS.flatMap(([, , failing]) => failing));
    assert.deepEqual(
      CHECKS.map((check) => check.id).filter((check) => !proven.has(check)),
      [],
    );
  });
});
