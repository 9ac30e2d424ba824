-- A bundle: some runs of any store, put as they are into a file of their own, whose clock stands still at the moment of
-- its making. SQLite only: it is one file for every store. Rows that are there already stay: what is put first counts.

-- name: make_bundle
-- SQLite only: the table that only a bundle has.
CREATE TABLE bundle (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    run_id   INTEGER NOT NULL,
    made_at  INTEGER NOT NULL,
    source   TEXT    NOT NULL,
    version  TEXT    NOT NULL
);

-- name: seal
-- SQLite only: which run it is about, and the clock of its source when it was read: the present of its readers.
INSERT INTO bundle (run_id, made_at, source, version) VALUES (:run_id, :made_at, :source, :version);

-- name: bundle
-- SQLite only: where a bundle comes from.
SELECT run_id, made_at, source, version FROM bundle;

-- name: begin
-- SQLite only: all of it or nothing.
BEGIN IMMEDIATE;

-- name: one_file
-- SQLite only: no second file beside it, so that it can be handed on, and read where nothing may be written.
PRAGMA journal_mode = DELETE;

-- name: put_run
-- SQLite only: a run as it stood.
INSERT OR IGNORE INTO runs ({{run_columns}}) VALUES ({{run_columns|:@}});

-- name: put_phase
-- SQLite only: a phase; when it last changed is of no more use, nothing is written here.
INSERT OR IGNORE INTO phases ({{phase_columns}}, changed_at) VALUES ({{phase_columns|:@}}, 0);

-- name: put_phase_sample
-- SQLite only: what a phase had done by some time.
INSERT OR IGNORE INTO phase_series (run_id, phase, bucket, at, processed, memory_mb)
VALUES (:run_id, :phase, :bucket, :at, :processed, :memory_mb);

-- name: put_request
-- SQLite only: one request.
INSERT OR IGNORE INTO requests ({{request_columns}}) VALUES ({{request_columns|:@}});

-- name: put_endpoint
-- SQLite only: the requests of a run to one endpoint; those whose names are one without their secrets are added up.
INSERT INTO run_endpoints AS old ({{endpoint_columns}}) VALUES ({{endpoint_columns|:@}})
ON CONFLICT (run_id, endpoint) DO UPDATE SET
    max_ms = max(old.max_ms, excluded.max_ms),
    {{add_counters}};

-- name: put_series
-- SQLite only: the requests of a run in one stretch of time.
INSERT OR IGNORE INTO run_series (run_id, {{cell_columns}}) VALUES (:run_id, {{cell_columns|:@}});

-- name: add_up_series
-- SQLite only: the charts of all runs show those that are here.
INSERT INTO throughput (width, bucket, shard, {{counters}}, histogram)
SELECT width, bucket, 0, {{counters|sum(@)}}, sum_histograms(histogram)
FROM run_series
GROUP BY width, bucket;

-- name: put_source_count
-- SQLite only: how many items a source has.
INSERT OR IGNORE INTO source_counts (run_id, entity, items, at) VALUES (:run_id, :entity, :items, :at);

-- name: put_error
-- SQLite only: an error.
INSERT OR IGNORE INTO errors ({{error_columns}}) VALUES ({{error_columns|:@}});

-- name: put_ledger
-- SQLite only: what a writer emitted, and what of it its store held.
INSERT OR IGNORE INTO writers ({{ledger_columns}}, overhead) VALUES ({{ledger_columns|:@}}, :overhead);

-- name: put_switch
-- SQLite only: how the tracking switch stood.
INSERT OR IGNORE INTO switches ({{switch_columns}}) VALUES ({{switch_columns|:@}});

-- name: put_audit_entry
-- SQLite only: what a person changed.
INSERT OR IGNORE INTO audit (id, at, actor, action, detail) VALUES (:id, :at, :actor, :action, :detail);

-- name: foreign_parts
-- SQLite only: what no bundle has, checked before any table is read: a view may have the name of one of our tables.
SELECT DISTINCT name FROM sqlite_master
WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%' OR (type = 'table' AND sql LIKE '% AS (%');

-- name: misfits
-- SQLite only: tables of a bundle that hold what no version of this program stores, as a file from elsewhere may. SQLite
-- itself takes a text for a number.
SELECT 'bundle' AS name
WHERE NOT EXISTS (
    SELECT 1 FROM bundle INNER JOIN runs ON runs.run_id = bundle.run_id
    WHERE {{integer(made_at)}} AND {{time_of(made_at)}} AND {{text(source)}} AND {{text(version)}})
   OR (SELECT count(*) FROM bundle) != 1
UNION ALL
SELECT 'schema_version' WHERE EXISTS (SELECT 1 FROM schema_version WHERE NOT {{integer(version)}})
UNION ALL
SELECT 'runs' WHERE EXISTS (
    SELECT 1 FROM runs
    WHERE NOT (
        {{run_counters|typeof(@) = 'integer' AND @ >= 0| AND }}
        AND {{integer(run_id)}} AND run_id >= 1 AND {{integer(clock_offset_ms)}} AND {{integer(pid)}}
        AND {{integer(started_at)}} AND {{time_of(started_at)}}
        AND {{text(job)}} AND {{text(tags)}} AND {{run_texts|typeof(@) = 'text'| AND }}
        AND (notes IS NULL OR {{text(notes)}}) AND (ended_by IS NULL OR {{text(ended_by)}})
        AND {{optional_time(ended_at)}} AND {{optional_time(heartbeat_at)}} AND {{optional_time(progress_at)}}
        AND (parent_run_id IS NULL OR {{integer(parent_run_id)}} AND parent_run_id >= 1)
        AND (duration_ms IS NULL OR {{integer(duration_ms)}} AND duration_ms BETWEEN 0 AND 100000000000000)
        AND (heartbeat_interval_s IS NULL
             OR {{number(heartbeat_interval_s)}} AND heartbeat_interval_s BETWEEN 0 AND 1000000)
        AND abs(clock_offset_ms / 2) <= 50000000000000
        AND {{text(status)}} AND status IN ('running', 'completed', 'failed', 'terminated', 'abandoned')
        AND (status = 'running') = (ended_at IS NULL)))
UNION ALL
SELECT 'phases' WHERE EXISTS (
    SELECT 1 FROM phases
    WHERE NOT (
        {{integer(run_id)}} AND {{text(phase)}} AND {{integer(position)}} AND {{text(counters)}}
        AND {{optional_time(started_at)}} AND {{optional_time(ended_at)}}
        AND {{text(status)}} AND status IN ('pending', 'running', 'completed', 'failed', 'skipped')
        AND {{megabytes(memory_mb)}} AND {{megabytes(peak_memory_mb)}} AND {{megabytes(memory_limit_mb)}}))
UNION ALL
SELECT 'phase_series' WHERE EXISTS (
    SELECT 1 FROM phase_series
    WHERE NOT (
        {{integer(run_id)}} AND {{text(phase)}} AND {{bucket}} AND {{integer(at)}} AND {{time_of(at)}}
        AND {{text(processed)}} AND {{megabytes(memory_mb)}}))
UNION ALL
SELECT 'requests' WHERE EXISTS (
    SELECT 1 FROM requests
    WHERE NOT (
        {{integer(run_id)}} AND {{integer(at)}} AND {{time_of(at)}} AND {{integer(throttled)}} AND {{text(endpoint)}}
        AND {{count(writer_id)}} AND {{count(seq)}} AND {{count(items)}} AND {{count(duration_ms)}}
        AND (page_offset IS NULL OR {{integer(page_offset)}}) AND (page_limit IS NULL OR {{integer(page_limit)}})
        AND (status IS NULL OR {{integer(status)}}) AND (error IS NULL OR {{text(error)}})))
UNION ALL
SELECT 'run_endpoints' WHERE EXISTS (
    SELECT 1 FROM run_endpoints
    WHERE NOT ({{integer(run_id)}} AND {{text(endpoint)}} AND {{count(max_ms)}} AND {{counted}}))
UNION ALL
SELECT 'run_series' WHERE EXISTS (SELECT 1 FROM run_series WHERE NOT ({{integer(run_id)}} AND {{cell}}))
UNION ALL
SELECT 'throughput' WHERE EXISTS (SELECT 1 FROM throughput WHERE NOT ({{cell}}))
UNION ALL
SELECT 'source_counts' WHERE EXISTS (
    SELECT 1 FROM source_counts
    WHERE NOT (
        {{integer(run_id)}} AND {{text(entity)}} AND {{count(items)}} AND {{integer(at)}} AND {{time_of(at)}}))
UNION ALL
SELECT 'errors' WHERE EXISTS (
    SELECT 1 FROM errors
    WHERE NOT (
        {{integer(run_id)}} AND {{integer(writer_id)}} AND {{integer(seq)}} AND {{integer(at)}} AND {{time_of(at)}}
        AND {{text(error_type)}} AND {{text(message)}} AND {{text(traceback)}} AND {{text(fingerprint)}}
        AND (phase IS NULL OR {{text(phase)}})))
UNION ALL
SELECT 'writers' WHERE EXISTS (
    SELECT 1 FROM writers
    WHERE NOT (
        {{integer(run_id)}} AND {{integer(writer_id)}} AND {{count(emitted)}} AND {{count(stored)}} AND {{count(dropped)}}
        AND {{text(overhead)}}))
UNION ALL
SELECT 'switches' WHERE EXISTS (
    SELECT 1 FROM switches
    WHERE NOT (
        {{text(scope)}} AND {{text(job)}} AND {{integer(enabled)}} AND {{integer(changed_at)}} AND {{time_of(changed_at)}}
        AND {{text(changed_by)}} AND {{text(reason)}}))
UNION ALL
SELECT 'audit' WHERE EXISTS (
    SELECT 1 FROM audit
    WHERE NOT (
        {{integer(id)}} AND {{integer(at)}} AND {{time_of(at)}} AND {{text(actor)}} AND {{text(action)}}
        AND {{text(detail)}}));
