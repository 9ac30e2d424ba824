"""One immediate `log_request` on PostgreSQL beside the least that such a call could do: connect, INSERT, close."""

from __future__ import annotations

import itertools
import statistics

import psycopg

from tests.benchmarks.measuring import Effort, Finding, interleaved, median_ratio, timed
from tests.benchmarks.places import Places
from tests.benchmarks.traffic import BARE_INSERT, Traffic, make_bare_table
from tracking_core import SimpleETLTracker

BUDGET = 1.25


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return a row without a password, and one with a password checked as servers do by default (SCRAM)."""
    with places.postgres_store() as dsn:
        make_bare_table(dsn)
        rows = [_beside_insert(dsn, effort, "immediate log_request, PostgreSQL")]
        guarded = places.with_password(dsn)
        if guarded is not None:
            rows.append(_beside_insert(guarded, effort, "  with a password (SCRAM)"))
    with places.sqlite_store() as dsn:
        rows.append(_sqlite(dsn, effort))
    return rows


def _beside_insert(dsn: str, effort: Effort, what: str) -> Finding:
    tracker = SimpleETLTracker(dsn)
    traffic = Traffic()
    run_id = tracker.start_run(job="immediate")
    calls = itertools.cycle(traffic.calls(1000))
    bare_rows = iter(traffic.bare_rows(10_000, writer_id=1))

    def ours() -> float:
        call = next(calls)
        recorded: list[bool] = []
        cost = timed(lambda: recorded.append(tracker.log_request(run_id, *call)))
        assert recorded == [True]
        return cost

    def bare() -> float:
        row = next(bare_rows)

        def deed() -> None:
            connection = psycopg.connect(dsn, autocommit=True)
            connection.execute(BARE_INSERT.encode(), row)
            connection.close()

        return timed(deed)

    costs = interleaved({"ours": ours, "bare": bare}, effort.rounds(400), warm_up=5)
    tracker.end_run(run_id, True)
    ratio = median_ratio(costs["ours"], costs["bare"])
    return Finding(
        what=what,
        ours=statistics.median(costs["ours"]) * 1000,
        unit="ms",
        peer="connect + INSERT + close",
        theirs=statistics.median(costs["bare"]) * 1000,
        budget=f"≤ {BUDGET} ×",
        met=ratio <= BUDGET,
        judged_ratio=ratio,
    )


def _sqlite(dsn: str, effort: Effort) -> Finding:
    tracker = SimpleETLTracker(dsn)
    run_id = tracker.start_run(job="immediate")
    calls = Traffic().calls(effort.size(500))
    costs = [timed(lambda call=call: tracker.log_request(run_id, *call)) for call in calls]  # type: ignore[misc]
    tracker.end_run(run_id, True)
    return Finding(what="immediate log_request, SQLite", ours=statistics.median(costs) * 1000, unit="ms")
