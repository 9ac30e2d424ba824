"""A hundred thousand runs in a store, of either kind: what each screen then asks, beside the same of a small store.

Nothing may grow with what is stored beyond what is shown; the first poll also reads what is usual for the jobs on it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import timedelta

from etlwatch.reading.details import RunDetailsCache
from etlwatch.reading.errors import MOST_KINDS, read_kinds
from etlwatch.reading.gatherer import Gatherer, Watch
from etlwatch.reading.jobs import read_histories
from etlwatch.reading.listing import MOST_LISTED, OLDER_PAGE
from tests.benchmarks.measuring import Effort, Finding, interleaved, median_ratio, timed
from tests.benchmarks.places import Places
from tests.benchmarks.stock import Fleet, stock
from tracking_core.store import open_store
from tracking_core.store.queries import Reader

LARGE = Fleet(runs=100_000, requests=10)
SMALL = Fleet(runs=6_000, requests=10)
JOBS = 100
MOST_GROWTH = 1.3


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of both stores."""
    rows: list[Finding] = []
    for place in (places.postgres_store, places.sqlite_store):
        with place() as small, place() as large:
            stock(small, SMALL)
            stock(large, LARGE)
            with open_store(small).reader(60.0) as few, open_store(large).reader(60.0) as lots:
                rows += _screens(few, lots, open_store(large).kind, effort)
    return rows


def _screens(few: Reader, lots: Reader, kind: str, effort: Effort) -> list[Finding]:
    small, large = _questions(few), _questions(lots)
    rows = []
    for what, question in large.items():
        cases = {
            "small": lambda ask=small[what]: timed(ask),  # type: ignore[misc]
            "large": lambda ask=question: timed(ask),  # type: ignore[misc]
        }
        costs = interleaved(cases, effort.rounds(20), warm_up=2)
        growth = median_ratio(costs["large"], costs["small"])
        rows.append(
            Finding(
                what=f"{kind}, {LARGE.runs // 1000} k runs: {what}",
                ours=statistics.median(costs["large"]) * 1000,
                unit="ms",
                peer=f"{SMALL.runs // 1000} k runs",
                theirs=statistics.median(costs["small"]) * 1000,
                budget=f"≤ {MOST_GROWTH} ×",
                met=growth <= MOST_GROWTH,
                judged_ratio=growth,
            )
        )
    return rows


def _questions(reader: Reader) -> dict[str, Callable[[], object]]:
    now = reader.now()
    first, paged = Gatherer(), Gatherer()
    page, every = Watch(limit=200), Watch(limit=MOST_LISTED)
    for gatherer, watch in ((first, page), (paged, every)):
        for _ in range(JOBS):
            # What is usual for a hundred jobs is read over several polls.
            gatherer.read(reader, watch)
    last = reader.recent_runs(MOST_LISTED)[-1]
    run = last.run_id
    return {
        "first poll": lambda: Gatherer().read(reader, page),
        "poll, 200 listed": lambda: first.read(reader, page),
        "poll, 5 000 listed": lambda: paged.read(reader, every),
        "next page below those": lambda: reader.recent_runs(OLDER_PAGE, before=(last.started_at, run)),
        "a run by its last four characters": lambda: reader.run_ids_ending_in("ZZZ7"),
        "names of all jobs": reader.job_names,
        "history of a job": lambda: read_histories(reader, ["job-50"]),
        "errors of a week by kind": lambda: read_kinds(reader, now - timedelta(days=7), MOST_KINDS),
        "a run's details": lambda: RunDetailsCache().read(reader, run, now.timestamp()),
    }
