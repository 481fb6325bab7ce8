-- What takes longer than a request: one row a job, from the first byte of its upload on.
CREATE TABLE jobs (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  kind text NOT NULL,
  state text NOT NULL DEFAULT 'receiving',
  segment_id bigint,
  options jsonb NOT NULL,
  actor text NOT NULL,
  -- Which process is at it, and its last sign of life: a job whose process has died is taken up by another.
  owner uuid,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  rows bigint NOT NULL DEFAULT 0,
  processed bigint NOT NULL DEFAULT 0,
  added bigint NOT NULL DEFAULT 0,
  updated bigint NOT NULL DEFAULT 0,
  removed bigint NOT NULL DEFAULT 0,
  unchanged bigint NOT NULL DEFAULT 0,
  errors jsonb NOT NULL DEFAULT '[]',
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
  finished_at timestamptz,
  CONSTRAINT jobs_pkey PRIMARY KEY (id),
  CONSTRAINT jobs_kind_known CHECK (kind IN ('segment_import', 'user_import')),
  CONSTRAINT jobs_state_known CHECK (state IN ('receiving', 'queued', 'running', 'done', 'failed', 'cancelled')),
  CONSTRAINT jobs_finished_when_over CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))),
  CONSTRAINT jobs_segment_of_segment_import CHECK ((segment_id IS NOT NULL) = (kind = 'segment_import'))
);
CREATE INDEX jobs_open ON jobs (id) WHERE finished_at IS NULL;

-- Which users a bulk change that is being applied is about: single changes of them wait for it, instead of for a lock in the
-- middle of a statement that they share with others. A row holds 1,024 ids: `offsets` are those that are meant, null is all.
-- Segment 0 means every segment; block -1, every user.
CREATE TABLE import_holds (
  segment_id bigint NOT NULL,
  block bigint NOT NULL,
  job bigint NOT NULL,
  offsets smallint[],
  CONSTRAINT import_holds_pkey PRIMARY KEY (segment_id, block, job)
);

-- Received files, a table for each: rows_<job> as received, plan_<job> as it is to be applied.
CREATE SCHEMA import_staging;
