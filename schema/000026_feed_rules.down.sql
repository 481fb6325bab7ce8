DROP TABLE feed_turns;
DROP INDEX feed_events_single_user;
DROP INDEX feed_events_definition;
ALTER TABLE feed_segments DROP COLUMN bounds_seen_to;
DROP TABLE feed_rechecks;
DROP TABLE feed_due;
