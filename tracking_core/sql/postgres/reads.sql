-- Queries in PostgreSQL's way; see ../reads.sql.

-- name: errors_of_run
-- The newest errors of one run, up to a moment.
SELECT {{error_columns}}
FROM tracking.errors
WHERE run_id = %(run_id)s AND at <= {{or_end(moment)}}
ORDER BY at DESC, writer_id, seq DESC
LIMIT %(limit)s;

-- name: begin_view
-- One moment for all queries until end_view; nothing can be changed.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: now
-- The moment at which what is read is judged, whether the server is a standby, and its own clock.
SELECT {{now}} AS moment, pg_is_in_recovery() AS standby, transaction_timestamp() AS clock;

-- name: run_versions
-- PostgreSQL only: the newest runs, and which version of its row each is: the transaction that wrote it. A row that the
-- reader holds in that version need not be sent again.
SELECT run_id, xmin AS version, {{now}} AS read_at
FROM tracking.runs
ORDER BY started_at DESC, run_id DESC
LIMIT %(limit)s;

-- name: runs_named
-- PostgreSQL only: some runs by their ids.
SELECT {{run_columns}}
FROM tracking.runs
WHERE run_id {{in_ids(run_ids)}};

-- name: errors_of_jobs
-- The newest errors of all runs of some jobs, up to a moment.
SELECT {{error_columns|error.@}}
FROM tracking.errors AS error
JOIN tracking.runs AS run ON run.run_id = error.run_id
WHERE error.at <= {{or_end(moment)}} AND run.job {{in_texts(jobs)}}
ORDER BY error.at DESC
LIMIT %(limit)s;

-- name: runs_of_jobs
-- The newest runs of each of several jobs, as runs_of_job returns those of one.
SELECT {{run_columns|run.@}}, {{now}} AS read_at
FROM unnest(%(jobs)s::text[]) AS wanted (job)
CROSS JOIN LATERAL (
    SELECT own.*
    FROM tracking.runs AS own
    WHERE own.job = wanted.job
      AND own.started_at < {{or_end(before_at)}}
      AND (NOT %(completed)s
           OR (own.status = 'completed' AND own.ended_at <= {{or_end(moment)}}))
    ORDER BY own.started_at DESC, own.run_id DESC
    LIMIT %(limit)s) AS run;

-- name: outlines_of_jobs
-- How the newest runs of each of several jobs began and ended, and no more of them.
SELECT {{outline_columns|run.@}}
FROM unnest(%(jobs)s::text[]) AS wanted (job)
CROSS JOIN LATERAL (
    SELECT own.*
    FROM tracking.runs AS own
    WHERE own.job = wanted.job AND own.started_at < {{or_end(before_at)}}
    ORDER BY own.started_at DESC, own.run_id DESC
    LIMIT %(limit)s) AS run;

-- name: error_groups
-- Errors of one kind of one job as one row each, newest kind first, with the texts of the newest of each; those before a
-- moment, of some jobs. Of a storm the newest `most` - 1 are counted; then `cut` is true.
SELECT
    kind.job, kind.fingerprint, least(kind.errors, %(most)s - 1) AS errors, kind.runs, kind.first_at, kind.last_at,
    newest.run_id, newest.phase, newest.error_type, newest.message, kind.kinds,
    kind.counted >= %(most)s AS cut
FROM (
    SELECT
        coalesce(run.job, '') AS job, fingerprint, sum(of_run.errors)::bigint AS errors, count(*) AS runs,
        min(first_at) AS first_at, max(last_at) AS last_at,
        (array_agg(of_run.run_id ORDER BY last_at DESC))[1] AS last_run,
        (sum(sum(of_run.errors)) OVER ())::bigint AS counted, count(*) OVER () AS kinds
    FROM (
        SELECT fingerprint, run_id, count(*) AS errors, min(at) AS first_at, max(at) AS last_at
        FROM (
            SELECT fingerprint, run_id, at
            FROM tracking.errors
            WHERE at >= %(since)s AND at < {{or_end(before_at)}}
              AND ({{is_null(jobs)}} OR run_id IN (SELECT run_id FROM tracking.runs WHERE job {{in_texts(jobs)}}))
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
-- The same for given kinds, whenever they happened; of each fingerprint the newest are counted, whatever their job, so that
-- their number bounds what is read. The first of each kind is found.
SELECT
    wanted.job, wanted.fingerprint, least(kind.errors, %(most)s - 1) AS errors, kind.runs, oldest.at AS first_at,
    newest.at AS last_at, newest.run_id, newest.phase, newest.error_type, newest.message, bound.at IS NOT NULL AS cut
FROM unnest(%(jobs)s::text[], %(fingerprints)s::text[]) AS wanted (job, fingerprint)
CROSS JOIN LATERAL (
    SELECT (
        SELECT error.at
        FROM tracking.errors AS error
        WHERE error.fingerprint = wanted.fingerprint AND error.at < {{or_end(before_at)}}
        ORDER BY error.at DESC
        LIMIT 1 OFFSET %(most)s - 1) AS at) AS bound
CROSS JOIN LATERAL (
    SELECT count(*) AS errors, count(DISTINCT error.run_id) AS runs
    FROM tracking.errors AS error LEFT JOIN tracking.runs AS run ON run.run_id = error.run_id
    WHERE error.fingerprint = wanted.fingerprint AND error.at < {{or_end(before_at)}}
      AND error.at >= coalesce(bound.at, '-infinity') AND coalesce(run.job, '') = wanted.job) AS kind
CROSS JOIN LATERAL (
    SELECT error.at
    FROM tracking.errors AS error LEFT JOIN tracking.runs AS run ON run.run_id = error.run_id
    WHERE error.fingerprint = wanted.fingerprint AND coalesce(run.job, '') = wanted.job
    ORDER BY error.at
    LIMIT 1) AS oldest
CROSS JOIN LATERAL (
    SELECT error.at, error.run_id, phase, error_type, message
    FROM tracking.errors AS error LEFT JOIN tracking.runs AS run ON run.run_id = error.run_id
    WHERE error.fingerprint = wanted.fingerprint AND error.at < {{or_end(before_at)}}
      AND coalesce(run.job, '') = wanted.job
    ORDER BY error.at DESC
    LIMIT 1) AS newest
ORDER BY newest.at DESC;
