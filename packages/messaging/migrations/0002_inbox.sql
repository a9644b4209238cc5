-- The inbox: what each consumer group has already taken in, written in the transaction of the effect.

create table processed_events (
  consumer text not null,
  event_id uuid not null,
  -- The business transaction (operation, trade) it belonged to, for people who search.
  transaction_id text,
  outcome text not null default 'applied',
  processed_at timestamptz not null default now(),
  constraint processed_events_pkey primary key (consumer, event_id),
  constraint processed_events_outcome check (outcome in ('applied', 'rejected', 'skipped'))
) partition by range (event_id);

select ensure_time_partitions('processed_events', 7);

-- One process of a group owns a partition at a time, fenced like the relay's.
create table consumer_lease (
  consumer text not null,
  partition smallint not null,
  epoch bigint not null default 0,
  owner text,
  expires_at timestamptz not null default '-infinity',
  constraint consumer_lease_pkey primary key (consumer, partition)
) with (fillfactor = 50);

-- Up to where a group has settled each log.
create table consumer_cursor (
  consumer text not null,
  topic text not null,
  partition smallint not null,
  position bigint not null default 0,
  updated_at timestamptz not null default now(),
  constraint consumer_cursor_pkey primary key (consumer, topic, partition)
) with (fillfactor = 50);
