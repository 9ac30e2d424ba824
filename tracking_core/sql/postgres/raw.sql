-- What reads raw requests: only of one run, only when a person asks for it, and within a deadline.

-- name: pages
-- The paged requests of one run by endpoint and offset; a bounded number of them, one more than asked for says that
-- there are others. Those of a removed run may still lie here, and are nobody's.
SELECT
    endpoint, page_offset, page_limit, items,
    coalesce(status BETWEEN 200 AND 299, false) AND NOT throttled AND error IS NULL AS whole
FROM tracking.requests
WHERE run_id = %(run_id)s AND page_offset IS NOT NULL
  AND EXISTS (SELECT FROM tracking.runs AS run WHERE run.run_id = %(run_id)s)
ORDER BY endpoint, page_offset, seq
LIMIT %(limit)s;
