-- Weekly partitions of requests, from five weeks ago (the life of a spool) to two years ahead, but none before the week of
-- the last clean-up's cutoff; those that are there stay, those that somebody dropped are made again.
-- They hang below blocks of thirteen weeks: a connection that inserts reads the bounds of all partitions of one level,
-- and 10 + 14 of them take a fifth of the time of 110. What finds no week in its block goes to the block's default, and
-- what finds no block to the table's: from there it moves when its place is made. A default that somebody dropped or detached
-- is made or attached again. A run id holds milliseconds since
-- 2020-01-01Z above 22 bits of counter. Weeks begin on Monday, UTC.
DO $partitions$
DECLARE
    first_monday constant timestamp := '2020-01-06';
    block_length constant interval := '91 days';
    today        constant timestamp := date_trunc('week', now() AT TIME ZONE 'UTC');
    oldest       constant timestamp := greatest(today - interval '35 days', (
        SELECT least(today, date_trunc('week', cutoff AT TIME ZONE 'UTC')) FROM tracking.retention));
    place record;
    astray boolean;
BEGIN
    FOR place IN
        SELECT relname AS above
        FROM pg_partition_tree('tracking.requests')
        JOIN pg_partitioned_table ON partrelid = relid AND partdefid = 0
        JOIN pg_class ON oid = relid
        ORDER BY level
    LOOP
        EXECUTE format(
            CASE WHEN to_regclass(format('tracking.%I', place.above || '_default')) IS NULL
                THEN 'CREATE TABLE tracking.%I PARTITION OF tracking.%I DEFAULT'
                ELSE 'ALTER TABLE tracking.%2$I ATTACH PARTITION tracking.%1$I DEFAULT' END,
            place.above || '_default', place.above);
    END LOOP;
    FOR place IN
        WITH blocks AS (
            SELECT start, to_char(start, '"requests_from_"IYYY"w"IW') AS name
            FROM generate_series(first_monday, today + interval '728 days', block_length) AS start
            WHERE start + block_length > oldest
        ), places AS (
            SELECT 'requests' AS above, name, start, block_length AS length FROM blocks
            UNION ALL
            SELECT blocks.name, to_char(week, '"requests_p"IYYY"w"IW'), week, interval '7 days'
            FROM blocks, generate_series(start, start + block_length - interval '7 days', interval '7 days') AS week
            WHERE week >= oldest
        )
        SELECT
            above, name, length = block_length AS is_block,
            ((extract(epoch FROM start)::bigint * 1000 - 1577836800000) << 22)::text AS first,
            ((extract(epoch FROM start + length)::bigint * 1000 - 1577836800000) << 22)::text AS beyond
        FROM places
        ORDER BY start, length DESC
    LOOP
        CONTINUE WHEN to_regclass(format('tracking.%I', place.name)) IS NOT NULL;
        -- From the top down, as writers lock: nothing may come to the default between the look and the making.
        EXECUTE format('LOCK TABLE ONLY tracking.%I IN ACCESS EXCLUSIVE MODE', place.above);
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM tracking.%I WHERE run_id >= %s AND run_id < %s)',
            place.above || '_default', place.first, place.beyond) INTO astray;
        IF astray THEN
            EXECUTE format(
                'CREATE TABLE tracking.requests_astray AS SELECT * FROM tracking.%I WHERE run_id >= %s AND run_id < %s',
                place.above || '_default', place.first, place.beyond);
            EXECUTE format(
                'DELETE FROM tracking.%I WHERE run_id >= %s AND run_id < %s',
                place.above || '_default', place.first, place.beyond);
        END IF;
        EXECUTE format(
            'CREATE TABLE tracking.%I PARTITION OF tracking.%I FOR VALUES FROM (%s) TO (%s)%s',
            place.name, place.above, place.first, place.beyond,
            CASE WHEN place.is_block THEN ' PARTITION BY RANGE (run_id)' ELSE '' END);
        IF place.is_block THEN
            EXECUTE format('CREATE TABLE tracking.%I PARTITION OF tracking.%I DEFAULT', place.name || '_default', place.name);
        END IF;
        IF astray THEN
            INSERT INTO tracking.requests SELECT * FROM tracking.requests_astray;
            DROP TABLE tracking.requests_astray;
        END IF;
    END LOOP;
END
$partitions$;
