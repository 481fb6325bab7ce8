-- What an import of users changed, for its undo. The attributes themselves are in attribute_versions.
CREATE TABLE import_user_changes (
  job bigint NOT NULL,
  user_id bigint NOT NULL,
  -- Null for a user whom the import registered.
  version_before bigint,
  version_after bigint NOT NULL,
  name_before text,
  name_after text,
  CONSTRAINT import_user_changes_pkey PRIMARY KEY (job, user_id),
  CONSTRAINT import_user_changes_job_fkey FOREIGN KEY (job) REFERENCES jobs ON DELETE CASCADE
);
