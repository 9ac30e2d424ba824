"""The full counts of leaving under load, outside pytest: `python -m tests.leaving [starved|many] [--share 0.03]`.

`starved` is one process of 30 000 requests with a share of one processor (a quota of the system where one can be set),
`many` is 20 processes of 20 000 requests on all processors, held busy. Both end on SQLite and on PostgreSQL;
each figure is checked against the store, before and after a replay.
"""

import argparse
import os
import subprocess
import sys
import time
from contextlib import ExitStack

from tests.acceptance.leaving_ledger import BURST, assert_accounted_for, found_in
from tests.acceptance.test_leaving_under_load import hear, say
from tests.benchmarks.places import open_places
from tests.support.job import job_process
from tests.support.starving import quota, starved
from tracking_core.store import open_store

COUNTS = {"starved": (1, 30_000), "many": (20, 20_000)}


def leave(dsn: str, processes: int, requests: int, share: float | None) -> str:
    """Let processes leave with a full buffer; return the figures in a line."""
    began = found_in(dsn)
    with ExitStack() as stack:
        group = stack.enter_context(quota(share)) if share else None
        if not share:
            for _ in range(2 * (os.cpu_count() or 1)):
                busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                stack.callback(busy.wait)
                stack.callback(busy.kill)
        source = BURST.replace("REQUESTS", str(requests))
        # Many leave as soon as they have logged; one that is to starve is told when.
        environ = {} if share else {"AT_ONCE": "1"}
        jobs = [stack.enter_context(job_process(source, dsn, **environ)) for _ in range(processes)]
        for job in jobs:
            hear(job)
        for job in jobs:
            say(job)
        accepted = sum(int(hear(job)) for job in jobs)
        if group:
            group.write_text(str(jobs[0].pid))
        elif share:
            stack.enter_context(starved(jobs[0], share))
        left = time.monotonic()
        for job in jobs:
            if share:
                say(job)
            job.wait(120)
        took = time.monotonic() - left
    stored = found_in(dsn).stored - began.stored
    spooled, dropped = assert_accounted_for(dsn, began.emitted + accepted)
    dropped -= began.dropped
    return f"{accepted:,} accepted = {stored:,} stored + {spooled:,} spooled + {dropped:,} dropped; {took:.1f} s"


def main() -> None:
    """Run the counts that were asked for and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.leaving")
    parser.add_argument("what", nargs="?", choices=list(COUNTS))
    parser.add_argument("--share", type=float, default=0.03)
    asked = parser.parse_args()
    with open_places() as places:
        os.environ["TRACKING_SPOOL_DIR"] = str(places.directory / "spool")
        os.environ["TRACKING_QUIET"] = "1"
        with places.databases.fresh() as postgres:
            for name, dsn in (("SQLite", f"sqlite:///{places.directory}/leaving.db"), ("PostgreSQL", postgres)):
                open_store(dsn).initialize()
                for what, processes, requests, share in (
                    ("starved", 1, 30_000, asked.share),
                    ("many", 20, 20_000, None),
                ):
                    if asked.what in (None, what):
                        print(f"{name:<11}{what:<9}{leave(dsn, processes, requests, share)}", flush=True)


if __name__ == "__main__":
    main()
