"""What the statistics of a window are read with: a few questions, whatever else is stored."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from etlwatch.reading.jobs import read_stats
from tests.store.stocking import Stock

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Counting:
    """A reader that counts what it is asked and how many runs it hands out."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self._reader, name)


def read(stock: Stock, **options: Any) -> tuple[Any, Counter[str]]:
    with stock.store.reader(5.0) as connection:
        connection.at = NOW  # type: ignore[attr-defined]
        reader = Counting(connection)
        return read_stats(reader, HOUR, 300, **options), reader.asked  # type: ignore[arg-type]


def test_a_window_takes_the_same_few_questions_for_any_number_of_jobs(stock: Stock) -> None:
    for n in range(6):
        stock.finished(NOW - 30 * MINUTE, NOW - 20 * MINUTE, job=f"job-{n}", requests=5)
        stock.finished(NOW - 9 * HOUR, NOW - 8 * HOUR, job=f"old-{n}", requests=5)
    stats, asked = read(stock)
    assert [job.job for job in stats.jobs] == [f"job-{n}" for n in range(6)], "what ended before it is not in it"
    assert asked == {
        "one_view": 1, "now": 1, "outlines_since": 1, "live_runs": 1, "series_of_jobs": 1, "throughput": 1,
    }  # fmt: skip


def test_a_run_counts_with_the_part_that_lies_in_the_window(stock: Stock) -> None:
    run_id = stock.start(NOW - 2 * HOUR, job="crm")
    stock.requests(run_id, [(NOW - HOUR - 10 * MINUTE, "/a", 200, 1, 100)] * 4)
    stock.requests(run_id, [(NOW - 30 * MINUTE, "/a", 200, 1, 100)] * 3 + [(NOW - 5 * MINUTE, "/a", 500, 0, 100)] * 2)
    stock.end(run_id, NOW - MINUTE, status="failed")
    stats, _ = read(stock, takes=lambda job: job == "crm")
    (job,) = stats.jobs
    assert (job.began, job.failed, job.completed, job.living) == (0, 1, 0, 0)
    assert (round(job.traffic.requests), round(job.traffic.failed), round(job.traffic.server_errors)) == (5, 2, 2)
    assert round(stats.total.requests) == 5
    assert read(stock)[0].jobs == read(stock, takes=lambda _: True)[0].jobs
