-- What is asked of a store, as on PostgreSQL. Every question is one SELECT on a connection that may only read, and reads no
-- raw request. `now` is given by the caller: SQLite's own clock has milliseconds, the stored times microseconds. Lists of
-- run ids arrive as JSON, SQLite's only way to pass a list.

-- name: begin_view
-- One moment, that of the first question, for all questions until end_view.
BEGIN;

-- name: end_view
-- Nothing was changed, so there is nothing to keep.
COMMIT;

-- name: newest_version
-- Which version of the tables this store has.
SELECT coalesce(max(version), 0) FROM schema_version;

-- name: now
-- The store's clock, which is that of the machine that reads.
SELECT :now;

-- name: recent_runs
-- The newest runs, or those older than a given one; walks runs_by_start as far as the limit says.
SELECT
    run_id, job, notes, tags, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    :now AS read_at
FROM runs
WHERE (started_at, run_id)
    < (coalesce(:before_at, 9223372036854775807), coalesce(:before_id, 9223372036854775807))
ORDER BY started_at DESC, run_id DESC
LIMIT :limit;

-- name: live_runs
-- The runs that nobody has ended, or those of them older than a given run, newest first, from the index that holds
-- only them.
SELECT
    run_id, job, notes, tags, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    :now AS read_at
FROM runs
WHERE status = 'running'
  AND (started_at, run_id)
    < (coalesce(:before_at, 9223372036854775807), coalesce(:before_id, 9223372036854775807))
ORDER BY started_at DESC, run_id DESC
LIMIT :limit;

-- name: run
-- One run by its id.
SELECT
    run_id, job, notes, tags, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    :now AS read_at
FROM runs
WHERE run_id = :run_id;

-- name: run_ids_ending_in
-- Runs by the low bits of their id, newest first: reads runs_by_start alone until the limit is reached.
SELECT run_id
FROM runs
WHERE (run_id & :mask) = :bits
ORDER BY started_at DESC, run_id DESC
LIMIT :limit;

-- name: latest_run_id
-- The newest run of a job.
SELECT run_id
FROM runs
WHERE job = :job
ORDER BY started_at DESC, run_id DESC
LIMIT 1;

-- name: phases
-- The phases of the runs on a screen.
SELECT
    run_id, phase, position, status, started_at, ended_at, counters, memory_mb, peak_memory_mb, memory_limit_mb
FROM phases
WHERE run_id IN (SELECT value FROM json_each(:run_ids))
ORDER BY run_id, position, phase;

-- name: phase_samples
-- How the phases of one run went.
SELECT run_id, phase, bucket, at, processed, memory_mb
FROM phase_series
WHERE run_id = :run_id
ORDER BY phase, bucket;

-- name: endpoints
-- The requests of one run by endpoint.
SELECT
    run_id, endpoint, max_ms, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM run_endpoints
WHERE run_id = :run_id
ORDER BY requests DESC, endpoint;

-- name: latencies
-- The latency histograms of the runs on a screen, one an endpoint; the caller adds them up.
SELECT run_id, histogram, max_ms, duration_ms
FROM run_endpoints
WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: series
-- The requests of one run over time, from a moment on.
SELECT
    bucket, width, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM run_series
WHERE run_id = :run_id AND bucket >= :since
ORDER BY bucket, width;

-- name: recent_traffic
-- What the runs on a screen did lately: the end of each one's series, by its key.
SELECT run_id, sum(requests), sum(items)
FROM run_series
WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND bucket >= :since
GROUP BY run_id;

-- name: throughput
-- The cells of all runs that begin in a stretch of time; naming every width lets the key's index find them. The caller
-- adds them up: joining histograms there is several times faster than summing them here.
SELECT
    bucket, width, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM throughput
WHERE width IN (10, 60, 600) AND bucket >= :since AND bucket < :until;

-- name: source_counts
-- What the source of one run said it has.
SELECT run_id, entity, items, at
FROM source_counts
WHERE run_id = :run_id
ORDER BY entity;

-- name: errors
-- The newest errors of all runs, up to a moment.
SELECT run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint
FROM errors
WHERE at <= coalesce(:moment, 9223372036854775807)
ORDER BY at DESC
LIMIT :limit;

-- name: errors_of_run
-- The newest errors of one run, up to a moment.
SELECT run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint
FROM errors
WHERE run_id = :run_id AND at <= coalesce(:moment, 9223372036854775807)
ORDER BY at DESC, writer_id, seq DESC
LIMIT :limit;

-- name: errors_of_jobs
-- The newest errors of all runs of some jobs, up to a moment; CROSS JOIN keeps the walk through the errors by time.
SELECT
    error.run_id, error.writer_id, error.seq, error.at, error.phase, error.error_type, error.message, error.traceback,
    error.fingerprint
FROM errors AS error
CROSS JOIN runs AS run ON run.run_id = error.run_id
WHERE error.at <= coalesce(:moment, 9223372036854775807) AND run.job IN (SELECT value FROM json_each(:jobs))
ORDER BY error.at DESC
LIMIT :limit;

-- name: errors_named
-- The newest errors of given kinds, whosoever they are.
SELECT run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint
FROM errors
WHERE fingerprint IN (SELECT value FROM json_each(:fingerprints))
ORDER BY at DESC
LIMIT :limit;

-- name: ledger
-- What each writer of one run emitted, and what of it is here.
SELECT run_id, writer_id, emitted, stored, dropped, overhead
FROM writers
WHERE run_id = :run_id
ORDER BY writer_id;

-- name: switches
-- The shared switches that were ever turned, the global one first.
SELECT scope, job, enabled, changed_at, changed_by, reason
FROM switches
ORDER BY scope, job;

-- name: audit
-- The newest deeds of people.
SELECT id, at, actor, action, detail
FROM audit
ORDER BY id DESC
LIMIT :limit;

-- name: job_names
-- Every job that has runs, found by hopping from one name to the next in the index.
WITH RECURSIVE names AS (
    SELECT min(job) AS job FROM runs
    UNION ALL
    SELECT (SELECT min(job) FROM runs WHERE job > names.job) FROM names WHERE names.job IS NOT NULL
)
SELECT job FROM names WHERE job IS NOT NULL LIMIT :limit;

-- name: runs_of_job
-- The newest runs of one job that began before a moment; all of them, or those that had completed by another.
SELECT
    run_id, job, notes, tags, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    :now AS read_at
FROM runs
WHERE job = :job
  AND started_at < coalesce(:before_at, 9223372036854775807)
  AND (NOT :completed OR (status = 'completed' AND ended_at <= coalesce(:moment, 9223372036854775807)))
ORDER BY started_at DESC, run_id DESC
LIMIT :limit;

-- name: runs_of_jobs
-- The newest runs of each of several jobs, as runs_of_job returns those of one; CROSS JOIN keeps the order of the loops.
SELECT
    run.run_id, run.job, run.notes, run.tags, run.status, run.started_at, run.ended_at, run.duration_ms, run.heartbeat_at,
    run.heartbeat_interval_s, run.progress_at, run.requests, run.items, run.failed_requests, run.throttled_requests,
    run.errors, run.emitted, run.dropped, run.host, run.pid, run.boot_id, run.username, run.command, run.code_version,
    run.tracker_version, run.parent_run_id, run.ended_by, run.clock_offset_ms,
    :now AS read_at
FROM json_each(:jobs) AS wanted
CROSS JOIN json_each((
    SELECT json_group_array(run_id) FROM (
        SELECT run_id
        FROM runs AS own
        WHERE own.job = wanted.value
          AND own.started_at < coalesce(:before_at, 9223372036854775807)
          AND (NOT :completed
               OR (own.status = 'completed' AND own.ended_at <= coalesce(:moment, 9223372036854775807)))
        ORDER BY own.started_at DESC, own.run_id DESC
        LIMIT :limit))) AS newest
CROSS JOIN runs AS run ON run.run_id = newest.value;

-- name: outlines_of_jobs
-- How the newest runs of each of several jobs began and ended, and no more of them.
SELECT run.run_id, run.job, run.status, run.started_at, run.ended_at, run.duration_ms, run.requests
FROM json_each(:jobs) AS wanted
CROSS JOIN json_each((
    SELECT json_group_array(run_id) FROM (
        SELECT run_id
        FROM runs AS own
        WHERE own.job = wanted.value AND own.started_at < coalesce(:before_at, 9223372036854775807)
        ORDER BY own.started_at DESC, own.run_id DESC
        LIMIT :limit))) AS newest
CROSS JOIN runs AS run ON run.run_id = newest.value;

-- name: outlines_since
-- The same of the runs that ended from a moment on, of some jobs or of all.
SELECT run_id, job, status, started_at, ended_at, duration_ms, requests
FROM runs
WHERE ended_at >= :moment AND (:jobs IS NULL OR job IN (SELECT value FROM json_each(:jobs)));

-- name: runs_in_status
-- The newest runs in given stored states, or those of them older than a given run.
SELECT
    run_id, job, notes, tags, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    :now AS read_at
FROM runs
WHERE status IN (SELECT value FROM json_each(:statuses))
  AND (started_at, run_id)
    < (coalesce(:before_at, 9223372036854775807), coalesce(:before_id, 9223372036854775807))
ORDER BY started_at DESC, run_id DESC
LIMIT :limit;

-- name: count_live
-- How many runs nobody has ended.
SELECT count(*) FROM runs WHERE status = 'running';

-- name: endpoint_names
-- Which endpoints several runs asked, by the key.
SELECT run_id, endpoint
FROM run_endpoints
WHERE run_id IN (SELECT value FROM json_each(:run_ids));

-- name: endpoints_of_runs
-- The requests of several runs by endpoint.
SELECT
    run_id, endpoint, max_ms, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM run_endpoints
WHERE run_id IN (SELECT value FROM json_each(:run_ids))
ORDER BY run_id, requests DESC, endpoint;

-- name: series_of_runs
-- The requests of several runs over time, in cells that begin in a stretch of time.
SELECT
    run_id, bucket, width, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM run_series
WHERE run_id IN (SELECT value FROM json_each(:run_ids))
  AND bucket >= :since AND bucket < coalesce(:until, 9223372036854775807)
ORDER BY run_id, bucket, width;

-- name: pauses_of_runs
-- How long each of several runs went without a request between two cells, and where its last cell with requests begins.
SELECT run_id, max(pause), max(bucket)
FROM (
    SELECT
        run_id, bucket, bucket - lag(bucket + width, 1, bucket) OVER (PARTITION BY run_id ORDER BY bucket) + width AS pause
    FROM run_series
    WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND requests > 0) AS busy
GROUP BY run_id;

-- name: error_groups
-- Errors of one kind of one job as one row each, newest kind first, with what the newest of each says; those before a
-- moment. Of a storm the newest are counted; the last column says how many were.
SELECT
    kind.job, kind.fingerprint, kind.errors, kind.runs, kind.first_at, kind.last_at,
    newest.run_id, newest.phase, newest.error_type, newest.message, kind.counted
FROM (
    SELECT
        coalesce(run.job, '') AS job, fingerprint, sum(of_run.errors) AS errors, count(*) AS runs,
        min(first_at) AS first_at, max(last_at) AS last_at, max(last_run) AS last_run,
        sum(sum(of_run.errors)) OVER () AS counted
    FROM (
        SELECT fingerprint, run_id, count(*) AS errors, min(at) AS first_at, max(at) AS last_at,
            printf('%020d %020d', max(at), run_id) AS last_run
        FROM (
            SELECT fingerprint, run_id, at
            FROM errors
            WHERE at >= :since AND at < coalesce(:before_at, 9223372036854775807)
            ORDER BY at DESC
            LIMIT :most) AS latest
        GROUP BY fingerprint, run_id) AS of_run
    LEFT JOIN runs AS run ON run.run_id = of_run.run_id
    GROUP BY 1, fingerprint
    ORDER BY max(last_at) DESC
    LIMIT :limit) AS kind
JOIN errors AS newest ON newest.rowid = (
    SELECT error.rowid FROM errors AS error
    WHERE error.fingerprint = kind.fingerprint AND error.at = kind.last_at
      AND error.run_id = CAST(substr(kind.last_run, 22) AS INTEGER)
    LIMIT 1)
ORDER BY kind.last_at DESC;

-- name: error_groups_named
-- The same for given kinds, whenever they happened; of each fingerprint the newest are counted, whatever their job, each
-- read once and each run looked up once; the last column is how many these were. The first of each kind is found.
SELECT
    kind.job, kind.fingerprint, kind.errors, kind.runs, kind.first_at, newest.at,
    newest.run_id, newest.phase, newest.error_type, newest.message, kind.counted
FROM (
    SELECT
        of.value AS job,
        wanted.value AS fingerprint,
        coalesce(latest.errors, 0) AS errors,
        coalesce(latest.runs, 0) AS runs,
        coalesce(latest.counted, :most) AS counted,
        (SELECT error.at FROM errors AS error LEFT JOIN runs AS run ON run.run_id = error.run_id
         WHERE error.fingerprint = wanted.value AND coalesce(run.job, '') = of.value
         ORDER BY error.at LIMIT 1) AS first_at
    FROM json_each(:fingerprints) AS wanted JOIN json_each(:jobs) AS of ON of.key = wanted.key
    LEFT JOIN (
        SELECT
            coalesce(run.job, '') AS job, fingerprint, sum(of_run.errors) AS errors, count(*) AS runs,
            sum(sum(of_run.errors)) OVER (PARTITION BY fingerprint) AS counted
        FROM (
            SELECT error.fingerprint, error.run_id, count(*) AS errors
            FROM (SELECT DISTINCT value AS fingerprint FROM json_each(:fingerprints)) AS given
            CROSS JOIN errors AS error
            WHERE error.fingerprint = given.fingerprint AND error.at < coalesce(:before_at, 9223372036854775807)
              AND error.at >= coalesce((
                SELECT at FROM errors AS counted
                WHERE counted.fingerprint = given.fingerprint
                  AND counted.at < coalesce(:before_at, 9223372036854775807)
                ORDER BY at DESC LIMIT 1 OFFSET :most - 1), -9223372036854775808)
            GROUP BY error.fingerprint, error.run_id) AS of_run
        LEFT JOIN runs AS run ON run.run_id = of_run.run_id
        GROUP BY 1, fingerprint) AS latest
      ON latest.job = of.value AND latest.fingerprint = wanted.value) AS kind
JOIN errors AS newest ON newest.rowid = (
    SELECT error.rowid FROM errors AS error LEFT JOIN runs AS run ON run.run_id = error.run_id
    WHERE error.fingerprint = kind.fingerprint AND error.at < coalesce(:before_at, 9223372036854775807)
      AND coalesce(run.job, '') = kind.job
    ORDER BY error.at DESC LIMIT 1)
ORDER BY newest.at DESC;

-- name: runs_alive_at
-- The runs that had begun and not ended at a past moment, newest first; `since` bounds how far back it looks.
SELECT
    run_id, job, notes, tags, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    :now AS read_at
FROM runs
WHERE started_at <= :moment AND started_at > :since AND (ended_at IS NULL OR ended_at > :moment)
ORDER BY started_at DESC, run_id DESC
LIMIT :limit;

-- name: count_alive_at
-- How many these are without a limit.
SELECT count(*)
FROM runs
WHERE started_at <= :moment AND started_at > :since AND (ended_at IS NULL OR ended_at > :moment);

-- name: traffic_until
-- What runs had requested by a past moment: the cells of their series that had closed.
SELECT
    run_id, sum(requests), sum(failed), sum(throttled), sum(items)
FROM run_series
WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND bucket + width <= :until
GROUP BY run_id;

-- name: samples_until
-- The last two samples of each phase whose buckets had begun by a past moment: the newest may have been renewed later.
SELECT run_id, phase, bucket, at, processed, memory_mb
FROM (
    SELECT
        run_id, phase, bucket, at, processed, memory_mb,
        row_number() OVER (PARTITION BY run_id, phase ORDER BY bucket DESC) AS place
    FROM phase_series
    WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND bucket <= :until) AS latest
WHERE place <= 2
ORDER BY run_id, phase, bucket;

-- name: errors_until
-- How many errors runs had by a past moment, and when the last of these was.
SELECT run_id, count(*), max(at)
FROM errors
WHERE run_id IN (SELECT value FROM json_each(:run_ids)) AND at <= :moment
GROUP BY run_id;
