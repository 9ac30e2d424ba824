"""What each command costs of a processor over a thousand stored runs, ten and a hundred thousand: the same answer.

The newest runs of all three stores are alike, and so are the windows that are asked for, so that nothing may grow.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.benchmarks.measuring import Effort, Finding, interleaved, median_ratio
from tests.benchmarks.places import Places
from tests.benchmarks.stock import Fleet, stock
from tracking_core.store import open_store

SIZES = (1_000, 10_000, 100_000)
JOBS = 4
"""So few that the small store, too, has all the runs of each that a command looks at."""

MOST_GROWTH = 1.3
PROGRAM = "import sys; from etlwatch.__main__ import main; sys.exit(main())"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("check",),
    ("check", "--job", "job-1"),
    ("runs",),
    ("runs", "--state", "failed"),
    ("runs", "--job", "job-1"),
    ("jobs",),
    ("stats", "--window", "8h"),
    ("stats", "--window", "1h", "--job", "job-1"),
    ("errors",),
    ("errors", "--group", "--since", "1h"),
    ("show", "job-1@latest"),
    ("compare", "job-1@latest"),
    ("cleanup", "--older-than", "400d", "--dry-run"),
    ("tracking", "status"),
)
LIVING = ("check", "jobs", "runs")
ALIVE = 5_000
MOST_LIVING_S = 3.0


def growth(places: Places, effort: Effort) -> list[Finding]:
    """Return a row for each command and store."""
    rows: list[Finding] = []
    sizes = SIZES[:2] if effort.quick else SIZES
    for kind in ("postgres", "sqlite"):
        with _stores(places, kind, [Fleet(runs=size, requests=10, jobs=JOBS) for size in sizes]) as stores:
            for words in COMMANDS:
                costs = interleaved(
                    {dsn: lambda dsn=dsn, words=words: _cpu(words, dsn) for dsn in stores}, effort.rounds(10)
                )
                took = [statistics.median(costs[dsn]) * 1000 for dsn in stores]
                ratio = median_ratio(costs[stores[-1]], costs[stores[0]])
                rows.append(
                    Finding(
                        what=f"{kind}: {' '.join(words)}, {sizes[-1] // 1000} k runs",
                        ours=took[-1],
                        unit="ms",
                        peer=f"{sizes[0] // 1000} k runs",
                        theirs=took[0],
                        budget=f"≤ {MOST_GROWTH} ×",
                        met=ratio <= MOST_GROWTH,
                        judged_ratio=ratio,
                        note=f"{sizes[1] // 1000} k runs: {took[1]:.0f} ms",
                    )
                )
    return rows


def living(places: Places, effort: Effort) -> list[Finding]:
    """Return what commands take of a processor while thousands of runs are alive, each of another job."""
    rows = []
    for kind in ("postgres", "sqlite"):
        with _stores(places, kind, [Fleet(runs=2 * ALIVE, requests=10, alive=ALIVE, jobs=ALIVE)]) as (dsn,):
            for command in LIVING:
                took = statistics.median(_cpu((command,), dsn) for _ in range(effort.rounds(5)))
                rows.append(
                    Finding(
                        what=f"{kind}: {command}, {ALIVE:,} runs of as many jobs alive",
                        ours=took,
                        unit="s",
                        budget=f"≤ {MOST_LIVING_S:.0f} s" if command == "check" else "",
                        met=took <= MOST_LIVING_S if command == "check" else None,
                    )
                )
    return rows


@contextmanager
def _stores(places: Places, kind: str, fleets: Sequence[Fleet]) -> Iterator[list[str]]:
    with ExitStack() as stack:
        dsns = []
        for fleet in fleets:
            place = places.postgres_store if kind == "postgres" else places.sqlite_store
            dsn = stack.enter_context(place())
            open_store(dsn).initialize()
            stock(dsn, fleet)
            dsns.append(dsn)
        yield dsns


def _cpu(words: Sequence[str], dsn: str) -> float:
    """Return the seconds of processor that a command takes, with the interpreter's start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, "--dsn", dsn], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "unexpected" in done.stderr or (done.returncode and words[0] != "check"):
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
