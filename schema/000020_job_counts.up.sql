-- What else a job reports: rows about users who do not exist, rows whose own time has passed, and users whom an undo left alone.
ALTER TABLE jobs
  ADD COLUMN skipped bigint NOT NULL DEFAULT 0,
  ADD COLUMN lapsed bigint NOT NULL DEFAULT 0,
  ADD COLUMN kept bigint NOT NULL DEFAULT 0;
