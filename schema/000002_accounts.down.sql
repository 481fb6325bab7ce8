DROP TABLE throttles;
DROP TABLE api_keys;
DROP TABLE sessions;
DROP TABLE accounts;
DROP FUNCTION accounts_last_admin;
