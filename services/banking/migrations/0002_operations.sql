-- What clients asked for and what became of it.

create table operations (
  id uuid not null,
  kind text not null,
  account_id uuid not null,
  idempotency_key text not null,
  -- SHA-256 of the canonical request: the same key with another request is refused.
  request_hash bytea not null,
  amount bigint not null,
  currency char(3) not null,
  status text not null default 'pending',
  balance_after bigint,
  error text,
  -- Who asked.
  principal_id text not null,
  correlation_id text not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint operations_pkey primary key (id),
  constraint operations_idempotency unique (account_id, idempotency_key),
  constraint operations_kind check (kind in ('deposit')),
  constraint operations_status check (status in ('pending', 'completed', 'failed', 'compensated', 'needs_attention')),
  constraint operations_amount check (amount > 0),
  constraint operations_completed_has_balance check (status <> 'completed' or balance_after is not null),
  constraint operations_failed_has_error check (status <> 'failed' or error is not null)
) with (fillfactor = 80);

-- Statements of an account's operations, newest first: ids are UUIDv7 and so carry the time.
create index operations_account_newest on operations (account_id, id desc);
