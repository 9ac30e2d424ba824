-- Texts that several statements need, for both dialects. In a block `{{name}}` is replaced by the fragment of that name,
-- `{{name(x)}}` by it with `x` in place of each `@`. Of a list, `{{name|sum(@)}}` repeats the text behind `|` for each
-- entry, with commas between, or with what stands behind a second `|`. A column followed by `since N` exists from schema
-- version N on: statements for an older store leave it out.

-- name: counters
requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx, status_5xx, status_other

-- name: run_counters
requests, items, failed_requests, throttled_requests, errors, emitted, dropped

-- name: run_texts
host, boot_id, username, command, code_version, tracker_version

-- name: run_start
-- What is stored when a run starts and never changes, beside its id, job, notes, tags and start.
{{run_texts}}, pid, parent_run_id, heartbeat_interval_s, clock_offset_ms

-- name: run_columns
run_id, job, notes, {{tags}}, status, started_at, ended_at, duration_ms, heartbeat_at, progress_at, {{run_counters}},
{{run_start}}, ended_by

-- name: runs
SELECT {{run_columns}}, {{now}} AS read_at
FROM tracking.runs

-- name: newest_first
ORDER BY started_at DESC, run_id DESC
LIMIT :limit

-- name: outline_columns
run_id, job, status, started_at, ended_at, duration_ms, requests

-- name: phase_columns
run_id, phase, position, status, started_at, ended_at, {{units}}, memory_mb, peak_memory_mb, memory_limit_mb

-- name: request_columns
run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error

-- name: whole
-- Whether a request was answered as asked.
coalesce(status BETWEEN 200 AND 299, false) AND NOT throttled AND error IS NULL

-- name: error_columns
run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint

-- name: ledger_columns
run_id, writer_id, emitted, stored, dropped

-- name: addition
-- What a batch adds to one run, beside `progress_at`.
run_id, writer_id, requests, items, failed, throttled, errors

-- name: switch_columns
scope, job, enabled, changed_at, changed_by, reason

-- name: cell_columns
bucket, width, {{counters}}, histogram

-- name: endpoint_columns
run_id, endpoint, max_ms, {{counters}}, histogram

-- name: newer
-- Of a column of phases that the later of two changes decides.
CASE WHEN excluded.changed_at >= old.changed_at
    THEN coalesce(excluded.@, old.@) ELSE coalesce(old.@, excluded.@) END

-- name: claim_batch
INSERT INTO tracking.batches (writer_id, batch_seq, at) VALUES (:writer_id, :batch_seq, {{clock}})
ON CONFLICT DO NOTHING

-- name: run_of_batch
wanted.value AS run_id,
(SELECT job FROM tracking.runs WHERE run_id = wanted.value {{for_key_share}}) AS job,
EXISTS (SELECT 1 FROM tracking.removed_runs WHERE run_id = wanted.value) AS removed,
(SELECT {{off_jobs}} FROM tracking.switches WHERE NOT enabled) AS off,
{{clock}} AS at,
{{backend}} AS backend_pid

-- name: save_ledger
INSERT INTO tracking.writers AS old ({{ledger_columns}}, overhead)
SELECT run_id, writer_id, emitted, stored, {{greatest}}(0, {{least}}(dropped, emitted - stored)), {{json_of(overhead)}}
FROM {{new_ledger}}
WHERE true
ORDER BY run_id
ON CONFLICT (run_id, writer_id) DO UPDATE SET
    emitted = {{greatest}}(old.emitted, excluded.emitted),
    stored = old.stored + excluded.stored,
    dropped = {{greatest}}(0, {{least}}(
        {{greatest}}(old.dropped, excluded.dropped),
        {{greatest}}(old.emitted, excluded.emitted) - old.stored - excluded.stored)),
    emitted_before = old.emitted,
    dropped_before = old.dropped,
    overhead = {{merged(overhead)}}

-- name: run_additions
-- What was emitted and dropped is what the batch's ledger has just added, where it has an entry for the run: only under
-- that row's lock is it certain what was counted before.
requests = runs.requests + new.requests,
items = runs.items + new.items,
failed_requests = failed_requests + new.failed,
throttled_requests = throttled_requests + new.throttled,
errors = runs.errors + new.errors,
emitted = runs.emitted + coalesce(writer.emitted - writer.emitted_before, 0),
dropped = runs.dropped + coalesce(writer.dropped - writer.dropped_before, 0),
progress_at = {{greatest}}(
    coalesce(CASE WHEN runs.progress_at <= {{clock}} THEN runs.progress_at END, new.progress_at, runs.progress_at),
    coalesce(new.progress_at, runs.progress_at))
