DROP TABLE feed_turns;
ALTER TABLE feed_segments DROP COLUMN bounds_seen_to;
DROP TABLE feed_rechecks;
DROP TABLE feed_due;
