-- What a job writes. A batch is one transaction. It takes its locks in this order, and in the order of the keys within a
-- table: its own key in `batches`, its runs (against removal), runs that it carries, requests, endpoints, series,
-- throughput, errors, phases with their series and source counts, writers, and its runs again (to change them). A
-- clean-up locks its runs before anything that belongs to them. So no two transactions wait for each other.

-- name: claim_batch
-- The key of a batch; nothing is inserted when it was taken before.
{{claim_batch}};

-- name: forget_batches
-- Keys of batches that no spool can hold any more, a few at a time; those that another writer forgets are skipped.
DELETE FROM tracking.batches
WHERE (writer_id, batch_seq) IN (
    SELECT writer_id, batch_seq FROM tracking.batches
    WHERE at < :before ORDER BY at LIMIT :most {{skip_locked}});

-- name: carry_run
-- Make the row of a run that this store does not hold. Not for one that a clean-up removed, not for one that ended
-- before the last clean-up's cutoff, and not while tracking is switched off.
INSERT INTO tracking.runs (run_id, job, notes, tags, status, started_at, heartbeat_at, {{run_start}})
SELECT
    :run_id, :job, :notes, {{json(tags)}}, 'running', :started_at,
    CASE WHEN CAST(:heartbeat_interval_s AS real) IS NULL THEN NULL ELSE {{clock}} END, {{run_start|:@}}
WHERE NOT EXISTS (SELECT 1 FROM tracking.removed_runs AS removed WHERE removed.run_id = :run_id)
  AND NOT EXISTS (SELECT 1 FROM tracking.retention WHERE cutoff > {{time(ended_at)}})
  AND NOT EXISTS (SELECT 1 FROM tracking.switches WHERE NOT enabled AND job IN ('', :job))
ON CONFLICT DO NOTHING;

-- name: runs_of_batch
-- For every run of a batch: its job if the run is here, whether it was removed; for which jobs tracking is switched off
-- ('' for all); and, in PostgreSQL, which process answers. Subqueries are planned in half the time of joins. The runs are
-- locked against removal, but not against each other's changes; one that is removed while this waits is neither here nor
-- removed.
SELECT {{run_of_batch}}
FROM {{wanted(run_ids)}};

-- name: cutoff
-- Before which moment a finished run must have ended that this store does not take any more; NULL before any clean-up.
SELECT max(cutoff) FROM tracking.retention;

-- name: hello
-- The store's clock, and the version of its tables.
SELECT {{clock}} AS at, (SELECT coalesce(max(version), 0) FROM tracking.schema_version) AS version;

-- name: switched_off
-- Whether the shared switch, global or of this job, is off.
SELECT EXISTS (SELECT 1 FROM tracking.switches WHERE NOT enabled AND job IN ('', :job));

-- name: save_phase
-- The state of a phase; an older state never replaces a newer one, units are merged one by one. Tables of version 1 take
-- no `skipped`: there it is completed, and marked by a unit of that name.
INSERT INTO tracking.phases AS old (
    run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb,
    memory_limit_mb)
VALUES (
    :run_id, :phase,
    coalesce(:position, (SELECT coalesce(max(position), 0) + 1 FROM tracking.phases WHERE run_id = :run_id)),
    CASE WHEN :status = 'skipped' AND (SELECT max(version) FROM tracking.schema_version) = 1
        THEN 'completed' ELSE :status END,
    :started_at, :ended_at, :at,
    CASE WHEN :status = 'skipped' AND (SELECT max(version) FROM tracking.schema_version) = 1
        THEN {{marked_skipped}} ELSE {{json(counters)}} END,
    :memory_mb, :peak_memory_mb, :memory_limit_mb)
ON CONFLICT (run_id, phase) DO UPDATE SET
    status = {{newer(status)}},
    started_at = {{newer(started_at)}},
    ended_at = CASE WHEN excluded.changed_at >= old.changed_at THEN excluded.ended_at ELSE old.ended_at END,
    counters = {{merged_units}},
    memory_mb = {{newer(memory_mb)}},
    peak_memory_mb = {{greatest}}(coalesce(old.peak_memory_mb, excluded.peak_memory_mb),
        coalesce(excluded.peak_memory_mb, old.peak_memory_mb)),
    memory_limit_mb = coalesce(excluded.memory_limit_mb, old.memory_limit_mb),
    changed_at = {{greatest}}(old.changed_at, excluded.changed_at);

-- name: sample_phase
-- The progress of a phase at some time; the latest sample within a bucket stays.
INSERT INTO tracking.phase_series AS old (run_id, phase, bucket, at, processed, memory_mb)
VALUES (:run_id, :phase, :bucket, :at, {{json(processed)}}, :memory_mb)
ON CONFLICT (run_id, phase, bucket) DO UPDATE SET
    at = excluded.at,
    processed = {{merged(processed)}},
    memory_mb = coalesce(excluded.memory_mb, old.memory_mb)
WHERE excluded.at >= old.at;

-- name: save_source_count
-- The last write wins, by the time of the count.
INSERT INTO tracking.source_counts AS old (run_id, entity, items, at) VALUES (:run_id, :entity, :items, :at)
ON CONFLICT (run_id, entity) DO UPDATE SET items = excluded.items, at = excluded.at
WHERE excluded.at >= old.at;

-- name: insert_error
-- One recorded error; nothing is inserted when it is here already.
INSERT INTO tracking.errors ({{error_columns}}) VALUES ({{error_columns|:@}})
ON CONFLICT DO NOTHING {{returning(seq)}};

-- name: save_ledger
-- How far a writer has come with a run. No more is dropped than is missing, so that a writer may report everything as
-- dropped of which it cannot tell whether it arrived.
{{save_ledger}};

-- name: add_to_runs
-- What a batch adds to its runs' own counters.
UPDATE tracking.runs SET
    {{run_additions}}
FROM {{new_additions}}
LEFT JOIN tracking.writers AS writer
  ON new.in_ledger AND writer.run_id = new.run_id AND writer.writer_id = new.writer_id
WHERE runs.run_id = new.run_id;

-- name: audit_end
-- A job's own end replaces the one that a person gave the run while the job lived; that is audited.
INSERT INTO tracking.audit (at, actor, action, detail)
SELECT {{clock}}, 'job', 'end after close', {{json_object}}(
    'run_id', CAST(run_id AS text), 'closed_by', ended_by, 'status', CAST(:status AS text))
FROM tracking.runs WHERE run_id = :run_id AND status = 'abandoned' AND ended_by LIKE 'person %';

-- name: end_run
-- Compare and set: only a running run ends, or one that a person closed while its job lived.
UPDATE tracking.runs SET
    status = :status,
    ended_at = {{greatest}}(started_at, {{time(ended_at)}}),
    duration_ms = coalesce(CAST(:duration_ms AS bigint), {{lasted_ms({{time(ended_at)}})}}),
    notes = CASE
        WHEN CAST(:notes AS text) IS NULL THEN notes
        WHEN notes IS NULL OR notes = '' THEN :notes
        ELSE notes || {{newline}} || :notes END,
    ended_by = :ended_by
WHERE run_id = :run_id AND (status = 'running' OR (status = 'abandoned' AND ended_by LIKE 'person %'));
