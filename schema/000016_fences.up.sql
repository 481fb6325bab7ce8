-- The write fence under its name. The table keeps its old one while the release before this is replaced instance by instance,
-- since that release writes to it; a later migration drops the view and renames the table.
CREATE VIEW fences AS SELECT segment_id, block, job, offsets FROM import_holds;
