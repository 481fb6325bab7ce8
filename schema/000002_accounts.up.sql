CREATE TABLE accounts (
  user_id bigint NOT NULL,
  username text COLLATE "C" NOT NULL,
  password_hash text NOT NULL,
  role text NOT NULL,
  disabled boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', statement_timestamp()),
  CONSTRAINT accounts_pkey PRIMARY KEY (user_id),
  CONSTRAINT accounts_username_form CHECK (username ~ '^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,49}$'),
  CONSTRAINT accounts_role_known CHECK (role IN ('member', 'viewer', 'editor', 'admin'))
);
CREATE UNIQUE INDEX accounts_username_key ON accounts (lower(username));

-- At least one admin who can sign in, always. The lock makes two demotions wait for each other: the second one's
-- count then sees the first one's commit.
CREATE FUNCTION accounts_last_admin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(7224191400001);
  IF NOT EXISTS (SELECT FROM accounts WHERE role = 'admin' AND NOT disabled) THEN
    RAISE EXCEPTION 'the last admin cannot be demoted, disabled or erased'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_last_admin', TABLE = 'accounts';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER accounts_last_admin_update AFTER UPDATE ON accounts FOR EACH ROW
  WHEN (OLD.role = 'admin' AND NOT OLD.disabled AND (NEW.role <> 'admin' OR NEW.disabled))
  EXECUTE FUNCTION accounts_last_admin();
CREATE TRIGGER accounts_last_admin_delete AFTER DELETE ON accounts FOR EACH ROW
  WHEN (OLD.role = 'admin' AND NOT OLD.disabled)
  EXECUTE FUNCTION accounts_last_admin();

CREATE TABLE sessions (
  id uuid NOT NULL,
  user_id bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', statement_timestamp()),
  expires_at timestamptz NOT NULL,
  CONSTRAINT sessions_pkey PRIMARY KEY (id),
  CONSTRAINT sessions_account_fkey FOREIGN KEY (user_id) REFERENCES accounts ON DELETE CASCADE
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
  id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991),
  name text NOT NULL,
  role text NOT NULL,
  key_hash bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', statement_timestamp()),
  expires_at timestamptz,
  CONSTRAINT api_keys_pkey PRIMARY KEY (id),
  CONSTRAINT api_keys_role_known CHECK (role IN ('viewer', 'editor')),
  CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash),
  CONSTRAINT api_keys_key_hash_sha256 CHECK (octet_length(key_hash) = 32)
);

-- Counted attempts, by what they are counted against. Rows past their window mean nothing and are swept.
CREATE TABLE throttles (
  kind text NOT NULL,
  subject text COLLATE "C" NOT NULL,
  attempts integer NOT NULL,
  window_ends_at timestamptz NOT NULL,
  blocked_until timestamptz,
  CONSTRAINT throttles_pkey PRIMARY KEY (kind, subject),
  CONSTRAINT throttles_kind_known CHECK (kind IN ('sign_in_account', 'sign_in_address', 'sign_up_address')),
  CONSTRAINT throttles_attempts_positive CHECK (attempts > 0)
);
CREATE INDEX throttles_window ON throttles (window_ends_at);
