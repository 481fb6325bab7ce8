DELETE FROM api_keys WHERE tags IS NOT NULL OR origins IS NOT NULL;
ALTER TABLE api_keys
  DROP CONSTRAINT api_keys_browser_is_limited,
  DROP CONSTRAINT api_keys_origins_not_empty,
  DROP CONSTRAINT api_keys_tags_not_empty,
  DROP CONSTRAINT api_keys_role_known,
  ADD CONSTRAINT api_keys_role_known CHECK (role IN ('viewer', 'editor')),
  DROP COLUMN origins,
  DROP COLUMN tags,
  DROP COLUMN created_by;
