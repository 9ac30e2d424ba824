-- What `etlwatch doctor` asks of a store, as on PostgreSQL. Lists of ids are given as JSON.

-- name: begin_look
-- One moment for all questions until end_look.
BEGIN;

-- name: end_look
-- Nothing was changed, so there is nothing to keep.
COMMIT;

-- name: begin_change
-- SQLite only: take the write lock first, so that nothing fails half-way for want of it.
BEGIN IMMEDIATE;

-- name: versions
-- The migrations that ran here.
SELECT version, name, checksum FROM schema_version ORDER BY version;

-- name: probe_figures
-- The requests of one run as every table that counts them has them: raw, distinct, by endpoint, over time, on the run
-- itself, in its ledgers, and among all runs' in the stretch of time that its raw requests span.
SELECT
    raw.requests,
    (SELECT count(*) FROM (SELECT DISTINCT writer_id, seq FROM requests WHERE run_id = :run_id)),
    (SELECT coalesce(sum(requests), 0) FROM run_endpoints WHERE run_id = :run_id),
    (SELECT coalesce(sum(requests), 0) FROM run_series WHERE run_id = :run_id),
    (SELECT coalesce(sum(requests), 0) FROM runs WHERE run_id = :run_id),
    (SELECT coalesce(sum(stored), 0) FROM writers WHERE run_id = :run_id),
    (SELECT coalesce(sum(requests), 0) FROM throughput
     WHERE width IN (10, 60, 600) AND bucket >= raw.since AND bucket < raw.until)
FROM (
    SELECT
        count(*) AS requests,
        coalesce(min(at) / 600000000 * 600, 0) AS since,
        coalesce(max(at) / 600000000 * 600 + 600, 0) AS until
    FROM requests WHERE run_id = :run_id) AS raw;

-- name: probe_job
-- Whose run this is; none for an unknown one.
SELECT job FROM runs WHERE run_id = :run_id;

-- name: probe_span
-- From when to when the raw requests of a run reach, in whole cells of the widest kind; none without requests.
SELECT min(at) / 600000000 * 600, max(at) / 600000000 * 600 + 600
FROM requests WHERE run_id = :run_id
HAVING count(*) > 0;

-- name: probe_remains
-- How many rows a run has anywhere, and the batches of these writers.
SELECT
    (SELECT count(*) FROM runs WHERE run_id = :run_id)
    + (SELECT count(*) FROM requests WHERE run_id = :run_id)
    + (SELECT count(*) FROM run_endpoints WHERE run_id = :run_id)
    + (SELECT count(*) FROM run_series WHERE run_id = :run_id)
    + (SELECT count(*) FROM phases WHERE run_id = :run_id)
    + (SELECT count(*) FROM phase_series WHERE run_id = :run_id)
    + (SELECT count(*) FROM source_counts WHERE run_id = :run_id)
    + (SELECT count(*) FROM errors WHERE run_id = :run_id)
    + (SELECT count(*) FROM writers WHERE run_id = :run_id)
    + (SELECT count(*) FROM batches WHERE writer_id IN (SELECT value FROM json_each(:writer_ids)));

-- name: forget_batches
-- The batch keys of a probe's writers, given ones and those in its ledgers.
DELETE FROM batches
WHERE writer_id IN (SELECT value FROM json_each(:writer_ids))
   OR writer_id IN (SELECT writer_id FROM writers WHERE run_id = :run_id);

-- name: forget_requests
-- The raw requests of a probe.
DELETE FROM requests WHERE run_id = :run_id;

-- name: forget_endpoints
-- The endpoint totals of a probe.
DELETE FROM run_endpoints WHERE run_id = :run_id;

-- name: forget_series
-- The series of a probe.
DELETE FROM run_series WHERE run_id = :run_id;

-- name: forget_throughput
-- What a probe added to all runs together. Probes date their requests into years before there were runs, so that no
-- cell there is anybody else's; nothing later than those years is touched.
DELETE FROM throughput
WHERE width IN (10, 60, 600) AND bucket >= :since AND bucket < min(:until, :era_end);

-- name: forget_phases
-- The phases of a probe.
DELETE FROM phases WHERE run_id = :run_id;

-- name: forget_phase_series
-- How the phases of a probe went.
DELETE FROM phase_series WHERE run_id = :run_id;

-- name: forget_source_counts
-- The source counts of a probe.
DELETE FROM source_counts WHERE run_id = :run_id;

-- name: forget_errors
-- The errors of a probe.
DELETE FROM errors WHERE run_id = :run_id;

-- name: forget_writers
-- The ledgers of a probe.
DELETE FROM writers WHERE run_id = :run_id;

-- name: forget_run
-- The probe itself.
DELETE FROM runs WHERE run_id = :run_id;

-- name: overdue_cells
-- How many narrow cells of all runs wait to be joined into wider ones, counted up to a limit.
SELECT count(*) FROM (SELECT 1 FROM throughput WHERE width = :width AND bucket < :before LIMIT :most);

-- name: library
-- SQLite only: which SQLite this is.
SELECT sqlite_version();

-- name: journal_mode
-- SQLite only: how the file is kept whole; `wal` lets readers and a writer work side by side.
PRAGMA journal_mode;

-- name: quick_check
-- SQLite only: whether the file's pages make sense: `ok`, or what is wrong first. Reads the whole file.
PRAGMA quick_check(1);
