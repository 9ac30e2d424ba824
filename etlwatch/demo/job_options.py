"""The few command-line options that every job of the demo has.

Owns their names and defaults, and the place of a result that nobody wants to keep. Where runs are recorded
is no option: `SimpleETLTracker()` finds it in $TRACKING_DSN, which may hold a password, and a command line
is public.
"""

import argparse
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def job_parser(job: str, description: str) -> argparse.ArgumentParser:
    """Make the parser of a job's command line; the job adds what only it knows."""
    parser = argparse.ArgumentParser(prog=job, description=description)
    parser.add_argument("--notes", help="what the run is remembered by")
    parser.add_argument("--result", type=Path, metavar="FILE", help="keep the resulting SQLite file here")
    parser.add_argument("--pace", type=_seconds, default=0.0, metavar="SECONDS", help="take about this long")
    return parser


@contextmanager
def result_file(wanted: Path | None, name: str) -> Iterator[Path]:
    """Give the file to load into: the wanted one, or one that is thrown away afterwards."""
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
