-- Weekly partitions of requests and run_series, from five weeks ago (the life of a spool) to two years ahead; those that
-- are there stay. A run id holds milliseconds since 2020-01-01Z above 22 bits of counter. Weeks begin on Monday, UTC.
DO $partitions$
DECLARE
    week   timestamp;
    name   text;
    parent text;
BEGIN
    FOR week IN
        SELECT generate_series(
            date_trunc('week', now() AT TIME ZONE 'UTC') - interval '35 days',
            date_trunc('week', now() AT TIME ZONE 'UTC') + interval '728 days',
            interval '7 days')
    LOOP
        FOREACH parent IN ARRAY ARRAY['requests', 'run_series'] LOOP
            name := parent || to_char(week, '"_p"IYYY"w"IW');
            IF to_regclass(format('tracking.%I', name)) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE tracking.%I PARTITION OF tracking.%I FOR VALUES FROM (%s) TO (%s)',
                    name,
                    parent,
                    ((extract(epoch FROM week)::bigint * 1000 - 1577836800000) << 22)::text,
                    ((extract(epoch FROM week + interval '7 days')::bigint * 1000 - 1577836800000) << 22)::text);
            END IF;
        END LOOP;
    END LOOP;
END
$partitions$;
