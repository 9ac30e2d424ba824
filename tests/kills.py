"""Processes that record into one store and are killed at random moments, outside pytest: `python -m tests.kills`.

`python -m tests.kills [KILLS] [--processes 8] [--dsn DSN] [--seed N]`: half of the processes deliver immediately, half
buffered. All that a call or a flush reported as recorded is stored once or waits in the spool, the totals are equal
everywhere, and a file passes its integrity check.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.acceptance.ledger import assert_nothing_lost, replay_spool
from tests.support.job import job_process
from tests.support.peek import peek
from tracking_core.store import open_store

JOB = """
delivery, number = os.environ["JOB_DELIVERY"], int(os.environ["JOB_NUMBER"])
tracker = SimpleETLTracker(DSN, delivery=delivery, deadline=30)
run_id = tracker.start_run(f"killed {number}", job="killed")
os.write(1, b"ready\\n")
accepted = 0
while True:
    accepted += 1
    recorded = tracker.log_request(run_id, "/items", number * 10_000_000 + accepted, 1, 200, 1, 5.0)
    if delivery == "immediate":
        assert recorded
    elif accepted % 700:
        continue
    else:
        tracker.flush()
    os.write(1, b"%d\\n" % accepted)
"""


def kill_some(dsn: str, numbers: range, chance: random.Random) -> dict[int, int]:
    """Kill as many processes, all at work at a time; return how many requests each was told to be recorded."""
    with ExitStack() as stack:
        jobs: dict[int, subprocess.Popen[str]] = {}
        for number in numbers:
            delivery = ("immediate", "buffered")[number % 2]
            environ = {"JOB_DELIVERY": delivery, "JOB_NUMBER": str(number)}
            jobs[number] = stack.enter_context(job_process(JOB, dsn, **environ))
        for job in jobs.values():
            assert job.stdout is not None
            assert job.stdout.readline() == "ready\n", job.stderr and job.stderr.read()
        told = {}
        for number in chance.sample(list(numbers), len(numbers)):
            time.sleep(chance.uniform(0, 0.1))
            os.kill(jobs[number].pid, signal.SIGKILL)
            out, err = (stream.read() if stream else "" for stream in (jobs[number].stdout, jobs[number].stderr))
            assert jobs[number].wait() == -signal.SIGKILL, err
            # The last line may be torn.
            told[number] = max(map(int, filter(None, out.split("\n")[:-1])), default=0)
    return told


def assert_exact(dsn: str, told: dict[int, int]) -> int:
    """Assert that all that was told is there, once, and without a gap; return how many requests that are."""
    replay_spool(dsn)
    found = {
        int(notes.split()[1]): (int(rows), int(last or 0))
        for notes, rows, last in peek(
            dsn,
            "SELECT notes, count(seq), max(page_offset) FROM tracking.runs AS run"
            " LEFT JOIN tracking.requests AS request ON request.run_id = run.run_id GROUP BY notes",
        )
    }
    for number, accepted in told.items():
        # The run of a buffered process that was killed at once may not be there.
        rows, last = found.get(number, (0, 0))
        assert rows == max(last - number * 10_000_000, 0), f"process {number} has a gap"
        # Beyond what was told the call in flight may be there, with buffered delivery all until the next flush.
        most = accepted + (1 if number % 2 == 0 else 700)
        assert accepted <= rows <= most, f"process {number}: {rows} are there, {accepted} were told"
    assert_nothing_lost(dsn, sum(rows for rows, _ in found.values()))
    if dsn.startswith("sqlite"):
        assert peek(dsn, "PRAGMA integrity_check") == [("ok",)]
    return sum(rows for rows, _ in found.values())


def main() -> None:
    """Kill as many as are asked for, a group at a time, and check after each group."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("kills", nargs="?", type=int, default=80)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--dsn")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2), "big"))
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        os.environ["TRACKING_SPOOL_DIR"] = str(Path(place) / "spool")
        dsn = asked.dsn or f"sqlite:///{place}/tracking.db"
        open_store(dsn).initialize()
        told: dict[int, int] = {}
        for first in range(1, asked.kills + 1, asked.processes):
            told |= kill_some(dsn, range(first, min(first + asked.processes, asked.kills + 1)), chance)
            requests = assert_exact(dsn, told)
            sys.stdout.write(f"{len(told)} killed, {requests:,} requests exact (seed {asked.seed})\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
