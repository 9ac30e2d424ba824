"""Fragments: what repeats in the statements stands once, and what a store's tables lack is left out."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tracking_core.dataclass import fields
from tracking_core.records import Traffic
from tracking_core.store import sql_files
from tracking_core.store.dialect import COUNTED

SHARED = """
-- name: names
first, {{second}}, third since 3

-- name: doubled
@ + @
"""
OWN = {
    "sqlite": "-- name: second\nsecond\n",
    "postgres": "-- name: second\n-- As text.\nsecond::text\n",
}
QUERIES = """
-- name: listed
-- Some names.
SELECT {{names}} FROM tracking.people WHERE name = :name AND share % 2 = 0;

-- name: repeated
SELECT {{names|max(@)}}, {{names|@ > 0| AND }}, {{doubled({{second}})}}, {{names|:@}};
"""


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of these texts in place of ours."""
    texts = {("fragments.sql",): SHARED, ("queries.sql",): QUERIES}
    texts |= {(dialect, "fragments.sql"): own for dialect, own in OWN.items()}
    monkeypatch.setattr(sql_files, "_read", lambda *place: texts.get(place, ""))
    for name in ("blocks", "_fragments"):
        monkeypatch.setattr(sql_files, name, getattr(sql_files, name).__wrapped__)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_a_file_that_is_missing_is_an_error(dialect: str) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        sql_files.blocks(dialect, "nothing")
    with pytest.raises(FileNotFoundError):
        sql_files.script(dialect, "nothing")


@pytest.mark.usefixtures("files")
def test_a_fragment_is_written_for_its_dialect_and_repeated_for_each_entry() -> None:
    sqlite, postgres = sql_files.blocks("sqlite", "queries"), sql_files.blocks("postgres", "queries")
    assert sqlite["listed"] == (
        "-- Some names.\nSELECT first, second, third FROM people WHERE name = :name AND share % 2 = 0;"
    )
    assert postgres["listed"] == (
        "-- Some names.\n"
        "SELECT first, second::text, third FROM tracking.people WHERE name = %(name)s AND share %% 2 = 0;"
    )
    assert sqlite["repeated"] == (
        "SELECT max(first), max(second), max(third), first > 0 AND second > 0 AND third > 0, second + second,"
        " :first, :second, :third;"
    )


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("version", "left"), [(2, False), (3, True), (None, True)])
def test_a_column_that_is_newer_than_the_tables_is_left_out(version: int | None, left: bool) -> None:
    found = sql_files.blocks("sqlite", "queries", version)
    assert ("third" in found["listed"]) is left
    assert ("max(third)" in found["repeated"]) is left
    assert ":second" in found["repeated"]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_fragment_is_used(dialect: str) -> None:
    sql = Path(sql_files.__file__).parents[1] / "sql"
    texts = "".join(path.read_text() for path in [*sql.glob("*.sql"), *sql.glob(f"{dialect}/*.sql")])
    used = set(re.findall(r"\{\{(\w+)", texts))
    names = set(re.findall(r"^-- name: (\w+)", (sql / "fragments.sql").read_text(), re.MULTILINE))
    own = set(re.findall(r"^-- name: (\w+)", (sql / dialect / "fragments.sql").read_text(), re.MULTILINE))
    assert names | own == used & (names | own)
    assert not names & own


def test_what_is_added_up_is_the_same_in_sql_and_in_records() -> None:
    assert tuple(sql_files.expanded("sqlite", "{{counters}}").split(", ")) == COUNTED
    assert {field.name for field in fields(Traffic)} == {*COUNTED, "histogram"}


def test_a_run_is_read_with_all_its_columns(sqlite_store_dsn: str) -> None:
    with closing(sqlite3.connect(sqlite_store_dsn.removeprefix("sqlite:///"))) as file:
        stored = {name for (name,) in file.execute("SELECT name FROM pragma_table_info('runs')")}
    assert set(re.split(r",\s+", sql_files.expanded("sqlite", "{{run_columns}}"))) == stored
