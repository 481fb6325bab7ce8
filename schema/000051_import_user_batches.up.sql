-- What an import of users changed, for its undo: a row for some thousand users, since a row for each costs an import a third as much as
-- the users themselves. Their attributes are in attribute_versions. Earlier releases used import_user_changes.
CREATE TABLE import_user_batches (
  job bigint NOT NULL,
  user_ids bigint[] NOT NULL,
  -- Null for a user whom the import registered; no array if it registered all of them.
  versions_before bigint[],
  versions_after bigint[] NOT NULL,
  -- No array if none has a name.
  names_before text[],
  names_after text[],
  first_user_id bigint NOT NULL GENERATED ALWAYS AS (user_ids[1]) STORED,
  CONSTRAINT import_user_batches_pkey PRIMARY KEY (job, first_user_id),
  CONSTRAINT import_user_batches_job_fkey FOREIGN KEY (job) REFERENCES jobs ON DELETE CASCADE,
  CONSTRAINT import_user_batches_versions_even CHECK (
    cardinality(versions_before) = cardinality(user_ids) AND cardinality(versions_after) = cardinality(user_ids)
  ),
  CONSTRAINT import_user_batches_names_even CHECK (
    cardinality(names_before) = cardinality(user_ids) AND cardinality(names_after) = cardinality(user_ids)
  )
);
-- Compressing them takes longer than writing them.
ALTER TABLE import_user_batches ALTER user_ids SET STORAGE EXTERNAL, ALTER versions_before SET STORAGE EXTERNAL,
  ALTER versions_after SET STORAGE EXTERNAL;
