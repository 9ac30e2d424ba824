-- What SQLite writes in its own way; see ../fragments.sql. Times are integers and lists JSON, given by the caller.

-- name: now
:now

-- name: clock
:now

-- name: pinned_clock
:now

-- name: time
:@

-- name: or_end
coalesce(:@, 9223372036854775807)

-- name: in_ids
IN (SELECT value FROM json_each(:@))

-- name: in_texts
IN (SELECT value FROM json_each(:@))

-- name: not_in_ids
NOT IN (SELECT value FROM json_each(:@))

-- name: is_null
:@ IS NULL

-- name: wanted
json_each(:@) AS wanted

-- name: json
:@

-- name: json_of
@

-- name: new_ledger
(SELECT {{ledger_columns|:@ AS @}}, :overhead AS overhead) AS new

-- name: new_additions
(SELECT {{addition|:@ AS @}}, :in_ledger AS in_ledger, :progress_at AS progress_at) AS new

-- name: json_object
json_object

-- name: tags
tags

-- name: units
counters

-- name: newline
char(10)

-- name: greatest
max

-- name: least
min

-- name: ten_minutes
-- The beginning of the cell of ten minutes in which a time lies.
@ / 600000000 * 600

-- name: second
@ / 1000000

-- name: lasted_ms
max(0, (@ - started_at + 500) / 1000)

-- name: last_sign
coalesce(max(heartbeat_at, progress_at), heartbeat_at, progress_at, :now)

-- name: indexed_by_end
-- Without it SQLite reads all runs, in the order of jobs.
INDEXED BY runs_by_end

-- name: marked_skipped
json_patch(:counters, '{"skipped": {"processed": 1}}')

-- name: merged_units
CASE WHEN excluded.changed_at >= old.changed_at
    THEN json_patch(old.counters, excluded.counters) ELSE json_patch(excluded.counters, old.counters) END

-- name: merged
json_patch(old.@, excluded.@)

-- name: off_jobs
json_group_array(job)

-- name: backend
NULL

-- name: add_counters
{{counters|@ = old.@ + excluded.@}},
    histogram = merge_histograms(old.histogram, excluded.histogram)

-- name: integer
typeof(@) = 'integer'

-- name: number
typeof(@) IN ('real', 'integer')

-- name: text
typeof(@) = 'text'

-- name: count
(typeof(@) = 'integer' AND @ >= 0)

-- name: time_of
-- Times end before the calendar does.
@ BETWEEN 0 AND 250000000000000000

-- name: optional_time
(@ IS NULL OR typeof(@) = 'integer' AND @ BETWEEN 0 AND 250000000000000000)

-- name: megabytes
(@ IS NULL OR typeof(@) IN ('real', 'integer') AND @ BETWEEN 0 AND 1e12)

-- name: bucket
(typeof(bucket) = 'integer' AND bucket BETWEEN 0 AND 250000000000)

-- name: counted
{{counters|typeof(@) = 'integer' AND @ >= 0| AND }} AND typeof(histogram) = 'blob'

-- name: cell
{{bucket}} AND typeof(width) = 'integer' AND width BETWEEN 1 AND 1000000 AND {{counted}}

-- name: for_key_share

-- name: for_update

-- name: returning

-- name: skip_locked
