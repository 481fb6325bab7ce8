-- Whether changes of members are recorded: a feed follows the segment, or one whose condition names it. A column, so that
-- the statement that changes memberships reads it from the row it locks anyway.
ALTER TABLE segments ADD COLUMN followed boolean NOT NULL DEFAULT false;

-- The outbox: events for feeds, inserted in the transaction of the change, and deleted by the one that publishes them. A row that
-- is committed late is published late; readers do not follow its numbers.
CREATE TABLE feed_events (
  seq bigint GENERATED ALWAYS AS IDENTITY,
  kind text NOT NULL,
  segment_id bigint,
  user_id bigint,
  -- Of an override: what stands after it; null for none.
  mode text,
  at timestamptz NOT NULL,
  -- Null for a single change, whose cause is what it does.
  cause text,
  actor text NOT NULL,
  -- One of many that were written together: single ones are published before it.
  bulk boolean NOT NULL DEFAULT false,
  -- Of a user who may be erased when the event is published.
  external_id text COLLATE "C",
  details jsonb,
  CONSTRAINT feed_events_pkey PRIMARY KEY (seq),
  CONSTRAINT feed_events_mode_known CHECK (mode IN ('include', 'exclude')),
  CONSTRAINT feed_events_override_of_pair CHECK (kind <> 'override' OR num_nonnulls(segment_id, user_id) = 2)
);
CREATE INDEX feed_events_single ON feed_events (seq) WHERE NOT bulk;
CREATE INDEX feed_events_bulk ON feed_events (seq) WHERE bulk;
ALTER TABLE feed_events SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE feeds (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  name text NOT NULL,
  -- Of a feed that follows whatever carries one of them; null for one that names its segments.
  tags text[],
  types text[] NOT NULL,
  -- The last change before the feed begins.
  begins_after bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
  created_by text NOT NULL,
  CONSTRAINT feeds_pkey PRIMARY KEY (id),
  CONSTRAINT feeds_tags_not_empty CHECK (cardinality(tags) > 0),
  CONSTRAINT feeds_types_known CHECK (types <@ ARRAY['entered', 'left', 'segment'] AND cardinality(types) > 0)
);

-- Which segments a feed follows, and from which change up to which.
CREATE TABLE feed_follows (
  feed_id bigint NOT NULL,
  segment_id bigint NOT NULL,
  after_id bigint NOT NULL,
  until_id bigint,
  -- The feed begins once the segment has been filled; its members are in the snapshot, not among the changes.
  initial boolean NOT NULL,
  -- The members are being published to the feed, one after another, since it joins or leaves the segment: up to
  -- which user so far, from which change on, when and by whom.
  move text,
  moved_to bigint NOT NULL DEFAULT 0,
  moved_from bigint,
  moved_at timestamptz,
  moved_by text,
  CONSTRAINT feed_follows_pkey PRIMARY KEY (feed_id, segment_id, after_id),
  CONSTRAINT feed_follows_move_known CHECK (move IN ('joining', 'leaving')),
  CONSTRAINT feed_follows_move_whole CHECK (move IS NULL OR num_nonnulls(moved_from, moved_at, moved_by) = 3),
  CONSTRAINT feed_follows_feed_fkey FOREIGN KEY (feed_id) REFERENCES feeds ON DELETE CASCADE
);
CREATE UNIQUE INDEX feed_follows_open ON feed_follows (segment_id, feed_id) WHERE until_id IS NULL;

-- The followed segments. Users up to `filled_to` are in `feed_members` if they are in. `writers`: the virtual ids of
-- transactions that may not have seen that the segment is followed; null before they were looked for.
CREATE TABLE feed_segments (
  segment_id bigint NOT NULL,
  filled_to bigint NOT NULL DEFAULT 0,
  writers text[],
  -- No feed follows it any more; its published members are being deleted.
  is_forgotten boolean NOT NULL DEFAULT false,
  CONSTRAINT feed_segments_pkey PRIMARY KEY (segment_id)
);

-- The published members, updated in the transaction that inserts the changes.
CREATE TABLE feed_members (
  segment_id bigint NOT NULL,
  user_id bigint NOT NULL,
  CONSTRAINT feed_members_pkey PRIMARY KEY (segment_id, user_id)
);
CREATE INDEX feed_members_user ON feed_members (user_id);

-- The published changes. Ids are drawn under the lock of the publisher, which outlasts the commit: they are in the order of commits.
-- The nonce shows a reader whose id was drawn a second time, after a restore, that it is not the change they know.
CREATE TABLE feed_changes (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  nonce integer NOT NULL DEFAULT (random() * 2147483646)::integer,
  told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  type text NOT NULL,
  -- Null: for every feed that follows the segment.
  feed_id bigint,
  segment_id bigint,
  slug text COLLATE "C",
  user_id bigint,
  external_id text COLLATE "C",
  at timestamptz,
  cause text,
  actor text,
  before jsonb,
  after jsonb,
  CONSTRAINT feed_changes_pkey PRIMARY KEY (id),
  CONSTRAINT feed_changes_type_known CHECK (type IN ('origin', 'entered', 'left', 'segment')),
  CONSTRAINT feed_changes_cause_known CHECK (
    cause IN ('add', 'remove', 'expiry', 'attributes', 'definition', 'ramp', 'start', 'end', 'import', 'deletion', 'erasure')
  ),
  CONSTRAINT feed_changes_whole CHECK (type = 'origin' OR num_nonnulls(segment_id, slug, at, cause, actor) = 5),
  CONSTRAINT feed_changes_user_of_member CHECK ((type IN ('entered', 'left')) = (user_id IS NOT NULL))
);
-- There is always a last change, so that a feed can begin after it.
INSERT INTO feed_changes (type) VALUES ('origin');
