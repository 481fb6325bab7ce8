-- A layer divides all users by one salt; each of its segments takes a range of buckets. A deleted one keeps its row, and its
-- salt, for questions about the past; `live` is null then.
CREATE TABLE layers (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 1000000000),
  slug text COLLATE "C" NOT NULL,
  salt text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', statement_timestamp()),
  deleted_at timestamptz,
  live boolean GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN true END) STORED,
  CONSTRAINT layers_pkey PRIMARY KEY (id),
  CONSTRAINT layers_live_key UNIQUE (id, live),
  CONSTRAINT layers_slug_form CHECK (slug ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$')
);
CREATE UNIQUE INDEX layers_slug_key ON layers (slug) WHERE deleted_at IS NULL;

ALTER TABLE segments
  ADD COLUMN bucket_by text,
  ADD COLUMN ramp jsonb,
  ADD COLUMN layer_id bigint,
  ADD COLUMN layer_from numeric(6, 3),
  ADD COLUMN layer_to numeric(6, 3),
  ADD COLUMN active_from timestamptz,
  ADD COLUMN active_until timestamptz,
  ADD COLUMN layer_live boolean GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL AND layer_id IS NOT NULL THEN true END) STORED,
  ADD CONSTRAINT segments_one_share CHECK (num_nonnulls(percentage, ramp, layer_id) <= 1),
  ADD CONSTRAINT segments_ramp_object CHECK (jsonb_typeof(ramp) = 'object'),
  ADD CONSTRAINT segments_layer_whole CHECK (num_nonnulls(layer_id, layer_from, layer_to) IN (0, 3)),
  ADD CONSTRAINT segments_layer_range CHECK (0 <= layer_from AND layer_from < layer_to AND layer_to <= 100),
  ADD CONSTRAINT segments_active_range CHECK (active_from < active_until),
  -- Holds only what is live on both sides: a layer in use cannot be deleted, however the two race.
  ADD CONSTRAINT segments_layer_fkey FOREIGN KEY (layer_id, layer_live) REFERENCES layers (id, live),
  -- Each layer has a stretch of its own on one line of numbers, so that core PostgreSQL can exclude overlaps within it.
  ADD CONSTRAINT segments_layer_overlap EXCLUDE USING gist (
    int8range(layer_id * 1000000 + (layer_from * 1000)::bigint, layer_id * 1000000 + (layer_to * 1000)::bigint) WITH &&
  ) WHERE (deleted_at IS NULL AND layer_id IS NOT NULL);

ALTER TABLE segment_versions
  ADD COLUMN bucket_by text,
  ADD COLUMN ramp jsonb,
  ADD COLUMN layer_id bigint,
  ADD COLUMN layer_from numeric(6, 3),
  ADD COLUMN layer_to numeric(6, 3),
  ADD COLUMN active_from timestamptz,
  ADD COLUMN active_until timestamptz,
  ADD CONSTRAINT segment_versions_layer_fkey FOREIGN KEY (layer_id) REFERENCES layers;
