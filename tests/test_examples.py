"""Every file of examples/, run as it stands: it ends well, and its run is in the store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracking_core import SimpleETLTracker
from tracking_core.records import Run

PROJECT = Path(__file__).parents[1]
EXAMPLES = PROJECT / "examples"
ETLWATCH = "import sys; from etlwatch.__main__ import main; sys.exit(main())"


def run(*words: str, dsn: str, path: str = "") -> "subprocess.CompletedProcess[str]":
    changes = {"TRACKING_DSN": dsn, "PYTHONPATH": str(PROJECT), "PATH": f"{path}{os.environ['PATH']}"}
    return subprocess.run(
        words,
        env=os.environ | changes,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only_run(dsn: str) -> Run:
    (found,) = SimpleETLTracker(dsn).get_recent_runs()
    return found


@pytest.mark.parametrize(
    ("name", "printed", "job", "requests", "items"),
    [
        ("paginated_sync.py", "237 contacts", "crm-sync", 3, 237),
        ("pipeline.py", "completed 1994 messages", "conversation-import", 0, 0),
        ("asyncio_job.py", "400 orders", "orders-export", 40, 400),
        ("worker_pool.py", "12 requests", "product-catalogue", 12, 1_200),
    ],
)
def test_an_example_runs_and_records(
    store_dsn: str, name: str, printed: str, job: str, requests: int, items: int
) -> None:
    done = run(sys.executable, "-W", "error", str(EXAMPLES / name), dsn=store_dsn)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, printed, "")
    found = only_run(store_dsn)
    assert (found.job, found.status, found.requests, found.items) == (job, "completed", requests, items)


def test_the_old_and_the_new_tracker_record_alike(sqlite_store_dsn: str) -> None:
    done = run(sys.executable, "-W", "error", str(EXAMPLES / "migration.py"), dsn=sqlite_store_dsn)
    assert done.returncode == 0, done.stderr
    new, old = SimpleETLTracker(sqlite_store_dsn).get_recent_runs()
    assert (new.job, new.requests, new.items, new.status) == (old.job, old.requests, old.items, old.status)


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """A directory for $PATH with `etlwatch` in it."""
    program = tmp_path / "bin" / "etlwatch"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{ETLWATCH}' \"$@\"\n")
    program.chmod(0o755)
    return f"{program.parent}:"


def test_a_shell_script_is_tracked_from_outside(sqlite_store_dsn: str, installed: str) -> None:
    words = (
        "etlwatch",
        "exec",
        "--job",
        "nightly-load",
        "--",
        "sh",
        str(EXAMPLES / "load.sh"),
        str(EXAMPLES / "load.sh"),
    )
    done = run(*words, dsn=sqlite_store_dsn, path=installed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("loading ")
    assert only_run(sqlite_store_dsn).status == "completed"


def test_a_job_of_cron_is_silent_until_something_is_wrong(sqlite_store_dsn: str, installed: str) -> None:
    wrapper = ("sh", str(EXAMPLES / "cron_check.sh"), "nightly")
    well = run(*wrapper, "true", dsn=sqlite_store_dsn, path=installed)
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")
    failed = run(*wrapper, "sh", "-c", "echo no source; exit 7", dsn=sqlite_store_dsn, path=installed)
    assert failed.returncode == 7
    assert "no source" in failed.stdout
    assert "nightly" in failed.stdout.replace("no source", "")


def test_every_example_has_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.iterdir() if path.is_file() and path.name not in source] == []
