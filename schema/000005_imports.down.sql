DROP SCHEMA import_staging CASCADE;
DROP TABLE import_holds;
DROP TABLE jobs;
