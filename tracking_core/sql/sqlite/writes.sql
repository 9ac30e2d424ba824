-- What a job writes, in SQLite's way; see ../writes.sql. Histograms are added up by merge_histograms(a, b) and
-- sum_histograms(x), functions of the connection.

-- name: begin
-- SQLite only: take the write lock first, so that nothing fails half-way for want of it.
BEGIN IMMEDIATE;

-- name: insert_requests
-- The rows of a batch: what is here already stays. (OR IGNORE would also leave out what a CHECK forbids.)
INSERT INTO requests ({{request_columns}})
VALUES ({{request_columns|?}})
ON CONFLICT DO NOTHING;

-- name: requests_here
-- Whether a request that was not inserted is here.
SELECT count(*) FROM requests WHERE run_id = :run_id AND writer_id = :writer_id AND seq = :seq;

-- name: add_endpoints
-- SQLite only: what a batch adds to an endpoint of a run.
INSERT INTO run_endpoints AS old (run_id, endpoint, max_ms, {{counters}}, histogram)
VALUES (:run_id, :endpoint, :max_ms, {{counters|:@}}, :histogram)
ON CONFLICT (run_id, endpoint) DO UPDATE SET
    max_ms = max(old.max_ms, excluded.max_ms),
    {{add_counters}};

-- name: add_series
-- SQLite only: what a batch adds to the series of a run.
INSERT INTO run_series AS old (run_id, bucket, width, {{counters}}, histogram)
VALUES (:run_id, :bucket, :width, {{counters|:@}}, :histogram)
ON CONFLICT (run_id, bucket, width) DO UPDATE SET
    {{add_counters}};

-- name: add_throughput
-- SQLite only: what a batch adds to all runs together.
INSERT INTO throughput AS old (width, bucket, shard, {{counters}}, histogram)
VALUES (:width, :bucket, :shard, {{counters|:@}}, :histogram)
ON CONFLICT (width, bucket, shard) DO UPDATE SET
    {{add_counters}};

-- name: widen_throughput
-- Old narrow cells of all runs added up into wider ones without shards, an hour of them at a time; drop_widened removes
-- them after.
INSERT INTO throughput AS old (width, bucket, shard, {{counters}}, histogram)
SELECT :wider, bucket - bucket % :wider, 0, {{counters|sum(@)}}, sum_histograms(histogram)
FROM throughput
WHERE width = :width
  AND bucket < min(:before, (SELECT min(bucket) FROM throughput WHERE width = :width) + 3600)
GROUP BY 2
ON CONFLICT (width, bucket, shard) DO UPDATE SET
    {{add_counters}};

-- name: drop_widened
-- SQLite only: PostgreSQL deletes the narrow cells in the statement that widens them.
DELETE FROM throughput
WHERE width = :width
  AND bucket < min(:before, (SELECT min(bucket) FROM throughput WHERE width = :width) + 3600);

-- name: beat
-- Record that this run lives.
UPDATE runs SET heartbeat_at = :now WHERE run_id = :run_id AND status = 'running';
