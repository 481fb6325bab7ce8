ALTER TABLE segment_versions DROP COLUMN condition_bytes;
ALTER TABLE segments DROP COLUMN condition_bytes;
