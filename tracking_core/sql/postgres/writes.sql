-- What a job writes, in PostgreSQL's way; see ../writes.sql.

-- name: lock_runs
-- PostgreSQL only: wait for the removal of runs, before runs are carried: a removed one is then seen as removed.
SELECT FROM tracking.runs WHERE run_id {{in_ids(run_ids)}} ORDER BY run_id FOR KEY SHARE;

-- name: lock_phases
-- PostgreSQL only: one writer at a time changes phases and source counts of a run, in whatever order they come.
SELECT pg_advisory_xact_lock(run_id)
FROM (SELECT run_id FROM unnest(%(run_ids)s::bigint[]) AS changed (run_id) ORDER BY run_id) AS changed;

-- name: claim_batch_and_runs
-- PostgreSQL only: claim_batch, and then runs_of_batch: one statement costs half of what two do. `claimed` is 0 for a
-- batch that was taken before.
WITH claimed AS ({{claim_batch}} RETURNING batch_seq)
SELECT {{run_of_batch}}, (SELECT count(*) FROM claimed) AS claimed
FROM {{wanted(run_ids)}}
WHERE (SELECT count(*) FROM claimed) >= 0;

-- name: lock_changed_runs
-- PostgreSQL only: lock the runs that a batch changes at its end.
SELECT FROM tracking.runs WHERE run_id {{in_ids(run_ids)}} ORDER BY run_id FOR NO KEY UPDATE;

-- name: copy_requests
-- PostgreSQL only: the rows of a larger batch.
COPY tracking.requests ({{request_columns}})
FROM STDIN (FORMAT BINARY);

-- name: insert_requests
-- The rows of a small batch, or of one without a key: what is here already stays and is not reported back.
INSERT INTO tracking.requests ({{request_columns}})
SELECT
    run_id, %(writer_id)s, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error
FROM unnest(
    %(run_id)s::bigint[], %(seq)s::bigint[], %(at)s::timestamptz[], %(endpoint)s::text[], %(page_offset)s::bigint[],
    %(page_limit)s::bigint[], %(status)s::integer[], %(items)s::bigint[], %(duration_ms)s::bigint[],
    %(throttled)s::boolean[], %(error)s::text[])
    AS new (run_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
ORDER BY run_id, seq
ON CONFLICT DO NOTHING
RETURNING run_id, seq;

-- name: requests_here
-- How many of the requests that were not inserted are here.
SELECT count(*)
FROM unnest(%(run_id)s::bigint[], %(seq)s::bigint[]) AS asked (run_id, seq)
JOIN tracking.requests AS here USING (run_id, seq)
WHERE here.writer_id = %(writer_id)s;

-- name: add_sums
-- PostgreSQL only: what a batch adds to the summaries, in one statement: parsing and planning one of each costs more than
-- they do. Each part begins when it has the count of the one before it, which keeps the order of the locks. The few rows
-- of endpoints change with every batch: there histograms are summed up only when they have grown long.
WITH endpoints AS (
    INSERT INTO tracking.run_endpoints AS old (run_id, endpoint, max_ms, {{counters}}, histogram)
    SELECT run_id, endpoint, max_ms, {{counters}}, histogram::bigint[]
    FROM unnest(%(endpoint_run_id)s::bigint[], %(endpoint_endpoint)s::text[], %(endpoint_max_ms)s::bigint[],
        {{counters|%(endpoint_@)s::bigint[]}}, %(endpoint_histogram)s::text[])
        AS new (run_id, endpoint, max_ms, {{counters}}, histogram)
    ORDER BY run_id, endpoint
    ON CONFLICT (run_id, endpoint) DO UPDATE SET
        max_ms = greatest(old.max_ms, excluded.max_ms),
        {{add_counters}},
        histogram = CASE
            WHEN cardinality(old.histogram) + cardinality(excluded.histogram) <= 160 THEN {{append_histogram}}
            ELSE {{sum_histogram}} END
    RETURNING run_id
), series AS (
    INSERT INTO tracking.run_series AS old (run_id, bucket, width, {{counters}}, histogram)
    SELECT run_id, bucket, width, {{counters}}, histogram::bigint[]
    FROM unnest(%(series_run_id)s::bigint[], %(series_bucket)s::bigint[], %(series_width)s::integer[],
        {{counters|%(series_@)s::bigint[]}}, %(series_histogram)s::text[])
        AS new (run_id, bucket, width, {{counters}}, histogram)
    WHERE (SELECT count(*) FROM endpoints) >= 0
    ORDER BY run_id, bucket, width
    ON CONFLICT (run_id, bucket, width) DO UPDATE SET
        {{add_counters}},
        histogram = {{sum_histogram}}
    RETURNING run_id
)
INSERT INTO tracking.throughput AS old (width, bucket, shard, {{counters}}, histogram)
SELECT width, bucket, shard, {{counters}}, histogram::bigint[]
FROM unnest(%(all_width)s::integer[], %(all_bucket)s::bigint[], %(all_shard)s::integer[],
    {{counters|%(all_@)s::bigint[]}}, %(all_histogram)s::text[])
    AS new (width, bucket, shard, {{counters}}, histogram)
WHERE (SELECT count(*) FROM series) >= 0
ORDER BY width, bucket, shard
ON CONFLICT (width, bucket, shard) DO UPDATE SET
    {{add_counters}},
    histogram = {{sum_histogram}};

-- name: log_request
-- PostgreSQL only: one immediate request, its row and all that adds it up, in one statement and as little of it as a
-- connection that was just opened can bear. A row comes back when it was taken, none for a run that is not here or is
-- switched off (runs_of_batch shows which); a request that is here already is a unique violation, and nothing is added.
-- Each part takes its row from the one before it: that keeps the order of the locks (see ../writes.sql). Histograms are
-- appended; every so often a request is stored as a batch, which sums them up.
WITH stored AS (
    INSERT INTO tracking.requests ({{request_columns}})
    SELECT
        run_id, %(writer_id)s, %(seq)s, %(at)s, %(endpoint)s, %(page_offset)s, %(page_limit)s, %(status)s, %(items)s,
        %(duration_ms)s, %(is_throttled)s, %(error)s
    FROM tracking.runs AS run
    WHERE run_id = %(run_id)s
      AND (SELECT true FROM tracking.switches AS off
           WHERE NOT off.enabled AND CASE off.job WHEN '' THEN true ELSE off.job = run.job END LIMIT 1) IS NULL
    FOR KEY SHARE
    RETURNING run_id
), endpoint AS (
    INSERT INTO tracking.run_endpoints AS old (run_id, endpoint, max_ms, {{counters}}, histogram)
    SELECT run_id, %(endpoint)s, %(duration_ms)s, {{one_request}} FROM stored
    ON CONFLICT (run_id, endpoint) DO UPDATE SET
        max_ms = greatest(old.max_ms, excluded.max_ms),
        {{add_counters}},
        histogram = {{append_histogram}}
    RETURNING run_id
), series AS (
    INSERT INTO tracking.run_series AS old (run_id, bucket, width, {{counters}}, histogram)
    SELECT run_id, %(bucket)s, %(width)s, {{one_request}} FROM endpoint
    ON CONFLICT (run_id, bucket, width) DO UPDATE SET
        {{add_counters}},
        histogram = {{append_histogram}}
    RETURNING run_id
), everyone AS (
    INSERT INTO tracking.throughput AS old (bucket, width, shard, {{counters}}, histogram)
    SELECT %(fine_bucket)s, 10, %(shard)s, {{one_request}} FROM series
    ON CONFLICT (width, bucket, shard) DO UPDATE SET
        {{add_counters}},
        histogram = {{append_histogram}}
    RETURNING width
), writer AS (
    INSERT INTO tracking.writers AS old (run_id, writer_id, emitted, stored)
    SELECT %(run_id)s, %(writer_id)s, %(seq)s, 1 FROM everyone
    ON CONFLICT (run_id, writer_id) DO UPDATE SET
        emitted = greatest(old.emitted, excluded.emitted),
        stored = old.stored + excluded.stored,
        emitted_before = old.emitted
    RETURNING run_id, emitted - emitted_before AS advance
)
UPDATE tracking.runs AS run SET
    requests = requests + 1,
    items = items + %(items)s,
    failed_requests = failed_requests + %(failed)s,
    throttled_requests = throttled_requests + %(throttled)s,
    emitted = emitted + writer.advance,
    progress_at = greatest(CASE WHEN progress_at <= {{clock}} THEN progress_at END, %(at)s)
FROM writer WHERE run.run_id = writer.run_id
RETURNING clock_timestamp() AS at;

-- name: widen_throughput
-- Old narrow cells of all runs added up into wider ones without shards, a few at a time; rows that another writer holds
-- are skipped.
WITH due AS (
    DELETE FROM tracking.throughput AS cell
    USING (
        SELECT width, bucket, shard FROM tracking.throughput
        WHERE width = %(width)s AND bucket < %(before)s
        ORDER BY width, bucket, shard LIMIT %(most)s FOR UPDATE SKIP LOCKED) AS old
    WHERE cell.width = old.width AND cell.bucket = old.bucket AND cell.shard = old.shard
    RETURNING cell.*
), sums AS (
    SELECT bucket - bucket %% %(wider)s AS bucket, {{counters|sum(@) AS @}}
    FROM due GROUP BY 1
), latencies AS (
    SELECT bucket, array_agg(requests * 256 + slot ORDER BY slot) AS histogram
    FROM (
        SELECT
            due.bucket - due.bucket %% %(wider)s AS bucket, entry %% 256 AS slot,
            sum(entry / 256)::bigint AS requests
        FROM due CROSS JOIN unnest(due.histogram) AS entry GROUP BY 1, 2) AS slots
    GROUP BY 1
)
INSERT INTO tracking.throughput AS old (bucket, width, shard, {{counters}}, histogram)
SELECT sums.bucket, %(wider)s, 0, {{counters}}, coalesce(latencies.histogram, '{}')
FROM sums LEFT JOIN latencies ON latencies.bucket = sums.bucket
ORDER BY sums.bucket
ON CONFLICT (width, bucket, shard) DO UPDATE SET
    {{add_counters}},
    histogram = {{sum_histogram}};

-- name: beat
-- Record that these runs live; and return the jobs that are switched off.
WITH locked AS MATERIALIZED (
    SELECT run_id FROM tracking.runs
    WHERE run_id {{in_ids(run_ids)}} AND status = 'running'
    ORDER BY run_id FOR NO KEY UPDATE
), alive AS (
    UPDATE tracking.runs AS run SET heartbeat_at = clock_timestamp()
    FROM locked WHERE run.run_id = locked.run_id
    RETURNING run.run_id, run.job
)
SELECT
    run_id, job, (SELECT array_agg(job) FROM tracking.switches WHERE NOT enabled) AS off, clock_timestamp() AS at
FROM alive;
