-- Queries. Each is one SELECT in a read-only transaction and reads no raw request. Bounds on run ids are integers made by
-- the caller, so that partitions are pruned when the statement is planned.

-- name: end_view
-- End the view; nothing was changed.
COMMIT;

-- name: newest_version
-- Which version of the tables this store has.
SELECT coalesce(max(version), 0) FROM tracking.schema_version;

-- name: recent_runs
-- The newest runs, or those older than a given one; walks runs_by_start up to the limit.
{{runs}}
WHERE (started_at, run_id) < ({{or_end(before_at)}}, coalesce(CAST(:before_id AS bigint), 9223372036854775807))
{{newest_first}};

-- name: live_runs
-- The runs that have not ended, or those of them older than a given run, newest first, from the index that holds
-- only them.
{{runs}}
WHERE status = 'running' AND (started_at, run_id) < ({{or_end(before_at)}}, coalesce(CAST(:before_id AS bigint), 9223372036854775807))
{{newest_first}};

-- name: run
-- One run by its id.
{{runs}}
WHERE run_id = :run_id;

-- name: run_ids_ending_in
-- Runs by the low bits of their id, newest first: reads runs_by_start alone until the limit is reached.
SELECT run_id
FROM tracking.runs
WHERE (run_id & CAST(:mask AS bigint)) = CAST(:bits AS bigint)
{{newest_first}};

-- name: latest_run_id
-- The newest run of a job.
SELECT run_id
FROM tracking.runs
WHERE job = :job
ORDER BY started_at DESC, run_id DESC
LIMIT 1;

-- name: phases
-- The phases of the runs on a screen.
SELECT {{phase_columns}}
FROM tracking.phases
WHERE run_id {{in_ids(run_ids)}}
ORDER BY run_id, position, phase;

-- name: phase_samples
-- How the phases of one run went.
SELECT run_id, phase, bucket, at, CAST(processed AS text) AS processed, memory_mb
FROM tracking.phase_series
WHERE run_id = :run_id
ORDER BY phase, bucket;

-- name: endpoints
-- The requests of one run by endpoint.
SELECT {{endpoint_columns}}
FROM tracking.run_endpoints
WHERE run_id = :run_id
ORDER BY requests DESC, endpoint;

-- name: latencies
-- The latency histograms of the runs on a screen, one an endpoint; the caller adds them up.
SELECT run_id, histogram, max_ms, duration_ms
FROM tracking.run_endpoints
WHERE run_id {{in_ids(run_ids)}};

-- name: series
-- The requests of one run over time, from a moment on.
SELECT {{cell_columns}}
FROM tracking.run_series
WHERE run_id = :run_id AND bucket >= :since
ORDER BY bucket, width;

-- name: recent_traffic
-- What the runs on a screen did lately: the end of each one's series, by its key.
SELECT run_id, CAST(sum(requests) AS bigint) AS requests, CAST(sum(items) AS bigint) AS items
FROM tracking.run_series
WHERE run_id {{in_ids(run_ids)}} AND bucket >= :since
GROUP BY run_id;

-- name: throughput
-- The cells of all runs that begin in a stretch of time; naming every width lets the key's index find them. The caller
-- adds them up: joining histograms there is several times faster than summing them here.
SELECT {{cell_columns}}
FROM tracking.throughput
WHERE width IN (10, 60, 600) AND bucket >= :since AND bucket < :until;

-- name: source_counts
-- How many items the sources of several runs have.
SELECT run_id, entity, items, at
FROM tracking.source_counts
WHERE run_id {{in_ids(run_ids)}}
ORDER BY run_id, entity;

-- name: errors
-- The newest errors of all runs, up to a moment.
SELECT {{error_columns}}
FROM tracking.errors
WHERE at <= {{or_end(moment)}}
ORDER BY at DESC
LIMIT :limit;

-- name: errors_named
-- The newest errors of given kinds, of all jobs, up to a moment.
SELECT {{error_columns}}
FROM tracking.errors
WHERE fingerprint {{in_texts(fingerprints)}} AND at <= {{or_end(moment)}}
ORDER BY at DESC
LIMIT :limit;

-- name: ledger
-- What each writer of one run emitted, and what of it is here.
SELECT {{ledger_columns}}, CAST(overhead AS text) AS overhead
FROM tracking.writers
WHERE run_id = :run_id
ORDER BY writer_id;

-- name: switches
-- The shared switches that were ever turned, the global one first.
SELECT {{switch_columns}}
FROM tracking.switches
ORDER BY scope, job;

-- name: audit
-- The newest changes that people made, up to a moment.
SELECT id, at, actor, action, CAST(detail AS text) AS detail
FROM tracking.audit
WHERE at <= {{or_end(moment)}}
ORDER BY id DESC
LIMIT :limit;

-- name: job_names
-- Every job that has runs, found by hopping from one name to the next in the index.
WITH RECURSIVE names AS (
    SELECT min(job) AS job FROM tracking.runs
    UNION ALL
    SELECT (SELECT min(job) FROM tracking.runs WHERE job > names.job) FROM names WHERE names.job IS NOT NULL
)
SELECT job FROM names WHERE job IS NOT NULL LIMIT :limit;

-- name: runs_of_job
-- The newest runs of one job that began before a moment; all of them, or those that had completed by another.
{{runs}}
WHERE job = :job
  AND started_at < {{or_end(before_at)}}
  AND (NOT :completed OR (status = 'completed' AND ended_at <= {{or_end(moment)}}))
{{newest_first}};

-- name: outlines_since
-- The same of the runs that ended from a moment on, of some jobs or of all.
SELECT {{outline_columns}}
FROM tracking.runs
WHERE ended_at >= :moment AND ({{is_null(jobs)}} OR job {{in_texts(jobs)}});

-- name: runs_in_status
-- The newest runs in given stored states, or those of them older than a given run.
{{runs}}
WHERE status {{in_texts(statuses)}}
  AND (started_at, run_id) < ({{or_end(before_at)}}, coalesce(CAST(:before_id AS bigint), 9223372036854775807))
{{newest_first}};

-- name: count_live
-- How many runs have not ended.
SELECT count(*) FROM tracking.runs WHERE status = 'running';

-- name: count_runs
-- How many runs of some jobs began in a stretch of time: read from an index alone.
SELECT count(*)
FROM tracking.runs
WHERE started_at >= :since AND started_at <= {{or_end(moment)}} AND ({{is_null(jobs)}} OR job {{in_texts(jobs)}});

-- name: count_runs_in_status
-- How many of the newest of these are in some stored states: no index has these, so that not all can be looked at.
SELECT count(*)
FROM (
    SELECT status
    FROM tracking.runs
    WHERE started_at >= :since AND started_at <= {{or_end(moment)}} AND ({{is_null(jobs)}} OR job {{in_texts(jobs)}})
    ORDER BY started_at DESC, run_id DESC
    LIMIT :most) AS newest
WHERE status {{in_texts(statuses)}};

-- name: count_errors
-- How many errors of some kinds the runs of some jobs recorded, up to a moment.
SELECT count(*)
FROM tracking.errors
WHERE at <= {{or_end(moment)}} AND ({{is_null(fingerprints)}} OR fingerprint {{in_texts(fingerprints)}})
  AND ({{is_null(jobs)}} OR run_id IN (SELECT run_id FROM tracking.runs WHERE job {{in_texts(jobs)}}));

-- name: endpoint_names
-- Which endpoints several runs requested, from the key's index alone.
SELECT run_id, endpoint
FROM tracking.run_endpoints
WHERE run_id {{in_ids(run_ids)}};

-- name: endpoints_of_runs
-- The requests of several runs by endpoint.
SELECT {{endpoint_columns}}
FROM tracking.run_endpoints
WHERE run_id {{in_ids(run_ids)}}
ORDER BY run_id, requests DESC, endpoint;

-- name: series_of_runs
-- The requests of several runs over time, in cells that begin in a stretch of time.
SELECT run_id, {{cell_columns}}
FROM tracking.run_series
WHERE run_id {{in_ids(run_ids)}}
  AND bucket >= :since AND bucket < coalesce(CAST(:until AS bigint), 9223372036854775807)
ORDER BY run_id, bucket, width;

-- name: pauses_of_runs
-- How long each phase of several runs went at most without a mark, and each run as a whole (phase '') did: from its start
-- over samples and cells with requests to its end, as far as these lie before a moment. Of what has not ended its start
-- is no mark: before its first update nothing shows how often it has any.
WITH stretches AS (
    SELECT run_id, phase, {{second(started_at)}} AS began, {{second(ended_at)}} AS ended
    FROM tracking.phases
    WHERE run_id {{in_ids(run_ids)}} AND started_at IS NOT NULL
    UNION ALL
    SELECT run_id, '' AS phase, {{second(started_at)}} AS began, {{second(ended_at)}} AS ended
    FROM tracking.runs
    WHERE run_id {{in_ids(run_ids)}}),
samples AS (
    SELECT run_id, phase, {{second(at)}} AS mark FROM tracking.phase_series WHERE run_id {{in_ids(run_ids)}}),
marks AS (
    SELECT run_id, phase, began AS mark FROM stretches WHERE ended <= coalesce(CAST(:until AS bigint), ended)
    UNION ALL SELECT run_id, phase, ended AS mark FROM stretches WHERE ended IS NOT NULL
    UNION ALL SELECT run_id, phase, mark FROM samples
    UNION ALL SELECT run_id, '' AS phase, mark FROM samples
    UNION ALL
    SELECT cell.run_id, stretches.phase, cell.bucket AS mark
    FROM tracking.run_series AS cell
    JOIN stretches ON stretches.run_id = cell.run_id
        AND cell.bucket BETWEEN stretches.began AND coalesce(stretches.ended, cell.bucket)
    WHERE cell.run_id {{in_ids(run_ids)}} AND cell.requests > 0)
SELECT run_id, phase, CAST(max(pause) AS bigint) AS pause
FROM (
    SELECT run_id, phase, mark - lag(mark) OVER (PARTITION BY run_id, phase ORDER BY mark) AS pause
    FROM marks
    WHERE mark <= coalesce(CAST(:until AS bigint), 9223372036854775807)) AS gaps
WHERE pause IS NOT NULL
GROUP BY run_id, phase;

-- name: runs_alive_at
-- The runs that had begun and not ended at a past moment, newest first; `since` bounds how far back it looks.
{{runs}}
WHERE started_at <= :moment AND started_at > :since AND (ended_at IS NULL OR ended_at > :moment)
{{newest_first}};

-- name: count_alive_at
-- How many these are without a limit.
SELECT count(*)
FROM tracking.runs
WHERE started_at <= :moment AND started_at > :since AND (ended_at IS NULL OR ended_at > :moment);

-- name: traffic_until
-- What runs had requested by a past moment: the cells of their series that had closed.
SELECT
    run_id, CAST(sum(requests) AS bigint) AS requests, CAST(sum(failed) AS bigint) AS failed,
    CAST(sum(throttled) AS bigint) AS throttled, CAST(sum(items) AS bigint) AS items
FROM tracking.run_series
WHERE run_id {{in_ids(run_ids)}} AND bucket + width <= :until
GROUP BY run_id;

-- name: samples_until
-- The last two samples of each phase whose buckets had begun by a past moment: the newest may have been renewed later.
SELECT run_id, phase, bucket, at, CAST(processed AS text) AS processed, memory_mb
FROM (
    SELECT
        run_id, phase, bucket, at, processed, memory_mb,
        row_number() OVER (PARTITION BY run_id, phase ORDER BY bucket DESC) AS place
    FROM tracking.phase_series
    WHERE run_id {{in_ids(run_ids)}} AND bucket <= :until) AS latest
WHERE place <= 2
ORDER BY run_id, phase, bucket;

-- name: errors_until
-- How many errors runs had by a past moment, and when the last of these was.
SELECT run_id, count(*) AS errors, max(at) AS at
FROM tracking.errors
WHERE run_id {{in_ids(run_ids)}} AND at <= :moment
GROUP BY run_id;
