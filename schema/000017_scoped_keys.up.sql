-- Keys that are limited to the segments that carry one of their tags; and keys for browsers, from some origins alone. Both kinds
-- have prefixes of their own, which the release before this refuses.
ALTER TABLE api_keys
  ADD COLUMN created_by text,
  ADD COLUMN tags text[],
  ADD COLUMN origins text[],
  DROP CONSTRAINT api_keys_role_known,
  ADD CONSTRAINT api_keys_role_known CHECK (role IN ('viewer', 'editor', 'browser')),
  ADD CONSTRAINT api_keys_tags_not_empty CHECK (cardinality(tags) > 0),
  ADD CONSTRAINT api_keys_origins_not_empty CHECK (cardinality(origins) > 0),
  ADD CONSTRAINT api_keys_browser_is_limited CHECK ((role = 'browser') = (origins IS NOT NULL) AND (role <> 'browser' OR tags IS NOT NULL));
