DROP VIEW fences;
