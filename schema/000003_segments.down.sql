DROP TABLE segment_versions;
DROP TABLE segment_references;
DROP TABLE segments;
DROP TABLE definitions;
