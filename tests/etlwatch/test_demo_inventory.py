"""The job `inventory`: its tables, its run, and unreadable distributions."""

import base64
import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest

from etlwatch.demo import inventory
from tracking_core import SimpleETLTracker
from tracking_core.store import open_store


def install(root: Path, name: str, version: str, *, metadata: str = "", files: dict[str, bytes] | None = None) -> Path:
    """Lay down a distribution as an installer does."""
    path = root / f"{name}-{version}.dist-info"
    path.mkdir(parents=True)
    (path / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{metadata}")
    if files is not None:
        lines = []
        for file, content in files.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            lines.append(f"{file},sha256={digest},{len(content)}\n")
        (path / "RECORD").write_text("".join(lines))
    return path


@pytest.fixture
def machine(tmp_path: Path) -> list[Path]:
    """Two places with packages, hardly one of them as it should be."""
    first, second = tmp_path / "first", tmp_path / "second"
    install(
        first,
        "Good_Package",
        "1.0",
        metadata="License: MIT\nRequires-Dist: odd>=1\nRequires-Dist: absent; extra == 'test'\n",
        files={"good/__init__.py": b"x = 1\n", "good/data.bin": bytes(100)},
    )
    install(first, "odd", "1.0-SNAPSHOT", metadata="Requires-Dist: -e .\n")
    spoilt = install(second, "good-package", "2.0", files={"a.py": b"1", "b.py": b"2", "c.py": b"3"})
    (second / "a.py").write_bytes(b"changed since")
    (second / "b.py").unlink()
    (spoilt / "METADATA").write_bytes((spoilt / "METADATA").read_bytes() + b"License: GPL \xe9\n")
    (second / "nameless.dist-info").mkdir()
    return [first, second]


@pytest.fixture
def result(machine: list[Path], tmp_path: Path, store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inventory of that machine, taken on each kind of store."""
    monkeypatch.setenv("TRACKING_DSN", store_dsn)
    path = tmp_path / "inventory.db"
    places = [argument for root in machine for argument in ("--root", str(root))]
    assert inventory.main([*places, "--result", str(path)]) == 0
    return path


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_the_tables_hold_every_readable_distribution(result: Path) -> None:
    assert rows(result, "SELECT name, version, licence, files, bytes FROM distributions ORDER BY version") == [
        ("good-package", "1.0", "MIT", 2, 106),
        ("odd", "1.0-SNAPSHOT", "unknown", 0, 0),
        ("good-package", "2.0", "GPL", 3, 14),
    ]


def test_files_are_compared_with_what_was_installed(result: Path) -> None:
    assert rows(result, "SELECT path, kind, bytes, condition FROM files ORDER BY path") == [
        ("a.py", "python", 13, "changed"),
        ("b.py", "python", None, "missing"),
        ("c.py", "python", 1, "unchanged"),
        ("good/__init__.py", "python", 6, "unchanged"),
        ("good/data.bin", "data", 100, "unchanged"),
    ]


def test_dependencies_record_whether_they_are_installed(result: Path) -> None:
    assert rows(result, "SELECT needs, specifier, extra, installed FROM dependencies ORDER BY needs") == [
        ("absent", "", "test", 0),
        ("odd", ">=1", "", 1),
    ]


def test_every_quirk_has_a_row(result: Path) -> None:
    assert rows(
        result, "SELECT name, version, kind FROM quirks JOIN distributions USING (distribution_id) ORDER BY 2, 3"
    ) == [
        ("good-package", "1.0", "installed more than once"),
        ("odd", "1.0-SNAPSHOT", "no file list"),
        ("odd", "1.0-SNAPSHOT", "no licence"),
        ("odd", "1.0-SNAPSHOT", "odd requirement"),
        ("odd", "1.0-SNAPSHOT", "odd version"),
        ("good-package", "2.0", "changed files"),
        ("good-package", "2.0", "installed more than once"),
        ("good-package", "2.0", "missing files"),
        ("good-package", "2.0", "undecodable metadata"),
    ]


def test_the_run_records_its_phases_counts_and_unreadable_distributions(result: Path, store_dsn: str) -> None:
    (run,) = SimpleETLTracker(store_dsn).get_recent_runs()
    assert (run.job, run.status, run.errors) == ("inventory", "completed", 1)
    with open_store(store_dsn).reader(5.0) as reader:
        phases = reader.phases([run.run_id])
        counts = {count.entity: count.items for count in reader.source_counts(run.run_id)}
        (error,) = reader.errors(run.run_id)
    assert [(phase.phase, phase.status) for phase in phases] == [
        ("extract", "completed"),
        ("transform", "completed"),
        ("load", "completed"),
    ]
    assert phases[1].counters == {
        "distributions": {"total": 3, "processed": 3},
        "files": {"total": 5, "processed": 5},
    }
    assert counts == {"distributions": 4, "files": 5}
    assert (error.phase, "nameless.dist-info" in error.message) == ("extract", True)


def test_an_inventory_replaces_the_last_one(result: Path, machine: list[Path]) -> None:
    assert inventory.main(["--root", str(machine[0]), "--result", str(result)]) == 0
    assert rows(result, "SELECT count(*) FROM distributions") == [(2,)]
