"""What every job of the demo shares: command-line options, the file for its result, and pacing.

The store is no option: `SimpleETLTracker()` reads $TRACKING_DSN. It may hold a password, and command lines are public.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def job_parser(job: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of a job's command line, to which the job adds its own options."""
    parser = argparse.ArgumentParser(prog=job, description=description)
    parser.add_argument("--notes", help="notes of the run")
    parser.add_argument("--result", type=Path, metavar="FILE", help="keep the resulting SQLite file here")
    parser.add_argument("--pace", type=_seconds, default=0.0, metavar="SECONDS", help="take about this long")
    return parser


@contextmanager
def result_file(wanted: Path | None, name: str) -> Iterator[Path]:
    """Yield the path of the result: `wanted`, or a file that is deleted afterwards."""
    if wanted is not None:
        yield wanted.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="etlwatch-") as directory:
        yield Path(directory) / name


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0")
    return value


class Pacer:
    """Sleeps after each step so that all take about the given time; after a slow step the next ones sleep less."""

    def __init__(
        self,
        seconds: float,
        steps: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Spread `seconds` over a number of steps; with 0 it never sleeps."""
        self._seconds = seconds
        self._steps = max(1, steps)
        self._clock = clock
        self._sleep = sleep
        self._done = 0
        self._began = clock()

    def rest(self) -> None:
        """Count one step and sleep until its share of the time is over."""
        self._done += 1
        if self._seconds <= 0:
            return
        remaining = self._began + self._seconds * self._done / self._steps - self._clock()
        if remaining > 0:
            self._sleep(remaining)
