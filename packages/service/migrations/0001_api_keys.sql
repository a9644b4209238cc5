-- Who may call the API. Keys are high-entropy, so a plain SHA-256 of them is kept, and the key itself nowhere.
create table api_keys (
  id           uuid        constraint api_keys_pkey primary key,
  name         text        not null,
  -- What may be shown of the key, to tell it from others.
  prefix       text        not null,
  hash         bytea       not null,
  role         text        not null,
  principal_id text        not null,
  scopes       text[]      not null,
  created_at   timestamptz not null default now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  constraint api_keys_hash_key unique (hash),
  constraint api_keys_hash_is_sha256 check (octet_length(hash) = 32),
  constraint api_keys_role_known check (role in ('operator', 'customer')),
  constraint api_keys_scopes_not_empty check (cardinality(scopes) > 0),
  constraint api_keys_name_not_empty check (name <> ''),
  constraint api_keys_principal_not_empty check (principal_id <> '')
);

create index api_keys_principal on api_keys (principal_id);
