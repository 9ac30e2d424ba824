-- What `etlwatch doctor` asks of a store beyond its queries: what a probe left and its removal, what is overdue, and our
-- rights on the server. Each query is one SELECT; only `forget_…` changes anything.

-- name: versions
-- The migrations that ran here.
SELECT version, name, checksum FROM tracking.schema_version ORDER BY version;

-- name: probe_figures
-- The requests of one run as every table that counts them has them: raw, distinct, by endpoint, over time, on the run
-- itself, in its ledgers, and among all runs' in the stretch of time that its raw requests span.
SELECT
    raw.requests AS raw,
    (SELECT count(*) FROM (
        SELECT DISTINCT writer_id, seq FROM tracking.requests WHERE run_id = :run_id) AS keys) AS "distinct",
    (SELECT CAST(coalesce(sum(requests), 0) AS bigint) FROM tracking.run_endpoints WHERE run_id = :run_id) AS by_endpoint,
    (SELECT CAST(coalesce(sum(requests), 0) AS bigint) FROM tracking.run_series WHERE run_id = :run_id) AS over_time,
    (SELECT CAST(coalesce(sum(requests), 0) AS bigint) FROM tracking.runs WHERE run_id = :run_id) AS on_run,
    (SELECT CAST(coalesce(sum(stored), 0) AS bigint) FROM tracking.writers WHERE run_id = :run_id) AS in_ledgers,
    (SELECT CAST(coalesce(sum(requests), 0) AS bigint) FROM tracking.throughput
     WHERE width IN (10, 60, 600) AND bucket >= raw.since AND bucket < raw.until) AS of_all_runs
FROM (
    SELECT
        count(*) AS requests,
        coalesce({{ten_minutes(min(at))}}, 0) AS since,
        coalesce({{ten_minutes(max(at))}} + 600, 0) AS until
    FROM tracking.requests WHERE run_id = :run_id) AS raw;

-- name: probe_job
-- Which job this run belongs to; no row for an unknown one. The run is locked.
SELECT job FROM tracking.runs WHERE run_id = :run_id {{for_update}};

-- name: probe_span
-- From when to when the raw requests of a run reach, in whole cells of the widest kind; no row without requests.
SELECT {{ten_minutes(min(at))}} AS since, {{ten_minutes(max(at))}} + 600 AS until
FROM tracking.requests WHERE run_id = :run_id
HAVING count(*) > 0;

-- name: probe_remains
-- How many rows a run has anywhere, and the batches of these writers.
SELECT
    (SELECT count(*) FROM tracking.runs WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.requests WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.run_endpoints WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.run_series WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.phases WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.phase_series WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.source_counts WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.errors WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.writers WHERE run_id = :run_id)
    + (SELECT count(*) FROM tracking.batches WHERE writer_id {{in_ids(writer_ids)}});

-- name: forget_batches
-- The batch keys of a probe's writers, given ones and those in its ledgers.
DELETE FROM tracking.batches
WHERE writer_id {{in_ids(writer_ids)}}
   OR writer_id IN (SELECT writer_id FROM tracking.writers WHERE run_id = :run_id);

-- name: forget_throughput
-- What a probe added to all runs together. Probes date their requests into years before there were runs, so that those
-- cells hold nothing else; nothing later than those years is touched.
DELETE FROM tracking.throughput
WHERE width IN (10, 60, 600) AND bucket >= :since AND bucket < {{least}}(:until, :era_end);

-- name: overdue_cells
-- How many narrow cells of all runs wait to be joined into wider ones, counted up to a limit.
SELECT count(*)
FROM (SELECT 1 FROM tracking.throughput WHERE width = :width AND bucket < :before LIMIT :most) AS overdue;
