-- name: claim_batch
-- The key of a batch; no row comes back when it was taken before.
INSERT INTO tracking.batches (writer_id, batch_seq) VALUES (%(writer_id)s, %(batch_seq)s)
ON CONFLICT (writer_id, batch_seq) DO NOTHING
RETURNING batch_seq;

-- name: forget_batches
-- Keys of batches that no spool can hold any more, a few at a time; those that another writer forgets are skipped.
DELETE FROM tracking.batches
WHERE (writer_id, batch_seq) IN (
    SELECT writer_id, batch_seq FROM tracking.batches
    WHERE at < %(before)s ORDER BY at LIMIT %(most)s FOR UPDATE SKIP LOCKED);

-- name: carry_run
-- Make the row of a run that this store does not hold. Not for one that a clean-up removed, not for one that ended
-- before the last clean-up's cutoff, and not while tracking is switched off.
INSERT INTO tracking.runs (
    run_id, job, notes, tags, status, started_at, heartbeat_at, heartbeat_interval_s, host, pid, boot_id, username,
    command, code_version, tracker_version, parent_run_id, clock_offset_ms)
SELECT
    %(run_id)s, %(job)s, %(notes)s, %(tags)s::jsonb, 'running', %(started_at)s,
    CASE WHEN %(heartbeat_interval_s)s::real IS NULL THEN NULL ELSE clock_timestamp() END, %(heartbeat_interval_s)s,
    %(host)s, %(pid)s, %(boot_id)s, %(username)s, %(command)s, %(code_version)s, %(tracker_version)s,
    %(parent_run_id)s, %(clock_offset_ms)s
WHERE NOT EXISTS (SELECT FROM tracking.removed_runs AS removed WHERE removed.run_id = %(run_id)s)
  AND NOT EXISTS (SELECT FROM tracking.retention WHERE cutoff > %(ended_at)s::timestamptz)
  AND NOT EXISTS (SELECT FROM tracking.switches WHERE NOT enabled AND job IN ('', %(job)s))
ON CONFLICT (run_id) DO NOTHING;

-- name: runs_of_batch
-- For every run that a batch speaks of: is it here, was it removed, for which jobs is tracking switched off ('' for all);
-- and which process answers. Questions of one table each are planned in half the time of a join, and where the planner
-- does not see how many runs there are, one plan does for all batches of a connection.
SELECT
    wanted.run_id,
    (SELECT job FROM tracking.runs WHERE run_id = wanted.run_id) AS job,
    EXISTS (SELECT FROM tracking.removed_runs WHERE run_id = wanted.run_id) AS removed,
    (SELECT array_agg(job) FROM tracking.switches WHERE NOT enabled) AS off,
    clock_timestamp() AS store_time,
    pg_backend_pid() AS backend_pid
FROM unnest((SELECT %(run_ids)s::bigint[])) AS wanted (run_id);

-- name: hello
-- The store's clock, and which version of the tables it has.
SELECT clock_timestamp(), (SELECT coalesce(max(version), 0) FROM tracking.schema_version);

-- name: switched_off
-- Whether the shared switch, global or of this job, is off; and the store's clock.
SELECT EXISTS (SELECT FROM tracking.switches WHERE NOT enabled AND job IN ('', %(job)s)), clock_timestamp();

-- name: copy_requests
-- PostgreSQL only: the rows of a larger batch.
COPY tracking.requests (
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
FROM STDIN (FORMAT BINARY);

-- name: insert_requests
-- The rows of a small batch, or of one without a key: what is here already stays and is not reported back.
INSERT INTO tracking.requests (
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
SELECT
    new.run_id, %(writer_id)s, new.seq, new.at, new.endpoint, new.page_offset, new.page_limit, new.status, new.items,
    new.duration_ms, new.throttled, new.error
FROM unnest(
    %(run_id)s::bigint[], %(seq)s::bigint[], %(at)s::timestamptz[], %(endpoint)s::text[], %(page_offset)s::bigint[],
    %(page_limit)s::bigint[], %(status)s::integer[], %(items)s::bigint[], %(duration_ms)s::bigint[],
    %(throttled)s::boolean[], %(error)s::text[])
    AS new (run_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
ON CONFLICT (run_id, writer_id, seq) DO NOTHING
RETURNING run_id, seq;

-- name: requests_here
-- How many of the requests that were not inserted are here.
SELECT count(*)
FROM unnest(%(run_id)s::bigint[], %(seq)s::bigint[]) AS asked (run_id, seq)
JOIN tracking.requests AS here USING (run_id, seq)
WHERE here.writer_id = %(writer_id)s;

-- name: log_request
-- PostgreSQL only: one immediate request, its row and all that adds it up, in one statement and as little of it as a
-- connection that was just opened can bear. A row comes back when it was taken, none for a run that is not here or is
-- switched off (runs_of_batch says which); a request that is here already is a unique violation, and nothing is added.
-- Latencies are appended, not summed: a list may repeat a bucket, and now and then add_endpoints and its kin sum it up.
-- The request comes first, its endpoint next, and what else hangs on WITH is done from the last to the first: that
-- keeps the one lock order.
WITH stored AS (
    INSERT INTO tracking.requests (
        run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
    SELECT
        run_id, %(writer_id)s, %(seq)s, %(at)s, %(endpoint)s, %(page_offset)s, %(page_limit)s, %(status)s, %(items)s,
        %(duration_ms)s, %(throttled)s, %(error)s
    FROM tracking.runs AS run
    WHERE run_id = %(run_id)s
      AND (SELECT true FROM tracking.switches AS off
           WHERE NOT off.enabled AND CASE off.job WHEN '' THEN true ELSE off.job = run.job END LIMIT 1) IS NULL
    RETURNING run_id
), writer AS (
    INSERT INTO tracking.writers AS old (run_id, writer_id, emitted, stored)
    SELECT run_id, %(writer_id)s, %(seq)s, 1 FROM stored
    ON CONFLICT (run_id, writer_id) DO UPDATE SET
        emitted = greatest(old.emitted, excluded.emitted),
        stored = old.stored + excluded.stored,
        emitted_before = old.emitted
    RETURNING emitted - emitted_before AS advance
), total AS (
    UPDATE tracking.runs SET
        requests = requests + 1,
        items = items + %(items)s,
        failed_requests = failed_requests + %(failed)s,
        throttled_requests = throttled_requests + %(throttled_count)s,
        emitted = emitted + (SELECT advance FROM writer),
        progress_at = greatest(progress_at, %(at)s)
    WHERE run_id = (SELECT run_id FROM stored)
), everyone AS (
    INSERT INTO tracking.throughput AS old (
        bucket, width, shard, requests, failed, throttled, items, duration_ms,
        status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
    SELECT
        %(fine_bucket)s, 10, %(shard)s, 1, %(failed)s, %(throttled_count)s, %(items)s, %(duration_ms)s,
        %(status_2xx)s, %(status_3xx)s, %(status_4xx)s, %(status_5xx)s, %(status_other)s, %(histogram)s::bigint[]
    FROM stored
    ON CONFLICT (width, bucket, shard) DO UPDATE SET
        requests = old.requests + excluded.requests,
        failed = old.failed + excluded.failed,
        throttled = old.throttled + excluded.throttled,
        items = old.items + excluded.items,
        duration_ms = old.duration_ms + excluded.duration_ms,
        status_2xx = old.status_2xx + excluded.status_2xx,
        status_3xx = old.status_3xx + excluded.status_3xx,
        status_4xx = old.status_4xx + excluded.status_4xx,
        status_5xx = old.status_5xx + excluded.status_5xx,
        status_other = old.status_other + excluded.status_other,
        histogram = array_cat(old.histogram, excluded.histogram)
), series AS (
    INSERT INTO tracking.run_series AS old (
        run_id, bucket, width, requests, failed, throttled, items, duration_ms,
        status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
    SELECT
        run_id, %(bucket)s, %(width)s, 1, %(failed)s, %(throttled_count)s, %(items)s, %(duration_ms)s,
        %(status_2xx)s, %(status_3xx)s, %(status_4xx)s, %(status_5xx)s, %(status_other)s, %(histogram)s::bigint[]
    FROM stored
    ON CONFLICT (run_id, bucket, width) DO UPDATE SET
        requests = old.requests + excluded.requests,
        failed = old.failed + excluded.failed,
        throttled = old.throttled + excluded.throttled,
        items = old.items + excluded.items,
        duration_ms = old.duration_ms + excluded.duration_ms,
        status_2xx = old.status_2xx + excluded.status_2xx,
        status_3xx = old.status_3xx + excluded.status_3xx,
        status_4xx = old.status_4xx + excluded.status_4xx,
        status_5xx = old.status_5xx + excluded.status_5xx,
        status_other = old.status_other + excluded.status_other,
        histogram = array_cat(old.histogram, excluded.histogram)
)
INSERT INTO tracking.run_endpoints AS old (
    run_id, endpoint, requests, failed, throttled, items, duration_ms, max_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
SELECT
    run_id, %(endpoint)s, 1, %(failed)s, %(throttled_count)s, %(items)s, %(duration_ms)s, %(duration_ms)s,
    %(status_2xx)s, %(status_3xx)s, %(status_4xx)s, %(status_5xx)s, %(status_other)s, %(histogram)s::bigint[]
FROM stored
ON CONFLICT (run_id, endpoint) DO UPDATE SET
    requests = old.requests + excluded.requests,
    failed = old.failed + excluded.failed,
    throttled = old.throttled + excluded.throttled,
    items = old.items + excluded.items,
    duration_ms = old.duration_ms + excluded.duration_ms,
    max_ms = greatest(old.max_ms, excluded.max_ms),
    status_2xx = old.status_2xx + excluded.status_2xx,
    status_3xx = old.status_3xx + excluded.status_3xx,
    status_4xx = old.status_4xx + excluded.status_4xx,
    status_5xx = old.status_5xx + excluded.status_5xx,
    status_other = old.status_other + excluded.status_other,
    histogram = array_cat(old.histogram, excluded.histogram)
RETURNING clock_timestamp();

-- name: add_sums
-- PostgreSQL only: what a batch adds to the summaries, in one statement: parsing and planning one of each costs more than
-- they do. A cell with an endpoint belongs to that endpoint of its run, one with a run and no endpoint to the run's
-- series, one with neither to all runs together; each kind comes in key order. Endpoints come first, and what else hangs
-- on WITH is done from the last to the first: that keeps the one lock order. The few rows of endpoints change with every
-- batch: there latencies are summed up only when the list has grown long.
WITH new AS MATERIALIZED (
    SELECT * FROM unnest(
        %(run_id)s::bigint[], %(endpoint)s::text[], %(bucket)s::bigint[], %(width)s::integer[], %(requests)s::bigint[],
        %(failed)s::bigint[], %(throttled)s::bigint[], %(items)s::bigint[], %(duration_ms)s::bigint[],
        %(max_ms)s::bigint[], %(status_2xx)s::bigint[], %(status_3xx)s::bigint[], %(status_4xx)s::bigint[],
        %(status_5xx)s::bigint[], %(status_other)s::bigint[], %(histogram)s::text[])
        AS cell (run_id, endpoint, bucket, width, requests, failed, throttled, items, duration_ms, max_ms,
                 status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
), everyone AS (
    INSERT INTO tracking.throughput AS old (
        bucket, width, shard, requests, failed, throttled, items, duration_ms,
        status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
    SELECT
        bucket, width, %(shard)s, requests, failed, throttled, items, duration_ms,
        status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram::bigint[]
    FROM new WHERE run_id IS NULL
    ON CONFLICT (width, bucket, shard) DO UPDATE SET
        requests = old.requests + excluded.requests,
        failed = old.failed + excluded.failed,
        throttled = old.throttled + excluded.throttled,
        items = old.items + excluded.items,
        duration_ms = old.duration_ms + excluded.duration_ms,
        status_2xx = old.status_2xx + excluded.status_2xx,
        status_3xx = old.status_3xx + excluded.status_3xx,
        status_4xx = old.status_4xx + excluded.status_4xx,
        status_5xx = old.status_5xx + excluded.status_5xx,
        status_other = old.status_other + excluded.status_other,
        histogram = (
            SELECT array_agg(sums.requests * 256 + sums.bucket ORDER BY sums.bucket)
            FROM (
                SELECT entry %% 256 AS bucket, sum(entry / 256)::bigint AS requests
                FROM unnest(old.histogram || excluded.histogram) AS entry GROUP BY 1) AS sums)
), series AS (
    INSERT INTO tracking.run_series AS old (
        run_id, bucket, width, requests, failed, throttled, items, duration_ms,
        status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
    SELECT
        run_id, bucket, width, requests, failed, throttled, items, duration_ms,
        status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram::bigint[]
    FROM new WHERE run_id IS NOT NULL AND endpoint IS NULL
    ON CONFLICT (run_id, bucket, width) DO UPDATE SET
        requests = old.requests + excluded.requests,
        failed = old.failed + excluded.failed,
        throttled = old.throttled + excluded.throttled,
        items = old.items + excluded.items,
        duration_ms = old.duration_ms + excluded.duration_ms,
        status_2xx = old.status_2xx + excluded.status_2xx,
        status_3xx = old.status_3xx + excluded.status_3xx,
        status_4xx = old.status_4xx + excluded.status_4xx,
        status_5xx = old.status_5xx + excluded.status_5xx,
        status_other = old.status_other + excluded.status_other,
        histogram = (
            SELECT array_agg(sums.requests * 256 + sums.bucket ORDER BY sums.bucket)
            FROM (
                SELECT entry %% 256 AS bucket, sum(entry / 256)::bigint AS requests
                FROM unnest(old.histogram || excluded.histogram) AS entry GROUP BY 1) AS sums)
)
INSERT INTO tracking.run_endpoints AS old (
    run_id, endpoint, requests, failed, throttled, items, duration_ms, max_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
SELECT
    run_id, endpoint, requests, failed, throttled, items, duration_ms, max_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram::bigint[]
FROM new WHERE endpoint IS NOT NULL
ON CONFLICT (run_id, endpoint) DO UPDATE SET
    requests = old.requests + excluded.requests,
    failed = old.failed + excluded.failed,
    throttled = old.throttled + excluded.throttled,
    items = old.items + excluded.items,
    duration_ms = old.duration_ms + excluded.duration_ms,
    max_ms = greatest(old.max_ms, excluded.max_ms),
    status_2xx = old.status_2xx + excluded.status_2xx,
    status_3xx = old.status_3xx + excluded.status_3xx,
    status_4xx = old.status_4xx + excluded.status_4xx,
    status_5xx = old.status_5xx + excluded.status_5xx,
    status_other = old.status_other + excluded.status_other,
    histogram = CASE
        WHEN cardinality(old.histogram) + cardinality(excluded.histogram) <= 160
        THEN array_cat(old.histogram, excluded.histogram)
        ELSE (
            SELECT array_agg(sums.requests * 256 + sums.bucket ORDER BY sums.bucket)
            FROM (
                SELECT entry %% 256 AS bucket, sum(entry / 256)::bigint AS requests
                FROM unnest(old.histogram || excluded.histogram) AS entry GROUP BY 1) AS sums) END;

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
    SELECT
        bucket - bucket %% %(wider)s AS bucket, sum(requests) AS requests, sum(failed) AS failed,
        sum(throttled) AS throttled, sum(items) AS items, sum(duration_ms) AS duration_ms,
        sum(status_2xx) AS status_2xx, sum(status_3xx) AS status_3xx, sum(status_4xx) AS status_4xx,
        sum(status_5xx) AS status_5xx, sum(status_other) AS status_other
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
INSERT INTO tracking.throughput AS old (
    bucket, width, shard, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
SELECT
    sums.bucket, %(wider)s, 0, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, coalesce(latencies.histogram, '{}')
FROM sums LEFT JOIN latencies ON latencies.bucket = sums.bucket
ORDER BY sums.bucket
ON CONFLICT (width, bucket, shard) DO UPDATE SET
    requests = old.requests + excluded.requests,
    failed = old.failed + excluded.failed,
    throttled = old.throttled + excluded.throttled,
    items = old.items + excluded.items,
    duration_ms = old.duration_ms + excluded.duration_ms,
    status_2xx = old.status_2xx + excluded.status_2xx,
    status_3xx = old.status_3xx + excluded.status_3xx,
    status_4xx = old.status_4xx + excluded.status_4xx,
    status_5xx = old.status_5xx + excluded.status_5xx,
    status_other = old.status_other + excluded.status_other,
    histogram = (
        SELECT array_agg(sums.requests * 256 + sums.bucket ORDER BY sums.bucket)
        FROM (
            SELECT entry %% 256 AS bucket, sum(entry / 256)::bigint AS requests
            FROM unnest(old.histogram || excluded.histogram) AS entry GROUP BY 1) AS sums);

-- name: save_phase
-- A phase as its run knows it; an older word never overwrites a newer one, units are merged one by one. Tables of
-- version 1 take no `skipped`: there it is completed, and marked by a unit of that name.
INSERT INTO tracking.phases AS old (
    run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb,
    memory_limit_mb)
VALUES (
    %(run_id)s, %(phase)s,
    coalesce(%(position)s, (SELECT coalesce(max(position), 0) + 1 FROM tracking.phases WHERE run_id = %(run_id)s)),
    CASE WHEN %(status)s = 'skipped' AND (SELECT max(version) FROM tracking.schema_version) = 1
        THEN 'completed' ELSE %(status)s END,
    %(started_at)s, %(ended_at)s, %(changed_at)s,
    CASE WHEN %(status)s = 'skipped' AND (SELECT max(version) FROM tracking.schema_version) = 1
        THEN %(counters)s::jsonb || '{"skipped": {"processed": 1}}' ELSE %(counters)s::jsonb END,
    %(memory_mb)s, %(peak_memory_mb)s, %(memory_limit_mb)s)
ON CONFLICT (run_id, phase) DO UPDATE SET
    status = CASE WHEN excluded.changed_at >= old.changed_at THEN excluded.status ELSE old.status END,
    started_at = CASE WHEN excluded.changed_at >= old.changed_at
        THEN coalesce(excluded.started_at, old.started_at) ELSE coalesce(old.started_at, excluded.started_at) END,
    ended_at = CASE WHEN excluded.changed_at >= old.changed_at THEN excluded.ended_at ELSE old.ended_at END,
    counters = (
        SELECT jsonb_object_agg(unit, CASE WHEN excluded.changed_at >= old.changed_at
            THEN coalesce(old.counters -> unit, '{}') || coalesce(excluded.counters -> unit, '{}')
            ELSE coalesce(excluded.counters -> unit, '{}') || coalesce(old.counters -> unit, '{}') END)
        FROM jsonb_object_keys(old.counters || excluded.counters || '{"": {}}') AS unit) - '',
    memory_mb = CASE WHEN excluded.changed_at >= old.changed_at
        THEN coalesce(excluded.memory_mb, old.memory_mb) ELSE coalesce(old.memory_mb, excluded.memory_mb) END,
    peak_memory_mb = greatest(old.peak_memory_mb, excluded.peak_memory_mb),
    memory_limit_mb = coalesce(excluded.memory_limit_mb, old.memory_limit_mb),
    changed_at = greatest(old.changed_at, excluded.changed_at);

-- name: sample_phase
-- What progress looked like then; the latest word within a bucket stays.
INSERT INTO tracking.phase_series AS old (run_id, phase, bucket, at, processed, memory_mb)
VALUES (%(run_id)s, %(phase)s, %(bucket)s, %(at)s, %(processed)s::jsonb, %(memory_mb)s)
ON CONFLICT (run_id, phase, bucket) DO UPDATE SET
    at = excluded.at,
    processed = old.processed || excluded.processed,
    memory_mb = coalesce(excluded.memory_mb, old.memory_mb)
WHERE excluded.at >= old.at;

-- name: save_source_count
-- Last write wins, by the time it was said.
INSERT INTO tracking.source_counts AS old (run_id, entity, items, at)
VALUES (%(run_id)s, %(entity)s, %(items)s, %(at)s)
ON CONFLICT (run_id, entity) DO UPDATE SET items = excluded.items, at = excluded.at
WHERE excluded.at >= old.at;

-- name: insert_error
-- One recorded error; no row comes back when it is here already.
INSERT INTO tracking.errors (run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint)
VALUES (
    %(run_id)s, %(writer_id)s, %(seq)s, %(at)s, %(phase)s, %(error_type)s, %(message)s, %(traceback)s, %(fingerprint)s)
ON CONFLICT (run_id, writer_id, seq) DO NOTHING
RETURNING seq;

-- name: add_to_runs
-- PostgreSQL only: how far a writer has come with each run of a batch, and then what the batch adds to the counters of
-- these runs; last, so that the locks are short. What was emitted and dropped is what the ledger has just added; no more is
-- dropped than is missing, so that a writer may give all as dropped of which it does not know what arrived. Several
-- runs are locked in key order, whatever the plan of the update, so that two batches never wait for each other, and behind
-- the ledger, which is why it is counted there. A run that a clean-up removed since the batch began fails it with a
-- division by zero, so that nothing is left of what it wrote.
WITH ledger AS (
    INSERT INTO tracking.writers AS old (run_id, writer_id, emitted, stored, dropped, overhead)
    SELECT
        new.run_id, %(writer_id)s, new.emitted, new.stored, greatest(0, least(new.dropped, new.emitted - new.stored)),
        new.overhead::jsonb
    FROM unnest(
        %(ledger_run_id)s::bigint[], %(ledger_emitted)s::bigint[], %(ledger_stored)s::bigint[],
        %(ledger_dropped)s::bigint[], %(ledger_overhead)s::text[])
        AS new (run_id, emitted, stored, dropped, overhead)
    ON CONFLICT (run_id, writer_id) DO UPDATE SET
        emitted = greatest(old.emitted, excluded.emitted),
        stored = old.stored + excluded.stored,
        dropped = greatest(0, least(
            greatest(old.dropped, excluded.dropped),
            greatest(old.emitted, excluded.emitted) - old.stored - excluded.stored)),
        emitted_before = old.emitted,
        dropped_before = old.dropped,
        overhead = old.overhead || excluded.overhead
    RETURNING run_id, emitted - emitted_before AS emitted, dropped - dropped_before AS dropped
), locked AS MATERIALIZED (
    SELECT run_id FROM tracking.runs
    WHERE run_id = ANY(%(run_id)s::bigint[]) AND (SELECT count(*) FROM ledger) >= 0
    ORDER BY run_id FOR UPDATE
)
UPDATE tracking.runs AS run SET
    requests = run.requests + new.requests,
    items = run.items + new.items,
    failed_requests = run.failed_requests + new.failed,
    throttled_requests = run.throttled_requests + new.throttled,
    errors = run.errors + new.errors,
    emitted = run.emitted + coalesce(ledger.emitted, 0),
    dropped = run.dropped + coalesce(ledger.dropped, 0),
    progress_at = greatest(run.progress_at, new.progress_at)
FROM unnest(
    %(run_id)s::bigint[], %(requests)s::bigint[], %(items)s::bigint[], %(failed)s::bigint[], %(throttled)s::bigint[],
    %(errors)s::bigint[], %(progress_at)s::timestamptz[])
    AS new (run_id, requests, items, failed, throttled, errors, progress_at)
LEFT JOIN ledger ON ledger.run_id = new.run_id
WHERE run.run_id = new.run_id
  AND 1 / ((SELECT count(*) FROM locked) = cardinality(%(run_id)s::bigint[]))::integer = 1;

-- name: end_run
-- Compare and set: only a running run ends, or one that a person closed while its job lived; that is audited. No row
-- comes back when nothing was changed.
WITH before AS (
    SELECT run_id, status, ended_by FROM tracking.runs WHERE run_id = %(run_id)s FOR UPDATE
), ended AS (
    UPDATE tracking.runs AS run SET
        status = %(status)s,
        ended_at = greatest(run.started_at, %(ended_at)s),
        duration_ms = coalesce(
            %(duration_ms)s::bigint, greatest(0, round(extract(epoch FROM %(ended_at)s - run.started_at) * 1000))::bigint),
        notes = CASE
            WHEN %(notes)s::text IS NULL THEN run.notes
            WHEN run.notes IS NULL OR run.notes = '' THEN %(notes)s
            ELSE run.notes || E'\n' || %(notes)s END,
        ended_by = %(ended_by)s
    FROM before
    WHERE run.run_id = before.run_id
      AND (before.status = 'running' OR (before.status = 'abandoned' AND before.ended_by LIKE 'person %%'))
    RETURNING run.run_id
), audited AS (
    INSERT INTO tracking.audit (actor, action, detail)
    SELECT 'job', 'end after close', jsonb_build_object(
        'run_id', before.run_id::text, 'closed_by', before.ended_by, 'status', %(status)s::text)
    FROM before JOIN ended ON ended.run_id = before.run_id
    WHERE before.status = 'abandoned'
)
SELECT run_id FROM ended;

-- name: beat
-- These runs live; and what the shared switch says of their jobs.
WITH alive AS (
    UPDATE tracking.runs SET heartbeat_at = clock_timestamp()
    WHERE run_id = ANY(%(run_ids)s) AND status = 'running'
    RETURNING run_id, job
)
SELECT
    alive.run_id,
    alive.job,
    EXISTS (SELECT FROM tracking.switches WHERE NOT enabled AND scope = 'global') AS all_off,
    EXISTS (SELECT FROM tracking.switches WHERE NOT enabled AND scope = 'job' AND job = alive.job) AS job_off,
    clock_timestamp() AS store_time
FROM alive;
