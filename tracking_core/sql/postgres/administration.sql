-- Changes in PostgreSQL's way; see ../administration.sql.

-- name: weeks
-- PostgreSQL only: the weeks of requests: the partition and the block that it hangs below, the run ids that it takes,
-- whether this role may drop it, what it takes on the disk (0 where nothing was ever written), whether it holds a run
-- that stays, and how many requests have those that go. Looked into only up to the week of the cutoff.
SELECT
    week.name, week.block, week.first, week.beyond, week.owned, week.bytes,
    coalesce(held.stays, false) AS stays, coalesce(held.requests, 0)::bigint AS requests
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
            status <> 'running' AND ended_at < %(cutoff)s AND run_id {{not_in_ids(spared)}} AS goes
        FROM tracking.runs
        WHERE run_id >= week.first AND run_id < week.beyond) AS run) AS held ON week.first < %(limit)s
ORDER BY week.first;

-- name: be_impatient
-- PostgreSQL only: how long this transaction waits for a lock; writers wait behind it as long.
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: lock_week
-- PostgreSQL only: lock a week. It comes before its block, in the opposite order of writers, with a short time limit:
-- an old week has no writers, and a long reader of it, as a dump, then keeps no writer waiting.
LOCK TABLE ONLY tracking.{week} IN ACCESS EXCLUSIVE MODE;

-- name: lock_block
-- PostgreSQL only: lock a block while one of its weeks is inspected and dropped. A writer that waits
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
-- one partition only, the runs are named again.
DELETE FROM tracking.requests
WHERE run_id BETWEEN %(first)s AND %(last)s AND run_id {{in_ids(run_ids)}}
  AND ctid = ANY(ARRAY(
    SELECT ctid FROM tracking.requests
    WHERE run_id BETWEEN %(first)s AND %(last)s AND run_id {{in_ids(run_ids)}}
    LIMIT %(most)s));
