-- What a consumer group could not apply: the event that failed, and whatever of its key came after it.

create table waiting_events (
  consumer text not null,
  topic text not null,
  partition smallint not null,
  position bigint not null,
  key text not null,
  event_id uuid not null,
  -- retry: the first of its key, tried again at retry_at; behind: waits for the one before it;
  -- dead: given up, see dead_letters; its key waits for a person.
  state text not null,
  attempts integer not null default 0,
  retry_at timestamptz,
  last_error text,
  waiting_since timestamptz not null default now(),
  constraint waiting_events_pkey primary key (consumer, topic, partition, position),
  constraint waiting_events_state check (state in ('retry', 'behind', 'dead')),
  constraint waiting_events_retry_has_time check (state <> 'retry' or retry_at is not null)
);

create index waiting_events_key on waiting_events (consumer, topic, key, position);
create index waiting_events_due on waiting_events (consumer, partition, retry_at) where state = 'retry';

-- The truth about what was given up. Never deleted by the platform.
create table dead_letters (
  id uuid not null,
  consumer text not null,
  topic text not null,
  partition smallint not null,
  position bigint not null,
  key text not null,
  event_id uuid not null,
  event_type text not null,
  -- poison: can never be applied as it is; exhausted: failed as often as it may; rejected: refused by the business.
  class text not null,
  reason text not null,
  error jsonb not null,
  attempts integer not null,
  headers jsonb not null,
  payload jsonb not null,
  status text not null default 'open',
  -- Who decided what, and why: one entry per act.
  acts jsonb not null default '[]',
  first_failed_at timestamptz not null,
  last_failed_at timestamptz not null default clock_timestamp(),
  resolved_at timestamptz,
  constraint dead_letters_pkey primary key (id),
  -- An event that is given up again after a redrive is the same dead letter.
  constraint dead_letters_event unique (consumer, event_id),
  constraint dead_letters_class check (class in ('poison', 'exhausted', 'rejected')),
  constraint dead_letters_status check (status in ('open', 'redriving', 'discarding', 'redriven', 'discarded')),
  constraint dead_letters_resolved check ((status in ('redriven', 'discarded')) = (resolved_at is not null))
);

create index dead_letters_open on dead_letters (consumer, id) where status = 'open';
-- What people have decided and the group has still to carry out.
create index dead_letters_decided on dead_letters (consumer, partition) where status in ('redriving', 'discarding');
