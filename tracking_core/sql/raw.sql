-- Queries of raw requests: only of one run, only on demand, and within a deadline.

-- name: pages
-- Paged requests of one run, no more of them read than the limit allows. The caller sorts them: SQLite takes seven times
-- as long for it. In PostgreSQL those of a removed run may still be there, and belong to nothing.
SELECT
    endpoint, page_offset, seq, page_limit, items,
    {{whole}} AS whole
FROM tracking.requests
WHERE run_id = :run_id AND page_offset IS NOT NULL
  AND EXISTS (SELECT 1 FROM tracking.runs AS run WHERE run.run_id = :run_id)
LIMIT :limit;

-- name: runs_with_holes
-- Those of several runs whose pages may have holes: offsets without a whole answer, or a distance from the first to the
-- last that their number and size do not explain. Pages of varying size may have them.
SELECT DISTINCT run_id
FROM (
    SELECT
        run_id, endpoint, count(DISTINCT page_offset) AS asked,
        count(DISTINCT CASE WHEN {{whole}} THEN page_offset END) AS answered,
        max(page_offset) - min(page_offset) AS distance,
        min(coalesce(page_limit, items)) AS shortest, max(coalesce(page_limit, items)) AS longest
    FROM tracking.requests
    WHERE run_id {{in_ids(run_ids)}} AND page_offset IS NOT NULL
    GROUP BY run_id, endpoint) AS paged
WHERE answered < asked OR shortest <> longest OR distance NOT IN ((answered - 1) * longest, answered - 1);

-- name: requests
-- The requests of one run, a page at a time by their key: what is copied when somebody asks for the whole run.
SELECT {{request_columns}}
FROM tracking.requests
WHERE run_id = :run_id AND (writer_id, seq) > (:writer_id, :seq)
ORDER BY writer_id, seq
LIMIT :limit;
