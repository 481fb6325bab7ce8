DROP TABLE feed_changes, feed_members, feed_segments, feed_follows, feeds, feed_events;
ALTER TABLE segments DROP COLUMN followed;
