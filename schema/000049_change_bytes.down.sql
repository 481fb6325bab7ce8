ALTER TABLE feed_changes DROP COLUMN definition_bytes;
