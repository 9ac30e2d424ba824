-- What people change, as on PostgreSQL. Times are given by the caller in microseconds, lists of run ids as JSON.

-- name: begin
-- SQLite only: take the write lock first, so that nothing fails half-way for want of it.
BEGIN IMMEDIATE;

-- name: clock
-- The store's clock, and the latest end of any run, which a job's clock may have put ahead of it.
SELECT :now, (SELECT max(ended_at) FROM runs WHERE ended_at IS NOT NULL);

-- name: record_deed
-- Who did what, with all that has to be known to understand it later.
INSERT INTO audit (at, actor, action, detail)
VALUES (:now, :actor, :action, :detail);

-- name: amend_deed
-- How far a deed of several steps has come: in the transaction of each step, so that it is right whenever it is cut off.
UPDATE audit SET detail = :detail WHERE id = :id;

-- name: latest_cleanups
-- The clean-ups that were begun last.
SELECT id, actor, detail FROM audit WHERE action = 'cleanup' ORDER BY id DESC LIMIT 10;

-- name: turn_switch
-- The shared switch of all jobs (scope global, job '') or of one.
INSERT INTO switches (scope, job, enabled, changed_at, changed_by, reason)
VALUES (
    :scope, :job, :enabled, :now, :changed_by, :reason)
ON CONFLICT (scope, job) DO UPDATE SET
    enabled = excluded.enabled,
    changed_at = excluded.changed_at,
    changed_by = excluded.changed_by,
    reason = excluded.reason;

-- name: switch
-- One shared switch.
SELECT scope, job, enabled, changed_at, changed_by, reason
FROM switches
WHERE scope = :scope AND job = :job;

-- name: close_run
-- Compare and set: only a running run. It lasted until its last sign of life, which is all that is known of it.
UPDATE runs SET
    status = 'abandoned',
    ended_at = max(started_at, :now),
    duration_ms = max(0, (
        coalesce(max(heartbeat_at, progress_at), heartbeat_at, progress_at, :now) - started_at + 500) / 1000),
    notes = CASE
        WHEN :reason = '' THEN notes
        WHEN coalesce(notes, '') = '' THEN :reason
        ELSE notes || char(10) || :reason END,
    ended_by = :ended_by
WHERE run_id = :run_id AND status = 'running';

-- name: job_of_run
-- Which job a run belongs to.
SELECT job FROM runs WHERE run_id = :run_id;

-- name: plan_jobs
-- What a clean-up would remove, by job, from the runs' own counters; without the index named SQLite reads every run, in
-- the order of jobs.
SELECT job, count(*), sum(requests), sum(errors), min(ended_at)
FROM runs INDEXED BY runs_by_end
WHERE ended_at < :cutoff AND status <> 'running' AND run_id NOT IN (SELECT value FROM json_each(:spared))
GROUP BY job
ORDER BY count(*) DESC, job;

-- name: count_kept
-- Runs that are old and not finished.
SELECT count(*) FROM runs WHERE status = 'running' AND started_at < :cutoff;

-- name: last_successes
-- The last success of each job, where it is so old that it would go.
SELECT run.run_id
FROM (SELECT DISTINCT job FROM runs INDEXED BY runs_by_end WHERE ended_at < :cutoff AND status = 'completed') AS old
JOIN runs AS run ON run.run_id = (
    SELECT run_id FROM runs AS success
    WHERE success.job = old.job AND success.status = 'completed'
    ORDER BY started_at DESC, run_id DESC LIMIT 1)
WHERE run.ended_at < :cutoff;

-- name: raise_cutoff
-- From now on a finished run that this store does not hold is refused when it ended before this moment.
INSERT INTO retention (only_row, cutoff) VALUES (1, :cutoff)
ON CONFLICT (only_row) DO UPDATE SET cutoff = max(retention.cutoff, excluded.cutoff);

-- name: choose_runs
-- The next runs to remove, those that ended first at the head; how much each of them holds decides how many go at once.
SELECT run_id, requests, errors, duration_ms
FROM runs
WHERE ended_at < :cutoff AND status <> 'running' AND run_id NOT IN (SELECT value FROM json_each(:spared))
ORDER BY ended_at, run_id
LIMIT :most;

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

-- name: remove_requests
-- SQLite only: what is left of the requests of these runs; first, as in every transaction that touches several tables.
DELETE FROM requests WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: remove_endpoints
-- The endpoint totals of these runs.
DELETE FROM run_endpoints WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: remove_series
-- The series of these runs.
DELETE FROM run_series WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: remove_phases
-- The phases of these runs.
DELETE FROM phases WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: remove_phase_series
-- How the phases of these runs went.
DELETE FROM phase_series WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: remove_source_counts
-- The source counts of these runs.
DELETE FROM source_counts WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: remove_errors
-- The errors of these runs.
DELETE FROM errors WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: remove_writers
-- The ledgers of these runs.
DELETE FROM writers WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: leave_tombstones
-- What may still wait in a spool must not bring these runs back.
INSERT INTO removed_runs (run_id, removed_at)
SELECT run_id, :now
FROM runs
WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND ended_at >= :since
ON CONFLICT (run_id) DO NOTHING;

-- name: remove_runs
-- The runs themselves; fewer than chosen when one of them changed meanwhile, and then the whole step is taken back.
DELETE FROM runs
WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND ended_at < :cutoff AND status <> 'running';

-- name: old_tombstones
-- Tombstones that have outlived every spool.
SELECT run_id FROM removed_runs WHERE removed_at < :before ORDER BY removed_at LIMIT :most;

-- name: purge_tombstones
-- These tombstones.
DELETE FROM removed_runs WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: purge_batches
-- Batch keys that have outlived every spool.
DELETE FROM batches
WHERE (writer_id, batch_seq) IN (
    SELECT writer_id, batch_seq FROM batches WHERE at < :before ORDER BY at LIMIT :most);

-- name: free_pages
-- SQLite only: how many pages the file holds for nothing. PostgreSQL gives space back by itself.
PRAGMA freelist_count;

-- name: give_back
-- SQLite only: give free pages back to the file system, few at a time: writers wait meanwhile, and each page takes the
-- longer the more of them are free.
PRAGMA incremental_vacuum(50);

-- name: checkpoint
-- SQLite only: bring what stands in the log into the file, as far as nobody reads it; only then the file gets shorter.
PRAGMA wal_checkpoint(PASSIVE);
