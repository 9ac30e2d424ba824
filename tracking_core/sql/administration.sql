-- What people change: the shared switch, a run that nothing ends, old runs. Every transaction locks tables in this order:
-- runs, requests, summaries in the order of their blocks below, tombstones, audit; and runs in the order of their ids.

-- name: clock
-- The store's clock, and the latest end of any run, which a job's clock may have put ahead of it.
SELECT {{now}} AS moment, (SELECT max(ended_at) FROM tracking.runs WHERE ended_at IS NOT NULL) AS latest_end;

-- name: record_action
-- Who changed what, with everything needed to understand it later.
INSERT INTO tracking.audit (at, actor, action, detail)
VALUES ({{pinned_clock}}, :actor, :action, {{json(detail)}}) {{returning(id)}};

-- name: amend_action
-- How far a change of several steps has come, written in the transaction of each step.
UPDATE tracking.audit SET detail = {{json(detail)}} WHERE id = :id;

-- name: latest_cleanups
-- The clean-ups that were begun last.
SELECT id, actor, CAST(detail AS text) AS detail FROM tracking.audit WHERE action = 'cleanup' ORDER BY id DESC LIMIT 10;

-- name: turn_switch
-- The shared switch of all jobs (scope global, job '') or of one.
INSERT INTO tracking.switches ({{switch_columns}})
VALUES (:scope, :job, :enabled, {{pinned_clock}}, :changed_by, :reason)
ON CONFLICT (scope, job) DO UPDATE SET
    enabled = excluded.enabled,
    changed_at = excluded.changed_at,
    changed_by = excluded.changed_by,
    reason = excluded.reason;

-- name: switch
-- One shared switch.
SELECT {{switch_columns}}
FROM tracking.switches
WHERE scope = :scope AND job = :job;

-- name: close_run
-- Compare and set: only a running run. It lasted until its last sign of life.
UPDATE tracking.runs SET
    status = 'abandoned',
    ended_at = {{greatest}}(started_at, {{pinned_clock}}),
    duration_ms = {{lasted_ms({{last_sign}})}},
    notes = CASE
        WHEN :reason = '' THEN notes
        WHEN coalesce(notes, '') = '' THEN :reason
        ELSE notes || {{newline}} || :reason END,
    ended_by = :ended_by
WHERE run_id = :run_id AND status = 'running';

-- name: job_of_run
-- Which job a run belongs to.
SELECT job FROM tracking.runs WHERE run_id = :run_id;

-- name: plan_jobs
-- What a clean-up would remove, by job, from the runs' own counters.
SELECT
    job, count(*) AS runs, CAST(sum(requests) AS bigint) AS requests, CAST(sum(errors) AS bigint) AS errors,
    min(ended_at) AS oldest
FROM tracking.runs {{indexed_by_end}}
WHERE ended_at < :cutoff AND status <> 'running' AND run_id {{not_in_ids(spared)}}
GROUP BY job
ORDER BY count(*) DESC, job;

-- name: count_kept
-- Runs that are old and not finished.
SELECT count(*) FROM tracking.runs WHERE status = 'running' AND started_at < :cutoff;

-- name: last_successes
-- The last success of each job, where it is so old that it would go.
SELECT run.run_id
FROM (
    SELECT DISTINCT job FROM tracking.runs {{indexed_by_end}} WHERE ended_at < :cutoff AND status = 'completed') AS old
JOIN tracking.runs AS run ON run.run_id = (
    SELECT run_id FROM tracking.runs AS success
    WHERE success.job = old.job AND success.status = 'completed'
    ORDER BY started_at DESC, run_id DESC LIMIT 1)
WHERE run.ended_at < :cutoff;

-- name: raise_cutoff
-- From now on a finished run that this store does not hold is refused when it ended before this moment.
INSERT INTO tracking.retention (only_row, cutoff) VALUES (1, :cutoff)
ON CONFLICT (only_row) DO UPDATE SET cutoff = {{greatest}}(retention.cutoff, excluded.cutoff);

-- name: choose_runs
-- The next runs to remove, those that ended first at the head; how much each of them holds decides how many go at once.
SELECT run_id, requests, errors, duration_ms
FROM tracking.runs
WHERE ended_at < :cutoff AND status <> 'running' AND run_id {{not_in_ids(spared)}}
ORDER BY ended_at, run_id
LIMIT :most;

-- name: lock_removable
-- Those of the chosen runs that may still be removed, locked before anything that belongs to them.
SELECT run_id, requests, errors, duration_ms
FROM tracking.runs
WHERE run_id {{in_ids(run_ids)}} AND ended_at < :cutoff AND status <> 'running'
ORDER BY run_id {{for_update}};

-- name: remove_requests
-- The raw requests of these runs.
DELETE FROM tracking.requests WHERE run_id {{in_ids(run_ids)}};

-- name: remove_endpoints
-- The endpoint totals of these runs.
DELETE FROM tracking.run_endpoints WHERE run_id {{in_ids(run_ids)}};

-- name: remove_series
-- The series of these runs.
DELETE FROM tracking.run_series WHERE run_id {{in_ids(run_ids)}};

-- name: remove_phases
-- The phases of these runs.
DELETE FROM tracking.phases WHERE run_id {{in_ids(run_ids)}};

-- name: remove_phase_series
-- How the phases of these runs went.
DELETE FROM tracking.phase_series WHERE run_id {{in_ids(run_ids)}};

-- name: remove_source_counts
-- The source counts of these runs.
DELETE FROM tracking.source_counts WHERE run_id {{in_ids(run_ids)}};

-- name: remove_errors
-- The errors of these runs.
DELETE FROM tracking.errors WHERE run_id {{in_ids(run_ids)}};

-- name: remove_writers
-- The ledgers of these runs.
DELETE FROM tracking.writers WHERE run_id {{in_ids(run_ids)}};

-- name: leave_tombstones
-- Keep the removed runs' ids, so that what waits in a spool does not bring them back.
INSERT INTO tracking.removed_runs (run_id, removed_at)
SELECT run_id, {{pinned_clock}}
FROM tracking.runs
WHERE run_id {{in_ids(run_ids)}} AND ended_at >= :since
ON CONFLICT (run_id) DO NOTHING;

-- name: remove_runs
-- The runs themselves.
DELETE FROM tracking.runs WHERE run_id {{in_ids(run_ids)}};

-- name: old_tombstones
-- Tombstones that have outlived every spool.
SELECT run_id FROM tracking.removed_runs WHERE removed_at < :before ORDER BY removed_at LIMIT :most;

-- name: purge_tombstones
-- These tombstones.
DELETE FROM tracking.removed_runs WHERE run_id {{in_ids(run_ids)}};

-- name: purge_batches
-- Batch keys that have outlived every spool.
DELETE FROM tracking.batches
WHERE (writer_id, batch_seq) IN (
    SELECT writer_id, batch_seq FROM tracking.batches WHERE at < :before ORDER BY at LIMIT :most);
