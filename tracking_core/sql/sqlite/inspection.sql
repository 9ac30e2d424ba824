-- What `etlwatch doctor` asks of SQLite; see ../inspection.sql.

-- name: library
-- SQLite only: which SQLite this is.
SELECT sqlite_version();

-- name: journal_mode
-- SQLite only: how the file is kept whole; `wal` lets readers and a writer work side by side.
PRAGMA journal_mode;

-- name: quick_check
-- SQLite only: whether the file's pages make sense: `ok`, or what is wrong first. Reads the whole file.
PRAGMA quick_check(1);
