"""The job's own database connection."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.ports import free_port
from tracking_core.etl import ETLContext


def test_a_context_without_db_config_works_until_it_is_asked_for_a_connection() -> None:
    context = ETLContext(memory_limit_mb=1024)
    assert context.db_config is None
    with pytest.raises(ValueError, match="no db_config was given"):
        context.get_db_connection()
    context.close_db_connection()


def test_a_sqlite_dsn_opens_the_file(tmp_path: Path) -> None:
    context = ETLContext(f"sqlite:///{tmp_path / 'job.db'}")
    connection = context.get_db_connection()
    connection.execute("CREATE TABLE contacts (name TEXT)")
    connection.execute("INSERT INTO contacts VALUES ('Ada')")
    connection.commit()
    context.close_db_connection()
    with sqlite3.connect(tmp_path / "job.db") as other:
        assert other.execute("SELECT name FROM contacts").fetchall() == [("Ada",)]
    other.close()


def test_a_relative_sqlite_dsn_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    context = ETLContext({"dsn": "sqlite:///job.db"})
    context.get_db_connection()
    context.close_db_connection()
    assert (tmp_path / "job.db").exists()


def test_the_connection_is_the_same_until_it_is_closed_and_then_a_new_one(tmp_path: Path) -> None:
    context = ETLContext(f"sqlite:///{tmp_path / 'job.db'}")
    first = context.get_db_connection()
    assert context.get_db_connection() is first
    first.close()
    second = context.get_db_connection()
    assert second is not first
    assert second.execute("SELECT 1").fetchone() == (1,)
    context.close_db_connection()
    third = context.get_db_connection()
    assert third is not second
    context.close_db_connection()


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    context = ETLContext(f"sqlite:///{tmp_path / 'job.db'}")
    connection = context.get_db_connection()
    context.close_db_connection()
    context.close_db_connection()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")


def test_components_on_several_threads_share_one_connection(tmp_path: Path) -> None:
    context = ETLContext(f"sqlite:///{tmp_path / 'job.db'}", parallel_processing=True)
    seen: list[Any] = []

    def ask() -> None:
        connection = context.get_db_connection()
        seen.append((connection, connection.execute("SELECT 1").fetchone()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    context.close_db_connection()
    assert len(seen) == 8
    assert len({id(connection) for connection, _ in seen}) == 1


class Settings:
    """The `cfg` of the first seed."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self.db_host = parts.get("host")
        self.db_port = parts.get("port")
        self.db_name = parts.get("dbname")
        self.db_user = parts.get("user")
        self.db_password = parts.get("password")


@pytest.mark.parametrize(
    "config_of",
    [
        str,
        conninfo_to_dict,
        lambda dsn: {"dsn": dsn},
        Settings,
        lambda dsn: {{"dbname": "database"}.get(key, key): value for key, value in conninfo_to_dict(dsn).items()},
    ],
    ids=["dsn", "mapping", "mapping with dsn", "object", "mapping of psycopg2"],
)
def test_every_form_of_db_config_opens_postgresql(postgres_dsn: str, config_of: Any) -> None:
    context = ETLContext(config_of(postgres_dsn))
    connection = context.get_db_connection()
    try:
        assert isinstance(connection, psycopg.Connection)
        expected = conninfo_to_dict(postgres_dsn)["dbname"]
        assert connection.execute("SELECT current_database()").fetchone() == (expected,)
        connection.close()
        assert context.get_db_connection().execute("SELECT 1").fetchone() == (1,)
    finally:
        context.close_db_connection()


@pytest.mark.parametrize(
    "db_config",
    [
        7,
        object(),
        {},
        {"nonsense": "hunter2"},
        {"dsn": 7, "password": "hunter2"},
        "hunter2",
        "host=localhost password=hunter2 hunter2",
        "mysql://user:hunter2@localhost/skype_db",
        "sqlite:hunter2",
        "sqlite:///",
    ],
)
def test_a_db_config_that_fits_no_form_is_refused_without_its_values(db_config: Any) -> None:
    with pytest.raises(ValueError, match="db_config may be a mapping of libpq keywords") as raised:
        ETLContext(db_config).get_db_connection()
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_password_is_in_no_repr_copy_or_error() -> None:
    config = {"host": "127.0.0.1", "port": free_port(), "dbname": "d", "user": "u", "password": "hunter2"}
    context = ETLContext(config)
    with pytest.raises(psycopg.OperationalError) as raised:
        context.get_db_connection()
    for text in (
        repr(context),
        str(context.to_dict()),
        str(raised.value),
        str(context.record_error("load", raised.value)),
    ):
        assert "hunter2" not in text


def test_a_forked_child_opens_its_own_connection_and_leaves_the_parents_alone(tmp_path: Path) -> None:
    code = f"""
import os
from tracking_core.etl import ETLContext
context = ETLContext("sqlite:///{tmp_path / "job.db"}")
parents = context.get_db_connection()
if os.fork() == 0:
    own = context.get_db_connection()
    context.close_db_connection()
    os._exit(0 if own is not parents and parents.total_changes == 0 else 1)
child = os.waitstatus_to_exitcode(os.wait()[1])
parents.execute("SELECT 1")
if os.fork() == 0:
    context.close_db_connection()
    os._exit(0 if parents.total_changes == 0 else 1)
child += os.waitstatus_to_exitcode(os.wait()[1])
context.close_db_connection()
raise SystemExit(child)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("used", ["", "ETLContext().update_progress", "ETLContext().to_dict()"])
def test_no_driver_and_no_psutil_is_imported_before_it_is_needed(used: str) -> None:
    code = f"""
import sys
from tracking_core.etl import ETLContext
{used}
print(sorted({{"psycopg", "psutil", "sqlite3"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
