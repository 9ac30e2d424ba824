"""The pooler in front of the server is as narrow as it says."""

from collections.abc import Callable

import psycopg


def test_each_database_is_reached_through_the_pooler(postgres_dsn: str, pgbouncer_dsn: Callable[[str], str]) -> None:
    with psycopg.connect(postgres_dsn) as direct, psycopg.connect(pgbouncer_dsn(postgres_dsn)) as pooled:
        assert pooled.execute("SELECT current_database()").fetchone() == (direct.info.dbname,)
        assert pooled.info.port != direct.info.port


def test_all_transactions_share_one_server_connection(postgres_dsn: str, pgbouncer_dsn: Callable[[str], str]) -> None:
    dsn = pgbouncer_dsn(postgres_dsn)
    backends = set()
    with psycopg.connect(dsn, autocommit=True) as first, psycopg.connect(dsn, autocommit=True) as second:
        for connection in (first, second, first, second):
            backends.add(connection.execute("SELECT pg_backend_pid()").fetchone())
    assert len(backends) == 1
