DELETE FROM jobs WHERE kind = 'question';
ALTER TABLE jobs DROP COLUMN result;
