-- What PostgreSQL writes in its own way; see ../fragments.sql.

-- name: now
-- None in production, where the database's clock decides; pinned in tests.
coalesce(%(now)s::timestamptz, now())

-- name: clock
clock_timestamp()

-- name: pinned_clock
coalesce(%(now)s::timestamptz, clock_timestamp())

-- name: time
%(@)s::timestamptz

-- name: or_end
coalesce(%(@)s::timestamptz, 'infinity')

-- name: in_ids
= ANY(%(@)s::bigint[])

-- name: in_texts
= ANY(%(@)s::text[])

-- name: not_in_ids
<> ALL(%(@)s::bigint[])

-- name: is_null
%(@)s::text[] IS NULL

-- name: wanted
-- Where the planner does not see how many there are, one plan serves all batches of a connection.
unnest((SELECT %(@)s::bigint[])) AS wanted (value)

-- name: json
%(@)s::jsonb

-- name: json_of
@::jsonb

-- name: new_ledger
unnest({{ledger_columns|%(@)s::bigint[]}}, %(overhead)s::text[]) AS new ({{ledger_columns}}, overhead)

-- name: new_additions
unnest({{addition|(SELECT %(@)s::bigint[])}}, %(in_ledger)s::boolean[], %(progress_at)s::timestamptz[])
    AS new ({{addition}}, in_ledger, progress_at)

-- name: json_object
jsonb_build_object

-- name: tags
tags::text

-- name: units
counters::text

-- name: newline
E'\n'

-- name: greatest
greatest

-- name: least
least

-- name: ten_minutes
-- The beginning of the cell of ten minutes in which a time lies.
floor(extract(epoch FROM @) / 600)::bigint * 600

-- name: second
floor(extract(epoch FROM @))::bigint

-- name: lasted_ms
greatest(0, round(extract(epoch FROM @ - started_at) * 1000))::bigint

-- name: last_sign
coalesce(greatest(heartbeat_at, progress_at), {{pinned_clock}})

-- name: indexed_by_end

-- name: marked_skipped
%(counters)s::jsonb || '{"skipped": {"processed": 1}}'

-- name: merged_units
(
        SELECT jsonb_object_agg(unit, CASE WHEN excluded.changed_at >= old.changed_at
            THEN coalesce(old.counters -> unit, '{}') || coalesce(excluded.counters -> unit, '{}')
            ELSE coalesce(excluded.counters -> unit, '{}') || coalesce(old.counters -> unit, '{}') END)
        FROM jsonb_object_keys(old.counters || excluded.counters || '{"": {}}') AS unit) - ''

-- name: merged
old.@ || excluded.@

-- name: off_jobs
array_agg(job)

-- name: backend
pg_backend_pid()

-- name: add_counters
{{counters|@ = old.@ + excluded.@}}

-- name: sum_histogram
-- Two packed histograms as one without repeated buckets.
(
        SELECT array_agg(sums.requests * 256 + sums.bucket ORDER BY sums.bucket)
        FROM (
            SELECT entry %% 256 AS bucket, sum(entry / 256)::bigint AS requests
            FROM unnest(old.histogram || excluded.histogram) AS entry GROUP BY 1) AS sums)

-- name: append_histogram
-- Two packed histograms as one that may repeat a bucket; the next batch sums them up.
array_cat(old.histogram, excluded.histogram)

-- name: for_key_share
FOR KEY SHARE

-- name: for_update
FOR UPDATE

-- name: returning
RETURNING @

-- name: skip_locked
FOR UPDATE SKIP LOCKED

-- name: one_request
{{counters|%(@)s}}, %(histogram)s::bigint[]
