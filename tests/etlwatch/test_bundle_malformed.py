"""Files that are no bundle of ours, or no whole one: one clear line, the right status, and nothing is changed."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etlwatch.cli.connect import find_run
from etlwatch.reading.bundle import bundle_run, location_of
from etlwatch.reading.gatherer import AskedJobs, Gatherer, Watch
from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock
from tracking_core.errors import StoreError
from tracking_core.store import open_store

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
COMMANDS = (
    ("show", "crm@latest"),
    ("errors", "crm@latest"),
    ("errors", "--group"),
    ("runs",),
    ("jobs",),
    ("stats",),
    ("check",),
)
HOSTILE: tuple[object, ...] = (
    "abc", "", None, -1, 0, 2**63 - 1, -(2**63), 1e308, float("inf"), 0.5, b"\x00\xff", '{"a":' * 5000,
    '{"rows": {"processed": "abc", "total": 1e400}}', "[]", "x" * 100_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with something in every table."""
    directory = tmp_path_factory.mktemp("bundle")
    stock = Stock(f"sqlite:///{directory}/store.db")
    for night in range(3, -1, -1):
        began = NOW - timedelta(days=night, minutes=9)
        run_id = stock.start(began, job="crm", notes="n", tags={"team": "crm"}, heartbeat_interval_s=10)
        stock.requests(run_id, [(began + n * MINUTE, f"/{n % 2}", 200 if n else 500, 10, 100 + n) for n in range(6)])
        counters = {"rows": {"processed": 5, "total": 9}}
        stock.phase(run_id, "load", began, position=1, status="completed", counters=counters, memory_mb=5)
        stock.source_count(run_id, "contacts", 60, began)
        stock.error(run_id, "broke", began + MINUTE)
        stock.ledger(run_id, emitted=8, overhead={"calls": 8, "cpu_ms": 1.5, "worst_us": 80})
        stock.end(run_id, began + 8 * MINUTE, status="failed" if night == 0 else "completed")
    with stock.store.administration(5) as admin:
        admin.set_switch(enabled=True, job="crm", actor="ana", reason="on")
    stock.close()
    path = directory / "whole.etlwatch"
    with stock.store.reader(5) as reader:
        bundle_run(reader, lambda view: find_run(view, str(run_id)), path, source="here")
    return path


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "copy.etlwatch"))


def change(path: Path, *statements: str, values: tuple[object, ...] = ()) -> None:
    with closing(sqlite3.connect(path)) as file:
        for statement in statements:
            file.execute(statement, values if "?" in statement else ())
        file.commit()


def without_constraints(table: str) -> tuple[str, ...]:
    return (
        f"ALTER TABLE {table} RENAME TO old",
        f"CREATE TABLE {table} AS SELECT * FROM old",
        "DROP TABLE old",
    )


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 * 1024**3)


def long_field(path: Path) -> None:
    change(path, "UPDATE runs SET notes = zeroblob(17000000)", "UPDATE runs SET notes = CAST(notes AS TEXT)")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "holds no tables of etlwatch"),
    "text": (lambda path: path.write_text("not a database " * 99), "not a database"),
    "sparse": (sparse, "not a database"),
    "truncated": (lambda path: os.truncate(path, 20_000), "malformed"),
    "in the midst of a page": (lambda path: os.truncate(path, path.stat().st_size - 5000), "malformed"),
    "a directory": (lambda path: (path.unlink(), path.mkdir()), "is a directory"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "is no regular file"),
    "another program's": (lambda path: change(path, *(f"DROP TABLE {n}" for n in TABLES)), "is no whole bundle"),
    "no row about itself": (lambda path: change(path, "DELETE FROM bundle"), "what stands in bundle makes no sense"),
    "another run than it says": (lambda path: change(path, "UPDATE bundle SET run_id = 5"), "what stands in bundle"),
    "not its run": (lambda path: change(path, "DELETE FROM runs"), "what stands in bundle makes no sense"),
    "no requests": (lambda path: change(path, "DROP TABLE requests"), "a table or a column is missing"),
    "no column": (
        lambda path: change(path, "ALTER TABLE errors DROP COLUMN message"),
        "a table or a column is missing",
    ),
    "no versions": (lambda path: change(path, "DELETE FROM schema_version"), ""),
    "of a later version": (
        lambda path: change(path, "UPDATE schema_version SET version = version + 9"),
        "upgrade etlwatch",
    ),
    "text for a number": (lambda path: change(path, "UPDATE runs SET requests = 'many'"), "what stands in runs"),
    "a long field": (long_field, "too big"),
    "a view": (
        lambda path: change(path, "ALTER TABLE errors RENAME TO e", "CREATE VIEW errors AS SELECT * FROM e"),
        "what stands in errors makes no sense",
    ),
    "an endless view": (
        lambda path: change(
            path,
            "DROP TABLE audit",
            "CREATE VIEW audit AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n",
        ),
        "what stands in audit makes no sense",
    ),
    "a trigger": (
        lambda path: change(path, "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END"),
        "what stands in t makes no sense",
    ),
    "a computed column": (
        lambda path: change(path, "ALTER TABLE audit ADD COLUMN x AS (hex(zeroblob(400000000))) VIRTUAL"),
        "what stands in audit makes no sense",
    ),
}
TABLES = (
    "schema_version", "runs", "phases", "phase_series", "requests", "run_endpoints", "run_series", "throughput",
    "source_counts", "errors", "writers", "switches", "audit",
)  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_what_is_no_whole_bundle_is_told_in_a_line(etlwatch: Program, copied: Path, fault: str) -> None:
    breaking, told = BROKEN[fault]
    breaking(copied)
    beside = sorted(copied.parent.iterdir())
    answer = etlwatch("open", str(copied))
    if fault == "no versions":
        assert answer.status == 0
        return
    assert answer.status in (1, 3)
    assert told in answer.complaint
    assert "unexpected" not in answer.err
    assert sorted(copied.parent.iterdir()) == beside


def test_a_journal_beside_a_bundle_is_left_alone(etlwatch: Program, copied: Path) -> None:
    before = copied.read_bytes()
    for ending in ("-journal", "-wal"):
        copied.with_name(copied.name + ending).write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    assert etlwatch("open", str(copied)).status == 0
    assert copied.read_bytes() == before


def test_a_bundle_of_a_hostile_name_is_opened(etlwatch: Program, whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "50% of #7&mode=rw.etlwatch"))
    assert etlwatch("open", str(path)).status == 0


def columns_of(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as file:
        tables = [*TABLES, "bundle"]
        return [(table, row[1]) for table in tables for row in file.execute(f"PRAGMA table_info({table})")]


def read_all(path: Path, etlwatch: Program) -> None:
    """Read a file as every command and the dashboard do; whatever fails must fail as a store's error."""
    for words in COMMANDS:
        answer = etlwatch(*words, "--dsn", f"sqlite:///{path}")
        assert "unexpected" not in answer.err, (words, answer.err)
        assert "Traceback" not in answer.err, words
    try:
        with open_store(location_of(path)).reader(5) as reader:
            about = reader.bundle  # type: ignore[attr-defined]
            for watch in (Watch(columns=80, open_run=about.run_id), Watch(columns=80, board=AskedJobs())):
                Gatherer().read(reader, watch)
    except StoreError:
        pass


def spoil(path: Path, table: str, column: str, value: object) -> None:
    change(path, *without_constraints(table), f"UPDATE {table} SET {column} = ?", values=(value,))


def test_no_value_in_any_column_is_a_surprise(whole: Path, tmp_path: Path, etlwatch: Program) -> None:
    chosen = random.Random(7).sample([(*place, value) for place in columns_of(whole) for value in HOSTILE], 25)
    for table, column, value in chosen:
        path = Path(shutil.copy(whole, tmp_path / "spoilt.etlwatch"))
        spoil(path, table, column, value)
        read_all(path, etlwatch)
