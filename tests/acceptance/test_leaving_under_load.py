"""P9 under load: a job that leaves with a full buffer and little of a processor loses nothing without a report.

The full counts are run by `python -m tests.leaving`.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.acceptance.leaving_ledger import BURST, assert_accounted_for
from tests.acceptance.ledger import status_of
from tests.support.job import job_process
from tests.support.proxy import PostgresProxy
from tests.support.starving import starved

SLOW_DISK = """
from tracking_core.delivery import spool_file
whole = spool_file.write_whole
def write_whole(*arguments):
    time.sleep(0.4)
    return whole(*arguments)
spool_file.write_whole = write_whole
"""
NO_SPOOL = """
os.environ["TRACKING_SPOOL_DIR"] = "/proc/nowhere/"
"""


def say(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(("store_dsn", "way"), [("sqlite", "SIGTERM"), ("postgres", "exit")], indirect=["store_dsn"])
def test_three_percent_of_a_processor_and_twelve_thousand_requests(store_dsn: str, way: str) -> None:
    with job_process(BURST.replace("REQUESTS", "12_000"), store_dsn) as process:
        assert hear(process) == "ready"
        say(process)
        accepted = int(hear(process))
        with starved(process, 0.03):
            if way == "SIGTERM":
                process.send_signal(signal.SIGTERM)
            else:
                say(process)
            process.wait(60)
    assert accepted == 12_000
    assert_accounted_for(store_dsn, accepted)
    assert status_of(store_dsn) == ["completed"]


@pytest.mark.parametrize("trouble", ["", SLOW_DISK, NO_SPOOL], ids=["", "slow disk", "no spool"])
def test_a_store_that_falls_silent_under_a_full_buffer(
    postgres_store_dsn: str, postgres_proxy: Callable[[str], PostgresProxy], trouble: str
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    with job_process(trouble + BURST.replace("REQUESTS", "12_000"), proxy.dsn, TRACKING_QUIET="") as process:
        assert hear(process) == "ready"
        proxy.freeze()
        say(process)
        accepted = int(hear(process))
        say(process)
        left = time.monotonic()
        process.wait(30)
        # The budget is five seconds; the bound only tells it from waiting for the store or the disk.
        assert time.monotonic() - left < 12
        err = process.stderr.read() if process.stderr else ""
    proxy.resume()
    if trouble == NO_SPOOL:
        # Neither store nor disk takes anything: the process alone can tell of it.
        assert "12,001 events were dropped" in err
        return
    replayed, dropped = assert_accounted_for(proxy.dsn, accepted)
    assert (dropped > 0) <= bool(trouble)
    # The start or the end of the run is an event as well.
    told = {
        what: int(number.replace(",", "")) for number, what in re.findall(r"([\d,]+) events (were dropped|wait)", err)
    }
    assert told.get("were dropped", 0) == dropped
    assert told["wait"] - replayed in (0, 1)


def test_several_processes_that_leave_on_busy_processors(store_dsn: str) -> None:
    with ExitStack() as stack:
        source = BURST.replace("REQUESTS", "4_000")
        jobs = [stack.enter_context(job_process(source, store_dsn)) for _ in range(4)]
        accepted = 0
        for job in jobs:
            assert hear(job) == "ready"
        for _ in range(os.cpu_count() or 1):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        for job in jobs:
            say(job)
        for job in jobs:
            accepted += int(hear(job))
            say(job)
        for job in jobs:
            job.wait(60)
    assert accepted == 16_000
    assert_accounted_for(store_dsn, accepted)
