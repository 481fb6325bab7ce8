ALTER TABLE memberships RESET (
  autovacuum_analyze_threshold, autovacuum_vacuum_threshold, autovacuum_vacuum_insert_threshold,
  autovacuum_analyze_scale_factor, autovacuum_vacuum_scale_factor
);
ALTER TABLE users RESET (
  autovacuum_analyze_threshold, autovacuum_vacuum_threshold, autovacuum_vacuum_insert_threshold
);
ALTER TABLE user_keys RESET (
  autovacuum_analyze_threshold, autovacuum_vacuum_threshold, autovacuum_vacuum_insert_threshold
);
