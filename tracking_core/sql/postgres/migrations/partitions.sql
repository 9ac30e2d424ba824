-- Weekly partitions of requests, from five weeks ago (the life of a spool) to two years ahead; those that are there stay.
-- They hang below blocks of thirteen weeks: a connection that inserts reads the bounds of all partitions of one level,
-- and 10 + 14 of them take a fifth of the time of 110. A block is made with all its weeks; what finds none there (its
-- partition was dropped) goes to the block's default. A run id holds milliseconds since 2020-01-01Z above 22 bits of
-- counter. Weeks begin on Monday, UTC.
DO $partitions$
DECLARE
    first_monday constant timestamp := '2020-01-06';
    block_length constant interval := '91 days';
    today        constant timestamp := date_trunc('week', now() AT TIME ZONE 'UTC');
    block timestamp;
    week  timestamp;
    above text;
BEGIN
    FOR block IN
        SELECT start FROM generate_series(first_monday, today + interval '728 days', block_length) AS start
        WHERE start + block_length > today - interval '35 days'
    LOOP
        above := to_char(block, '"requests_from_"IYYY"w"IW');
        CONTINUE WHEN to_regclass(format('tracking.%I', above)) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE tracking.%I PARTITION OF tracking.requests FOR VALUES FROM (%s) TO (%s)'
            ' PARTITION BY RANGE (run_id)',
            above,
            ((extract(epoch FROM block)::bigint * 1000 - 1577836800000) << 22)::text,
            ((extract(epoch FROM block + block_length)::bigint * 1000 - 1577836800000) << 22)::text);
        EXECUTE format('CREATE TABLE tracking.%I PARTITION OF tracking.%I DEFAULT', above || '_default', above);
        FOR week IN SELECT generate_series(block, block + block_length - interval '7 days', interval '7 days') LOOP
            CONTINUE WHEN week < today - interval '35 days';
            EXECUTE format(
                'CREATE TABLE tracking.%I PARTITION OF tracking.%I FOR VALUES FROM (%s) TO (%s)',
                to_char(week, '"requests_p"IYYY"w"IW'),
                above,
                ((extract(epoch FROM week)::bigint * 1000 - 1577836800000) << 22)::text,
                ((extract(epoch FROM week + interval '7 days')::bigint * 1000 - 1577836800000) << 22)::text);
        END LOOP;
    END LOOP;
END
$partitions$;
