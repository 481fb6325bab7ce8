-- One row: the revision of the definitions. Every change of a segment raises it first, so its row lock makes writers of
-- definitions take turns and commit in the order of their revisions.
CREATE TABLE definitions (
  singleton boolean NOT NULL DEFAULT true,
  revision bigint NOT NULL,
  CONSTRAINT definitions_pkey PRIMARY KEY (singleton),
  CONSTRAINT definitions_one_row CHECK (singleton)
);
INSERT INTO definitions (revision) VALUES (0);

-- A deleted segment keeps its row, for history and for its members' remove rows; `live` is null then.
CREATE TABLE segments (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  slug text COLLATE "C" NOT NULL,
  description text,
  tags text[] NOT NULL DEFAULT '{}',
  percentage numeric(6, 3),
  condition jsonb,
  salt text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  revision bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  deleted_by text,
  live boolean GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN true END) STORED,
  CONSTRAINT segments_pkey PRIMARY KEY (id),
  CONSTRAINT segments_live_key UNIQUE (id, live),
  CONSTRAINT segments_slug_form CHECK (slug ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$'),
  CONSTRAINT segments_percentage_range CHECK (percentage BETWEEN 0 AND 100),
  CONSTRAINT segments_condition_object CHECK (jsonb_typeof(condition) = 'object'),
  CONSTRAINT segments_deleted_by_someone CHECK ((deleted_at IS NULL) = (deleted_by IS NULL))
);
CREATE UNIQUE INDEX segments_slug_key ON segments (slug) WHERE deleted_at IS NULL;
CREATE INDEX segments_revision ON segments (revision);
CREATE INDEX segments_tags ON segments USING gin (tags) WHERE deleted_at IS NULL;

-- Which conditions name which segments. The foreign key holds only live ones, so a segment that is named cannot be
-- deleted, by any caller and in any race.
CREATE TABLE segment_references (
  segment_id bigint NOT NULL,
  referenced_id bigint NOT NULL,
  referenced_live boolean NOT NULL DEFAULT true,
  CONSTRAINT segment_references_pkey PRIMARY KEY (segment_id, referenced_id),
  CONSTRAINT segment_references_segment_fkey FOREIGN KEY (segment_id) REFERENCES segments,
  CONSTRAINT segment_references_referenced_fkey FOREIGN KEY (referenced_id, referenced_live) REFERENCES segments (id, live),
  CONSTRAINT segment_references_referenced_is_live CHECK (referenced_live),
  CONSTRAINT segment_references_not_itself CHECK (segment_id <> referenced_id)
);
CREATE INDEX segment_references_referenced ON segment_references (referenced_id);

-- Every state a definition ever had, the current one included. A row with action `delete` ends it.
CREATE TABLE segment_versions (
  segment_id bigint NOT NULL,
  version bigint NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  slug text COLLATE "C" NOT NULL,
  description text,
  tags text[] NOT NULL,
  percentage numeric(6, 3),
  condition jsonb,
  CONSTRAINT segment_versions_pkey PRIMARY KEY (segment_id, version),
  CONSTRAINT segment_versions_segment_fkey FOREIGN KEY (segment_id) REFERENCES segments,
  CONSTRAINT segment_versions_action_known CHECK (action IN ('create', 'update', 'delete'))
);
CREATE INDEX segment_versions_at ON segment_versions (at);
