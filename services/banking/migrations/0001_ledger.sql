-- Accounts and the double-entry ledger. Amounts are integer minor units of the account's currency.

create table accounts (
  id uuid not null,
  kind text not null,
  owner text not null,
  currency char(3) not null,
  -- Without a limit for the outside world, which faces every customer; a customer's has one (see below).
  balance numeric(40, 0) not null default 0,
  -- Reserved for operations under way; available = balance - held.
  held bigint not null default 0,
  status text not null default 'open',
  -- Counts the account's ledger entries.
  version bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint accounts_pkey primary key (id),
  constraint accounts_kind check (kind in ('customer', 'external')),
  constraint accounts_status check (status in ('open', 'frozen', 'closed')),
  constraint accounts_currency check (currency ~ '^[A-Z]{3}$'),
  constraint accounts_held check (held >= 0),
  -- The floor, and the largest integer that JSON carries exactly. External accounts are the other side of every
  -- deposit and may hold any sum.
  constraint accounts_floor check (kind = 'external' or balance - held >= 0),
  constraint accounts_ceiling check (kind = 'external' or balance <= 9007199254740991)
) with (fillfactor = 70);

create index accounts_owner on accounts (owner, id);

create function refuse_change() returns trigger
language plpgsql
as $$
begin
  raise exception '% refuses %', tg_table_name, lower(tg_op) using errcode = 'restrict_violation';
end
$$;

-- Accounts are closed, never deleted. This also stands in for foreign keys to them, whose row locks would
-- make every deposit write to its account's row twice.
create trigger accounts_never_deleted
  before delete or truncate on accounts
  for each statement execute function refuse_change();

create table ledger_entries (
  account_id uuid not null,
  -- The account's version after this entry: 1, 2, 3 …
  version bigint not null,
  transaction_id uuid not null,
  amount bigint not null,
  currency char(3) not null,
  balance_after numeric(40, 0) not null,
  created_at timestamptz not null default now(),
  constraint ledger_entries_pkey primary key (account_id, version),
  constraint ledger_entries_not_zero check (amount <> 0)
);

create index ledger_entries_transaction on ledger_entries (transaction_id);

-- Entries are append-only, and the database itself says so.
create trigger ledger_entries_append_only
  before update or delete or truncate on ledger_entries
  for each statement execute function refuse_change();

-- Every statement that posts must post whole transactions: each sums to zero per currency.
create function refuse_unbalanced() returns trigger
language plpgsql
as $$
declare
  unbalanced uuid;
begin
  select transaction_id into unbalanced
    from posted
   group by transaction_id, currency
  having sum(amount) <> 0
   limit 1;
  if found then
    raise exception 'ledger transaction % does not sum to zero', unbalanced using errcode = 'check_violation';
  end if;
  return null;
end
$$;

create trigger ledger_entries_balanced
  after insert on ledger_entries
  referencing new table as posted
  for each statement execute function refuse_unbalanced();
