"""Living runs judged from what a store holds: what is asked, what is remembered, when it is asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etlwatch.analysis.baseline import JobBaseline
from etlwatch.analysis.health import Health
from etlwatch.reading import health as judging
from etlwatch.reading.health import BASELINE_HOLDS_S, HealthReader, read_baseline, read_baselines
from etlwatch.reading.past import reader_as_of
from tests.store.stocking import Stock
from tracking_core.clock import to_microseconds
from tracking_core.requests import RequestRow, tally

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


class Counting:
    """A reader that counts what it is asked."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self._reader, name)


@pytest.fixture
def reader(stock: Stock) -> Iterator[Counting]:
    with stock.store.reader(5.0) as connection:
        connection.at = NOW  # type: ignore[attr-defined]
        yield Counting(connection)


def nightly(stock: Stock, job: str, *, nights: int = 6, minutes: int = 10) -> None:
    for night in range(1, nights + 1):
        began = NOW - night * DAY
        run_id = stock.start(began, job=job)
        stock.requests(run_id, [(began + n * MINUTE, "/contacts", 200, 10, 100) for n in range(minutes)])
        stock.end(run_id, began + minutes * MINUTE)


def judge(judge: HealthReader, reader: Any, **options: Any) -> Health:
    return judge.read(reader, reader.recent_runs(200), now=NOW, **options)


def test_a_run_is_slow_by_its_own_jobs_past(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm")
    nightly(stock, "ads", minutes=90)
    slow, fine = (stock.start(NOW - 60 * MINUTE, job=job) for job in ("crm", "ads"))
    for run_id in (slow, fine):
        stock.requests(run_id, [(NOW, "/contacts", 200, 10, 4_000)])
    health = judge(HealthReader(), reader)
    states = {run.run_id: run.state for run in health.runs}
    assert (states[slow], states[fine]) == ("slow", "running")
    assert "/contacts answers in" in next(run.evidence for run in health.runs if run.run_id == slow)
    assert health.baselines["crm"].duration_s.usual == 600


def test_a_run_is_throttled_by_its_latest_requests(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm")
    run_id = stock.start(NOW - 5 * MINUTE, job="crm")
    stock.requests(run_id, [(NOW - MINUTE, "/contacts", 429 if n % 2 else 200, 10, 100) for n in range(40)])
    (run, *_) = judge(HealthReader(), reader).runs
    assert run.state == "throttled"
    assert run.state_since is not None
    assert run.state_since <= NOW - MINUTE


def test_a_run_is_stalled_beyond_its_jobs_longest_pause(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm", minutes=60)
    run_id = stock.start(NOW - 30 * MINUTE, job="crm")
    stock.requests(run_id, [(NOW - 20 * MINUTE, "/contacts", 200, 10, 100)])
    (run, *_) = judge(HealthReader(), reader).runs
    assert run.state == "stalled"
    assert "its longest pause is usually" in run.evidence


def test_a_slow_run_is_so_since_its_latency_rose_which_is_asked_once_a_minute(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm")
    began = NOW - 60 * MINUTE
    run_id = stock.start(began, job="crm")
    made = [(began + n * timedelta(seconds=6), "/contacts", 200, 10, 100 if n < 350 else 900) for n in range(600)]
    stock.requests(run_id, made)
    kept = HealthReader()
    for _ in range(2):
        run = next(run for run in judge(kept, reader).runs if run.run_id == run_id)
    rose = began + 35 * MINUTE
    assert run.state_since is not None
    assert abs(run.state_since - rose) <= MINUTE
    assert "since then /contacts answers in" in run.evidence
    assert reader.asked["series_of_runs"] == 1


def test_a_past_is_read_once_and_again_when_a_run_has_completed(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm")
    run_id = stock.start(NOW - 5 * MINUTE, job="crm")
    kept = HealthReader()
    judge(kept, reader)
    assert reader.asked["runs_of_jobs"] == 2, "for the living run, and for those that completed"
    judge(kept, reader)
    assert reader.asked["runs_of_jobs"] == 2
    stock.end(run_id, NOW)
    stock.start(NOW, job="crm")
    judge(kept, reader)
    assert reader.asked["runs_of_jobs"] == 4
    kept.forget()
    judge(kept, reader)
    assert reader.asked["runs_of_jobs"] == 6


def test_a_past_is_read_again_after_a_while(stock: Stock, reader: Any) -> None:
    stock.start(NOW, job="crm")
    seconds = [0.0]
    kept = HealthReader(monotonic=lambda: seconds[0])
    judge(kept, reader)
    seconds[0] += BASELINE_HOLDS_S
    judge(kept, reader)
    assert reader.asked["runs_of_jobs"] == 2


def test_one_judgement_reads_no_more_pasts_than_its_budget_allows(
    stock: Stock, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "FULL_AT_ONCE", 1)
    for job in ("a", "b", "c"):
        stock.start(NOW - 60 * MINUTE, job=job)
    clock = iter(range(1000))
    careful = HealthReader(budget_s=0.5, monotonic=lambda: float(next(clock)))
    for known in (1, 2, 3):
        assert len(judge(careful, reader).baselines) == known


def test_only_jobs_that_are_asked_for_cost_questions(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm")
    stock.start(NOW - 60 * MINUTE, job="crm")
    stock.start(NOW, job="ads")
    health = judge(HealthReader(), reader, jobs={"ads"})
    assert {run.state for run in health.runs} == {"running", "completed"}
    assert set(health.baselines) == {"ads"}


def test_jobs_without_a_living_run_are_read_where_that_is_asked_for(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm")
    assert judge(HealthReader(), reader).baselines == {}
    assert reader.asked["runs_of_jobs"] == 1, "nothing lives: only completed runs are compared"
    baseline = judge(HealthReader(), reader, every_job=True).baselines["crm"]
    assert (baseline.runs, baseline.duration_s.usual) == (6, 600)
    assert baseline.pauses_s == {}, "what only a verdict needs is not read"


def test_an_own_series_is_read_every_ten_seconds_and_only_of_the_throttled(stock: Stock, reader: Any) -> None:
    run_id = stock.start(NOW - 5 * MINUTE, job="crm")
    kept = HealthReader()
    judge(kept, reader)
    assert reader.asked["series_of_runs"] == 0
    stock.requests(run_id, [(NOW - MINUTE, "/contacts", 429, 0, 100)])
    judge(kept, reader)
    judge(kept, reader)
    assert reader.asked["series_of_runs"] == 1


def test_a_past_that_the_same_runs_make_is_read_once(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm")
    known: dict[tuple[int, ...], JobBaseline] = {}
    first = read_baselines(reader_as_of(reader, NOW), ["crm"], cache=known)["crm"]
    assert read_baselines(reader_as_of(reader, NOW - MINUTE), ["crm"], cache=known)["crm"] is first
    assert reader.asked["pauses_of_runs"] == 1
    assert read_baselines(reader_as_of(reader, NOW - DAY), ["crm"], cache=known)["crm"].runs == first.runs - 1


def test_the_past_before_a_moment_knows_nothing_of_later_runs(stock: Stock, reader: Any) -> None:
    nightly(stock, "crm", nights=7)
    assert read_baseline(reader, "crm").runs == 7
    assert read_baseline(reader, "crm", before=NOW - 2 * DAY).runs == 5
    assert read_baseline(reader, "unknown").runs == 0


def test_many_pasts_are_read_with_the_same_few_questions(stock: Stock, reader: Any) -> None:
    jobs = [f"job-{n}" for n in range(8)]
    for job in jobs:
        nightly(stock, job, nights=2)
    together = read_baselines(reader, jobs)
    assert reader.asked == {"runs_of_jobs": 1, "phases": 1, "endpoints_of_runs": 1, "pauses_of_runs": 1}
    assert together == {job: read_baseline(reader, job) for job in jobs}


def test_a_conclusion_is_the_same_with_fewer_questions(stock: Stock, reader: Any) -> None:
    for job in ("crm", "ads", "erp", "well"):
        nightly(stock, job)
    stock.start(NOW - 30 * MINUTE, job="crm")
    stock.requests(stock.start(NOW - 9 * MINUTE, job="ads"), [(NOW - 9 * MINUTE, "/contacts", 200, 10, 100)])
    busy = stock.start(NOW - 2 * MINUTE, job="erp")
    stock.requests(busy, [(NOW - MINUTE + n * SECOND, "/contacts", 429, 0, 100) for n in range(20)])
    stock.start(NOW - MINUTE, job="well")
    living = reader.live_runs()
    usual = HealthReader().read(reader, living, now=NOW)
    reader.asked.clear()
    brief = HealthReader().read_briefly(reader, living, now=NOW)
    assert (brief.runs, brief.findings, brief.outage) == (usual.runs, usual.findings, usual.outage)
    found = {each.kind for findings in brief.findings.values() for each in findings}
    assert found == {"stalled", "slow", "throttled"}
    assert reader.asked["runs_of_jobs"] <= 3
    assert brief.baselines["well"].pauses_s == {}, "what no conclusion needs is not read"


def test_of_many_well_runs_only_their_durations_are_read(stock: Stock, reader: Any) -> None:
    for n in range(5):
        nightly(stock, f"job-{n}", nights=1)
        stock.start(NOW - MINUTE, job=f"job-{n}")
    HealthReader().read_briefly(reader, reader.live_runs(), now=NOW)
    assert reader.asked == {"live_runs": 1, "runs_of_jobs": 1}


# -- completed runs


def loaded(stock: Stock, began: datetime, *, items: int = 1_000, pages: int = 10, lost: int | None = None) -> int:
    """Return a run that fetched pages of 100 contacts, counted and loaded them; page `lost` was skipped."""
    run_id = stock.start(began, job="crm")
    rows = tuple(
        RequestRow(
            run_id=run_id, seq=number + 1, at_us=to_microseconds(began + number * SECOND), endpoint="/contacts",
            page_offset=100 * number, page_limit=100, status=200, items=items // pages, duration_ms=50,
            throttled=False, error=None,
        )
        for number in range(pages)
        if number != lost
    )  # fmt: skip
    stock.write(requests=rows, cells=tally(rows))
    stock.source_count(run_id, "contacts", items, began)
    done = items - (items // pages if lost is not None else 0)
    stock.phase(run_id, "load", began, status="completed", counters={"contacts": {"total": done, "processed": done}})
    stock.end(run_id, began + MINUTE)
    return run_id


def test_a_completed_run_is_compared_once_with_those_before_it(stock: Stock, reader: Any) -> None:
    for night in range(20, 2, -1):
        loaded(stock, NOW - night * DAY)
    hole, few = loaded(stock, NOW - 2 * DAY, lost=4), loaded(stock, NOW - DAY, items=300, pages=3)
    kept = HealthReader()
    health = judge(kept, reader)
    states = {run.run_id: (run.status, run.state) for run in health.runs}
    assert states[hole] == ("completed", "incomplete")
    assert states[few] == ("completed", "unusual")
    assert {run_id for run_id, (_, state) in states.items() if state != "completed"} == {hole, few}
    assert "no answer covers 100 offsets between 0 and 1,000, first 400 to 500" in health.findings[hole][0].evidence
    assert "300 contacts; the last 4 runs 1,000 to 1,000" in health.findings[few][0].evidence
    asked = Counter(reader.asked)
    judge(kept, reader)
    assert reader.asked["runs_of_jobs"] == asked["runs_of_jobs"], "what completed is compared once"
    assert reader.asked["pages"] == asked["pages"] <= 4, "pages are read of runs with holes alone"


def test_completed_runs_are_compared_job_by_job_within_the_budget(stock: Stock, reader: Any) -> None:
    for job in ("a", "b", "c"):
        run_id = stock.start(NOW - MINUTE, job=job)
        stock.end(run_id, NOW)
    clock = iter(range(1000))
    careful = HealthReader(budget_s=0.5, monotonic=lambda: float(next(clock)))
    assert [judge(careful, reader).jobs_left for _ in range(3)] == [2, 1, 0]


def test_a_past_moment_finds_what_was_found_then(stock: Stock, reader: Any) -> None:
    for night in range(20, 2, -1):
        loaded(stock, NOW - night * DAY)
    few = loaded(stock, NOW - 2 * DAY, items=300, pages=3)
    loaded(stock, NOW - DAY, items=300, pages=3)
    then = reader_as_of(reader, NOW - 2 * DAY + 5 * MINUTE)
    found = HealthReader().read(then, then.recent_runs(200), now=then.now())
    assert [run.state for run in found.runs if run.run_id == few] == ["unusual"]
