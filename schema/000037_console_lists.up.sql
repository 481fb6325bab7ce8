-- Changes of the members of one segment, newest first, by index: the console shows them, and reports of one segment ask for them.
CREATE INDEX history_segment ON history (segment_id, at, seq);
-- Whom a segment excludes: a handful of users among all of its members.
CREATE INDEX memberships_excluded ON memberships (segment_id, user_id) WHERE mode = 'exclude';
