-- What a job that is a question found out: the answer that its call would have had.
ALTER TABLE jobs ADD COLUMN result jsonb;
