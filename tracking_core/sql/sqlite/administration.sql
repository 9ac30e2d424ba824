-- Changes in SQLite's way; see ../administration.sql.

-- name: begin
-- SQLite only: take the write lock first, so that nothing fails half-way for want of it.
BEGIN IMMEDIATE;

-- name: bound_of_requests
-- SQLite only: where the first so many requests of a run end; no row when it has no more than that.
SELECT writer_id, seq
FROM requests
WHERE run_id = :run_id
ORDER BY writer_id, seq
LIMIT 1 OFFSET :most;

-- name: trim_requests
-- SQLite only: the first requests of a run that is too large for one step, if it may still be removed.
DELETE FROM requests
WHERE run_id = :run_id
  AND (writer_id, seq) < (:writer_id, :seq)
  AND EXISTS (
    SELECT 1 FROM runs WHERE run_id = :run_id AND ended_at < :cutoff AND status <> 'running');

-- name: free_pages
-- SQLite only: how many pages the file holds for nothing. PostgreSQL gives space back by itself.
PRAGMA freelist_count;

-- name: give_back
-- SQLite only: give free pages back to the file system, few at a time: writers wait for it, and each page takes the
-- longer the more of them are free.
PRAGMA incremental_vacuum(50);

-- name: checkpoint
-- SQLite only: move the log into the file, as far as it is not being read; only then the file gets shorter.
PRAGMA wal_checkpoint(PASSIVE);
