-- name: lock_schema
-- One initialisation at a time; given back with the transaction.
SELECT pg_advisory_xact_lock(7311904128215736901);

-- name: has_versions
-- Whether any migration has ever run here.
SELECT to_regclass('tracking.schema_version') IS NOT NULL;

-- name: owner
-- PostgreSQL only: whose the tables are; none where there are none.
SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'tracking';

-- name: versions
-- What has been applied.
SELECT version, name, checksum FROM tracking.schema_version ORDER BY version;

-- name: record_version
-- Record a migration.
INSERT INTO tracking.schema_version (version, name, checksum) VALUES (%(version)s, %(name)s, %(checksum)s);

-- name: record_version_script
-- The same as text, for the script that an administrator runs; the values are this program's own.
INSERT INTO tracking.schema_version (version, name, checksum) VALUES ({version}, '{name}', '{checksum}');
