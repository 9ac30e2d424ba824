-- What `etlwatch doctor` asks of PostgreSQL; see ../inspection.sql.

-- name: server
-- PostgreSQL only: which server answers, our role, and whether it can be written to.
SELECT
    current_setting('server_version') AS version, current_user::text AS role, pg_backend_pid() AS backend_pid,
    pg_is_in_recovery() AS in_recovery, current_setting('default_transaction_read_only') = 'on' AS read_only;

-- name: rights
-- PostgreSQL only: what this role may do with each of our tables, and whether it counts as their owner.
SELECT
    relname::text AS "table", has_table_privilege(oid, 'SELECT') AS read, has_table_privilege(oid, 'INSERT') AS insert,
    has_table_privilege(oid, 'UPDATE') AS update, has_table_privilege(oid, 'DELETE') AS delete,
    pg_has_role(relowner, 'USAGE') AS own
FROM pg_class
WHERE relnamespace = 'tracking'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname;

-- name: session
-- PostgreSQL only: what belongs to this session and would be lost, or handed to a stranger, behind a pooler.
SELECT
    (SELECT count(*) FROM pg_prepared_statements) AS prepared,
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    (SELECT count(*) FROM pg_listening_channels()) AS channels;

-- name: partitions
-- PostgreSQL only: which run ids each weekly partition takes, from the first to the one after the last.
SELECT
    substring(pg_get_expr(week.relpartbound, week.oid) FROM 'FROM [(]''?(-?[0-9]+)')::bigint AS first,
    substring(pg_get_expr(week.relpartbound, week.oid) FROM 'TO [(]''?(-?[0-9]+)')::bigint AS beyond
FROM pg_partition_tree('tracking.requests') AS part
JOIN pg_class AS week ON week.oid = part.relid
WHERE part.isleaf AND pg_get_expr(week.relpartbound, week.oid) <> 'DEFAULT'
ORDER BY 1;

-- name: strays
-- PostgreSQL only: how many rows the default partition holds, counted up to a limit, and the newest run among them.
SELECT
    (SELECT count(*) FROM (SELECT FROM tracking.requests_default LIMIT %(most)s) AS strays) AS requests,
    (SELECT max(run_id) FROM tracking.requests_default) AS newest_run_id;

-- name: without_default
-- PostgreSQL only: the parts of the table of requests that lack their default partition.
SELECT relname::text AS relname
FROM pg_partition_tree('tracking.requests')
JOIN pg_partitioned_table ON partrelid = relid AND partdefid = 0
JOIN pg_class ON oid = relid
ORDER BY level, relname;
