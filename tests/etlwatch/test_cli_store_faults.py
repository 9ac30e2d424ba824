"""A store that cannot answer: one clear line on stderr, exit 3, no traceback, no password."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.etlwatch.cli_program import Program
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer

READING = [["runs"], ["show", "7KQX"], ["errors"], ["tracking", "status"]]
CHANGING = [
    ["tracking", "off", "--all", "--reason", "x"],
    ["cleanup", "--older-than", "30d", "--yes"],
    ["close", "7KQX"],
]
COMMANDS = [*READING, *CHANGING, ["init"]]


def named(words: list[str]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("words", COMMANDS, ids=named)
def test_a_wrong_password(
    etlwatch: Program, postgres_server: PostgresServer, postgres_dsn: str, words: list[str]
) -> None:
    dsn = postgres_server.guarded_dsn(psycopg.conninfo.conninfo_to_dict(postgres_dsn)["dbname"], "hunter2 is wrong")
    answer = etlwatch(*words, "--dsn", dsn)
    assert answer.status == 3
    assert "password authentication failed" in answer.complaint
    assert "hunter2" not in answer.complaint
    assert postgres_server.host in answer.complaint


@pytest.mark.parametrize("words", COMMANDS, ids=named)
def test_a_closed_port(etlwatch: Program, words: list[str]) -> None:
    port = free_port()
    answer = etlwatch(*words, "--dsn", f"postgresql://ana:hunter2@127.0.0.1:{port}/etl")
    assert answer.status == 3
    assert "refused" in answer.complaint
    assert str(port) in answer.complaint
    assert "hunter2" not in answer.complaint


def test_a_host_that_does_not_exist(etlwatch: Program) -> None:
    answer = etlwatch("runs", "--dsn", "host=nowhere.invalid password=hunter2 dbname=etl")
    assert answer.status == 3
    assert "nowhere.invalid" in answer.complaint
    assert "hunter2" not in answer.complaint


def test_a_database_that_does_not_exist(etlwatch: Program, postgres_server: PostgresServer) -> None:
    answer = etlwatch("runs", "--dsn", postgres_server.dsn("no_such_database"))
    assert answer.status == 3
    assert "no_such_database" in answer.complaint


def test_a_service_that_does_not_exist(etlwatch: Program) -> None:
    answer = etlwatch("runs", "--dsn", "service=nosuchservice")
    assert answer.status == 3
    assert "nosuchservice" in answer.complaint


@pytest.mark.parametrize("words", [*READING, *CHANGING], ids=named)
def test_a_database_without_the_tables(etlwatch: Program, postgres_dsn: str, words: list[str]) -> None:
    answer = etlwatch(*words, "--dsn", postgres_dsn)
    assert answer.status == 3
    assert "etlwatch init" in answer.complaint


@pytest.mark.parametrize("words", COMMANDS, ids=named)
def test_a_directory_for_a_file(etlwatch: Program, tmp_path: Path, words: list[str]) -> None:
    answer = etlwatch(*words, "--dsn", f"sqlite:///{tmp_path}")
    assert answer.status == 3
    assert "is a directory" in answer.complaint


@pytest.mark.parametrize("words", READING, ids=named)
def test_a_file_that_was_named_and_is_not_there(etlwatch: Program, sqlite_dsn: str, words: list[str]) -> None:
    answer = etlwatch(*words, "--dsn", sqlite_dsn)
    assert answer.status == 3
    assert "tracking.db does not exist" in answer.complaint


@pytest.mark.parametrize("words", [["runs"], ["errors"], ["tracking", "status"]], ids=named)
def test_the_embedded_default_that_no_job_has_made_yet_is_an_empty_store(
    etlwatch: Program, words: list[str], tmp_path: Path
) -> None:
    answer = etlwatch(*words)
    assert answer.status == 0
    assert not list(tmp_path.rglob("*.db"))
    assert etlwatch("show", "7KQX").status == 1


@pytest.mark.parametrize("words", READING, ids=named)
def test_a_file_that_is_no_database(etlwatch: Program, tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and no database\n" * 100, encoding="utf-8")
    answer = etlwatch(*words, "--dsn", f"sqlite:///{path}")
    assert answer.status == 3
    assert "not a database" in answer.complaint


@pytest.mark.parametrize("words", [*READING, *CHANGING], ids=named)
def test_another_programs_database(etlwatch: Program, tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE accounts (id INTEGER)")
    other.close()
    answer = etlwatch(*words, "--dsn", f"sqlite:///{path}")
    assert answer.status == 3
    assert "other.db" in answer.complaint


def _newer_postgres(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO tracking.schema_version (version, name, checksum) VALUES (99, 'later', 'x')")


def _newer_sqlite(dsn: str) -> None:
    connection = sqlite3.connect(dsn.removeprefix("sqlite:///"))
    connection.execute("INSERT INTO schema_version (version, name, checksum, applied_at) VALUES (99, 'later', 'x', 0)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("words", COMMANDS, ids=named)
def test_a_newer_schema(etlwatch: Program, store_dsn: str, words: list[str]) -> None:
    newer: Callable[[str], None] = _newer_sqlite if store_dsn.startswith("sqlite") else _newer_postgres
    newer(store_dsn)
    answer = etlwatch(*words, "--dsn", store_dsn)
    assert answer.status == 3
    assert "99" in answer.complaint
    assert "upgrade etlwatch" in answer.complaint


def test_a_role_that_may_read_nothing(
    etlwatch: Program, postgres_server: PostgresServer, postgres_store_dsn: str
) -> None:
    dsn = postgres_server.guarded_dsn(psycopg.conninfo.conninfo_to_dict(postgres_store_dsn)["dbname"])
    answer = etlwatch("runs", "--dsn", dsn)
    assert answer.status == 3
    assert "permission denied" in answer.complaint


def test_libpqs_own_variables_and_password_file_are_used(
    etlwatch: Program, postgres_store_dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keywords = psycopg.conninfo.conninfo_to_dict(postgres_store_dsn)
    monkeypatch.setenv("PGHOST", str(keywords["host"]))
    monkeypatch.setenv("PGPORT", str(keywords["port"]))
    monkeypatch.setenv("PGDATABASE", str(keywords["dbname"]))
    monkeypatch.setenv("PGUSER", str(keywords["user"]))
    assert etlwatch("runs", "--dsn", "postgresql://", "--format", "json").data == []
    service = tmp_path / "services.conf"
    service.write_text("[etl]\n" + "".join(f"{name}={value}\n" for name, value in keywords.items()), encoding="utf-8")
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    assert etlwatch("runs", "--dsn", "service=etl", "--format", "json").data == []


def test_pghost_alone_does_not_turn_a_business_database_into_the_store(
    etlwatch: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(free_port()))
    assert etlwatch("runs", "--format", "json").data == []


def test_a_password_from_the_environment_is_struck_out_too(etlwatch: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    answer = etlwatch("runs", "--dsn", f"host=127.0.0.1 port={free_port()} dbname=hunter2 user=ana")
    assert answer.status == 3
    assert "hunter2" not in answer.complaint
