-- The overrides that stand: a list member is an `include`. An expired row is as if it were not there, swept or not.
CREATE TABLE memberships (
  user_id bigint NOT NULL,
  segment_id bigint NOT NULL,
  mode text NOT NULL,
  since timestamptz NOT NULL,
  expires_at timestamptz,
  -- What the fast path asks lies in the index itself: no visit to the table, however large it is.
  CONSTRAINT memberships_pkey PRIMARY KEY (user_id, segment_id) INCLUDE (mode, expires_at),
  CONSTRAINT memberships_segment_fkey FOREIGN KEY (segment_id) REFERENCES segments,
  CONSTRAINT memberships_mode_known CHECK (mode IN ('include', 'exclude'))
);
CREATE INDEX memberships_segment ON memberships (segment_id, user_id);
CREATE INDEX memberships_expiry ON memberships (expires_at) WHERE expires_at IS NOT NULL;

-- Every change of a membership, born in the statement that makes it. The memberships are the fold of this: the last row of
-- a pair, in order of seq, is `add` or `update` with their mode and expiry, or there is no membership.
CREATE TABLE history (
  user_id bigint NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  segment_id bigint NOT NULL,
  op text NOT NULL,
  mode text NOT NULL,
  at timestamptz NOT NULL,
  expires_at timestamptz,
  actor text NOT NULL,
  job bigint,
  CONSTRAINT history_pkey PRIMARY KEY (user_id, seq),
  CONSTRAINT history_op_known CHECK (op IN ('add', 'update', 'remove', 'expire')),
  CONSTRAINT history_mode_known CHECK (mode IN ('include', 'exclude'))
);
-- Reports read by time; history is written in the order of time, so a few bytes per block range find it.
CREATE INDEX history_at ON history USING brin (at);
