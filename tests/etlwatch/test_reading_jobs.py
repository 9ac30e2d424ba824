"""The histories of jobs: what is asked for one, what is remembered, and when it is asked again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from etlwatch.analysis.jobs import build_job
from etlwatch.reading import jobs as gather_jobs
from etlwatch.reading.jobs import HOLDS_S, JobHistoryCache, read_histories, read_rows
from tests.etlwatch.fleet import FakeStore, make_run
from tests.etlwatch.job_night import PARIS, ended_runs
from tracking_core.records import Run


def read(gatherer: JobHistoryCache, store: FakeStore) -> dict[str, int]:
    with store.reader(5.0) as reader:
        return {history.job: len(history.runs) for history in gatherer.read(reader, store.runs)}


def hourly(job: str, count: int) -> list[Run]:
    return ended_runs(job, 10, count=count, since=60, every=60)


def test_a_jobs_history_is_its_last_thirty_runs_and_the_past_of_the_completed() -> None:
    store = FakeStore(runs=ended_runs("sync", 10, count=40, since=60, every=24 * 60, failed=range(12)))
    with store.reader(5.0) as reader:
        history = read_histories(reader, ["sync"], PARIS)["sync"]
    assert len(history.runs) == len(history.starts) == 30
    assert history.baseline.runs == 28, "all completed runs there are, also those beyond the thirty"
    assert history.rhythm is not None


def test_of_a_job_that_begins_often_more_beginnings_are_read_than_are_shown() -> None:
    store = FakeStore(runs=hourly("sync", 300))
    with store.reader(5.0) as reader:
        history = read_histories(reader, ["sync"], PARIS)["sync"]
    assert (len(history.runs), len(history.starts)) == (30, 200)


def test_a_job_is_read_again_when_a_run_of_it_began_or_ended() -> None:
    store, gatherer = FakeStore(runs=[*hourly("a", 5), *hourly("b", 5)]), JobHistoryCache()
    assert read(gatherer, store) == {"a": 5, "b": 5}
    store.asked = Counter()
    read(gatherer, store)
    assert store.asked["runs of jobs"] == 0
    store.runs.append(make_run("a", minutes_ago=1))
    assert read(gatherer, store) == {"a": 6, "b": 5}
    assert store.asked["runs of jobs"] == 1
    store.runs[-1] = replace(store.runs[-1], status="completed", state="completed", ended_at=store.clock)
    read(gatherer, store)
    assert store.asked["runs of jobs"] == 2


def test_a_job_is_read_again_after_a_while_and_a_removed_one_forgotten() -> None:
    seconds = [0.0]
    store, gatherer = FakeStore(runs=hourly("a", 5)), JobHistoryCache(monotonic=lambda: seconds[0])
    read(gatherer, store)
    seconds[0] = HOLDS_S
    store.runs = hourly("b", 2)
    assert read(gatherer, store) == {"b": 2}


def test_one_call_reads_no_more_jobs_than_its_budget_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_jobs, "JOBS_AT_ONCE", 1)
    store = FakeStore(runs=[run for job in "abc" for run in hourly(job, 3)])
    clock = iter(range(1000))
    gatherer = JobHistoryCache(budget_s=0.5, monotonic=lambda: float(next(clock)))
    for known, complete in ((1, False), (2, False), (3, True)):
        assert len(read(gatherer, store)) == known
        assert gatherer.complete is complete


def test_jobs_of_the_runs_at_hand_are_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_jobs, "JOBS_AT_ONCE", 1)
    store = FakeStore(runs=[*hourly("a", 3), *hourly("z", 3)])
    gatherer = JobHistoryCache(budget_s=0.0)
    with store.reader(5.0) as reader:
        (first,) = gatherer.read(reader, [run for run in store.runs if run.job == "z"])
    assert first.job == "z"


def test_more_beginnings_are_read_only_of_a_job_that_is_late() -> None:
    late = ended_runs("late", 10, count=60, since=180, every=60)
    store = FakeStore(
        runs=[*late, *(run for job in "abc" for run in ended_runs(job, 10, count=60, since=30, every=60))]
    )
    with store.reader(5.0) as reader:
        rows = {row.job: row for row in read_rows(reader, ["late", *"abc"], {}, now=store.clock, zone=PARIS)}
        whole = read_histories(reader, ["late", *"abc"], PARIS)
    assert rows == {job: build_job(history, now=store.clock, zone=PARIS) for job, history in whole.items()}
    assert rows["late"].overdue_s is not None
    assert store.asked["runs of jobs"] == 2 * 4 + 1 + 4, "histories twice, beginnings of the late one and then of all"


def test_jobs_beyond_those_that_are_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_jobs, "MOST_JOBS", 2)
    store, gatherer = FakeStore(runs=[run for job in "abcde" for run in hourly(job, 3)]), JobHistoryCache()
    assert len(read(gatherer, store)) == 2
    assert (gatherer.complete, gatherer.there_are) == (True, 5)
