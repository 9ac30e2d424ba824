"""Since when a run is not what its job usually is: by its latency, else by its rate, else not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from etlwatch.analysis.baseline import JobBaseline, Usual
from etlwatch.analysis.findings import Departure, departure_of
from tests.etlwatch.fleet import NOW, make_cell, make_run
from tests.etlwatch.fleet import found_in as findings
from tracking_core.histogram import bucket_of
from tracking_core.records import EndpointTotals, SeriesCell

MINUTE = timedelta(minutes=1)
BEGAN = NOW.replace(second=0) - 60 * MINUTE
PAST = JobBaseline(
    runs=30,
    duration_s=Usual(runs=30, usual=1_500, p95=1_800),
    request_rate=Usual(runs=30, usual=1.0, p95=1.2),
    latency_p95_ms=Usual(runs=30, usual=840, p95=1_000),
    endpoint_p95_ms={"/messages": Usual(runs=30, usual=840, p95=1_000)},
)


def at(minute: int) -> int:
    return int((BEGAN + minute * MINUTE).timestamp())


def series(*latencies: int, requests: int = 60) -> list[SeriesCell]:
    """Return a cell a minute that ends with the last whole one; a latency of 0 is a minute without requests."""
    first = 60 - len(latencies)
    return [make_cell(at(first + index), 60, requests=requests, ms=ms) for index, ms in enumerate(latencies) if ms]


def departed(cells: Sequence[SeriesCell], now: datetime = NOW) -> Departure | None:
    return departure_of(cells, PAST, began=BEGAN, now=now)


def test_a_latency_departs_with_the_first_minute_from_which_on_it_stayed() -> None:
    found = departed(series(*[800] * 29, *[2_900] * 31))
    assert found is not None
    assert (found.since, found.measure, found.usual) == (BEGAN + 29 * MINUTE, "latency", 840)
    assert found.since_then == pytest.approx(2_900, rel=0.05)


def test_one_calm_minute_does_not_end_it_and_two_do() -> None:
    one = departed(series(*[800] * 20, *[2_900] * 10, 800, *[2_900] * 10))
    two = departed(series(*[800] * 20, *[2_900] * 10, 800, 800, *[2_900] * 10))
    assert (one and one.since, two and two.since) == (BEGAN + 39 * MINUTE, BEGAN + 50 * MINUTE)


def test_what_is_over_or_has_hardly_begun_is_no_departure() -> None:
    assert departed(series(*[800] * 20, *[2_900] * 20, *[800] * 20)) is None
    assert departed(series(*[800] * 59, 2_900)) is None


def test_the_minute_that_is_not_over_says_nothing_yet() -> None:
    cells = series(*[800] * 40, *[2_900] * 20)
    early = replace(cells[-1], bucket=at(60))
    assert departed([*cells, early]) == departed(cells)


def test_narrow_cells_are_looked_at_by_the_minute() -> None:
    narrow = [make_cell(at(40 + n // 6) + n % 6 * 10, 10, requests=10, ms=800 if n < 60 else 2_900) for n in range(120)]
    found = departed(narrow)
    assert found is not None
    assert found.since == BEGAN + 50 * MINUTE


def test_a_rate_departs_where_the_latency_did_not() -> None:
    cells = [*series(*[800] * 60)[:30], *series(*[800] * 60, requests=12)[30:]]
    found = departed(cells)
    assert found == Departure(since=BEGAN + 30 * MINUTE, measure="rate", usual=1.0, since_then=0.2)


def test_a_phase_without_requests_is_not_slow_at_them() -> None:
    assert departed(series(*[800] * 30, *[0] * 30)) is None


def test_without_a_normal_nothing_departs() -> None:
    assert departure_of(series(*[9_000] * 60), JobBaseline(), began=BEGAN, now=NOW) is None


def test_a_slow_run_is_so_since_its_departure_and_says_what_departed() -> None:
    run = make_run(minutes_ago=(NOW - BEGAN) / MINUTE, requests=9)
    cells = series(*[800] * 29, *[2_900] * 31)
    (found,) = findings(run, PAST, now=NOW, departure=departed(cells))
    assert (found.since, found.endpoint) == (BEGAN + 29 * MINUTE, "")
    assert found.evidence.startswith("since then its requests take 3.0s at p95, usually 840ms")
    totals = EndpointTotals(
        run_id=run.run_id,
        endpoint="/messages",
        requests=99,
        max_ms=2_900,
        duration_ms=99 * 2_900,
        histogram=(99 * 256 + bucket_of(2_900),),
    )
    (named,) = findings(run, PAST, now=NOW, departure=departed(cells), endpoints=[totals])
    assert named.endpoint == "/messages"
    assert named.evidence.startswith("since then /messages answers in 2.9s at p95, usually 840ms")


def test_a_rate_is_told_beside_an_endpoint_that_answers_slower() -> None:
    run = make_run(minutes_ago=(NOW - BEGAN) / MINUTE, requests=9)
    totals = EndpointTotals(
        run_id=run.run_id,
        endpoint="/messages",
        requests=9,
        max_ms=2_900,
        duration_ms=9 * 2_900,
        histogram=(9 * 256 + bucket_of(2_900),),
    )
    fewer = Departure(since=BEGAN + 30 * MINUTE, measure="rate", usual=1.0, since_then=0.2)
    (found,) = findings(run, PAST, now=NOW, departure=fewer, endpoints=[totals])
    assert found.evidence.endswith("usually 840ms; since then it makes 0.2 requests/s, usually 1.0/s")
    assert (found.since, found.endpoint) == (fewer.since, "")


def test_without_a_departure_it_is_slow_since_it_passed_the_limit() -> None:
    run = make_run(minutes_ago=(NOW - BEGAN) / MINUTE, requests=9)
    (found,) = findings(run, PAST, now=NOW, departure=departed(series(*[800] * 60)))
    assert found.since == run.started_at + timedelta(seconds=1.25 * 1_800)
    assert "no phase stands out" in found.evidence
