-- How large conditions are, known without reading them: the sum of all is bounded, and so is a page of them.
ALTER TABLE segments
  ADD COLUMN condition_bytes integer NOT NULL GENERATED ALWAYS AS (coalesce(octet_length(condition::text), 0)) STORED;
ALTER TABLE segment_versions
  ADD COLUMN condition_bytes integer NOT NULL GENERATED ALWAYS AS (coalesce(octet_length(condition::text), 0)) STORED;
