DROP TABLE import_user_batches;
