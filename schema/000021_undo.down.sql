DROP TABLE import_user_changes;
