-- Answers of calls that came with an Idempotency-Key, for a day: a row is written in the transaction that makes its effect.
-- Neither the key nor the answer can be read here: the key is hashed, the answer sealed with what only the caller and the
-- service know.
CREATE TABLE idempotent_calls (
  actor text COLLATE "C" NOT NULL,
  key_hash bytea NOT NULL,
  request_hash bytea NOT NULL,
  -- Of an upload, which is known only when the last byte has come.
  content_hash bytea,
  answer bytea,
  -- An upload under way: no transaction could stay open for as long, so it holds the key by signs of life.
  holder uuid,
  held_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
  CONSTRAINT idempotent_calls_pkey PRIMARY KEY (actor, key_hash),
  CONSTRAINT idempotent_calls_hash_length CHECK (octet_length(key_hash) = 32 AND octet_length(request_hash) = 32),
  CONSTRAINT idempotent_calls_answered_or_held CHECK ((answer IS NULL) = (holder IS NOT NULL)),
  CONSTRAINT idempotent_calls_held_until_when_held CHECK ((holder IS NULL) = (held_until IS NULL))
);
CREATE INDEX idempotent_calls_created_at ON idempotent_calls (created_at);
