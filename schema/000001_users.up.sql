-- Users are keyed so that they can be spread over machines by id: nothing but user_keys knows external ids as keys,
-- and no foreign key points here.
CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  external_id text COLLATE "C",
  name text,
  attributes jsonb NOT NULL DEFAULT '{}',
  attributes_version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', statement_timestamp()),
  CONSTRAINT users_pkey PRIMARY KEY (id),
  CONSTRAINT users_external_id_length CHECK (octet_length(external_id) BETWEEN 1 AND 255),
  CONSTRAINT users_attributes_object CHECK (jsonb_typeof(attributes) = 'object')
);

-- Who an external id belongs to. Immutable while the user exists; gone with them.
CREATE TABLE user_keys (
  external_id text COLLATE "C",
  user_id bigint NOT NULL,
  CONSTRAINT user_keys_pkey PRIMARY KEY (external_id),
  CONSTRAINT user_keys_external_id_length CHECK (octet_length(external_id) BETWEEN 1 AND 255)
);

-- The attributes as they stood: one row per change, the current one included. As-of questions read these.
CREATE TABLE attribute_versions (
  user_id bigint NOT NULL,
  version bigint NOT NULL,
  at timestamptz NOT NULL,
  attributes jsonb NOT NULL,
  CONSTRAINT attribute_versions_pkey PRIMARY KEY (user_id, version)
);
