-- The time when a change was published to feeds, under the name that the rest of the service has for it.
ALTER TABLE feed_changes RENAME COLUMN told_at TO published_at;
