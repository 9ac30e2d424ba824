-- Queries in SQLite's way; see ../reads.sql. SQLite's own clock has milliseconds, stored times have
-- microseconds: so the caller passes `now`.

-- name: errors_of_run
-- The newest errors of one run, up to a moment: the newest of each of its writers, which number them as they come, since
-- no index has the errors of one run by time.
WITH RECURSIVE writer (id) AS (
    SELECT min(writer_id) FROM errors WHERE run_id = :run_id
    UNION ALL
    SELECT (SELECT min(writer_id) FROM errors WHERE run_id = :run_id AND writer_id > writer.id)
    FROM writer WHERE id IS NOT NULL
)
SELECT {{error_columns}}
FROM writer CROSS JOIN errors
WHERE errors.rowid IN (
    SELECT newest.rowid FROM errors AS newest
    WHERE newest.run_id = :run_id AND newest.writer_id = writer.id AND newest.at <= {{or_end(moment)}}
    ORDER BY newest.seq DESC
    LIMIT :limit)
ORDER BY at DESC, writer_id, seq DESC
LIMIT :limit;

-- name: begin_view
-- One moment, that of the first query, for all queries until end_view.
BEGIN;

-- name: now
-- The store's clock, which is that of the machine that reads.
SELECT :now AS moment, 0 AS standby, :now AS clock;

-- name: errors_of_jobs
-- The newest errors of all runs of some jobs, up to a moment; CROSS JOIN keeps the walk through the errors by time.
SELECT {{error_columns|error.@}}
FROM errors AS error
CROSS JOIN runs AS run ON run.run_id = error.run_id
WHERE error.at <= {{or_end(moment)}} AND run.job {{in_texts(jobs)}}
ORDER BY error.at DESC
LIMIT :limit;

-- name: runs_of_jobs
-- The newest runs of each of several jobs, as runs_of_job returns those of one; CROSS JOIN keeps the order of the loops.
SELECT {{run_columns|run.@}}, :now AS read_at
FROM json_each(:jobs) AS wanted
CROSS JOIN json_each((
    SELECT json_group_array(run_id) FROM (
        SELECT run_id
        FROM runs AS own
        WHERE own.job = wanted.value
          AND own.started_at < {{or_end(before_at)}}
          AND (NOT :completed
               OR (own.status = 'completed' AND own.ended_at <= {{or_end(moment)}}))
        ORDER BY own.started_at DESC, own.run_id DESC
        LIMIT :limit))) AS newest
CROSS JOIN runs AS run ON run.run_id = newest.value;

-- name: outlines_of_jobs
-- How the newest runs of each of several jobs began and ended, and no more of them.
SELECT {{outline_columns|run.@}}
FROM json_each(:jobs) AS wanted
CROSS JOIN json_each((
    SELECT json_group_array(run_id) FROM (
        SELECT run_id
        FROM runs AS own
        WHERE own.job = wanted.value AND own.started_at < {{or_end(before_at)}}
        ORDER BY own.started_at DESC, own.run_id DESC
        LIMIT :limit))) AS newest
CROSS JOIN runs AS run ON run.run_id = newest.value;

-- name: error_groups
-- Errors of one kind of one job as one row each, newest kind first, with the texts of the newest of each; those before a
-- moment, of some jobs. Of a storm the newest `most` - 1 are counted; then `cut` is true.
SELECT
    kind.job, kind.fingerprint, min(kind.errors, :most - 1) AS errors, kind.runs, kind.first_at, kind.last_at,
    newest.run_id, newest.phase, newest.error_type, newest.message, kind.kinds,
    kind.counted >= :most AS cut
FROM (
    SELECT
        coalesce(run.job, '') AS job, fingerprint, sum(of_run.errors) AS errors, count(*) AS runs,
        min(first_at) AS first_at, max(last_at) AS last_at, max(last_run) AS last_run,
        sum(sum(of_run.errors)) OVER () AS counted, count(*) OVER () AS kinds
    FROM (
        SELECT fingerprint, run_id, count(*) AS errors, min(at) AS first_at, max(at) AS last_at,
            printf('%020d %020d', max(at), run_id) AS last_run
        FROM (
            SELECT fingerprint, run_id, at
            FROM errors
            WHERE at >= :since AND at < {{or_end(before_at)}}
              AND ({{is_null(jobs)}} OR run_id IN (SELECT run_id FROM runs WHERE job {{in_texts(jobs)}}))
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
-- read once and each run looked up once. The first of each kind is found.
SELECT
    kind.job, kind.fingerprint, min(kind.errors, :most - 1) AS errors, kind.runs, kind.first_at,
    newest.at AS last_at, newest.run_id, newest.phase, newest.error_type, newest.message, kind.counted >= :most AS cut
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
            WHERE error.fingerprint = given.fingerprint AND error.at < {{or_end(before_at)}}
              AND error.at >= coalesce((
                SELECT at FROM errors AS counted
                WHERE counted.fingerprint = given.fingerprint
                  AND counted.at < {{or_end(before_at)}}
                ORDER BY at DESC LIMIT 1 OFFSET :most - 1), -9223372036854775808)
            GROUP BY error.fingerprint, error.run_id) AS of_run
        LEFT JOIN runs AS run ON run.run_id = of_run.run_id
        GROUP BY 1, fingerprint) AS latest
      ON latest.job = of.value AND latest.fingerprint = wanted.value) AS kind
JOIN errors AS newest ON newest.rowid = (
    SELECT error.rowid FROM errors AS error LEFT JOIN runs AS run ON run.run_id = error.run_id
    WHERE error.fingerprint = kind.fingerprint AND error.at < {{or_end(before_at)}}
      AND coalesce(run.job, '') = kind.job
    ORDER BY error.at DESC LIMIT 1)
ORDER BY newest.at DESC;
