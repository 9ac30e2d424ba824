"""The job `inventory`: its tables, its run, and unreadable distributions."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from etlwatch.demo import inventory
from etlwatch.demo.inventory import Inventory
from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker
from tracking_core.store import open_store


def install(root: Path, name: str, version: str, record: str | None = None) -> Path:
    path = root / f"{name}-{version}.dist-info"
    path.mkdir(parents=True)
    (path / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    if record is not None:
        (path / "RECORD").write_text(record)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> list[str]:
    """Two places with packages, one of them without a name and one with metadata that cannot be decoded."""
    first, second = tmp_path / "first", tmp_path / "second"
    install(first, "good", "1.0", "good/a.py,,\ngood/b.py,,\n")
    (first / "good").mkdir()
    (first / "good" / "a.py").write_text("x = 1\n")
    (first / "good" / "b.py").write_text("")
    install(first, "bare", "0.1")
    (second / "nameless.dist-info").mkdir(parents=True)
    (install(second, "broken", "1.0") / "METADATA").write_bytes(b"Name: broken\nLicense: GPL \xe9\n")
    return [str(first), str(second)]


def test_the_tables_hold_every_readable_distribution_with_its_files(
    machine: list[str], tmp_path: Path, store_dsn: str
) -> None:
    result = f"{tmp_path}/inventory.db"
    with ETLRunContext(SimpleETLTracker(store_dsn)) as run:
        context = ETLContext(f"sqlite:///{result}", units=("distributions", "files"), run=run)
        with contextlib.closing(context.get_db_connection()):
            Inventory(run, context).take(machine)
    with contextlib.closing(sqlite3.connect(result)) as connection:
        distributions = connection.execute("SELECT * FROM distributions ORDER BY name").fetchall()
        files = connection.execute("SELECT distribution, bytes FROM files ORDER BY path").fetchall()
    assert distributions == [("bare", "0.1", 0, 0), ("good", "1.0", 2, 6)]
    assert files == [("good", 6), ("good", 0)]


def test_the_run_records_its_phases_counts_and_unreadable_distributions(
    machine: list[str], store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_DSN", store_dsn)
    inventory.main([argument for root in machine for argument in ("--root", root)])
    (run,) = SimpleETLTracker(store_dsn).get_recent_runs()
    assert (run.job, run.status, run.errors) == ("inventory", "completed", 2)
    with open_store(store_dsn).reader(5.0) as reader:
        phases = reader.phases([run.run_id])
        counts = {count.entity: count.items for count in reader.source_counts([run.run_id])}
        errors = {error.message.rpartition("/")[2]: error.phase for error in reader.errors(run.run_id)}
    assert [(phase.phase, phase.status) for phase in phases] == [
        ("extract", "completed"),
        ("transform", "completed"),
        ("load", "completed"),
    ]
    assert phases[1].counters == {
        "distributions": {"total": 2, "processed": 2},
        "files": {"total": 2, "processed": 2},
    }
    assert counts == {"distributions": 4, "files": 2}
    assert errors == {"nameless.dist-info has no name": "extract", "broken-1.0.dist-info cannot be read": "extract"}
