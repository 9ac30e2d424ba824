"""What is found about runs that completed: numbers that do not agree, and amounts that comparable runs lack."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from etlwatch.analysis.comparable import (
    Circumstances,
    ComparableRuns,
    Expectation,
    analysis_of_variance,
    student_quantile,
)
from etlwatch.analysis.completed import NO_RUNS, RunFacts, amount_words, completed_runs, contradictions, unusual_amounts
from etlwatch.analysis.coverage import coverage_of
from tests.etlwatch.fleet import make_phase, make_run
from tracking_core.records import EndpointTotals, Page, SourceCount

MONDAY = datetime(2026, 3, 2, 2, 10, tzinfo=UTC)


def facts(
    day: int = 0, *, counted: int | None = 1_000, fetched: int = 1_000, loaded: int = 1_000, total: int = 0
) -> RunFacts:
    """Return a run of a daily job that read contacts and loaded them."""
    run = make_run("crm", lasted_s=60, number=day + 1, requests=10, items=fetched, now=MONDAY + timedelta(days=day))
    counts = [SourceCount(run_id=run.run_id, entity="contacts", items=counted or 0, at=run.started_at)]
    return RunFacts(
        run=run,
        phases=(make_phase(run, "load", 1, contacts=loaded, of_contacts=total),),
        source_counts=counts if counted is not None else (),
        endpoints=(EndpointTotals(run_id=run.run_id, endpoint="/v1/contacts", requests=10, items=fetched),),
    )


def month(**numbers: int) -> list[RunFacts]:
    return [facts(day, **numbers) for day in range(30)]


def checks(run: RunFacts, before: list[RunFacts] | None = None) -> list[str]:
    return [each.check for each in contradictions(run, completed_runs(before) if before else NO_RUNS)]


def test_a_run_whose_numbers_agree_is_complete() -> None:
    assert checks(facts()) == []
    assert checks(facts(40), month()) == []


def test_what_the_source_counted_and_nobody_fetched_is_missing_without_any_past() -> None:
    (found,) = contradictions(facts(fetched=500, loaded=500), NO_RUNS)
    assert found.because == "500 of 1,000 contacts that the source counted were fetched: 50%"
    assert found.note == "50% of contacts"


def test_a_share_that_is_usual_is_complete_and_a_smaller_one_is_not() -> None:
    usual = month(fetched=980, loaded=980)
    assert checks(facts(40, fetched=980, loaded=980), usual) == []
    (found,) = contradictions(facts(40, fetched=950, loaded=950), completed_runs(usual))
    assert found.because.endswith("95%, usually 98%")


def test_what_is_loaded_may_be_a_selection_unless_the_past_shows_otherwise() -> None:
    assert checks(facts(loaded=400)) == []
    assert checks(facts(40, loaded=400), month(loaded=400)) == []
    assert checks(facts(40, loaded=400), month()) == ["loaded"]


def test_two_endpoints_of_one_entity_are_learned() -> None:
    assert checks(facts(40, counted=500, loaded=500), month(counted=500, loaded=500)) == []
    assert checks(facts(40, counted=500, fetched=700, loaded=500), month(counted=500, loaded=500))[0] == "fetched"


def test_a_phase_that_ended_below_its_total_is_incomplete() -> None:
    assert checks(facts(counted=None, loaded=500, total=1_000)) == ["phases"]
    assert checks(facts(counted=None, loaded=1_000, total=1_000)) == []


def test_a_few_missing_items_are_not_reported() -> None:
    assert checks(facts(40, fetched=998, loaded=998), month()) == []


@pytest.mark.parametrize(("missing", "text"), [((), ""), ((3, 4), "200 offsets missing"), ((0,), "")])
def test_pages_that_nobody_asked_for(missing: tuple[int, ...], text: str) -> None:
    pages = [
        Page(endpoint="/v1/contacts", page_offset=100 * n, page_limit=100, items=100, whole=True)
        for n in range(10)
        if n not in missing
    ]
    run = RunFacts(run=facts().run, coverage=coverage_of(pages))
    assert [each.note for each in contradictions(run, NO_RUNS)] == [text] * bool(text)
    if text:
        usual = RunFacts(run=run.run, coverage=run.coverage, coverage_before=[run.coverage])
        assert contradictions(usual, NO_RUNS) == [], "a hole that earlier runs had as well"


def test_pages_that_were_never_answered_cursors_and_lost_events() -> None:
    pages = [
        Page(endpoint="/a", page_offset=0, page_limit=10, items=10, whole=True),
        Page(endpoint="/a", page_offset=10, page_limit=10, items=0, whole=False),
    ]
    cursor = EndpointTotals(run_id=1, endpoint="/b?cursor=abc", requests=2, status_2xx=2)
    run = RunFacts(run=facts().run, coverage=coverage_of(pages), endpoints=[cursor], missing_events=7)
    assert {each.check for each in contradictions(run, NO_RUNS)} == {"pages", "cursors", "delivery"}


def test_braces_in_names_are_text() -> None:
    run = facts(counted=None)
    phase = make_phase(run.run, '{"rows"}', 1, records=1, of_records=9)
    (found,) = contradictions(RunFacts(run=run.run, phases=[phase]), NO_RUNS)
    assert '{"rows"}' in found.because


# -- amounts


def unusual(
    figures: list[float], figure: float, *, at: datetime | None = None, tags: dict[str, str] | None = None,
    kinds: list[dict[str, str]] | None = None,
) -> Expectation | None:  # fmt: skip
    """Return what is expected where a figure is unusual after one a day."""
    runs = [Circumstances(MONDAY + timedelta(days=day), kinds[day] if kinds else {}) for day in range(len(figures))]
    own = Circumstances(at or MONDAY + timedelta(days=len(figures)), tags or {})
    return ComparableRuns(runs, UTC).unusual(figures, figure, own, chance=0.0001)


def noisy(number: int, *, share: float = 0.05, weekday: float = 1.0, growth: float = 0.0) -> list[float]:
    """Return amounts around 10,000 a day, `weekday` times as many on Mondays."""
    rng = random.Random(number)
    return [
        10_000 * math.exp(rng.gauss(0, share)) * (weekday if day % 7 == 0 else 1.0) * (1 + growth) ** day
        for day in range(number)
    ]


def test_few_runs_tell_nothing() -> None:
    assert unusual(noisy(13), 100) is None
    assert unusual(noisy(14), 100) is not None


def test_less_than_three_tenths_off_is_usual_however_steady_a_job_is() -> None:
    assert unusual([1_000.0] * 30, 720) is None
    assert unusual([1_000.0] * 30, 1_290) is None
    assert unusual([1_000.0] * 30, 650) is not None


def test_a_monday_is_compared_with_mondays() -> None:
    figures = noisy(42, weekday=3)
    assert unusual(figures, 30_000) is None
    found = unusual(figures, 10_000)
    assert found is not None
    assert found.usual == pytest.approx(30_000, rel=0.1)
    tuesday = MONDAY + timedelta(days=43)
    assert unusual(figures, 10_000, at=tuesday) is None
    assert unusual(figures, 30_000, at=tuesday) is not None


def test_full_loads_are_compared_with_full_loads() -> None:
    kinds = [{"mode": "full" if day % 5 == 0 else "delta"} for day in range(40)]
    figures = [100_000 + day if kind["mode"] == "full" else 1_000 + day for day, kind in enumerate(kinds)]
    assert unusual(list(map(float, figures)), 100_020, tags={"mode": "full"}, kinds=kinds) is None
    found = unusual(list(map(float, figures)), 20_000, tags={"mode": "full"}, kinds=kinds)
    assert found is not None
    assert found.group == "runs with mode=full"
    assert min(found.comparable) >= 100_000


def test_a_kind_of_run_that_hardly_ever_was_is_not_compared() -> None:
    kinds = [{"mode": "full" if day in (3, 9) else "delta"} for day in range(40)]
    assert unusual(noisy(40), 100, tags={"mode": "full"}, kinds=kinds) is None


def test_a_trend_is_not_unusual() -> None:
    figures = noisy(60, growth=0.03, share=0.02)
    assert unusual(figures, 10_000 * 1.03**60) is None
    assert unusual(figures, 10_000 * 1.03**30) is not None


def test_what_happened_twice_is_usual() -> None:
    figures = noisy(40)
    figures[20] = 3_000.0
    assert unusual(figures, 3_000) is not None
    figures[30] = 3_000.0
    assert unusual(figures, 3_000) is None


def test_zero_is_unusual_where_it_never_was() -> None:
    assert unusual(noisy(30), 0) is not None
    assert unusual([0.0, *noisy(29)], 0) is None
    assert unusual([0.0] * 30, 0) is None


def test_an_amount_is_written_with_what_comparable_runs_had() -> None:
    past = [facts(day, fetched=10_000 + day, counted=10_000 + day, loaded=10_000 + day) for day in range(30)]
    run = facts(30, fetched=3_565, counted=3_565, loaded=3_565)
    found = unusual_amounts(run, completed_runs(past))
    assert {each.what for each in found} == {"items", "contacts", "contacts in load"}
    assert "3,565 contacts; the last 4 runs 10,026 to 10,029" in map(amount_words, found)
    assert unusual_amounts(run, NO_RUNS) == []


# -- distributions, against published tables


@pytest.mark.parametrize(("share", "freedom", "value"), [(0.975, 10, 2.228), (0.9995, 13, 4.221), (0.995, 3, 5.841)])
def test_student(share: float, freedom: int, value: float) -> None:
    assert student_quantile(share, freedom) == pytest.approx(value, rel=0.04)


def test_analysis_of_variance() -> None:
    """F(2, 15) = 9.3, p = 0.002: the example of the English Wikipedia's page on one-way analysis of variance."""
    groups = [[6, 8, 4, 5, 3, 4], [8, 12, 9, 11, 6, 8], [13, 9, 11, 8, 7, 12]]
    assert analysis_of_variance(groups) == pytest.approx(0.0024, abs=0.0005)
    assert analysis_of_variance([[1, 2, 3], [1, 2, 3]]) > 0.9
    assert analysis_of_variance([[1], [2]]) == 1
