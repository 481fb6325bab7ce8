ALTER TABLE feed_changes RENAME COLUMN published_at TO told_at;
