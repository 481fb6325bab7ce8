DROP TABLE attribute_versions;
DROP TABLE user_keys;
DROP TABLE users;
