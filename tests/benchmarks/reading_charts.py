"""The charts' questions: all runs over a day, one run of a million requests; stocked by the writer that jobs use."""

from __future__ import annotations

import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import psycopg

from tests.benchmarks.measuring import Effort, Finding, interleaved, timed
from tests.benchmarks.places import Places
from tests.benchmarks.traffic import Traffic, run_start
from tracking_core.events import Batch
from tracking_core.histogram import bucket_of
from tracking_core.identity import first_run_id_at, new_writer_id
from tracking_core.requests import CellKey, Tally, tally
from tracking_core.store import open_store
from tracking_core.store.base import Writer
from tracking_core.store.queries import Reader

SECOND_US = 1_000_000
DAY_S = 86_400
SERIES_REQUESTS, SERIES_HOURS = 1_000_000, 8


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of the chart of all runs and of one run's series and percentiles."""
    with places.postgres_store() as dsn:
        store = open_store(dsn)
        with store.writer(60.0) as writer:
            _write_day(writer)
        _let_time_pass(dsn)
        with store.reader(60.0) as reader:
            return _charts(reader, effort)


def _write_day(writer: Writer) -> None:
    """Write a run of a million requests in eight hours, and a day of traffic of others: counted, without detail."""
    now_s = time.time_ns() // 1_000_000_000
    began_s = now_s - SERIES_HOURS * 3600
    run_id = first_run_id_at(began_s * SECOND_US) + 1
    steps = range(began_s - began_s % 10, now_s, 10)
    each = SERIES_REQUESTS // len(steps)
    cells = {CellKey(run_id, f"/{step // 10 % 4}", step): _tally(each) for step in steps}
    writer_id = new_writer_id()
    writer.write(Batch(writer_id=writer_id, batch_seq=1, starts=(run_start(run_id),)))
    numbers = itertools.count(2)
    for chosen in _in_parts(list(cells.items()), 500):
        writer.write(Batch(writer_id=writer_id, batch_seq=next(numbers), cells=dict(chosen)))
    old = first_run_id_at((now_s - DAY_S) * SECOND_US) + 2
    writer.write(Batch(writer_id=writer_id, batch_seq=next(numbers), starts=(run_start(old),)))
    day = [(CellKey(old, "/", step - step % 10), _tally(50)) for step in range(now_s - DAY_S, began_s, 60)]
    for chosen in _in_parts(day, 500):
        writer.write(Batch(writer_id=writer_id, batch_seq=next(numbers), cells=dict(chosen)))


def _let_time_pass(dsn: str) -> None:
    """Do what an hour brings along: writers come and go, each widens old cells a little; a vacuum."""
    store = open_store(dsn)
    for _ in range(30):
        traffic = Traffic()
        rows = traffic.rows(1)
        with store.writer(60.0) as writer:
            parts = Batch(writer_id=8, batch_seq=None, starts=traffic.starts(), requests=rows, cells=tally(rows))
            writer.write(parts)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _in_parts(cells: list[tuple[CellKey, Tally]], size: int) -> Iterator[list[tuple[CellKey, Tally]]]:
    for first in range(0, len(cells), size):
        yield cells[first : first + size]


def _tally(requests: int) -> Tally:
    chance = random.Random(requests)
    durations = [round(math.exp(chance.gauss(4.0, 0.6))) for _ in range(requests)]
    histogram: dict[int, int] = {}
    for duration in durations:
        histogram[bucket_of(duration)] = histogram.get(bucket_of(duration), 0) + 1
    return Tally(
        requests=requests, items=requests, duration_ms=sum(durations), max_ms=max(durations), status_2xx=requests,
        histogram=histogram,
    )  # fmt: skip


def _charts(reader: Reader, effort: Effort) -> list[Finding]:
    now_s = int(datetime.now().timestamp())
    run_id = max(reader.live_runs(), key=lambda run: run.requests).run_id
    end = reader.series(run_id)[-1].bucket
    questions: dict[str, tuple[Callable[[], object], float | None]] = {
        "throughput of all runs, 24 h": (lambda: reader.throughput(now_s - DAY_S, now_s, 600), 5.0),
        "series of a run of 1 M requests, as polled": (lambda: reader.series(run_id, end), 1.0),
        "  the whole of it, when the run is opened": (lambda: reader.series(run_id), None),
        "its percentiles": (lambda: reader.latencies([run_id]), 1.0),
    }
    costs = interleaved(
        {what: lambda ask=ask: timed(ask) for what, (ask, _) in questions.items()}, effort.rounds(100), warm_up=5
    )  # type: ignore[misc]
    rows = []
    for what, (_, most) in questions.items():
        milliseconds = statistics.median(costs[what]) * 1000
        rows.append(
            Finding(
                what=what,
                ours=milliseconds,
                unit="ms",
                budget="" if most is None else f"≤ {most:.0f} ms",
                met=None if most is None else milliseconds <= most,
            )
        )
    return rows
