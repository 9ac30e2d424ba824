-- Histograms are added up by merge_histograms(a, b) and sum_histograms(x), which the connection brings along.

-- name: begin
-- SQLite only: take the write lock first, so that nothing fails half-way for want of it.
BEGIN IMMEDIATE;

-- name: claim_batch
-- The key of a batch; nothing is inserted when it was taken before.
INSERT INTO batches (writer_id, batch_seq, at) VALUES (:writer_id, :batch_seq, :now) ON CONFLICT DO NOTHING;

-- name: forget_batches
-- Keys of batches that no spool can hold any more, a few at a time.
DELETE FROM batches
WHERE (writer_id, batch_seq) IN (
    SELECT writer_id, batch_seq FROM batches WHERE at < :before ORDER BY at LIMIT :most);

-- name: carry_run
-- Make the row of a run that this store does not hold. Not for one that a clean-up removed, not for one that ended
-- before the last clean-up's cutoff, and not while tracking is switched off.
INSERT INTO runs (
    run_id, job, notes, tags, status, started_at, heartbeat_at, heartbeat_interval_s, host, pid, boot_id, username,
    command, code_version, tracker_version, parent_run_id, clock_offset_ms)
SELECT
    :run_id, :job, :notes, :tags, 'running', :started_at,
    CASE WHEN :heartbeat_interval_s IS NULL THEN NULL ELSE :now END, :heartbeat_interval_s,
    :host, :pid, :boot_id, :username, :command, :code_version, :tracker_version, :parent_run_id, :clock_offset_ms
WHERE NOT EXISTS (SELECT 1 FROM removed_runs AS removed WHERE removed.run_id = :run_id)
  AND NOT EXISTS (SELECT 1 FROM retention WHERE cutoff > :ended_at)
  AND NOT EXISTS (SELECT 1 FROM switches WHERE NOT enabled AND job IN ('', :job))
ON CONFLICT DO NOTHING;

-- name: runs_of_batch
-- For a run that a batch speaks of: is it here, was it removed, is tracking switched off for it.
SELECT
    wanted.run_id,
    run.job,
    removed.run_id IS NOT NULL AS removed,
    EXISTS (SELECT 1 FROM switches WHERE NOT enabled AND scope = 'global') AS all_off,
    EXISTS (SELECT 1 FROM switches WHERE NOT enabled AND scope = 'job' AND job = coalesce(run.job, :job)) AS job_off,
    :now AS store_time
FROM (SELECT :run_id AS run_id) AS wanted
LEFT JOIN runs AS run ON run.run_id = wanted.run_id
LEFT JOIN removed_runs AS removed ON removed.run_id = wanted.run_id;

-- name: hello
-- The store's clock, and which version of the tables it has.
SELECT :now, (SELECT coalesce(max(version), 0) FROM schema_version);

-- name: switched_off
-- Whether the shared switch, global or of this job, is off; and the store's clock.
SELECT EXISTS (SELECT 1 FROM switches WHERE NOT enabled AND job IN ('', :job)), :now;

-- name: insert_requests
-- The rows of a batch: what is here already stays. (OR IGNORE would also leave out what a CHECK forbids.)
INSERT INTO requests (
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: requests_here
-- Whether a request that was not inserted is here.
SELECT count(*) FROM requests WHERE run_id = :run_id AND writer_id = :writer_id AND seq = :seq;

-- name: add_endpoints
-- SQLite only: what a batch adds to an endpoint of a run. PostgreSQL adds to all summaries in one statement.
INSERT INTO run_endpoints AS old (
    run_id, endpoint, requests, failed, throttled, items, duration_ms, max_ms, status_2xx, status_3xx, status_4xx,
    status_5xx, status_other, histogram)
VALUES (
    :run_id, :endpoint, :requests, :failed, :throttled, :items, :duration_ms, :max_ms, :status_2xx, :status_3xx,
    :status_4xx, :status_5xx, :status_other, :histogram)
ON CONFLICT (run_id, endpoint) DO UPDATE SET
    requests = old.requests + excluded.requests,
    failed = old.failed + excluded.failed,
    throttled = old.throttled + excluded.throttled,
    items = old.items + excluded.items,
    duration_ms = old.duration_ms + excluded.duration_ms,
    max_ms = max(old.max_ms, excluded.max_ms),
    status_2xx = old.status_2xx + excluded.status_2xx,
    status_3xx = old.status_3xx + excluded.status_3xx,
    status_4xx = old.status_4xx + excluded.status_4xx,
    status_5xx = old.status_5xx + excluded.status_5xx,
    status_other = old.status_other + excluded.status_other,
    histogram = merge_histograms(old.histogram, excluded.histogram);

-- name: add_series
-- SQLite only: what a batch adds to the series of a run.
INSERT INTO run_series AS old (
    run_id, bucket, width, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx,
    status_5xx, status_other, histogram)
VALUES (
    :run_id, :bucket, :width, :requests, :failed, :throttled, :items, :duration_ms, :status_2xx, :status_3xx,
    :status_4xx, :status_5xx, :status_other, :histogram)
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
    histogram = merge_histograms(old.histogram, excluded.histogram);

-- name: add_throughput
-- SQLite only: what a batch adds to all runs together.
INSERT INTO throughput AS old (
    width, bucket, shard, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx,
    status_5xx, status_other, histogram)
VALUES (
    :width, :bucket, :shard, :requests, :failed, :throttled, :items, :duration_ms, :status_2xx, :status_3xx,
    :status_4xx, :status_5xx, :status_other, :histogram)
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
    histogram = merge_histograms(old.histogram, excluded.histogram);

-- name: widen_throughput
-- Old narrow cells of all runs added up into wider ones without shards, an hour of them at a time; drop_widened removes
-- them after.
INSERT INTO throughput AS old (
    width, bucket, shard, requests, failed, throttled, items, duration_ms,
    status_2xx, status_3xx, status_4xx, status_5xx, status_other, histogram)
SELECT
    :wider, bucket - bucket % :wider, 0, sum(requests), sum(failed), sum(throttled), sum(items), sum(duration_ms),
    sum(status_2xx), sum(status_3xx), sum(status_4xx), sum(status_5xx), sum(status_other), sum_histograms(histogram)
FROM throughput
WHERE width = :width
  AND bucket < min(:before, (SELECT min(bucket) FROM throughput WHERE width = :width) + 3600)
GROUP BY 2
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
    histogram = merge_histograms(old.histogram, excluded.histogram);

-- name: drop_widened
-- SQLite only: PostgreSQL deletes the narrow cells in the statement that widens them.
DELETE FROM throughput
WHERE width = :width
  AND bucket < min(:before, (SELECT min(bucket) FROM throughput WHERE width = :width) + 3600);

-- name: save_phase
-- A phase as its run knows it; an older word never overwrites a newer one, units are merged one by one. Tables of
-- version 1 take no `skipped`: there it is completed, and marked by a unit of that name.
INSERT INTO phases AS old (
    run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb,
    memory_limit_mb)
VALUES (
    :run_id, :phase,
    coalesce(:position, (SELECT coalesce(max(position), 0) + 1 FROM phases WHERE run_id = :run_id)),
    CASE WHEN :status = 'skipped' AND (SELECT max(version) FROM schema_version) = 1 THEN 'completed' ELSE :status END,
    :started_at, :ended_at, :changed_at,
    CASE WHEN :status = 'skipped' AND (SELECT max(version) FROM schema_version) = 1
        THEN json_patch(:counters, '{"skipped": {"processed": 1}}') ELSE :counters END,
    :memory_mb, :peak_memory_mb, :memory_limit_mb)
ON CONFLICT (run_id, phase) DO UPDATE SET
    status = CASE WHEN excluded.changed_at >= old.changed_at THEN excluded.status ELSE old.status END,
    started_at = CASE WHEN excluded.changed_at >= old.changed_at
        THEN coalesce(excluded.started_at, old.started_at) ELSE coalesce(old.started_at, excluded.started_at) END,
    ended_at = CASE WHEN excluded.changed_at >= old.changed_at THEN excluded.ended_at ELSE old.ended_at END,
    counters = CASE WHEN excluded.changed_at >= old.changed_at
        THEN json_patch(old.counters, excluded.counters) ELSE json_patch(excluded.counters, old.counters) END,
    memory_mb = CASE WHEN excluded.changed_at >= old.changed_at
        THEN coalesce(excluded.memory_mb, old.memory_mb) ELSE coalesce(old.memory_mb, excluded.memory_mb) END,
    peak_memory_mb = max(coalesce(old.peak_memory_mb, excluded.peak_memory_mb),
        coalesce(excluded.peak_memory_mb, old.peak_memory_mb)),
    memory_limit_mb = coalesce(excluded.memory_limit_mb, old.memory_limit_mb),
    changed_at = max(old.changed_at, excluded.changed_at);

-- name: sample_phase
-- What progress looked like then; the latest word within a bucket stays.
INSERT INTO phase_series AS old (run_id, phase, bucket, at, processed, memory_mb)
VALUES (:run_id, :phase, :bucket, :at, :processed, :memory_mb)
ON CONFLICT (run_id, phase, bucket) DO UPDATE SET
    at = excluded.at,
    processed = json_patch(old.processed, excluded.processed),
    memory_mb = coalesce(excluded.memory_mb, old.memory_mb)
WHERE excluded.at >= old.at;

-- name: save_source_count
-- Last write wins, by the time it was said.
INSERT INTO source_counts AS old (run_id, entity, items, at) VALUES (:run_id, :entity, :items, :at)
ON CONFLICT (run_id, entity) DO UPDATE SET items = excluded.items, at = excluded.at
WHERE excluded.at >= old.at;

-- name: insert_error
-- One recorded error; nothing is inserted when it is here already.
INSERT INTO errors (run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint)
VALUES (:run_id, :writer_id, :seq, :at, :phase, :error_type, :message, :traceback, :fingerprint)
ON CONFLICT DO NOTHING;

-- name: save_ledger
-- SQLite only: how far a writer has come with a run. PostgreSQL says it in the statement that adds to the runs. No more
-- is dropped than is missing, so that a writer may give all as dropped of which it does not know what arrived.
INSERT INTO writers AS old (run_id, writer_id, emitted, stored, dropped, overhead)
VALUES (:run_id, :writer_id, :emitted, :stored, max(0, min(:dropped, :emitted - :stored)), :overhead)
ON CONFLICT (run_id, writer_id) DO UPDATE SET
    emitted = max(old.emitted, excluded.emitted),
    stored = old.stored + excluded.stored,
    dropped = max(0, min(
        max(old.dropped, excluded.dropped), max(old.emitted, excluded.emitted) - old.stored - excluded.stored)),
    emitted_before = old.emitted,
    dropped_before = old.dropped,
    overhead = json_patch(old.overhead, excluded.overhead);

-- name: add_to_run
-- SQLite only: what a batch adds to a run's own counters. What was emitted and dropped is what its ledger has just
-- added, where it has a word for the run.
UPDATE runs SET
    requests = requests + :requests,
    items = items + :items,
    failed_requests = failed_requests + :failed,
    throttled_requests = throttled_requests + :throttled,
    errors = errors + :errors,
    emitted = runs.emitted + coalesce(writer.emitted - writer.emitted_before, 0),
    dropped = runs.dropped + coalesce(writer.dropped - writer.dropped_before, 0),
    progress_at = max(coalesce(progress_at, :progress_at), coalesce(:progress_at, progress_at))
FROM (SELECT :in_ledger AS in_ledger) AS new
LEFT JOIN writers AS writer ON new.in_ledger AND writer.run_id = :run_id AND writer.writer_id = :writer_id
WHERE runs.run_id = :run_id;

-- name: audit_end
-- SQLite only: PostgreSQL audits in the statement that ends the run. A job's own end wins over a person's close.
INSERT INTO audit (at, actor, action, detail)
SELECT :now, 'job', 'end after close', json_object('run_id', CAST(run_id AS TEXT), 'closed_by', ended_by, 'status', :status)
FROM runs WHERE run_id = :run_id AND status = 'abandoned' AND ended_by LIKE 'person %';

-- name: end_run
-- Compare and set: only a running run ends, or one that a person closed while its job lived.
UPDATE runs SET
    status = :status,
    ended_at = max(started_at, :ended_at),
    duration_ms = coalesce(:duration_ms, max(0, (:ended_at - started_at + 500) / 1000)),
    notes = CASE
        WHEN :notes IS NULL THEN notes
        WHEN notes IS NULL OR notes = '' THEN :notes
        ELSE notes || char(10) || :notes END,
    ended_by = :ended_by
WHERE run_id = :run_id AND (status = 'running' OR (status = 'abandoned' AND ended_by LIKE 'person %'));

-- name: beat
-- This run lives.
UPDATE runs SET heartbeat_at = :now WHERE run_id = :run_id AND status = 'running';
