-- What reads raw requests: only of one run, only when a person asks for it, and within a deadline.

-- name: pages
-- Paged requests of one run, as many as the limit says and no more of them read; one more than wanted says that there
-- are others. The caller sorts them: SQLite takes seven times as long for it. Those of a removed run may still lie here,
-- and are nobody's.
SELECT
    endpoint, page_offset, seq, page_limit, items,
    coalesce(status BETWEEN 200 AND 299, false) AND NOT throttled AND error IS NULL AS whole
FROM tracking.requests
WHERE run_id = %(run_id)s AND page_offset IS NOT NULL
  AND EXISTS (SELECT FROM tracking.runs AS run WHERE run.run_id = %(run_id)s)
LIMIT %(limit)s;

-- name: requests
-- The requests of one run, a page at a time by their key: what is copied when somebody asks for the whole run.
SELECT
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error
FROM tracking.requests
WHERE run_id = %(run_id)s AND (writer_id, seq) > (%(writer_id)s, %(seq)s)
ORDER BY writer_id, seq
LIMIT %(limit)s;
