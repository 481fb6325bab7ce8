ALTER TABLE jobs
  DROP COLUMN kept,
  DROP COLUMN lapsed,
  DROP COLUMN skipped;
