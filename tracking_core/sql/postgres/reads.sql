-- What is asked of a store. Every question is one SELECT, runs in a READ ONLY transaction and reads no raw request. `now` is
-- None in production, where the database's clock decides, and pinned in tests. Bounds on run ids are integers made by
-- the caller, so that partitions are pruned when the statement is planned.

-- name: begin_view
-- One moment for all questions until end_view; nothing can be changed meanwhile.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: end_view
-- Nothing was changed, so there is nothing to keep.
COMMIT;

-- name: newest_version
-- Which version of the tables this store has.
SELECT coalesce(max(version), 0) FROM tracking.schema_version;

-- name: now
-- The moment at which what is read is judged, whether the server is a standby, and its own clock.
SELECT coalesce(%(now)s::timestamptz, now()), pg_is_in_recovery(), transaction_timestamp();

-- name: recent_runs
-- The newest runs, or those older than a given one; walks runs_by_start as far as the limit says.
SELECT
    run_id, job, notes, tags::text, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    coalesce(%(now)s::timestamptz, now()) AS read_at
FROM tracking.runs
WHERE (started_at, run_id)
    < (coalesce(%(before_at)s::timestamptz, 'infinity'), coalesce(%(before_id)s::bigint, 9223372036854775807))
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: run_versions
-- PostgreSQL only: the newest runs, and which version of its row each is: the transaction that wrote it. A row that the
-- reader holds in that version need not be sent again.
SELECT run_id, xmin, coalesce(%(now)s::timestamptz, now()) AS read_at
FROM tracking.runs
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: runs_named
-- PostgreSQL only: some runs by their ids.
SELECT
    run_id, job, notes, tags::text, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms
FROM tracking.runs
WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: live_runs
-- The runs that nobody has ended, or those of them older than a given run, newest first, from the index that holds
-- only them.
SELECT
    run_id, job, notes, tags::text, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    coalesce(%(now)s::timestamptz, now()) AS read_at
FROM tracking.runs
WHERE status = 'running'
  AND (started_at, run_id)
    < (coalesce(%(before_at)s::timestamptz, 'infinity'), coalesce(%(before_id)s::bigint, 9223372036854775807))
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: run
-- One run by its id.
SELECT
    run_id, job, notes, tags::text, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    coalesce(%(now)s::timestamptz, now()) AS read_at
FROM tracking.runs
WHERE run_id = %(run_id)s;

-- name: run_ids_ending_in
-- Runs by the low bits of their id, newest first: reads runs_by_start alone until the limit is reached.
SELECT run_id
FROM tracking.runs
WHERE (run_id & %(mask)s::bigint) = %(bits)s::bigint
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: latest_run_id
-- The newest run of a job.
SELECT run_id
FROM tracking.runs
WHERE job = %(job)s
ORDER BY started_at DESC, run_id DESC
LIMIT 1;

-- name: phases
-- The phases of the runs on a screen.
SELECT
    run_id, phase, position, status, started_at, ended_at, counters::text, memory_mb, peak_memory_mb, memory_limit_mb
FROM tracking.phases
WHERE run_id = ANY(%(run_ids)s::bigint[])
ORDER BY run_id, position, phase;

-- name: phase_samples
-- How the phases of one run went.
SELECT run_id, phase, bucket, at, processed::text, memory_mb
FROM tracking.phase_series
WHERE run_id = %(run_id)s
ORDER BY phase, bucket;

-- name: endpoints
-- The requests of one run by endpoint.
SELECT
    run_id, endpoint, max_ms, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM tracking.run_endpoints
WHERE run_id = %(run_id)s
ORDER BY requests DESC, endpoint;

-- name: latencies
-- The latency histograms of the runs on a screen, one an endpoint; the caller adds them up.
SELECT run_id, histogram, max_ms, duration_ms
FROM tracking.run_endpoints
WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: series
-- The requests of one run over time, from a moment on.
SELECT
    bucket, width, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM tracking.run_series
WHERE run_id = %(run_id)s AND bucket >= %(since)s
ORDER BY bucket, width;

-- name: recent_traffic
-- What the runs on a screen did lately: the end of each one's series, by its key.
SELECT run_id, sum(requests)::bigint, sum(items)::bigint
FROM tracking.run_series
WHERE run_id = ANY(%(run_ids)s::bigint[]) AND bucket >= %(since)s
GROUP BY run_id;

-- name: throughput
-- The cells of all runs that begin in a stretch of time; naming every width lets the key's index find them. The caller
-- adds them up: joining histograms there is several times faster than summing them here.
SELECT
    bucket, width, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM tracking.throughput
WHERE width IN (10, 60, 600) AND bucket >= %(since)s AND bucket < %(until)s;

-- name: source_counts
-- What the source of one run said it has.
SELECT run_id, entity, items, at
FROM tracking.source_counts
WHERE run_id = %(run_id)s
ORDER BY entity;

-- name: errors
-- The newest errors of all runs, up to a moment.
SELECT run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint
FROM tracking.errors
WHERE at <= coalesce(%(moment)s::timestamptz, 'infinity')
ORDER BY at DESC
LIMIT %(limit)s;

-- name: errors_of_run
-- The newest errors of one run, up to a moment.
SELECT run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint
FROM tracking.errors
WHERE run_id = %(run_id)s AND at <= coalesce(%(moment)s::timestamptz, 'infinity')
ORDER BY at DESC, writer_id, seq DESC
LIMIT %(limit)s;

-- name: errors_of_jobs
-- The newest errors of all runs of some jobs, up to a moment.
SELECT
    error.run_id, error.writer_id, error.seq, error.at, error.phase, error.error_type, error.message, error.traceback,
    error.fingerprint
FROM tracking.errors AS error
JOIN tracking.runs AS run ON run.run_id = error.run_id
WHERE error.at <= coalesce(%(moment)s::timestamptz, 'infinity') AND run.job = ANY(%(jobs)s::text[])
ORDER BY error.at DESC
LIMIT %(limit)s;

-- name: errors_named
-- The newest errors of given kinds, whosoever they are.
SELECT run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint
FROM tracking.errors
WHERE fingerprint = ANY(%(fingerprints)s::text[])
ORDER BY at DESC
LIMIT %(limit)s;

-- name: ledger
-- What each writer of one run emitted, and what of it is here.
SELECT run_id, writer_id, emitted, stored, dropped, overhead::text
FROM tracking.writers
WHERE run_id = %(run_id)s
ORDER BY writer_id;

-- name: switches
-- The shared switches that were ever turned, the global one first.
SELECT scope, job, enabled, changed_at, changed_by, reason
FROM tracking.switches
ORDER BY scope, job;

-- name: audit
-- The newest deeds of people.
SELECT id, at, actor, action, detail::text
FROM tracking.audit
ORDER BY id DESC
LIMIT %(limit)s;

-- name: job_names
-- Every job that has runs, found by hopping from one name to the next in the index.
WITH RECURSIVE names AS (
    SELECT min(job) AS job FROM tracking.runs
    UNION ALL
    SELECT (SELECT min(job) FROM tracking.runs WHERE job > names.job) FROM names WHERE names.job IS NOT NULL
)
SELECT job FROM names WHERE job IS NOT NULL LIMIT %(limit)s;

-- name: runs_of_job
-- The newest runs of one job that began before a moment; all of them, or those that had completed by another.
SELECT
    run_id, job, notes, tags::text, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    coalesce(%(now)s::timestamptz, now()) AS read_at
FROM tracking.runs
WHERE job = %(job)s
  AND started_at < coalesce(%(before_at)s::timestamptz, 'infinity')
  AND (NOT %(completed)s
       OR (status = 'completed' AND ended_at <= coalesce(%(moment)s::timestamptz, 'infinity')))
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: runs_of_jobs
-- The newest runs of each of several jobs, as runs_of_job returns those of one.
SELECT
    run.run_id, run.job, run.notes, run.tags::text, run.status, run.started_at, run.ended_at, run.duration_ms, run.heartbeat_at,
    run.heartbeat_interval_s, run.progress_at, run.requests, run.items, run.failed_requests, run.throttled_requests,
    run.errors, run.emitted, run.dropped, run.host, run.pid, run.boot_id, run.username, run.command, run.code_version,
    run.tracker_version, run.parent_run_id, run.ended_by, run.clock_offset_ms,
    coalesce(%(now)s::timestamptz, now()) AS read_at
FROM unnest(%(jobs)s::text[]) AS wanted (job)
CROSS JOIN LATERAL (
    SELECT own.*
    FROM tracking.runs AS own
    WHERE own.job = wanted.job
      AND own.started_at < coalesce(%(before_at)s::timestamptz, 'infinity')
      AND (NOT %(completed)s
           OR (own.status = 'completed' AND own.ended_at <= coalesce(%(moment)s::timestamptz, 'infinity')))
    ORDER BY own.started_at DESC, own.run_id DESC
    LIMIT %(limit)s) AS run;

-- name: outlines_of_jobs
-- How the newest runs of each of several jobs began and ended, and no more of them.
SELECT run.run_id, run.job, run.status, run.started_at, run.ended_at, run.duration_ms, run.requests
FROM unnest(%(jobs)s::text[]) AS wanted (job)
CROSS JOIN LATERAL (
    SELECT own.*
    FROM tracking.runs AS own
    WHERE own.job = wanted.job AND own.started_at < coalesce(%(before_at)s::timestamptz, 'infinity')
    ORDER BY own.started_at DESC, own.run_id DESC
    LIMIT %(limit)s) AS run;

-- name: outlines_since
-- The same of the runs that ended from a moment on, of some jobs or of all.
SELECT run_id, job, status, started_at, ended_at, duration_ms, requests
FROM tracking.runs
WHERE ended_at >= %(moment)s AND (%(jobs)s::text[] IS NULL OR job = ANY(%(jobs)s::text[]));

-- name: runs_in_status
-- The newest runs in given stored states, or those of them older than a given run.
SELECT
    run_id, job, notes, tags::text, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    coalesce(%(now)s::timestamptz, now()) AS read_at
FROM tracking.runs
WHERE status = ANY(%(statuses)s::text[])
  AND (started_at, run_id)
    < (coalesce(%(before_at)s::timestamptz, 'infinity'), coalesce(%(before_id)s::bigint, 9223372036854775807))
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: count_live
-- How many runs nobody has ended.
SELECT count(*) FROM tracking.runs WHERE status = 'running';

-- name: endpoint_names
-- Which endpoints several runs asked, from the key's index alone.
SELECT run_id, endpoint
FROM tracking.run_endpoints
WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: endpoints_of_runs
-- The requests of several runs by endpoint.
SELECT
    run_id, endpoint, max_ms, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM tracking.run_endpoints
WHERE run_id = ANY(%(run_ids)s::bigint[])
ORDER BY run_id, requests DESC, endpoint;

-- name: series_of_runs
-- The requests of several runs over time, in cells that begin in a stretch of time.
SELECT
    run_id, bucket, width, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram
FROM tracking.run_series
WHERE run_id = ANY(%(run_ids)s::bigint[])
  AND bucket >= %(since)s AND bucket < coalesce(%(until)s::bigint, 9223372036854775807)
ORDER BY run_id, bucket, width;

-- name: pauses_of_runs
-- How long each of several runs went without a request between two cells, and where its last cell with requests begins.
SELECT run_id, max(pause)::bigint, max(bucket)
FROM (
    SELECT
        run_id, bucket, bucket - lag(bucket + width, 1, bucket) OVER (PARTITION BY run_id ORDER BY bucket) + width AS pause
    FROM tracking.run_series
    WHERE run_id = ANY(%(run_ids)s::bigint[]) AND requests > 0) AS busy
GROUP BY run_id;

-- name: error_groups
-- Errors of one kind of one job as one row each, newest kind first, with what the newest of each says; those before a
-- moment. Of a storm the newest are counted; the last column says how many were.
SELECT
    kind.job, kind.fingerprint, kind.errors, kind.runs, kind.first_at, kind.last_at,
    newest.run_id, newest.phase, newest.error_type, newest.message, kind.counted
FROM (
    SELECT
        coalesce(run.job, '') AS job, fingerprint, sum(of_run.errors)::bigint AS errors, count(*) AS runs,
        min(first_at) AS first_at, max(last_at) AS last_at,
        (array_agg(of_run.run_id ORDER BY last_at DESC))[1] AS last_run,
        (sum(sum(of_run.errors)) OVER ())::bigint AS counted
    FROM (
        SELECT fingerprint, run_id, count(*) AS errors, min(at) AS first_at, max(at) AS last_at
        FROM (
            SELECT fingerprint, run_id, at
            FROM tracking.errors
            WHERE at >= %(since)s AND at < coalesce(%(before_at)s::timestamptz, 'infinity')
            ORDER BY at DESC
            LIMIT %(most)s) AS latest
        GROUP BY fingerprint, run_id) AS of_run
    LEFT JOIN tracking.runs AS run ON run.run_id = of_run.run_id
    GROUP BY coalesce(run.job, ''), fingerprint
    ORDER BY max(last_at) DESC
    LIMIT %(limit)s) AS kind
CROSS JOIN LATERAL (
    SELECT run_id, phase, error_type, message
    FROM tracking.errors AS error
    WHERE error.fingerprint = kind.fingerprint AND error.at = kind.last_at AND error.run_id = kind.last_run
    LIMIT 1) AS newest
ORDER BY kind.last_at DESC;

-- name: error_groups_named
-- The same for given kinds, whenever they happened; of each the newest are counted, and the first of all is found.
SELECT
    wanted.job, wanted.fingerprint, kind.errors, kind.runs, oldest.at, newest.at,
    newest.run_id, newest.phase, newest.error_type, newest.message, kind.errors
FROM unnest(%(jobs)s::text[], %(fingerprints)s::text[]) AS wanted (job, fingerprint)
CROSS JOIN LATERAL (
    SELECT count(*) AS errors, count(DISTINCT run_id) AS runs
    FROM (
        SELECT error.run_id
        FROM tracking.errors AS error LEFT JOIN tracking.runs AS run ON run.run_id = error.run_id
        WHERE error.fingerprint = wanted.fingerprint AND error.at < coalesce(%(before_at)s::timestamptz, 'infinity')
          AND coalesce(run.job, '') = wanted.job
        ORDER BY error.at DESC
        LIMIT %(most)s) AS latest) AS kind
CROSS JOIN LATERAL (
    SELECT error.at
    FROM tracking.errors AS error LEFT JOIN tracking.runs AS run ON run.run_id = error.run_id
    WHERE error.fingerprint = wanted.fingerprint AND coalesce(run.job, '') = wanted.job
    ORDER BY error.at
    LIMIT 1) AS oldest
CROSS JOIN LATERAL (
    SELECT error.at, error.run_id, phase, error_type, message
    FROM tracking.errors AS error LEFT JOIN tracking.runs AS run ON run.run_id = error.run_id
    WHERE error.fingerprint = wanted.fingerprint AND error.at < coalesce(%(before_at)s::timestamptz, 'infinity')
      AND coalesce(run.job, '') = wanted.job
    ORDER BY error.at DESC
    LIMIT 1) AS newest
ORDER BY newest.at DESC;

-- name: runs_alive_at
-- The runs that had begun and not ended at a past moment, newest first; `since` bounds how far back it looks.
SELECT
    run_id, job, notes, tags::text, status, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s,
    progress_at, requests, items, failed_requests, throttled_requests, errors, emitted, dropped, host, pid, boot_id,
    username, command, code_version, tracker_version, parent_run_id, ended_by, clock_offset_ms,
    coalesce(%(now)s::timestamptz, now()) AS read_at
FROM tracking.runs
WHERE started_at <= %(moment)s AND started_at > %(since)s AND (ended_at IS NULL OR ended_at > %(moment)s)
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: count_alive_at
-- How many these are without a limit.
SELECT count(*)
FROM tracking.runs
WHERE started_at <= %(moment)s AND started_at > %(since)s AND (ended_at IS NULL OR ended_at > %(moment)s);

-- name: traffic_until
-- What runs had requested by a past moment: the cells of their series that had closed.
SELECT
    run_id, sum(requests)::bigint, sum(failed)::bigint, sum(throttled)::bigint, sum(items)::bigint
FROM tracking.run_series
WHERE run_id = ANY(%(run_ids)s::bigint[]) AND bucket + width <= %(until)s
GROUP BY run_id;

-- name: samples_until
-- The last two samples of each phase whose buckets had begun by a past moment: the newest may have been renewed later.
SELECT run_id, phase, bucket, at, processed::text, memory_mb
FROM (
    SELECT
        run_id, phase, bucket, at, processed, memory_mb,
        row_number() OVER (PARTITION BY run_id, phase ORDER BY bucket DESC) AS place
    FROM tracking.phase_series
    WHERE run_id = ANY(%(run_ids)s::bigint[]) AND bucket <= %(until)s) AS latest
WHERE place <= 2
ORDER BY run_id, phase, bucket;

-- name: errors_until
-- How many errors runs had by a past moment, and when the last of these was.
SELECT run_id, count(*), max(at)
FROM tracking.errors
WHERE run_id = ANY(%(run_ids)s::bigint[]) AND at <= %(moment)s
GROUP BY run_id;
