-- The transactional outbox, and the log that the PostgreSQL bus serves from it.
--
-- Ids are UUIDv7, minted when the event is appended, and the tables are range-partitioned by them, one
-- partition per UTC day, so that retention drops whole partitions. There is no default partition: it would
-- forbid DETACH CONCURRENTLY. `ensure_time_partitions` creates days ahead of time.

create sequence event_outbox_sequence;

create table event_outbox (
  id uuid not null,
  topic text not null,
  partition smallint not null,
  key text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  event_type text not null,
  payload jsonb not null,
  headers jsonb not null,
  -- The order of appending. A transaction that appends while it holds its key's row lock draws after the one
  -- before it has committed, so per key this is commit order. The transaction id is assigned before the
  -- number is drawn: the relay's floor relies on it (src/relay/floor.ts).
  sequence bigint not null
    default nextval(case when pg_current_xact_id() is not null then 'event_outbox_sequence'::regclass end),
  -- Its place in the log of (topic, partition): contiguous from 1, given by the leaseholder.
  position bigint,
  status text not null default 'PENDING',
  attempts integer not null default 0,
  last_error text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint event_outbox_pkey primary key (id),
  constraint event_outbox_status check (status in ('PENDING', 'PUBLISHED', 'FAILED')),
  constraint event_outbox_partition check (partition >= 0),
  constraint event_outbox_published_has_position check (status <> 'PUBLISHED' or position is not null)
) partition by range (id);

-- What the relay reads: only rows still to be published, in order.
create index event_outbox_pending on event_outbox (partition, sequence) where status = 'PENDING';
-- What consumer groups read.
create index event_outbox_log on event_outbox (topic, partition, position) where position is not null;
-- What people look for.
create index event_outbox_aggregate on event_outbox (aggregate_id);

-- Whoever sets an event back to PENDING, a person too, gives it a new number: the old one stands below the floor,
-- where nobody looks.
create function draw_new_sequence() returns trigger
language plpgsql
as $$
begin
  perform pg_current_xact_id();
  new.sequence := nextval('event_outbox_sequence');
  new.position := null;
  return new;
end
$$;

create trigger event_outbox_pending_again
  before update of status on event_outbox
  for each row when (new.status = 'PENDING' and old.status <> 'PENDING')
  execute function draw_new_sequence();

-- The last position given in each log. Updated in the statement that gives positions, so a reader that sees
-- the number sees the rows.
create table outbox_position (
  topic text not null,
  partition smallint not null,
  last_position bigint not null,
  constraint outbox_position_pkey primary key (topic, partition)
) with (fillfactor = 50);

-- One relay owns a partition at a time. Its epoch rises with every change of owner and fences the former one.
-- The number of rows is the number of partitions, fixed for the life of the database.
create table relay_lease (
  partition smallint not null,
  epoch bigint not null default 0,
  owner text,
  expires_at timestamptz not null default '-infinity',
  -- No pending event stands at or below it, and none can appear there any more.
  floor_sequence bigint not null default 0,
  constraint relay_lease_pkey primary key (partition)
) with (fillfactor = 50);

insert into relay_lease (partition)
select generate_series(0, 15);

-- Processes that want partitions, so that each can tell its fair share.
create table lease_member (
  scope text not null,
  member text not null,
  expires_at timestamptz not null,
  constraint lease_member_pkey primary key (scope, member)
);

create function uuid_at(moment timestamptz) returns uuid
language sql immutable
as $$
  select rpad(lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

comment on function uuid_at(timestamptz) is 'The smallest UUIDv7 of a moment: a bound for ranges of ids';

-- Creates the daily partitions of a table from its newest one up to `days_ahead` days from now. Days that were
-- missed while nothing ran become one wide partition. Safe to call from many processes at any time.
create function ensure_time_partitions(parent text, days_ahead integer) returns integer
language plpgsql
as $$
declare
  from_day date;
  to_day date;
  today date := (now() at time zone 'UTC')::date;
  created integer := 0;
  part text;
begin
  perform pg_advisory_xact_lock(hashtext('ensure_time_partitions'), hashtext(parent));
  -- A partition's name carries the day on which it ends.
  select max(right(child.relname, 8))::date into from_day
    from pg_inherits
    join pg_class child on child.oid = inhrelid
   where inhparent = parent::regclass;

  loop
    if from_day is null then
      to_day := today; -- everything before the first day
    elsif from_day < today then
      to_day := today;
    else
      to_day := from_day + 1;
    end if;
    exit when to_day > today + days_ahead + 1;
    part := parent || '_until_' || to_char(to_day, 'YYYYMMDD');
    -- Created aside and then attached: attaching does not lock out readers and writers of the parent.
    execute format('create table %I (like %I including all)', part, parent);
    execute format(
      'alter table %I attach partition %I for values from (%s) to (%L)',
      parent,
      part,
      case when from_day is null then 'minvalue' else quote_literal(uuid_at(from_day::timestamp at time zone 'UTC')) end,
      uuid_at(to_day::timestamp at time zone 'UTC')
    );
    from_day := to_day;
    created := created + 1;
  end loop;
  return created;
end
$$;

select ensure_time_partitions('event_outbox', 7);
