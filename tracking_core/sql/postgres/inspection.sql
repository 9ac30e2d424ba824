-- What `etlwatch doctor` asks of a store beyond what everybody may ask: what a probe left and its removal, what lies
-- overdue, and how the server stands to us. Each question is one SELECT; only `forget_…` changes anything.

-- name: begin_look
-- One moment for all questions until end_look; nothing can be changed meanwhile.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: end_look
-- Nothing was changed, so there is nothing to keep.
COMMIT;

-- name: versions
-- The migrations that ran here.
SELECT version, name, checksum FROM tracking.schema_version ORDER BY version;

-- name: probe_figures
-- The requests of one run as every table that counts them has them: raw, distinct, by endpoint, over time, on the run
-- itself, in its ledgers, and among all runs' in the stretch of time that its raw requests span.
SELECT
    raw.requests,
    (SELECT count(*) FROM (
        SELECT DISTINCT writer_id, seq FROM tracking.requests WHERE run_id = %(run_id)s) AS keys),
    (SELECT coalesce(sum(requests), 0)::bigint FROM tracking.run_endpoints WHERE run_id = %(run_id)s),
    (SELECT coalesce(sum(requests), 0)::bigint FROM tracking.run_series WHERE run_id = %(run_id)s),
    (SELECT coalesce(sum(requests), 0)::bigint FROM tracking.runs WHERE run_id = %(run_id)s),
    (SELECT coalesce(sum(stored), 0)::bigint FROM tracking.writers WHERE run_id = %(run_id)s),
    (SELECT coalesce(sum(requests), 0)::bigint FROM tracking.throughput
     WHERE width IN (10, 60, 600) AND bucket >= raw.since AND bucket < raw.until)
FROM (
    SELECT
        count(*) AS requests,
        coalesce(floor(extract(epoch FROM min(at)) / 600)::bigint * 600, 0) AS since,
        coalesce(floor(extract(epoch FROM max(at)) / 600)::bigint * 600 + 600, 0) AS until
    FROM tracking.requests WHERE run_id = %(run_id)s) AS raw;

-- name: probe_job
-- Whose run this is; none for an unknown one.
SELECT job FROM tracking.runs WHERE run_id = %(run_id)s;

-- name: probe_span
-- From when to when the raw requests of a run reach, in whole cells of the widest kind; none without requests.
SELECT
    floor(extract(epoch FROM min(at)) / 600)::bigint * 600,
    floor(extract(epoch FROM max(at)) / 600)::bigint * 600 + 600
FROM tracking.requests WHERE run_id = %(run_id)s
HAVING count(*) > 0;

-- name: probe_remains
-- How many rows a run has anywhere, and the batches of these writers.
SELECT
    (SELECT count(*) FROM tracking.runs WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.requests WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.run_endpoints WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.run_series WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.phases WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.phase_series WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.source_counts WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.errors WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.writers WHERE run_id = %(run_id)s)
    + (SELECT count(*) FROM tracking.batches WHERE writer_id = ANY(%(writer_ids)s::bigint[]));

-- name: forget_batches
-- The batch keys of a probe's writers, given ones and those in its ledgers.
DELETE FROM tracking.batches
WHERE writer_id = ANY(%(writer_ids)s::bigint[])
   OR writer_id IN (SELECT writer_id FROM tracking.writers WHERE run_id = %(run_id)s);

-- name: forget_requests
-- The raw requests of a probe.
DELETE FROM tracking.requests WHERE run_id = %(run_id)s;

-- name: forget_endpoints
-- The endpoint totals of a probe.
DELETE FROM tracking.run_endpoints WHERE run_id = %(run_id)s;

-- name: forget_series
-- The series of a probe.
DELETE FROM tracking.run_series WHERE run_id = %(run_id)s;

-- name: forget_throughput
-- What a probe added to all runs together. Probes date their requests into years before there were runs, so that no
-- cell there is anybody else's; nothing later than those years is touched.
DELETE FROM tracking.throughput
WHERE width IN (10, 60, 600) AND bucket >= %(since)s AND bucket < least(%(until)s, %(era_end)s);

-- name: forget_phases
-- The phases of a probe.
DELETE FROM tracking.phases WHERE run_id = %(run_id)s;

-- name: forget_phase_series
-- How the phases of a probe went.
DELETE FROM tracking.phase_series WHERE run_id = %(run_id)s;

-- name: forget_source_counts
-- The source counts of a probe.
DELETE FROM tracking.source_counts WHERE run_id = %(run_id)s;

-- name: forget_errors
-- The errors of a probe.
DELETE FROM tracking.errors WHERE run_id = %(run_id)s;

-- name: forget_writers
-- The ledgers of a probe.
DELETE FROM tracking.writers WHERE run_id = %(run_id)s;

-- name: forget_run
-- The probe itself.
DELETE FROM tracking.runs WHERE run_id = %(run_id)s;

-- name: overdue_cells
-- How many narrow cells of all runs wait to be joined into wider ones, counted up to a limit.
SELECT count(*)
FROM (SELECT FROM tracking.throughput WHERE width = %(width)s AND bucket < %(before)s LIMIT %(most)s) AS overdue;

-- name: server
-- PostgreSQL only: who answers, as whom, and whether it may be written to at all.
SELECT
    current_setting('server_version'), current_user::text, pg_backend_pid(), pg_is_in_recovery(),
    current_setting('default_transaction_read_only') = 'on';

-- name: rights
-- PostgreSQL only: what this role may do with each of our tables, and whether it counts as their owner.
SELECT
    relname::text, has_table_privilege(oid, 'SELECT'), has_table_privilege(oid, 'INSERT'),
    has_table_privilege(oid, 'UPDATE'), has_table_privilege(oid, 'DELETE'), pg_has_role(relowner, 'USAGE')
FROM pg_class
WHERE relnamespace = 'tracking'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname;

-- name: session
-- PostgreSQL only: what belongs to this session and would be lost, or handed to a stranger, behind a pooler.
SELECT
    (SELECT count(*) FROM pg_prepared_statements),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_listening_channels());

-- name: partitions
-- PostgreSQL only: which run ids each weekly partition takes, from the first to the one after the last.
SELECT
    substring(pg_get_expr(week.relpartbound, week.oid) FROM 'FROM [(]''?(-?[0-9]+)')::bigint,
    substring(pg_get_expr(week.relpartbound, week.oid) FROM 'TO [(]''?(-?[0-9]+)')::bigint
FROM pg_partition_tree('tracking.requests') AS part
JOIN pg_class AS week ON week.oid = part.relid
WHERE part.isleaf AND pg_get_expr(week.relpartbound, week.oid) <> 'DEFAULT'
ORDER BY 1;

-- name: strays
-- PostgreSQL only: how many rows the default partition holds, counted up to a limit, and the newest run among them.
SELECT
    (SELECT count(*) FROM (SELECT FROM tracking.requests_default LIMIT %(most)s) AS strays),
    (SELECT max(run_id) FROM tracking.requests_default);

-- name: without_default
-- PostgreSQL only: the parts of the table of requests that lack their default partition.
SELECT relname::text
FROM pg_partition_tree('tracking.requests')
JOIN pg_partitioned_table ON partrelid = relid AND partdefid = 0
JOIN pg_class ON oid = relid
ORDER BY level, relname;
