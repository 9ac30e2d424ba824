"""A job whose calls are interrupted: `python -m tests.interrupts.job`, started by the program and by the suite.

It prints one line of JSON when it is done and leaves then; whoever started it checks how long that takes and what the
store holds.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from tests.interrupts.raising import chosen
from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker, TrackingError, get_etl_tracker, run_context

unraisable: list[object] = []
"""What Python ended since the last call began."""

LIBRARIES = ("_conninfo_attempts.py", "selectors.py", "logging/__init__.py")
"""Where psycopg, as it connects, takes a TimeoutError for a fault of a name or a socket; and where a log handler ends
what it does not foresee."""

MOST_PLACES = 10_000
"""Of one call: what interrupted ones leave may make the next ones longer."""

EMPTY_SPOOL = 0.9
"""How often a call finds nothing that others have spooled: what it replays is a long way, and interrupted too."""

LONGEST_S = {"immediate": 0.02, "buffered": 0.0006}


@dataclass
class Figures:
    """What a job has seen."""

    interrupts: int = 0
    swallowed: list[str] = field(default_factory=list)
    """Calls that returned although the exception was raised."""

    unraisable: int = 0
    """How often it was raised where Python or a library ends it: in a `__del__`, or in a function that SQLite calls."""

    requests: int = 0
    """Requests that were accepted for certain."""

    unclear: int = 0
    """Requests whose call was interrupted: stored whole or not at all."""

    errors: list[str] = field(default_factory=list)
    sent: int = 0
    spooled: int = 0
    dropped: int = 0
    done_at: float = 0.0


class Job:
    """The calls of one job."""

    def __init__(self, dsn: str, delivery: str) -> None:
        self.dsn, self.delivery = dsn, delivery
        self.tracker = SimpleETLTracker(dsn, delivery=delivery)  # type: ignore[arg-type]
        self.run_id = self.tracker.start_run("the whole job", job="interrupts")
        self.phase = ETLRunContext.attached(self.tracker, self.run_id).phase("load", items=5)
        self.context = ETLContext(run=(self.tracker, self.run_id))
        self.old = self._old()
        self.pages = 0

    def _old(self) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return get_etl_tracker(self.dsn)

    def request(self) -> bool:
        """Log one request with a page of its own."""
        self.pages += 1
        return self.tracker.log_request(self.run_id, "/a", self.pages, 1, 200, 1, 1.5)

    def use_store(self, *, empty_spool: bool) -> None:
        """Let the next call try the store: one that was interrupted late may count as a store that fails."""
        for tracker in (self.tracker, self.old._tracker):  # type: ignore[attr-defined]
            delivery = tracker._delivery
            delivery._link.breaker.worked()
            if empty_spool and self.delivery == "immediate":
                delivery.flush(1)

    def stored(self) -> int:
        """Return how many requests the store holds."""
        metrics = self.tracker.get_run_metrics(self.run_id)
        return -1 if metrics is None else metrics.total_requests

    def failed_request(self) -> bool:
        """Log a request with a long error, the way that is not the short one."""
        self.pages += 1
        return self.tracker.log_request(self.run_id, "/b", self.pages, 1, 500, 0, 1.5, error="x" * 700)

    def block(self) -> None:
        """Run a whole run as a block."""
        with ETLRunContext(self.tracker, "a block", job="interrupts") as run:
            run.log_source_count("x", 1)

    def phases(self) -> None:
        """Run a phase of a run."""
        # One that an interrupt left open is not told from one that another thread has open.
        run_context._open._begin()
        with self.phase as phase:
            phase.update(items=1)

    def etl(self) -> None:
        """Run a phase of a context, and end one that an interrupt left."""
        if self.context.current_phase:
            self.context.end_phase()
        with self.context.phase("extract", 5, 5) as phase:
            phase.update(1, 1)

    def run(self) -> None:
        """Begin and end a run."""
        run_id = self.tracker.start_run("another", job="interrupts")
        self.tracker.end_run(run_id, success=True)

    def legacy(self) -> TrackingError | None:
        """Run a run of the old tracker; return the fault of the store that it raised."""
        try:
            self.old.start_run("old")  # type: ignore[attr-defined]
            self.old.log_source_count("x", 1)  # type: ignore[attr-defined]
            self.old.end_run(True)  # type: ignore[attr-defined]
        except TrackingError as error:
            return error
        return None

    def calls(self) -> dict[str, Callable[[], object]]:
        """Return every call by its name."""
        tracker, run_id = self.tracker, self.run_id
        return {
            "request": self.request,
            "failed_request": self.failed_request,
            "count": lambda: tracker.log_source_count(run_id, "contacts", 5),
            "phase": lambda: tracker.log_phase(run_id, "extract", "running", processed={"items": 1}),
            "error": lambda: tracker.log_error(run_id, ValueError("an error")),
            "flush": lambda: tracker.flush(0.05),
            "attach": lambda: tracker.attach(run_id).log_source_count("y", 1) if run_id else None,
            "run": self.run,
            "block": self.block,
            "phases": self.phases,
            "etl": self.etl,
            "legacy": self.legacy,
            "read": lambda: tracker.get_run_metrics(run_id) if run_id else None,
            "close": tracker.close,
        }


def at_random(job: Job, arguments: argparse.Namespace) -> Figures:
    """Interrupt calls after a random time."""
    figures, dice = Figures(), random.Random(arguments.seed)
    names = arguments.calls.split(",") if arguments.calls else list(job.calls())
    for place in range(arguments.count):
        interrupt(job, figures, dice.choice(names), arguments.way, place, dice)
    return figures


def steps(job: Job, arguments: argparse.Namespace) -> Figures:
    """Interrupt each call at every n-th place from a random one on, until it has no more."""
    figures, dice = Figures(), random.Random(arguments.seed)
    for name in arguments.calls.split(",") if arguments.calls else list(job.calls()):
        place = 1 + dice.randrange(arguments.every)
        while place < MOST_PLACES and interrupt(job, figures, name, "steps", place, dice):
            place += arguments.every
            if figures.interrupts >= arguments.count:
                break
    return figures


def interrupt(job: Job, figures: Figures, name: str, way: str, place: int, dice: random.Random) -> bool:
    """Make one call, interrupt it, and note what came of it; return whether there was time to."""
    pages = job.pages
    unraisable.clear()
    job.use_store(empty_spool=dice.random() < EMPTY_SPOOL)
    outcome = chosen(way, job.calls()[name], place, dice, LONGEST_S[job.delivery])
    figures.interrupts += outcome.raised
    if isinstance(outcome.value, TrackingError) and not outcome.raised:
        figures.errors.append(f"{name} at {place}: {outcome.value}")
    if outcome.raised and not (outcome.came_out or outcome.late):
        if unraisable or any(name in outcome.where for name in LIBRARIES):
            figures.unraisable += 1
        else:
            figures.swallowed.append(f"{name} at {place}: {outcome.where}")
    if job.pages > pages and outcome.came_out:
        figures.unclear += 1
    elif job.pages > pages:
        figures.requests += bool(outcome.value)
    return outcome.raised


def main() -> None:
    """Run the job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("--delivery", default="immediate")
    parser.add_argument("--way", choices=("steps", "timer", "thread"), default="steps")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--every", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", default="")
    arguments = parser.parse_args()
    sys.unraisablehook = unraisable.append
    sqlite3.enable_callback_tracebacks(True)
    job = Job(arguments.dsn, arguments.delivery)
    figures = (steps if arguments.way == "steps" else at_random)(job, arguments)
    figures.errors += usable(job, figures)
    report = job.tracker.flush(10)
    figures.sent, figures.spooled, figures.dropped = report.sent, report.spooled, report.dropped
    if min(figures.sent, figures.spooled, figures.dropped) < 0:
        figures.errors.append(f"less than nothing was delivered: {report}")
    figures.done_at = time.monotonic()
    print(json.dumps(asdict(figures)))
    sys.stdout.flush()


def usable(job: Job, figures: Figures) -> list[str]:
    """Return what does not work any more."""
    faults = []
    began = time.monotonic()
    other: list[bool] = []
    thread = threading.Thread(target=lambda: other.append(job.request()), daemon=True)
    thread.start()
    thread.join(10)
    if other != [True]:
        faults.append("another thread cannot record")
        print("returned", other, file=sys.stderr)
        faulthandler.dump_traceback()
    figures.requests += other == [True]
    job.use_store(empty_spool=True)
    if job.request() is True:
        figures.requests += 1
    else:
        faults.append("the last request was not recorded")
    # What was spooled before a `close` is another process's to send; what is recorded now arrives by itself.
    until, before = time.monotonic() + 10, job.stored()
    figures.requests += job.request() is True
    while job.stored() <= before and time.monotonic() < until:
        job.tracker.flush(1)
    if job.stored() <= before:
        faults.append(f"what is recorded does not arrive: the store holds {before} of {figures.requests} requests")
    if job.tracker.end_run(job.run_id, success=True) is not True:
        faults.append("the run cannot be ended")
    if time.monotonic() - began > 20:
        faults.append("the last calls took 20 s")
    return faults


if __name__ == "__main__":
    main()
