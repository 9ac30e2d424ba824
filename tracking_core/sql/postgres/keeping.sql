-- What people change: the shared switch, a run that nobody ends, runs that are old. `now` is None in production, where
-- the database's clock decides, and pinned in tests.

-- name: clock
-- The store's clock, and the latest end of any run, which a job's clock may have put ahead of it.
SELECT coalesce(%(now)s::timestamptz, now()), (SELECT max(ended_at) FROM tracking.runs WHERE ended_at IS NOT NULL);

-- name: record_deed
-- Who did what, with all that has to be known to understand it later.
INSERT INTO tracking.audit (at, actor, action, detail)
VALUES (coalesce(%(now)s::timestamptz, clock_timestamp()), %(actor)s, %(action)s, %(detail)s::jsonb)
RETURNING id;

-- name: amend_deed
-- How far a deed of several steps has come: in the transaction of each step, so that it is right whenever it is cut off.
UPDATE tracking.audit SET detail = %(detail)s::jsonb WHERE id = %(id)s;

-- name: turn_switch
-- The shared switch of all jobs (scope global, job '') or of one.
INSERT INTO tracking.switches (scope, job, enabled, changed_at, changed_by, reason)
VALUES (
    %(scope)s, %(job)s, %(enabled)s, coalesce(%(now)s::timestamptz, clock_timestamp()), %(changed_by)s, %(reason)s)
ON CONFLICT (scope, job) DO UPDATE SET
    enabled = excluded.enabled,
    changed_at = excluded.changed_at,
    changed_by = excluded.changed_by,
    reason = excluded.reason;

-- name: switch
-- One shared switch.
SELECT scope, job, enabled, changed_at, changed_by, reason
FROM tracking.switches
WHERE scope = %(scope)s AND job = %(job)s;

-- name: close_run
-- Compare and set: only a running run. It lasted until its last sign of life, which is all that is known of it.
UPDATE tracking.runs SET
    status = 'abandoned',
    ended_at = greatest(started_at, coalesce(%(now)s::timestamptz, clock_timestamp())),
    duration_ms = greatest(0, round(extract(epoch FROM
        coalesce(greatest(heartbeat_at, progress_at), %(now)s::timestamptz, clock_timestamp()) - started_at) * 1000)),
    notes = CASE
        WHEN %(reason)s = '' THEN notes
        WHEN coalesce(notes, '') = '' THEN %(reason)s
        ELSE notes || E'\n' || %(reason)s END,
    ended_by = %(ended_by)s
WHERE run_id = %(run_id)s AND status = 'running';

-- name: job_of_run
-- Which job a run belongs to.
SELECT job FROM tracking.runs WHERE run_id = %(run_id)s;

-- name: plan_jobs
-- What a clean-up would remove, by job, from the runs' own counters.
SELECT job, count(*), sum(requests)::bigint, sum(errors)::bigint, min(ended_at)
FROM tracking.runs
WHERE ended_at < %(cutoff)s AND status <> 'running'
GROUP BY job
ORDER BY count(*) DESC, job;

-- name: count_kept
-- Runs that are old and not finished.
SELECT count(*) FROM tracking.runs WHERE status = 'running' AND started_at < %(cutoff)s;

-- name: raise_cutoff
-- From now on a finished run that this store does not hold is refused when it ended before this moment.
INSERT INTO tracking.retention (only_row, cutoff) VALUES (1, %(cutoff)s)
ON CONFLICT (only_row) DO UPDATE SET cutoff = greatest(retention.cutoff, excluded.cutoff);

-- name: choose_runs
-- The next runs to remove, those that ended first at the head; how much each of them holds decides how many go at once.
SELECT run_id, requests, errors, duration_ms
FROM tracking.runs
WHERE ended_at < %(cutoff)s AND status <> 'running'
ORDER BY ended_at, run_id
LIMIT %(most)s;

-- name: bound_of_requests
-- Where the first so many requests of a run end; no row when it has no more than that.
SELECT writer_id, seq
FROM tracking.requests
WHERE run_id = %(run_id)s
ORDER BY writer_id, seq
LIMIT 1 OFFSET %(most)s;

-- name: trim_requests
-- The first requests of a run that is too large for one step, if it may still be removed.
DELETE FROM tracking.requests
WHERE run_id = %(run_id)s
  AND (writer_id, seq) < (%(writer_id)s, %(seq)s)
  AND EXISTS (
    SELECT FROM tracking.runs WHERE run_id = %(run_id)s AND ended_at < %(cutoff)s AND status <> 'running');

-- name: remove_requests
-- What is left of the requests of these runs; first, as in every transaction that touches several tables.
DELETE FROM tracking.requests WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: remove_endpoints
-- The endpoint totals of these runs.
DELETE FROM tracking.run_endpoints WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: remove_series
-- The series of these runs.
DELETE FROM tracking.run_series WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: remove_phases
-- The phases of these runs.
DELETE FROM tracking.phases WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: remove_phase_series
-- How the phases of these runs went.
DELETE FROM tracking.phase_series WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: remove_source_counts
-- The source counts of these runs.
DELETE FROM tracking.source_counts WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: remove_errors
-- The errors of these runs.
DELETE FROM tracking.errors WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: remove_writers
-- The ledgers of these runs.
DELETE FROM tracking.writers WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: leave_tombstones
-- What may still wait in a spool must not bring these runs back.
INSERT INTO tracking.removed_runs (run_id, removed_at)
SELECT run_id, coalesce(%(now)s::timestamptz, clock_timestamp())
FROM tracking.runs
WHERE run_id = ANY(%(run_ids)s::bigint[]) AND ended_at >= %(since)s
ON CONFLICT (run_id) DO NOTHING;

-- name: remove_runs
-- The runs themselves; fewer than chosen when one of them changed meanwhile, and then the whole step is taken back.
DELETE FROM tracking.runs
WHERE run_id = ANY(%(run_ids)s::bigint[]) AND ended_at < %(cutoff)s AND status <> 'running';

-- name: purge_tombstones
-- Tombstones that have outlived every spool.
DELETE FROM tracking.removed_runs
WHERE run_id IN (
    SELECT run_id FROM tracking.removed_runs WHERE removed_at < %(before)s ORDER BY removed_at LIMIT %(most)s);

-- name: purge_batches
-- Batch keys that have outlived every spool.
DELETE FROM tracking.batches
WHERE (writer_id, batch_seq) IN (
    SELECT writer_id, batch_seq FROM tracking.batches WHERE at < %(before)s ORDER BY at LIMIT %(most)s);
