"""What every job of the demo shares: its command line, its tracked run, its pace, and its end with its parent.

    python -m etlwatch.demo.jobs etlwatch.demo.inventory --pace 40

runs a job's `main` so that the process ends when its stdin does: the parent holds the other end, which closes when the
parent dies. The store is no option: `SimpleETLTracker()` reads $TRACKING_DSN. It may hold a password, and command lines
are public.
"""

import argparse
import importlib
import logging
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from tracking_core import ETLRunContext, SimpleETLTracker

EXIT_S = 5.0
"""How long a job may take to end its run once its parent is gone; then the process exits without it."""


def job_parser(job: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of a job's command line, to which the job adds its own options."""
    parser = argparse.ArgumentParser(prog=job, description=description)
    parser.add_argument("--notes", help="notes of the run")
    parser.add_argument("--pace", type=_seconds, default=0.0, metavar="SECONDS", help="take about this long")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0")
    return value


@contextmanager
def tracked_run(job: str, notes: str) -> Iterator[tuple[ETLRunContext, Path]]:
    """Yield a run of a job, and a directory for what it makes, which is deleted afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="etlwatch-") as directory,
        closing(SimpleETLTracker()) as tracker,
        ETLRunContext(tracker, notes, job=job) as run,
    ):
        yield run, Path(directory)


class Pacer:
    """Sleeps after each step so that all take about the given time; after a slow step the next ones sleep less."""

    def __init__(self, seconds: float, steps: int) -> None:
        """Spread `seconds` over a number of steps; with 0 it never sleeps."""
        self._step_s = seconds / max(1, steps)
        self._due = time.monotonic()

    def rest(self) -> None:
        """Count one step and sleep until its share of the time is over."""
        self._due += self._step_s
        if self._step_s:
            time.sleep(max(0.0, self._due - time.monotonic()))


def _follow_parent(lifeline: int) -> None:
    """End this process once the descriptor `lifeline` reaches its end: SIGTERM, then exit."""
    # The main thread must take the signals: only there they interrupt a sleep.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    # Not a buffered reader, whose lock blocks the interpreter's shutdown.
    while os.read(lifeline, 1024):
        continue
    main_thread = threading.main_thread().ident
    if main_thread is not None:
        # To the main thread, so that a sleep or a wait for a socket is interrupted.
        signal.pthread_kill(main_thread, signal.SIGTERM)
    time.sleep(EXIT_S)
    os._exit(1)


def _leave(signal_number: int, _frame: FrameType | None) -> None:
    # A second signal ends the process at once.
    signal.signal(signal_number, signal.SIG_DFL)
    raise KeyboardInterrupt(f"ended by {signal.Signals(signal_number).name}")


def main(arguments: Sequence[str]) -> int:
    """Run the `main` of the module named first with the rest as its arguments; return 0, or 130 for a signal."""
    # An exception, so that `with` blocks end the run. Also for SIGINT, which a shell ignores for background jobs.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        threading.Thread(target=_follow_parent, args=(sys.stdin.fileno(),), name="lifeline", daemon=True).start()
        importlib.import_module(arguments[0]).main(arguments[1:])
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
