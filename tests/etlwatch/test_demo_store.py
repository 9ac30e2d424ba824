"""The demo deletes only its own file, never another store's data."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from etlwatch.demo import runner
from etlwatch.demo.runner import default_demo_dsn, demo_path, prepare
from tracking_core import SimpleETLTracker


@pytest.fixture(autouse=True)
def unclaimed() -> Iterator[None]:
    """Give back after each test what a process keeps until its end."""
    claims = runner._claims
    yield
    while claims:
        claims.pop().close()


def job_count(dsn: str) -> int:
    return len(SimpleETLTracker(dsn).get_recent_runs())


def record_a_run(dsn: str) -> None:
    tracker = SimpleETLTracker(dsn)
    assert tracker.end_run(tracker.start_run("something"), success=True)


def test_the_demos_file_is_beside_the_embedded_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("TRACKING_DSN", "postgresql://somewhere/else")
    assert demo_path() == tmp_path / "data" / "etlwatch" / "demo.db"
    assert default_demo_dsn() == f"sqlite:///{demo_path()}"


def test_a_fresh_demo_deletes_the_last_one() -> None:
    prepare(default_demo_dsn(), fresh=True)
    record_a_run(default_demo_dsn())
    runner._claims.pop().close()
    prepare(default_demo_dsn(), fresh=True)
    assert job_count(default_demo_dsn()) == 0


def test_what_an_unclean_end_left_beside_the_file_goes_with_it() -> None:
    for suffix in ("", "-wal", "-shm"):
        demo_path().parent.mkdir(parents=True, exist_ok=True)
        demo_path().with_name(f"demo.db{suffix}").write_bytes(b"rubbish")
    prepare(default_demo_dsn(), fresh=True)
    assert job_count(default_demo_dsn()) == 0


def test_without_fresh_the_demos_runs_are_kept() -> None:
    prepare(default_demo_dsn(), fresh=False)
    record_a_run(default_demo_dsn())
    prepare(default_demo_dsn(), fresh=False)
    assert job_count(default_demo_dsn()) == 1


def test_a_named_store_is_initialised_and_never_emptied(postgres_dsn: str, sqlite_dsn: str) -> None:
    for dsn in (postgres_dsn, sqlite_dsn):
        prepare(dsn, fresh=True)
        record_a_run(dsn)
        prepare(dsn, fresh=True)
        assert job_count(dsn) == 1


def test_a_second_demo_does_not_delete_the_file_under_the_first(caplog: pytest.LogCaptureFixture) -> None:
    prepare(default_demo_dsn(), fresh=True)
    record_a_run(default_demo_dsn())
    with demo_path().with_name("demo.db.lock").open() as another:
        # The claim of this process must look like that of another one.
        runner._claims.pop().close()
        fcntl.flock(another, fcntl.LOCK_EX)
        prepare(default_demo_dsn(), fresh=True)
    assert job_count(default_demo_dsn()) == 1
    assert "another demo uses" in caplog.text


def test_the_directory_of_the_demos_file_is_private() -> None:
    prepare(default_demo_dsn(), fresh=True)
    assert demo_path().parent.stat().st_mode & 0o077 == 0
