DROP INDEX memberships_excluded;
DROP INDEX history_segment;
