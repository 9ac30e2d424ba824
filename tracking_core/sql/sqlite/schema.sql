-- name: lock_schema
-- One initialisation at a time; given back with the transaction.
BEGIN IMMEDIATE;

-- name: has_versions
-- Whether any migration has ever run here.
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version';

-- name: versions
-- What has been applied.
SELECT version, name, checksum FROM schema_version ORDER BY version;

-- name: record_version
-- Record a migration.
INSERT INTO schema_version (version, name, checksum, applied_at)
VALUES (:version, :name, :checksum, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));

-- name: record_version_script
-- The same as text, for the script that an administrator runs; the values are this program's own.
INSERT INTO schema_version (version, name, checksum, applied_at) VALUES ({version}, '{name}', '{checksum}', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));

-- name: configure
-- SQLite only: every connection that writes. auto_vacuum counts for a new file alone and allows a clean-up to give space back.
-- WAL lets readers and one writer work side by side; NORMAL keeps the file whole through a crash of the process and
-- through one of the machine (the last commits may be missing after the latter).
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA journal_size_limit = 16777216;

-- name: contents
-- SQLite only: how many tables the file holds, whether ours are among them, and whether it is a bundle.
SELECT count(*), coalesce(sum(name = 'schema_version'), 0), coalesce(sum(name = 'bundle'), 0)
FROM sqlite_master
WHERE type = 'table';

-- name: is_bundle
-- SQLite only: run before a file is opened by its kind.
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'bundle';

-- name: configure_reader
-- SQLite only: a reader changes nothing, and trusts nothing that a file from elsewhere brings along.
PRAGMA query_only = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
