-- A bundle: some runs of any store, put as they are into a file of their own, which stands still at the moment of its
-- making. SQLite only: what is handed to somebody is one file. Rows that are there already stay, so that what is put first
-- counts.

-- name: make_bundle
-- SQLite only: what tells a bundle from a store that jobs write to.
CREATE TABLE bundle (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    run_id   INTEGER NOT NULL,
    made_at  INTEGER NOT NULL,
    source   TEXT    NOT NULL,
    version  TEXT    NOT NULL
);

-- name: seal
-- SQLite only: which run it is about, and the clock of its source when it was read: the now of whoever reads the file.
INSERT INTO bundle (run_id, made_at, source, version) VALUES (:run_id, :made_at, :source, :version);

-- name: bundle
-- SQLite only: what a bundle says of itself.
SELECT run_id, made_at, source, version FROM bundle;

-- name: begin
-- SQLite only: all of it or nothing.
BEGIN IMMEDIATE;

-- name: one_file
-- SQLite only: no second file beside it, so that it can be handed on, and read where nothing may be written.
PRAGMA journal_mode = DELETE;

-- name: put_run
-- SQLite only: a run as it stood.
INSERT OR IGNORE INTO runs (
    run_id, started_at, ended_at, duration_ms, heartbeat_at, progress_at, requests, items, failed_requests,
    throttled_requests, errors, emitted, dropped, parent_run_id, clock_offset_ms, heartbeat_interval_s, pid, job, status,
    notes, tags, host, boot_id, username, command, code_version, tracker_version, ended_by)
VALUES (
    :run_id, :started_at, :ended_at, :duration_ms, :heartbeat_at, :progress_at, :requests, :items, :failed_requests,
    :throttled_requests, :errors, :emitted, :dropped, :parent_run_id, :clock_offset_ms, :heartbeat_interval_s, :pid, :job,
    :status, :notes, :tags, :host, :boot_id, :username, :command, :code_version, :tracker_version, :ended_by);

-- name: put_phase
-- SQLite only: a phase; when it was last told of is of no more use, nobody writes here.
INSERT OR IGNORE INTO phases (
    run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb, memory_limit_mb)
VALUES (
    :run_id, :phase, :position, :status, :started_at, :ended_at, 0, :counters, :memory_mb, :peak_memory_mb,
    :memory_limit_mb);

-- name: put_phase_sample
-- SQLite only: what a phase had done by some time.
INSERT OR IGNORE INTO phase_series (run_id, phase, bucket, at, processed, memory_mb)
VALUES (:run_id, :phase, :bucket, :at, :processed, :memory_mb);

-- name: put_request
-- SQLite only: one request.
INSERT OR IGNORE INTO requests (
    run_id, writer_id, seq, at, page_offset, page_limit, items, duration_ms, status, throttled, endpoint, error)
VALUES (
    :run_id, :writer_id, :seq, :at, :page_offset, :page_limit, :items, :duration_ms, :status, :throttled, :endpoint, :error);

-- name: put_endpoint
-- SQLite only: the requests of a run to one endpoint; those whose names are one without their secrets are added up.
INSERT INTO run_endpoints (
    run_id, endpoint, max_ms, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx,
    status_5xx, status_other, histogram)
VALUES (
    :run_id, :endpoint, :max_ms, :requests, :failed, :throttled, :items, :duration_ms, :status_2xx, :status_3xx,
    :status_4xx, :status_5xx, :status_other, :histogram)
ON CONFLICT (run_id, endpoint) DO UPDATE SET
    max_ms = max(max_ms, excluded.max_ms),
    requests = requests + excluded.requests,
    failed = failed + excluded.failed,
    throttled = throttled + excluded.throttled,
    items = items + excluded.items,
    duration_ms = duration_ms + excluded.duration_ms,
    status_2xx = status_2xx + excluded.status_2xx,
    status_3xx = status_3xx + excluded.status_3xx,
    status_4xx = status_4xx + excluded.status_4xx,
    status_5xx = status_5xx + excluded.status_5xx,
    status_other = status_other + excluded.status_other,
    histogram = merge_histograms(histogram, excluded.histogram);

-- name: put_series
-- SQLite only: the requests of a run in one stretch of time.
INSERT OR IGNORE INTO run_series (
    run_id, bucket, width, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx, status_5xx,
    status_other, histogram)
VALUES (
    :run_id, :bucket, :width, :requests, :failed, :throttled, :items, :duration_ms, :status_2xx, :status_3xx, :status_4xx,
    :status_5xx, :status_other, :histogram);

-- name: add_up_series
-- SQLite only: the charts of all runs show those that are here.
INSERT INTO throughput (
    width, bucket, shard, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx, status_5xx,
    status_other, histogram)
SELECT
    width, bucket, 0, sum(requests), sum(failed), sum(throttled), sum(items), sum(duration_ms), sum(status_2xx),
    sum(status_3xx), sum(status_4xx), sum(status_5xx), sum(status_other), sum_histograms(histogram)
FROM run_series
GROUP BY width, bucket;

-- name: put_source_count
-- SQLite only: what a source said it has.
INSERT OR IGNORE INTO source_counts (run_id, entity, items, at) VALUES (:run_id, :entity, :items, :at);

-- name: put_error
-- SQLite only: an error.
INSERT OR IGNORE INTO errors (run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint)
VALUES (:run_id, :writer_id, :seq, :at, :phase, :error_type, :message, :traceback, :fingerprint);

-- name: put_ledger
-- SQLite only: what a writer emitted, and what of it its store held.
INSERT OR IGNORE INTO writers (run_id, writer_id, emitted, stored, dropped, overhead)
VALUES (:run_id, :writer_id, :emitted, :stored, :dropped, :overhead);

-- name: put_switch
-- SQLite only: how the tracking switch stood.
INSERT OR IGNORE INTO switches (scope, job, enabled, changed_at, changed_by, reason)
VALUES (:scope, :job, :enabled, :changed_at, :changed_by, :reason);

-- name: put_deed
-- SQLite only: what a person did.
INSERT OR IGNORE INTO audit (id, at, actor, action, detail) VALUES (:id, :at, :actor, :action, :detail);
