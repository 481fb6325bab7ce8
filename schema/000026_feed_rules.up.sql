-- When time alone may move a user in a followed segment that has a rule: then they are looked at again. Only for those whom it
-- can move, and only up to the next start or end of the segment, at which all are looked at.
CREATE TABLE feed_due (
  segment_id bigint NOT NULL,
  user_id bigint NOT NULL,
  due_at timestamptz NOT NULL,
  CONSTRAINT feed_due_pkey PRIMARY KEY (segment_id, user_id)
);
CREATE INDEX feed_due_moment ON feed_due (due_at);
ALTER TABLE feed_due SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- Followed segments whose users all have to be looked at again, in the order of their ids: a definition was changed, or a start
-- or an end has come.
CREATE TABLE feed_rechecks (
  segment_id bigint NOT NULL,
  done_to bigint NOT NULL DEFAULT 0,
  at timestamptz NOT NULL,
  cause text NOT NULL,
  actor text NOT NULL,
  -- The transactions that may not know what is followed now, and must end first. Null: not listed yet.
  writers text[],
  CONSTRAINT feed_rechecks_pkey PRIMARY KEY (segment_id),
  CONSTRAINT feed_rechecks_segment_fkey FOREIGN KEY (segment_id) REFERENCES feed_segments ON DELETE CASCADE,
  CONSTRAINT feed_rechecks_cause_known CHECK (cause IN ('definition', 'start', 'end', 'deletion'))
);

-- Up to which moment starts and ends have been seen to.
ALTER TABLE feed_segments ADD COLUMN bounds_seen_to timestamptz NOT NULL DEFAULT clock_timestamp();

CREATE INDEX feed_events_definition ON feed_events (seq) WHERE kind = 'definition';
CREATE INDEX feed_events_single_user ON feed_events (user_id) WHERE NOT bulk;

-- One row, updated by each publishing turn: a turn whose snapshot is older than the end of the previous one fails on it.
CREATE TABLE feed_turns (
  one boolean NOT NULL DEFAULT true,
  turn bigint NOT NULL,
  CONSTRAINT feed_turns_pkey PRIMARY KEY (one),
  CONSTRAINT feed_turns_single CHECK (one)
);
INSERT INTO feed_turns (turn) VALUES (0);
