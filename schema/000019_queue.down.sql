DROP TABLE job_schedules;
DELETE FROM jobs WHERE internal;
DROP INDEX jobs_one_running_per_lane, jobs_open_lanes;
ALTER TABLE jobs
  DROP CONSTRAINT jobs_segment_of_segment_import,
  ADD CONSTRAINT jobs_segment_of_segment_import CHECK ((segment_id IS NOT NULL) = (kind = 'segment_import')),
  ADD CONSTRAINT jobs_kind_known CHECK (kind IN ('segment_import', 'user_import')),
  DROP COLUMN run_at,
  DROP COLUMN lane,
  DROP COLUMN internal;
ALTER TABLE jobs RENAME COLUMN heartbeat_at TO seen_at;
