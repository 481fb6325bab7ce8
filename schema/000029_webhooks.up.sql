-- Receivers of the changes of feeds.
CREATE TABLE webhooks (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  feed_id bigint NOT NULL,
  url text NOT NULL,
  -- Sealed with a key derived from JWT_SECRET.
  secret bytea NOT NULL,
  -- Signs beside the other one until then, for receivers that have not changed over.
  previous_secret bytea,
  previous_secret_until timestamptz,
  enabled boolean NOT NULL DEFAULT true,
  disabled_reason text,
  -- The last change that was delivered. Null: everything from the beginning of the feed on.
  position_id bigint,
  position_nonce integer,
  -- When the position was last moved. The row of a change that is a position must not be pruned.
  moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Attempts that have failed since the last success, and not before when the next one is made.
  failures integer NOT NULL DEFAULT 0,
  failing_since timestamptz,
  next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The process that sends, as long as it is heard of.
  lease_owner uuid,
  leased_until timestamptz,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
  CONSTRAINT webhooks_pkey PRIMARY KEY (id),
  CONSTRAINT webhooks_feed_fkey FOREIGN KEY (feed_id) REFERENCES feeds ON DELETE CASCADE,
  CONSTRAINT webhooks_disabled_for_a_reason CHECK (enabled = (disabled_reason IS NULL)),
  CONSTRAINT webhooks_reason_known CHECK (disabled_reason IN ('paused', 'gone', 'failing')),
  CONSTRAINT webhooks_previous_secret_ends CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL)),
  CONSTRAINT webhooks_position_whole CHECK ((position_id IS NULL) = (position_nonce IS NULL)),
  CONSTRAINT webhooks_failing_since_first CHECK ((failures > 0) = (failing_since IS NOT NULL)),
  CONSTRAINT webhooks_lease_ends CHECK ((lease_owner IS NULL) = (leased_until IS NULL))
);
CREATE INDEX webhooks_feed ON webhooks (feed_id);

-- Messages to webhooks. What they say is read from feed_changes at each attempt: the changes of the feed after one position up to
-- another never change, and what was erased of a user is not kept here.
CREATE TABLE webhook_deliveries (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  webhook_id bigint NOT NULL,
  message_id text NOT NULL,
  type text NOT NULL,
  replay_of bigint,
  state text NOT NULL DEFAULT 'pending',
  -- Null before the first change of the feed, and where there are no changes.
  after_id bigint,
  after_nonce integer,
  until_id bigint,
  until_nonce integer,
  changes integer NOT NULL DEFAULT 0,
  -- When the first of the changes happened.
  oldest_at timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  status integer,
  error text,
  response text,
  duration_ms integer,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
  attempted_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
  CONSTRAINT webhook_deliveries_webhook_fkey FOREIGN KEY (webhook_id) REFERENCES webhooks ON DELETE CASCADE,
  CONSTRAINT webhook_deliveries_type_known CHECK (type IN ('changes', 'resync', 'test')),
  CONSTRAINT webhook_deliveries_state_known CHECK (state IN ('pending', 'succeeded', 'failed')),
  CONSTRAINT webhook_deliveries_finished CHECK ((state = 'pending') = (finished_at IS NULL)),
  CONSTRAINT webhook_deliveries_ends_somewhere CHECK (type = 'test' OR num_nonnulls(until_id, until_nonce) = 2)
);
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, id) WHERE state = 'pending';
-- The next batch is made only after the success of the one before.
CREATE UNIQUE INDEX webhook_deliveries_one_batch_at_a_time ON webhook_deliveries (webhook_id)
  WHERE state = 'pending' AND type <> 'test' AND replay_of IS NULL;
CREATE INDEX webhook_deliveries_finished_at ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;
