"""What a past moment leaves open is said to be unknown; what holds however open cells were filled is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from etlwatch.analysis.as_of import Stored, last_progress, run_as_of
from etlwatch.analysis.baseline import JobBaseline, Usual
from etlwatch.analysis.findings import Doubt, Examined, Finding, findings_and_doubts
from tests.etlwatch.fleet import NOW, make_cell, make_run
from tracking_core.records import PhaseSample, Run, SeriesCell, Traffic

PAUSES = JobBaseline(
    runs=30, pauses_s={"": Usual(runs=30, usual=60, p95=100)}, throttled_share=Usual(runs=30, usual=0.0)
)
"""A job that may stand still for 300 s, and is never throttled."""

MINUTE = timedelta(minutes=1)
AT = NOW.replace(second=30)
SECOND = int(AT.timestamp())
WHOLE = SECOND // 60 * 60


def run_then() -> Run:
    run = make_run(minutes_ago=40, requests=500, progress_at=None)
    return replace(run, duration_s=2_400.0)


def stored(*cells: SeriesCell) -> Stored:
    closed = sum(cell.requests for cell in cells if cell.bucket + cell.width <= SECOND)
    return Stored(until=SECOND, cells=cells, traffic=Traffic(requests=closed), since=SECOND - 86_400)


@dataclass
class Looked:
    """What held of a run at a past moment, and what may have held."""

    findings: tuple[Finding, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def looked(*cells: SeriesCell) -> Looked:
    known = stored(*cells)
    then = run_as_of(run_then(), AT, known)
    return Looked(*findings_and_doubts(Examined(run=then, baseline=PAUSES, now=AT, series=known.closed)))


def test_a_run_was_stalled_when_even_the_end_of_its_last_cell_is_too_long_ago() -> None:
    (found,) = looked(make_cell(WHOLE - 360, 60)).findings
    assert (found.kind, found.since) == ("stalled", AT - timedelta(seconds=330))


def test_whether_it_was_stalled_is_unknown_when_that_depends_on_when_in_its_last_cell_it_moved() -> None:
    told = looked(make_cell(WHOLE - 300, 60))
    assert told.findings == ()
    assert [(doubt.kind, doubt.evidence) for doubt in told.doubts] == [
        ("stalled", "whether it was stalled is not known: it had last moved between 4m 30s and 5m 30s before")
    ]


def test_it_was_not_stalled_when_even_the_beginning_of_its_last_cell_is_recent() -> None:
    assert looked(make_cell(WHOLE - 240, 60)) == Looked()


def test_a_request_in_the_cell_that_was_open_may_have_come_before_the_moment_or_after() -> None:
    told = looked(make_cell(WHOLE - 600, 60), make_cell(WHOLE, 60, requests=1))
    assert (told.findings, [doubt.kind for doubt in told.doubts]) == ((), ["stalled"])


def test_a_sample_that_was_renewed_later_hides_what_came_before_it() -> None:
    sample = PhaseSample(run_id=1, phase="load", bucket=WHOLE, at=AT + timedelta(seconds=9), processed={"rows": 9})
    bounds = last_progress(run_then(), (), replace(stored(make_cell(WHOLE - 600, 60)), samples=(sample,)), AT)
    assert bounds == (AT - timedelta(seconds=630), AT)


def test_the_last_progress_is_known_to_the_instant_where_none_came_later() -> None:
    moved = AT - 7 * MINUTE
    run = replace(run_then(), progress_at=moved)
    assert last_progress(run, (), stored(make_cell(WHOLE, 60)), AT) == (moved, moved)


def test_a_run_was_throttled_when_it_was_however_the_open_cell_was_filled() -> None:
    calm = make_cell(WHOLE - 120, 60, requests=20)
    bad = make_cell(WHOLE - 60, 60, requests=20, throttled=12)
    (found,) = looked(calm, bad, make_cell(WHOLE, 60, requests=5)).findings
    assert (found.kind, found.value) == ("throttled", 0.3)


def test_whether_it_was_throttled_is_unknown_where_the_open_cell_decides() -> None:
    calm = make_cell(WHOLE - 60, 60, requests=20)
    told = looked(calm, make_cell(WHOLE, 60, requests=40, throttled=9))
    assert (told.findings, [doubt.kind for doubt in told.doubts]) == ((), ["throttled"])
    assert "kept in a cell of 1m that was open then" in told.doubts[0].evidence


def test_requests_that_only_the_open_cell_holds_count_as_few_or_as_many_as_may_be() -> None:
    few = make_cell(WHOLE - 60, 60, requests=5, throttled=3)
    told = looked(few, make_cell(WHOLE, 60, requests=10, throttled=1))
    assert [doubt.kind for doubt in told.doubts] == ["throttled"], "five calm answers would have made it enough"


def test_one_that_was_calm_by_any_filling_was_not_throttled() -> None:
    assert looked(make_cell(WHOLE - 60, 60, requests=400), make_cell(WHOLE, 60, requests=30, throttled=9)) == Looked()
