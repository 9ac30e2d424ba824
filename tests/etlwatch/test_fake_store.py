"""The store of the dashboard's tests answers as a real one does that holds the same runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.etlwatch.fleet import FakeStore
from tests.store.stocking import Stock
from tracking_core import histogram
from tracking_core.clock import to_microseconds
from tracking_core.records import SeriesCell
from tracking_core.requests import RequestRow, tally
from tracking_core.store import open_store

NOW = datetime(2026, 3, 2, 3, 0, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SINCE = int((NOW - 3 * HOUR).timestamp())
UNTIL = int((NOW - HOUR).timestamp())


def fill(stock: Stock) -> None:
    """Record runs of three jobs: ended, failed, living, two begun in one moment; with requests, phases and errors."""
    for hours, job, status in (
        (9, "crm", "completed"), (8, "ads", "failed"), (6, "crm", "failed"), (6, "ads", "completed"),
        (4, "crm", "completed"), (3, "import", "completed"), (2, "crm", None), (1, "ads", None),
    ):  # fmt: skip
        began = NOW - hours * HOUR
        run_id = stock.start(began, job=job, notes=f"{job} {hours}")
        made = [(began + n * MINUTE, f"/{n % 3}", 429 if n == 4 else 200, 10, 50 + n) for n in range(hours + 3)]
        stock.requests(run_id, made)
        paged = tuple(
            RequestRow(run_id, 1_000 + n, to_microseconds(began), "/paged", n, 10, 200, 10, 50, False, None)
            for n in (hours, 10 * hours)
        )
        stock.write(requests=paged, cells=tally(paged))
        for position, phase in enumerate(("list", "load"), 1):
            for minute in range(3):
                counters = {"rows": {"total": 9, "processed": minute}}
                stock.phase(run_id, phase, began + minute * MINUTE, position=position, counters=counters)
        stock.source_count(run_id, "contacts", 100 * hours, began)
        stock.ledger(run_id, emitted=hours)
        if hours % 2 == 0:
            stock.error(run_id, f"first of {run_id}", began + MINUTE)
            stock.error(run_id, f"second of {run_id}", began + 30 * MINUTE)
        if status is not None:
            stock.end(run_id, began + 40 * MINUTE, status=status)
    with stock.store.administration(5.0) as admin:
        admin.set_switch(enabled=False, job="ads", actor="ana", reason="quiet")


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """Yield the reader of a file, and that of a FakeStore made of what the file tells."""
    dsn = f"sqlite:///{tmp_path_factory.mktemp('real') / 'runs.db'}"
    open_store(dsn).initialize()
    stock = Stock(dsn)
    fill(stock)
    with stock.store.reader(30.0) as connection:
        real: Any = connection
        real.at = NOW
        ids = [run.run_id for run in real.recent_runs(100)]
        fake = FakeStore(
            runs=real.recent_runs(100),
            phase_list=real.phases(ids),
            histograms=real.latencies(ids),
            error_list=real.errors(limit=100),
            switch_list=real.switches(),
            endpoint_list=real.endpoints_of_runs(ids),
            series_lists=real.series_of_runs(ids, 0),
            pauses=real.pauses_of_runs(ids),
            sample_list=[sample for run_id in ids for sample in real.phase_samples(run_id)],
            source_list=real.source_counts(ids),
            ledger_list=[entry for run_id in ids for entry in real.ledger(run_id)],
            cells=real.throughput(0, int(NOW.timestamp()) + 60, 10),
            page_lists={run_id: real.pages(run_id) for run_id in ids},
            clock=NOW,
        )
        yield real, fake.reader(30.0)
    stock.close()


def of_each(question: Callable[[Any, int], Any]) -> Callable[[Any, list[int]], Any]:
    """Return a question about each run, and about one that is not there."""
    return lambda reader, ids: [question(reader, run_id) for run_id in (*ids, 1)]


def summed(cells: list[SeriesCell]) -> list[SeriesCell]:
    """Return cells with each bucket of their histograms once: a reader may repeat it."""
    whole = [replace(cell, histogram=tuple(histogram.pack(histogram.unpack(cell.histogram)))) for cell in cells]
    return sorted(whole, key=lambda cell: (cell.bucket, cell.width, cell.requests, cell.histogram))


JOBS = ["ads", "crm", "nobody"]
QUESTIONS: dict[str, Callable[[Any, list[int]], Any]] = {
    "now": lambda reader, _: reader.now(),
    "recent_runs": lambda reader, _: [reader.recent_runs(limit) for limit in (0, 3, 100)],
    "recent_runs before": lambda reader, _: [
        reader.recent_runs(3, before=(run.started_at, run.run_id)) for run in reader.recent_runs(100)
    ],
    "runs_in_status": lambda reader, _: [reader.runs_in_status(["failed", "running"], limit) for limit in (1, 9)],
    "runs_in_status before": lambda reader, ids: reader.runs_in_status(["completed"], 9, before=(NOW - 4 * HOUR, 0)),
    "live_runs": lambda reader, _: [reader.live_runs(limit) for limit in (None, 1)],
    "live_runs before": lambda reader, _: reader.live_runs(before=(NOW - 90 * MINUTE, 0)),
    "count_live": lambda reader, _: reader.count_live(),
    "count_runs": lambda reader, _: [
        reader.count_runs(),
        reader.count_runs(jobs=JOBS[:2], statuses=["failed", "running"], since=NOW - 6 * HOUR, until=NOW - HOUR),
    ],
    "run": of_each(lambda reader, run_id: reader.run(run_id)),
    "latest_run_id": lambda reader, _: [reader.latest_run_id(job) for job in JOBS],
    "job_names": lambda reader, _: [reader.job_names(limit) for limit in (None, 2)],
    "runs_of_job": lambda reader, _: [reader.runs_of_job(job, limit) for job in JOBS for limit in (1, 9)],
    "runs_of_job completed": lambda reader, _: reader.runs_of_job("crm", 9, completed=True, before=NOW - 5 * HOUR),
    "runs_of_job by then": lambda reader, _: reader.runs_of_job("crm", 9, completed_by=NOW - 3 * HOUR),
    "runs_of_jobs": lambda reader, _: reader.runs_of_jobs(JOBS, 2, before=NOW - 3 * HOUR),
    "outlines_of_jobs": lambda reader, _: reader.outlines_of_jobs(JOBS, 2, before=NOW - HOUR),
    "outlines_since": lambda reader, _: [
        sorted(reader.outlines_since(NOW - 6 * HOUR, jobs), key=lambda run: run.run_id) for jobs in (None, ["crm"])
    ],
    "runs_alive_at": lambda reader, _: [reader.runs_alive_at(NOW - 90 * MINUTE, NOW - 9 * HOUR, n) for n in (1, 9)],
    "count_alive_at": lambda reader, _: reader.count_alive_at(NOW - 345 * MINUTE, NOW - 9 * HOUR),
    "phases": lambda reader, ids: reader.phases(ids[2:5]),
    "phase_samples": of_each(lambda reader, run_id: reader.phase_samples(run_id)),
    "samples_until": lambda reader, ids: reader.samples_until(ids, UNTIL),
    "endpoints": of_each(lambda reader, run_id: reader.endpoints(run_id)),
    "endpoint_names": lambda reader, ids: reader.endpoint_names([*ids[:3], 1]),
    "throughput": lambda reader, _: [summed(reader.throughput(SINCE, UNTIL, step)) for step in (10, 60, 600)],
    "pages": of_each(lambda reader, run_id: reader.pages(run_id)),
    "series_of_jobs": lambda reader, ids: [
        {
            job: summed(cells)
            for job, cells in reader.series_of_jobs({"a": ids[:3], "b": ids[3:5]}, SINCE, UNTIL, step=step).items()
        }
        for step in (None, 60, 600)
    ],
    "latencies": lambda reader, ids: reader.latencies([*ids[:3], 1]),
    "series": of_each(lambda reader, run_id: reader.series(run_id, SINCE)),
    "series_of_runs": lambda reader, ids: reader.series_of_runs(ids, SINCE, until=UNTIL),
    "pauses_of_runs": lambda reader, ids: reader.pauses_of_runs([*ids[:2], 1]),
    "traffic_until": lambda reader, ids: reader.traffic_until(ids, UNTIL),
    "recent_traffic": lambda reader, ids: reader.recent_traffic(ids, SINCE),
    "errors": lambda reader, _: [reader.errors(limit=limit) for limit in (1, 3, 100)],
    "errors of a run": of_each(lambda reader, run_id: reader.errors(run_id, until=NOW - 90 * MINUTE)),
    "errors_until": lambda reader, ids: reader.errors_until(ids, NOW - 115 * MINUTE),
    "error_groups": lambda reader, _: [reader.error_groups(NOW - hours * HOUR) for hours in (3, 9)],
    "error_groups before": lambda reader, _: reader.error_groups(NOW - 9 * HOUR, 1, before=NOW - 3 * HOUR),
    "error_groups of jobs": lambda reader, _: reader.error_groups(NOW - 9 * HOUR, jobs=["ads"]),
    "error_groups_named": lambda reader, _: reader.error_groups_named([("crm", "f00d"), ("crm", "0")]),
    "source_counts": lambda reader, ids: reader.source_counts([*ids[:2], 1]),
    "ledger": of_each(lambda reader, run_id: reader.ledger(run_id)),
    "switches": lambda reader, _: reader.switches(),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_answers_as_a_file_does(readers: tuple[Any, Any], question: str) -> None:
    real, fake = readers
    ids = [run.run_id for run in real.recent_runs(100)]
    assert QUESTIONS[question](fake, ids) == QUESTIONS[question](real, ids)
