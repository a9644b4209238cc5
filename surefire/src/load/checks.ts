/**
 * What must hold after a run, as SQL of the verifier's own. Every statement answers one row: what stands on
 * the left, what must equal it on the right, and the first offender, if any. They read the temporary tables
 * which `verify.ts` fills:
 *
 *   load_account    (id)                                                       accounts that the run opened
 *   load_deposit    (number, account_id, key, operation_id, outcome)          what the client knows
 *   load_operation  (id, account_id, key, amount, currency, status, …)        operations of these accounts
 *   load_event      (id, name, operation_id, status, position, …)             outbox rows keyed by them
 */
export type CheckStatement = {
  /** For scripts and tests. */
  id: string;
  name: string;
  leftIs: string;
  rightIs: string;
  sql: string;
};

const acknowledged: CheckStatement = {
  id: 'acknowledged',
  name: 'every acknowledged deposit exists exactly once, as it was asked for',
  leftIs: 'acknowledged',
  rightIs: 'operations',
  sql: `
    with matched as (
      select deposit.operation_id,
             count(operation.id) = 1
               and bool_and(operation.id = deposit.operation_id and operation.amount = deposit.amount) as good
        from load_deposit deposit
        left join load_operation operation
          on operation.account_id = deposit.account_id and operation.key = deposit.key
       where deposit.outcome = 'acknowledged'
       group by deposit.number, deposit.operation_id
    )
    select count(*) as left, count(*) filter (where good) as right,
           min(operation_id::text) filter (where good is not true) as first
      from matched`,
};

const askedFor: CheckStatement = {
  id: 'asked-for',
  name: 'no operation exists that was refused or never asked for',
  leftIs: 'operations',
  rightIs: 'asked for',
  sql: `
    select count(*) as left, count(deposit.number) as right,
           min(operation.id::text) filter (where deposit.number is null) as first
      from load_operation operation
      left join load_deposit deposit
        on deposit.account_id = operation.account_id
       and deposit.key = operation.key
       and deposit.outcome in ('acknowledged', 'unknown')`,
};

const settled: CheckStatement = {
  id: 'settled',
  name: 'every operation is settled',
  leftIs: 'operations',
  rightIs: 'completed + failed',
  sql: `
    select count(*) as left, count(*) filter (where status in ('completed', 'failed')) as right,
           min(id::text) filter (where status not in ('completed', 'failed')) as first
      from load_operation`,
};

const requested: CheckStatement = {
  id: 'requested',
  name: 'every operation has one DepositRequested',
  leftIs: 'operations',
  rightIs: 'with one',
  sql: eventsPerOperation({ of: 'true', good: 'requested = 1' }),
};

const completed: CheckStatement = {
  id: 'completed',
  name: 'every completed operation has one DepositCompleted and one FundsDeposited',
  leftIs: 'completed',
  rightIs: 'with one of each',
  sql: eventsPerOperation({
    of: `status = 'completed'`,
    good: 'completed = 1 and funds = 1 and failed = 0 and balances_agree',
  }),
};

const failed: CheckStatement = {
  id: 'failed',
  name: 'every failed operation has one DepositFailed and nothing else',
  leftIs: 'failed',
  rightIs: 'with one',
  sql: eventsPerOperation({
    of: `status = 'failed'`,
    good: 'failed = 1 and completed = 0 and funds = 0',
  }),
};

function eventsPerOperation(options: { of: string; good: string }): string {
  return `
    with counted as (
      select operation.id, operation.status,
             count(*) filter (where event.name = 'deposit_requested') as requested,
             count(*) filter (where event.name = 'deposit_completed') as completed,
             count(*) filter (where event.name = 'deposit_failed') as failed,
             count(*) filter (where event.name = 'funds_deposited') as funds,
             coalesce(bool_and(event.balance_after = operation.balance_after)
               filter (where event.balance_after is not null), true) as balances_agree
        from load_operation operation
        left join load_event event on event.operation_id = operation.id
       group by operation.id, operation.status
    )
    select count(*) as left, count(*) filter (where ${options.good}) as right,
           min(id::text) filter (where not (${options.good})) as first
      from counted
     where ${options.of}`;
}

const eventsOfOperations: CheckStatement = {
  id: 'events-of-operations',
  name: 'no event tells of an operation that does not exist',
  leftIs: 'events',
  rightIs: 'with an operation',
  sql: `
    select count(*) as left, count(operation.id) as right,
           min(event.id::text) filter (where operation.id is null) as first
      from load_event event
      left join load_operation operation on operation.id = event.operation_id
     where event.name <> 'account_opened'`,
};

const published: CheckStatement = {
  id: 'published',
  name: 'every event is published and has its position',
  leftIs: 'events',
  rightIs: 'published',
  sql: `
    select count(*) as left, count(*) filter (where good) as right,
           min(id::text) filter (where not good) as first
      from (select id, status = 'PUBLISHED' and position is not null as good from load_event) event`,
};

const inbox: CheckStatement = {
  id: 'inbox',
  name: 'the consumer took in every DepositRequested exactly once',
  leftIs: 'DepositRequested',
  rightIs: 'taken in once',
  sql: `
    with taken as (
      select event.id, count(processed.event_id) as times
        from load_event event
        left join processed_events processed
          on processed.event_id = event.id and processed.consumer = 'banking'
       where event.name = 'deposit_requested'
       group by event.id
    )
    select count(*) as left, count(*) filter (where times = 1) as right,
           min(id::text) filter (where times <> 1) as first
      from taken`,
};

const posted: CheckStatement = {
  id: 'posted',
  name: 'every completed operation has two entries that sum to zero',
  leftIs: 'completed',
  rightIs: 'posted',
  sql: `
    with posted as (
      select operation.id,
             count(entry.account_id) = 2
               and sum(entry.amount) = 0
               and count(distinct entry.currency) = 1
               and count(*) filter (
                     where entry.account_id = operation.account_id
                       and entry.amount = operation.amount
                       and entry.currency = operation.currency
                       and entry.balance_after = operation.balance_after) = 1 as good
        from load_operation operation
        left join ledger_entries entry on entry.transaction_id = operation.id
       where operation.status = 'completed'
       group by operation.id
    )
    select count(*) as left, count(*) filter (where good) as right,
           min(id::text) filter (where good is not true) as first
      from posted`,
};

const entriesOfOperations: CheckStatement = {
  id: 'entries-of-operations',
  name: 'no entry exists without a completed operation',
  leftIs: 'entries',
  rightIs: 'with one',
  sql: `
    select count(*) as left, count(operation.id) as right,
           min(entry.transaction_id::text) filter (where operation.id is null) as first
      from ledger_entries entry
      join load_account account on account.id = entry.account_id
      left join load_operation operation
        on operation.id = entry.transaction_id and operation.status = 'completed'`,
};

const runningBalance: CheckStatement = {
  id: 'running-balance',
  name: 'every entry continues the balance of the one before it',
  leftIs: 'entries',
  rightIs: 'continuing',
  sql: `
    with entry as (
      select entry.account_id,
             entry.balance_after
               = entry.amount + lag(entry.balance_after, 1, 0::numeric) over history
               and entry.version = row_number() over history as good
        from ledger_entries entry
        join load_account account on account.id = entry.account_id
      window history as (partition by entry.account_id order by entry.version)
    )
    select count(*) as left, count(*) filter (where good) as right,
           min(account_id::text) filter (where not good) as first
      from entry`,
};

const balances: CheckStatement = {
  id: 'balances',
  name: 'every account of the run holds its completed deposits',
  leftIs: 'accounts',
  rightIs: 'exact',
  sql: `
    with expected as (
      select listed.id, coalesce(sum(operation.amount), 0) as balance, count(operation.id) as version
        from load_account listed
        left join load_operation operation
          on operation.account_id = listed.id and operation.status = 'completed'
       group by listed.id
    )
    select count(*) as left, count(*) filter (where good) as right,
           min(id::text) filter (where good is not true) as first
      from (select expected.id,
                   account.balance = expected.balance and account.version = expected.version as good
              from expected
              left join accounts account on account.id = expected.id) compared`,
};

const allBalances: CheckStatement = {
  id: 'all-balances',
  name: 'every account of the database equals its entries, in sum and in number',
  leftIs: 'accounts',
  rightIs: 'equal',
  sql: `
    with entry as (
      select account_id, sum(amount) as balance, count(*) as version
        from ledger_entries
       group by account_id
    )
    select count(*) as left, count(*) filter (where good) as right,
           min(id::text) filter (where not good) as first
      from (select coalesce(account.id, entry.account_id) as id,
                   account.id is not null
                     and account.balance = coalesce(entry.balance, 0)
                     and account.version = coalesce(entry.version, 0) as good
              from accounts account
              full join entry on entry.account_id = account.id) compared`,
};

const wholeLedger: CheckStatement = {
  id: 'whole-ledger',
  name: 'the whole ledger sums to zero in every currency',
  leftIs: 'credits',
  rightIs: 'debits',
  sql: `
    with currency as (
      select currency, sum(amount) filter (where amount > 0) as credits, -sum(amount) filter (where amount < 0) as debits
        from ledger_entries
       group by currency
    )
    select string_agg(currency || ' ' || coalesce(credits, 0), ', ' order by currency) as left,
           string_agg(currency || ' ' || coalesce(debits, 0), ', ' order by currency) as right,
           min(currency::text) filter (where credits is distinct from debits) as first
      from currency`,
};

// Once retention has dropped the oldest days, a log begins later; how much later nobody can tell.
const positions: CheckStatement = {
  id: 'positions',
  name: 'positions of every log are contiguous from 1, none twice',
  leftIs: 'positions given',
  rightIs: 'found',
  sql: `
    with log as (
      select topic, partition, count(*) as events, count(distinct position) as places,
             min(position) as lowest, max(position) as highest
        from event_outbox
       where position is not null
       group by topic, partition
    ), retention as (
      select not exists (
        select from pg_inherits
          join pg_class child on child.oid = inhrelid
         where inhparent = 'event_outbox'::regclass
           and pg_get_expr(child.relpartbound, child.oid) like '%MINVALUE%') as has_dropped
    ), compared as (
      select coalesce(log.topic, given.topic) || '/' || coalesce(log.partition, given.partition) as name,
             case when has_dropped then coalesce(given.last_position - log.lowest + 1, 0)
                  else coalesce(given.last_position, 0) end as given,
             coalesce(log.places, 0) as found,
             coalesce(log.events, 0) = coalesce(log.places, 0)
               and (log.highest is null or log.highest = given.last_position) as good
        from log
        full join outbox_position given on given.topic = log.topic and given.partition = log.partition
       cross join retention
    )
    select coalesce(sum(given), 0) as left, coalesce(sum(found), 0) as right,
           min(name) filter (where given <> found or good is not true) as first
      from compared`,
};

const order: CheckStatement = {
  id: 'order',
  name: "each account's DepositCompleted stand in the order of its balance",
  leftIs: 'DepositCompleted',
  rightIs: 'in order',
  sql: `
    select count(*) as left, count(*) filter (where good) as right,
           min(id::text) filter (where good is not true) as first
      from (select id,
                   coalesce(balance_after > lag(balance_after) over (partition by key order by position), true)
                     as good
              from load_event
             where name = 'deposit_completed') event`,
};

const stranded: CheckStatement = {
  id: 'stranded',
  name: 'no event of the database waits where the relay no longer looks',
  leftIs: 'allowed',
  rightIs: 'found',
  sql: `
    select 0 as left, count(*) as right, min(event.id::text) as first
      from event_outbox event
      join relay_lease lease on lease.partition = event.partition
     where event.status = 'PENDING' and event.sequence <= lease.floor_sequence`,
};

export const CHECKS: readonly CheckStatement[] = [
  acknowledged,
  askedFor,
  settled,
  requested,
  completed,
  failed,
  eventsOfOperations,
  published,
  inbox,
  posted,
  entriesOfOperations,
  runningBalance,
  balances,
  allBalances,
  wholeLedger,
  positions,
  order,
  stranded,
];
