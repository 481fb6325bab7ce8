DROP TABLE history;
DROP TABLE memberships;
