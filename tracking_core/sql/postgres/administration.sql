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

-- name: latest_cleanups
-- The clean-ups that were begun last.
SELECT id, actor, detail::text FROM tracking.audit WHERE action = 'cleanup' ORDER BY id DESC LIMIT 10;

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
WHERE ended_at < %(cutoff)s AND status <> 'running' AND run_id <> ALL(%(spared)s::bigint[])
GROUP BY job
ORDER BY count(*) DESC, job;

-- name: count_kept
-- Runs that are old and not finished.
SELECT count(*) FROM tracking.runs WHERE status = 'running' AND started_at < %(cutoff)s;

-- name: last_successes
-- The last success of each job, where it is so old that it would go.
SELECT run.run_id
FROM (SELECT DISTINCT job FROM tracking.runs WHERE ended_at < %(cutoff)s AND status = 'completed') AS old
CROSS JOIN LATERAL (
    SELECT run_id, ended_at FROM tracking.runs AS success
    WHERE success.job = old.job AND success.status = 'completed'
    ORDER BY started_at DESC, run_id DESC LIMIT 1) AS run
WHERE run.ended_at < %(cutoff)s;

-- name: raise_cutoff
-- From now on a finished run that this store does not hold is refused when it ended before this moment.
INSERT INTO tracking.retention (only_row, cutoff) VALUES (1, %(cutoff)s)
ON CONFLICT (only_row) DO UPDATE SET cutoff = greatest(retention.cutoff, excluded.cutoff);

-- name: choose_runs
-- The next runs to remove, those that ended first at the head; how much each of them holds decides how many go at once.
SELECT run_id, requests, errors, duration_ms
FROM tracking.runs
WHERE ended_at < %(cutoff)s AND status <> 'running' AND run_id <> ALL(%(spared)s::bigint[])
ORDER BY ended_at, run_id
LIMIT %(most)s;

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

-- name: old_tombstones
-- Tombstones that have outlived every spool.
SELECT run_id FROM tracking.removed_runs WHERE removed_at < %(before)s ORDER BY removed_at LIMIT %(most)s;

-- name: purge_tombstones
-- These tombstones.
DELETE FROM tracking.removed_runs WHERE run_id = ANY(%(run_ids)s::bigint[]);

-- name: purge_batches
-- Batch keys that have outlived every spool.
DELETE FROM tracking.batches
WHERE (writer_id, batch_seq) IN (
    SELECT writer_id, batch_seq FROM tracking.batches WHERE at < %(before)s ORDER BY at LIMIT %(most)s);

-- name: weeks
-- PostgreSQL only: the weeks of requests: the partition and the block that it hangs below, the run ids that it takes,
-- whether this role may drop it, what it takes on the disk (0 where nothing was ever written), whether it holds a run
-- that stays, and how many requests have those that go. Looked into only up to the week of the cutoff.
SELECT
    week.name, week.block, week.first, week.beyond, week.owned, week.bytes,
    coalesce(held.stays, false), coalesce(held.requests, 0)::bigint
FROM (
    SELECT
        leaf.relname::text AS name,
        block.relname::text AS block,
        substring(pg_get_expr(leaf.relpartbound, leaf.oid) FROM 'FROM [(]''?(-?[0-9]+)')::bigint AS first,
        substring(pg_get_expr(leaf.relpartbound, leaf.oid) FROM 'TO [(]''?(-?[0-9]+)')::bigint AS beyond,
        pg_has_role(leaf.relowner, 'USAGE') AND pg_has_role(block.relowner, 'USAGE') AS owned,
        CASE WHEN pg_relation_size(leaf.oid) > 0 THEN pg_total_relation_size(leaf.oid) ELSE 0 END AS bytes
    FROM pg_partition_tree('tracking.requests') AS part
    JOIN pg_class AS leaf ON leaf.oid = part.relid
    JOIN pg_class AS block ON block.oid = part.parentrelid
    WHERE part.isleaf AND pg_get_expr(leaf.relpartbound, leaf.oid) <> 'DEFAULT') AS week
LEFT JOIN LATERAL (
    SELECT bool_or(NOT run.goes) AS stays, sum(run.requests) FILTER (WHERE run.goes) AS requests
    FROM (
        SELECT
            requests,
            status <> 'running' AND ended_at < %(cutoff)s AND run_id <> ALL(%(spared)s::bigint[]) AS goes
        FROM tracking.runs
        WHERE run_id >= week.first AND run_id < week.beyond) AS run) AS held ON week.first < %(limit)s
ORDER BY week.first;

-- name: be_impatient
-- PostgreSQL only: how long this transaction waits for a lock; whoever wants to write waits behind it that long.
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: lock_week
-- PostgreSQL only: keep everybody out of a week. It comes before its block, the other way round than writers go: nobody
-- writes to an old week, and whoever reads it for long, as a dump does, keeps no writer waiting then.
LOCK TABLE ONLY tracking.{week} IN ACCESS EXCLUSIVE MODE;

-- name: lock_block
-- PostgreSQL only: keep everybody out of a block while one of its weeks is looked at and dropped. A writer that waits
-- for it finds the week gone when it goes on, and writes to the block's default.
LOCK TABLE ONLY tracking.{block} IN ACCESS EXCLUSIVE MODE;

-- name: week_in_use
-- PostgreSQL only: whether any run has its requests there.
SELECT EXISTS (SELECT FROM tracking.runs WHERE run_id BETWEEN %(first)s AND %(last)s);

-- name: drop_week
-- PostgreSQL only: a week with all that is in it.
DROP TABLE tracking.{week};

-- name: orphans
-- PostgreSQL only: runs that are no longer here and whose requests are, among run ids from one to another. It leaps from
-- run to run through the key.
WITH RECURSIVE present AS (
    (SELECT run_id FROM tracking.requests
     WHERE run_id BETWEEN %(first)s AND %(last)s ORDER BY run_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT request.run_id FROM tracking.requests AS request
        WHERE request.run_id > present.run_id AND request.run_id BETWEEN %(first)s AND %(last)s
        ORDER BY request.run_id LIMIT 1)
    FROM present WHERE present.run_id IS NOT NULL
)
SELECT run_id FROM present
WHERE run_id IS NOT NULL AND NOT EXISTS (SELECT FROM tracking.runs AS run WHERE run.run_id = present.run_id)
LIMIT %(most)s;

-- name: remove_orphans
-- PostgreSQL only: the next of the requests of these runs. Found by their place in the table; since that is a place in
-- one partition only, the runs are asked for again.
DELETE FROM tracking.requests
WHERE run_id BETWEEN %(first)s AND %(last)s AND run_id = ANY(%(run_ids)s::bigint[])
  AND ctid = ANY(ARRAY(
    SELECT ctid FROM tracking.requests
    WHERE run_id BETWEEN %(first)s AND %(last)s AND run_id = ANY(%(run_ids)s::bigint[])
    LIMIT %(most)s));
