-- How large the definitions of a change are, known without reading them: a page of changes ends by it. A plain column, since a
-- generated one would rewrite the table; zero for changes of members, which have none.
ALTER TABLE feed_changes ADD COLUMN definition_bytes integer NOT NULL DEFAULT 0;
UPDATE feed_changes
SET definition_bytes = coalesce(octet_length(before::text), 0) + coalesce(octet_length(after::text), 0)
WHERE type = 'segment';
