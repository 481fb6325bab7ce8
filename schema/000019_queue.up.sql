-- One queue on the jobs table. An `internal` job is one of ours, which no caller sees; its row goes when it is done. Jobs of the
-- same lane run one at a time, in the order of their ids; without a lane a job waits for no other.
ALTER TABLE jobs RENAME COLUMN seen_at TO heartbeat_at;
ALTER TABLE jobs
  ADD COLUMN internal boolean NOT NULL DEFAULT false,
  ADD COLUMN lane text,
  -- Not before: a job that failed is tried again after a pause.
  ADD COLUMN run_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  DROP CONSTRAINT jobs_kind_known,
  DROP CONSTRAINT jobs_segment_of_segment_import,
  ADD CONSTRAINT jobs_segment_of_segment_import CHECK (kind <> 'segment_import' OR segment_id IS NOT NULL);
UPDATE jobs SET lane = CASE kind WHEN 'segment_import' THEN 'segment:' || segment_id ELSE 'users' END;
CREATE INDEX jobs_open_lanes ON jobs (lane, id) WHERE finished_at IS NULL AND lane IS NOT NULL;
CREATE UNIQUE INDEX jobs_one_running_per_lane ON jobs (lane) WHERE state = 'running';

-- Recurring jobs: one row a kind, shared by all instances.
CREATE TABLE job_schedules (
  kind text NOT NULL,
  next_at timestamptz NOT NULL,
  CONSTRAINT job_schedules_pkey PRIMARY KEY (kind)
);

-- What waited in the queue before this one: the purges of deleted segments. A purge that has nothing to do ends at once.
INSERT INTO jobs (kind, state, internal, options, actor)
SELECT 'purge_segment', 'queued', true, jsonb_build_object('segment', s.id), 'system'
FROM segments s
WHERE s.deleted_at IS NOT NULL AND EXISTS (SELECT FROM memberships m WHERE m.segment_id = s.id);
DROP SCHEMA IF EXISTS graphile_worker CASCADE;
