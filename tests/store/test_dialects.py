"""Both dialects say the same: blocks of the same names, migrations of the same numbers, tables of the same columns."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from etlwatch.reading.past import PastReader
from tests.etlwatch.fleet import FakeReader
from tracking_core.store import sql_files
from tracking_core.store.queries import Reader

SQL = Path(str(files("tracking_core").joinpath("sql")))
FILES = sorted({path.stem for path in SQL.glob("*/*.sql")} - {"archive", "standby", "fragments"})
"""Of both; a bundle is a SQLite file whatever its source is."""

ONLY = {"postgres": "-- PostgreSQL only:", "sqlite": "-- SQLite only:"}

# The columns that others may rely on.
PROMISED = {
    "runs": """job notes tags status started_at ended_at duration_ms heartbeat_at heartbeat_interval_s progress_at
        requests items failed_requests throttled_requests errors emitted dropped host pid boot_id username command
        code_version tracker_version parent_run_id ended_by""",
    "phases": "run_id phase position status started_at ended_at counters memory_mb peak_memory_mb memory_limit_mb",
    "phase_series": "run_id phase bucket processed memory_mb",
    "requests": "run_id writer_id seq at endpoint page_offset page_limit status items duration_ms throttled error",
    "run_endpoints": """run_id endpoint requests failed throttled items duration_ms max_ms status_2xx status_3xx
        status_4xx status_5xx status_other histogram""",
    "run_series": """run_id bucket width requests failed throttled items duration_ms status_2xx status_3xx status_4xx
        status_5xx status_other histogram""",
    "throughput": """bucket width shard requests failed throttled items duration_ms status_2xx status_3xx status_4xx
        status_5xx status_other histogram""",
    "source_counts": "run_id entity items",
    "errors": "run_id writer_id seq at phase error_type message traceback fingerprint",
    "batches": "writer_id batch_seq at",
    "writers": "run_id writer_id emitted stored dropped overhead",
    "switches": "scope job enabled changed_at changed_by reason",
    "audit": "id at actor action detail",
    "schema_version": "version name checksum applied_at",
}


def shared_blocks(dialect: str, file: str) -> set[str]:
    blocks = sql_files.blocks(dialect, file)
    return {name for name, text in blocks.items() if not text.startswith(ONLY[dialect])}


@pytest.fixture
def sqlite_columns(sqlite_store_dsn: str) -> dict[str, list[str]]:
    with closing(sqlite3.connect(sqlite_store_dsn.removeprefix("sqlite:///"))) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: [name for (name,) in file.execute("SELECT name FROM pragma_table_info(?)", [table])]
            for table in tables
        }


@pytest.fixture
def postgres_columns(postgres_store_dsn: str) -> dict[str, list[str]]:
    with psycopg.connect(postgres_store_dsn) as connection:
        rows = connection.execute(
            "SELECT relname, array_agg(attname::text ORDER BY attnum) "
            "FROM pg_class JOIN pg_attribute ON attrelid = oid "
            "WHERE relnamespace = 'tracking'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition "
            "AND attnum > 0 AND NOT attisdropped GROUP BY relname"
        ).fetchall()
    return dict(rows)


@pytest.mark.parametrize("file", FILES)
def test_both_dialects_have_the_same_blocks(file: str) -> None:
    assert shared_blocks("postgres", file) == shared_blocks("sqlite", file)
    assert shared_blocks("postgres", file)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("dialect", ["postgres", "sqlite"])
def test_every_block_says_what_it_is_for(dialect: str, file: str) -> None:
    for name, text in sql_files.blocks(dialect, file).items():
        assert text.startswith("-- "), name


def test_both_dialects_have_the_same_migrations() -> None:
    postgres, sqlite = sql_files.migrations("postgres"), sql_files.migrations("sqlite")
    assert [(step.version, step.name) for step in postgres] == [(step.version, step.name) for step in sqlite]
    assert [step.version for step in postgres] == list(range(1, len(postgres) + 1))


def test_both_dialects_have_the_same_tables_and_columns(
    sqlite_columns: dict[str, list[str]], postgres_columns: dict[str, list[str]]
) -> None:
    # In an order of their own each: alignment there, keys first here.
    assert {table: sorted(columns) for table, columns in sqlite_columns.items()} == {
        table: sorted(columns) for table, columns in postgres_columns.items()
    }


def test_keys_come_first_in_sqlite_or_some_of_its_versions_would_call_a_sound_file_damaged(
    sqlite_store_dsn: str,
) -> None:
    with closing(sqlite3.connect(sqlite_store_dsn.removeprefix("sqlite:///"))) as file:
        tables = [
            name
            for name, definition in file.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
            if definition.endswith("WITHOUT ROWID")
        ]
        assert tables
        for table in tables:
            places = [place for (place,) in file.execute("SELECT pk FROM pragma_table_info(?)", [table])]
            keys = [place for place in places if place]
            assert places[: len(keys)] == list(range(1, len(keys) + 1)), table


@pytest.mark.parametrize("table", sorted(PROMISED))
def test_a_table_has_the_columns_that_others_may_rely_on(table: str, sqlite_columns: dict[str, list[str]]) -> None:
    assert set(PROMISED[table].split()) <= set(sqlite_columns[table])


@pytest.mark.parametrize("kind", [PastReader, FakeReader])
def test_a_reader_that_is_no_store_answers_every_question_itself(kind: type[Reader]) -> None:
    questions = {name for name, member in vars(Reader).items() if callable(member) and not name.startswith("_")}
    assert questions <= vars(kind).keys()
