"""A spool's disk with hardly any room left: totals, lifecycle and errors are kept, detail is dropped and counted."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.ledger import counts
from tests.support.job import run_job
from tests.support.peek import peek
from tests.support.ports import free_port
from tracking_core.delivery.spool import replay_file
from tracking_core.delivery.spool_file import waiting
from tracking_core.store import open_store

REQUESTS = 4000
ROOM = 100 * 1024
JOB = f"""
tracker = SimpleETLTracker(DSN, delivery=os.environ["JOB_DELIVERY"], deadline=1)
with ETLRunContext(tracker, "night", job="night") as run:
    with run.phase("load"):
        for page in range({REQUESTS}):
            run.log_request(f"/items/{{page % 900}}", page, 10, 200, 1, 5.0)
        try:
            raise ValueError("odd row")
        except ValueError as error:
            run.log_error(error)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 100 KiB left."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("only root can mount a small file system, and not in every container")
    free = os.statvfs(place)
    (place / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - ROOM))
    yield place
    subprocess.check_call(["umount", "-l", place])


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_with_100_kib_left_totals_lifecycle_and_errors_are_kept(
    small_disk: Path, store_dsn: str, delivery: str
) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/x"
    job = run_job(
        JOB, nowhere, JOB_DELIVERY=delivery, TRACKING_SPOOL_DIR=str(small_disk), TRACKING_QUIET="", seconds=60
    )
    assert job.returncode == 0
    last = job.stderr.splitlines()[-1]
    assert f"{REQUESTS:,} events were dropped" in last
    assert f" events wait in {small_disk}/" in last
    (file,) = waiting((small_disk,))
    assert (file.in_use, file.fault) == (False, "")
    assert file.bytes < ROOM
    with open_store(store_dsn).writer(30.0) as writer:
        outcome = replay_file(file.path, writer.write)
    assert (outcome.error, outcome.rejected, outcome.left) == ("", 0, 0)
    found = counts(store_dsn)
    assert found == {**dict.fromkeys(found, REQUESTS), "rows": 0, "distinct": 0}
    assert peek(store_dsn, "SELECT status, errors, dropped FROM tracking.runs") == [("completed", 1, REQUESTS)]
    assert peek(store_dsn, "SELECT phase, status FROM tracking.phases") == [("load", "completed")]
