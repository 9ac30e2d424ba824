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

-- name: foreign_parts
-- SQLite only: what no bundle has, asked before any table is read: a view may be called like a table of ours.
SELECT DISTINCT name FROM sqlite_master
WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%' OR (type = 'table' AND sql LIKE '% AS (%');

-- name: misfits
-- SQLite only: tables of a bundle that hold what no version of this program stores, as a file from elsewhere may. SQLite
-- itself takes a text for a number. Times end before the calendar does.
SELECT 'bundle' AS name
WHERE NOT EXISTS (
    SELECT 1 FROM bundle INNER JOIN runs ON runs.run_id = bundle.run_id
    WHERE typeof(made_at) = 'integer' AND made_at BETWEEN 0 AND 250000000000000000
      AND typeof(source) = 'text' AND typeof(version) = 'text')
   OR (SELECT count(*) FROM bundle) != 1
UNION ALL
SELECT 'schema_version' WHERE EXISTS (SELECT 1 FROM schema_version WHERE typeof(version) != 'integer')
UNION ALL
SELECT 'runs' WHERE EXISTS (
    SELECT 1 FROM runs
    WHERE (typeof(run_id), typeof(started_at), typeof(requests), typeof(items), typeof(failed_requests),
           typeof(throttled_requests), typeof(errors), typeof(emitted), typeof(dropped), typeof(clock_offset_ms), typeof(pid))
       != ('integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer')
       OR (typeof(job), typeof(tags), typeof(host), typeof(boot_id), typeof(username), typeof(command), typeof(code_version),
           typeof(tracker_version)) != ('text', 'text', 'text', 'text', 'text', 'text', 'text', 'text')
       OR typeof(notes) NOT IN ('text', 'null') OR typeof(ended_by) NOT IN ('text', 'null')
       OR typeof(ended_at) NOT IN ('integer', 'null') OR typeof(duration_ms) NOT IN ('integer', 'null')
       OR typeof(heartbeat_at) NOT IN ('integer', 'null') OR typeof(progress_at) NOT IN ('integer', 'null')
       OR typeof(parent_run_id) NOT IN ('integer', 'null')
       OR typeof(heartbeat_interval_s) NOT IN ('real', 'integer', 'null')
       OR ifnull(heartbeat_interval_s, 1) NOT BETWEEN 0 AND 1000000
       OR run_id < 1 OR ifnull(parent_run_id, 1) < 1
       OR started_at NOT BETWEEN 0 AND 250000000000000000 OR ifnull(ended_at, 0) NOT BETWEEN 0 AND 250000000000000000
       OR ifnull(heartbeat_at, 0) NOT BETWEEN 0 AND 250000000000000000
       OR ifnull(progress_at, 0) NOT BETWEEN 0 AND 250000000000000000
       OR ifnull(duration_ms, 0) NOT BETWEEN 0 AND 100000000000000
       OR abs(clock_offset_ms / 2) > 50000000000000
       OR min(requests, items, failed_requests, throttled_requests, errors, emitted, dropped) < 0
       OR status NOT IN ('running', 'completed', 'failed', 'terminated', 'abandoned') OR status IS NULL
       OR (status = 'running') != (ended_at IS NULL))
UNION ALL
SELECT 'phases' WHERE EXISTS (
    SELECT 1 FROM phases
    WHERE (typeof(run_id), typeof(phase), typeof(position), typeof(counters)) != ('integer', 'text', 'integer', 'text')
       OR typeof(started_at) NOT IN ('integer', 'null') OR typeof(ended_at) NOT IN ('integer', 'null')
       OR ifnull(started_at, 0) NOT BETWEEN 0 AND 250000000000000000
       OR ifnull(ended_at, 0) NOT BETWEEN 0 AND 250000000000000000
       OR status NOT IN ('pending', 'running', 'completed', 'failed', 'skipped') OR status IS NULL
       OR typeof(memory_mb) NOT IN ('real', 'integer', 'null') OR ifnull(memory_mb, 0) NOT BETWEEN 0 AND 1e12
       OR typeof(peak_memory_mb) NOT IN ('real', 'integer', 'null') OR ifnull(peak_memory_mb, 0) NOT BETWEEN 0 AND 1e12
       OR typeof(memory_limit_mb) NOT IN ('real', 'integer', 'null') OR ifnull(memory_limit_mb, 0) NOT BETWEEN 0 AND 1e12)
UNION ALL
SELECT 'phase_series' WHERE EXISTS (
    SELECT 1 FROM phase_series
    WHERE (typeof(run_id), typeof(phase), typeof(bucket), typeof(at), typeof(processed))
       != ('integer', 'text', 'integer', 'integer', 'text')
       OR bucket NOT BETWEEN 0 AND 250000000000 OR at NOT BETWEEN 0 AND 250000000000000000
       OR typeof(memory_mb) NOT IN ('real', 'integer', 'null') OR ifnull(memory_mb, 0) NOT BETWEEN 0 AND 1e12)
UNION ALL
SELECT 'requests' WHERE EXISTS (
    SELECT 1 FROM requests
    WHERE (typeof(run_id), typeof(writer_id), typeof(seq), typeof(at), typeof(items), typeof(duration_ms), typeof(throttled),
           typeof(endpoint)) != ('integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'text')
       OR typeof(page_offset) NOT IN ('integer', 'null') OR typeof(page_limit) NOT IN ('integer', 'null')
       OR typeof(status) NOT IN ('integer', 'null') OR typeof(error) NOT IN ('text', 'null')
       OR at NOT BETWEEN 0 AND 250000000000000000 OR min(writer_id, seq, items, duration_ms) < 0)
UNION ALL
SELECT 'run_endpoints' WHERE EXISTS (
    SELECT 1 FROM run_endpoints
    WHERE (typeof(run_id), typeof(endpoint), typeof(histogram), typeof(max_ms)) != ('integer', 'text', 'blob', 'integer')
       OR (typeof(requests), typeof(failed), typeof(throttled), typeof(items), typeof(duration_ms), typeof(status_2xx),
           typeof(status_3xx), typeof(status_4xx), typeof(status_5xx), typeof(status_other))
       != ('integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer')
       OR min(max_ms, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx, status_5xx) < 0)
UNION ALL
SELECT 'run_series' WHERE EXISTS (
    SELECT 1 FROM run_series
    WHERE (typeof(run_id), typeof(bucket), typeof(width), typeof(histogram)) != ('integer', 'integer', 'integer', 'blob')
       OR (typeof(requests), typeof(failed), typeof(throttled), typeof(items), typeof(duration_ms), typeof(status_2xx),
           typeof(status_3xx), typeof(status_4xx), typeof(status_5xx), typeof(status_other))
       != ('integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer')
       OR bucket NOT BETWEEN 0 AND 250000000000 OR width NOT BETWEEN 1 AND 1000000
       OR min(requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx, status_5xx) < 0)
UNION ALL
SELECT 'throughput' WHERE EXISTS (
    SELECT 1 FROM throughput
    WHERE (typeof(bucket), typeof(width), typeof(histogram)) != ('integer', 'integer', 'blob')
       OR (typeof(requests), typeof(failed), typeof(throttled), typeof(items), typeof(duration_ms), typeof(status_2xx),
           typeof(status_3xx), typeof(status_4xx), typeof(status_5xx), typeof(status_other))
       != ('integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer', 'integer')
       OR bucket NOT BETWEEN 0 AND 250000000000 OR width NOT BETWEEN 1 AND 1000000
       OR min(requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx, status_5xx) < 0)
UNION ALL
SELECT 'source_counts' WHERE EXISTS (
    SELECT 1 FROM source_counts
    WHERE (typeof(run_id), typeof(entity), typeof(items), typeof(at)) != ('integer', 'text', 'integer', 'integer')
       OR items < 0 OR at NOT BETWEEN 0 AND 250000000000000000)
UNION ALL
SELECT 'errors' WHERE EXISTS (
    SELECT 1 FROM errors
    WHERE (typeof(run_id), typeof(writer_id), typeof(seq), typeof(at), typeof(error_type), typeof(message),
           typeof(traceback), typeof(fingerprint))
       != ('integer', 'integer', 'integer', 'integer', 'text', 'text', 'text', 'text')
       OR typeof(phase) NOT IN ('text', 'null') OR at NOT BETWEEN 0 AND 250000000000000000)
UNION ALL
SELECT 'writers' WHERE EXISTS (
    SELECT 1 FROM writers
    WHERE (typeof(run_id), typeof(writer_id), typeof(emitted), typeof(stored), typeof(dropped), typeof(overhead))
       != ('integer', 'integer', 'integer', 'integer', 'integer', 'text') OR min(emitted, stored, dropped) < 0)
UNION ALL
SELECT 'switches' WHERE EXISTS (
    SELECT 1 FROM switches
    WHERE (typeof(scope), typeof(job), typeof(enabled), typeof(changed_at), typeof(changed_by), typeof(reason))
       != ('text', 'text', 'integer', 'integer', 'text', 'text') OR changed_at NOT BETWEEN 0 AND 250000000000000000)
UNION ALL
SELECT 'audit' WHERE EXISTS (
    SELECT 1 FROM audit
    WHERE (typeof(id), typeof(at), typeof(actor), typeof(action), typeof(detail))
       != ('integer', 'integer', 'text', 'text', 'text') OR at NOT BETWEEN 0 AND 250000000000000000);
