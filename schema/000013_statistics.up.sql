-- Connections keep the plans of the fast statements until statistics are gathered again. Of a table without statistics
-- PostgreSQL assumes ten pages and looks single users up by index; statistics of a page or two would have it plan scans,
-- which the connections then keep while the table grows. So small tables go without, and grown ones are analyzed sooner.
ALTER TABLE memberships SET (
  autovacuum_analyze_threshold = 1000, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.05
);
ALTER TABLE users SET (
  autovacuum_analyze_threshold = 1000, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_threshold = 1000
);
ALTER TABLE user_keys SET (
  autovacuum_analyze_threshold = 1000, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_threshold = 1000
);
