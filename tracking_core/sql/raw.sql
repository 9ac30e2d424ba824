-- Queries of raw requests: only of one run, only on demand, and within a deadline.

-- name: pages
-- Paged requests of one run, no more of them read than the limit allows. The caller sorts them: SQLite takes seven times
-- as long for it. In PostgreSQL those of a removed run may still be there, and belong to nothing.
SELECT
    endpoint, page_offset, seq, page_limit, items,
    coalesce(status BETWEEN 200 AND 299, false) AND NOT throttled AND error IS NULL AS whole
FROM tracking.requests
WHERE run_id = :run_id AND page_offset IS NOT NULL
  AND EXISTS (SELECT 1 FROM tracking.runs AS run WHERE run.run_id = :run_id)
LIMIT :limit;

-- name: requests
-- The requests of one run, a page at a time by their key: what is copied when somebody asks for the whole run.
SELECT {{request_columns}}
FROM tracking.requests
WHERE run_id = :run_id AND (writer_id, seq) > (:writer_id, :seq)
ORDER BY writer_id, seq
LIMIT :limit;
