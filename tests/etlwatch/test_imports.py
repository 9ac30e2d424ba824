"""How many modules a start loads: a bound on each, so that a newcomer is noticed. Benchmarks measure the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.stocking import Stock
from tests.support.imported import modules_loaded_by

COMMAND = "import sys\nfrom etlwatch.__main__ import main\nassert main({words!r}) == 0"
NOT_FOR_COMMANDS = {
    "asyncio", "concurrent", "dataclasses", "difflib", "email", "hashlib", "importlib.metadata", "importlib.resources",
    "logging", "random", "rich", "tempfile", "textual", "zipfile", "tracking_core.delivery.buffered",
    "tracking_core.store.sqlite.writer", "tracking_core.store.sqlite.administration",
}  # fmt: skip
NOT_FOR_JOBS = {"dataclasses", "inspect", "logging", "psycopg", "psutil", "sqlite3", "tempfile", "asyncio", "json"}


def assert_bounded(loaded: set[str], most: int, unwanted: set[str]) -> None:
    found = unwanted & loaded
    assert not found, f"{', '.join(sorted(found))}: load it where it is needed"
    assert len(loaded) <= most, f"{len(loaded)} modules, at most {most} are meant:\n" + "\n".join(sorted(loaded))


@pytest.mark.parametrize(
    ("code", "most"), [("import tracking_core", 30), ("from tracking_core import SimpleETLTracker", 84)]
)
def test_a_jobs_import_loads_few_modules(code: str, most: int, tmp_path: Path) -> None:
    assert_bounded(modules_loaded_by(code, cwd=tmp_path), most, NOT_FOR_JOBS)


@pytest.mark.parametrize(("command", "most"), [("check", 180), ("runs", 177)])
def test_a_command_loads_few_modules(command: str, most: int, sqlite_store_dsn: str, tmp_path: Path) -> None:
    Stock(sqlite_store_dsn).close()
    loaded = modules_loaded_by(COMMAND.format(words=[command, "--dsn", sqlite_store_dsn]), cwd=tmp_path)
    assert_bounded(loaded, most, NOT_FOR_COMMANDS)
