-- How many were in segments with rules, as measured from time to time. Of plain lists history says it for every moment.
CREATE TABLE segment_sizes (
  segment_id bigint NOT NULL,
  at timestamptz NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT segment_sizes_pkey PRIMARY KEY (segment_id, at),
  CONSTRAINT segment_sizes_segment_fkey FOREIGN KEY (segment_id) REFERENCES segments,
  CONSTRAINT segment_sizes_count_natural CHECK (count >= 0)
);
