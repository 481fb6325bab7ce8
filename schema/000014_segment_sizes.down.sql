DROP TABLE segment_sizes;
