-- What a reader puts in place of now() where the server may be a standby.

-- name: data_time
-- The primary's clock when what is read here was its newest: states are judged at this moment. Now, where the server
-- is none, or is connected to its primary and has replayed all that it received. A connection that is not there leaves
-- the two positions equal for ever, so it is asked for as well. Before the first transaction that is replayed, the last
-- checkpoint.
(SELECT CASE
    WHEN NOT pg_is_in_recovery() THEN transaction_timestamp()
    WHEN pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver)
        THEN transaction_timestamp()
    ELSE coalesce(pg_last_xact_replay_timestamp(), (SELECT checkpoint_time FROM pg_control_checkpoint()))
END);
