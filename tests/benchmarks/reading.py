"""A poll: what it costs beside a bare SELECT, over a small store and a large one, and while jobs write all they can.

A poll is what `etlwatch.reading.gatherer` asks for a screen of 200 runs, in one view of the store. Judged are its
question that grows with what is visible, the rows themselves, and the whole of it, ready to be drawn.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import psycopg

from etlwatch.reading.gatherer import Gatherer, Watch
from tests.benchmarks.measuring import Effort, Finding, interleaved, median_ratio, quantile, timed
from tests.benchmarks.places import Places
from tests.benchmarks.stock import Fleet, stock
from tests.benchmarks.traffic import Traffic
from tracking_core import SimpleETLTracker
from tracking_core.records import Run
from tracking_core.store import open_store
from tracking_core.store.queries import Reader

VISIBLE = 200
MOST_WHOLE_MS = 4.0
FEW, MANY = 100_000, 11_000_000
CALLS = 1_000
POLL_EVERY_S = 0.01
BARE_SELECT = b"SELECT * FROM tracking.runs ORDER BY started_at DESC, run_id DESC LIMIT 200"


@dataclass(frozen=True, slots=True)
class Stocked:
    """A store of 200 runs, and who looks at it."""

    dsn: str
    reader: Reader
    bare: psycopg.Connection[tuple[object, ...]]
    gatherer: Gatherer

    def rows(self) -> list[Run]:
        """Read the rows of the visible runs."""
        with self.reader.one_view():
            return self.reader.recent_runs(VISIBLE)

    def bare_rows(self) -> list[tuple[object, ...]]:
        """Read the same with nothing but the driver."""
        return self.bare.execute(BARE_SELECT, binary=True).fetchall()

    def whole(self) -> object:
        """Read and judge all that the first screen shows."""
        return self.gatherer.read(self.reader, Watch(limit=VISIBLE))


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of a poll at rest and under ingest."""
    many = MANY // 20 if effort.quick else MANY
    with ExitStack() as stack:
        few = stack.enter_context(_stocked(places, FEW))
        lots = stack.enter_context(_stocked(places, many))
        return [*_at_rest(few, lots, many, effort), *_under_ingest(lots, effort)]


@contextmanager
def _stocked(places: Places, requests: int) -> Iterator[Stocked]:
    with places.postgres_store() as dsn:
        stock(dsn, Fleet(runs=VISIBLE, requests=requests // VISIBLE))
        with open_store(dsn).reader(60.0) as reader, psycopg.connect(dsn, autocommit=True) as bare:
            yield Stocked(dsn, reader, bare, Gatherer())


def _at_rest(few: Stocked, lots: Stocked, many: int, effort: Effort) -> list[Finding]:
    cases = {
        "few": lambda: timed(few.rows),
        "lots": lambda: timed(lots.rows),
        "bare": lambda: timed(lots.bare_rows),
        "whole, few": lambda: timed(few.whole),
        "whole": lambda: timed(lots.whole),
    }
    costs = interleaved(cases, effort.rounds(300), warm_up=40)
    middle = {name: statistics.median(values) * 1000 for name, values in costs.items()}
    size = f"{many // 1000:,} k requests".replace(",", " ")
    growth = median_ratio(costs["lots"], costs["few"])
    return [
        Finding(
            what=f"poll of {VISIBLE} runs",
            ours=middle["lots"],
            unit="ms",
            peer="a bare SELECT of them",
            theirs=middle["bare"],
            budget="≤ 1 ms",
            met=middle["lots"] <= 1,
            note=f"over {size}, nothing being written meanwhile; p99 {quantile(costs['lots'], 0.99) * 1000:.2f} ms; "
            f"{_processor_time(lots, effort)}",
        ),
        Finding(
            what=f"the same over {size}",
            ours=middle["lots"],
            unit="ms",
            peer=f"over {FEW // 1000} k",
            theirs=middle["few"],
            budget="≤ 1.2 ×",
            met=growth <= 1.2,
            judged_ratio=growth,
        ),
        Finding(
            what="a whole poll of the first screen, 20 of them alive",
            ours=middle["whole"],
            unit="ms",
            peer=f"over {FEW // 1000} k",
            theirs=middle["whole, few"],
            budget=f"≤ {MOST_WHOLE_MS:g} ms",
            met=middle["whole"] <= MOST_WHOLE_MS,
            note="now, rows, living ones below them, phases, traffic lately, switches; judged, in one view",
        ),
    ]


def _processor_time(stocked: Stocked, effort: Effort) -> str:
    """Say what a poll of the rows costs this process and the server's: a busy machine does not change that."""
    rounds = effort.rounds(1_000)
    stat = Path("/proc", str(stocked.reader.raw.info.backend_pid), "stat")  # type: ignore[attr-defined]
    before, own = _ticks(stat), time.process_time()
    for _ in range(rounds):
        stocked.rows()
    own_ms = (time.process_time() - own) / rounds * 1000
    server_ms = (_ticks(stat) - before) / os.sysconf("SC_CLK_TCK") / rounds * 1000
    return f"{own_ms:.2f} ms of processor time here, {server_ms:.2f} ms on the server"


def _ticks(stat: Path) -> int:
    try:
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0
    return int(user) + int(system)


def _under_ingest(stocked: Stocked, effort: Effort) -> list[Finding]:
    context = multiprocessing.get_context("fork")
    over, begun = context.Event(), context.Event()
    job = context.Process(target=_write_all_it_can, args=(stocked.dsn, begun, over))
    job.start()
    try:
        begun.wait()
        before, began = _stored(stocked), time.perf_counter()
        costs: dict[str, list[float]] = {"rows": [], "bare": [], "whole": []}
        for _ in range(effort.rounds(400)):
            for name, deed in (("rows", stocked.rows), ("bare", stocked.bare_rows), ("whole", stocked.whole)):
                time.sleep(POLL_EVERY_S)
                costs[name].append(timed(deed))
        rate = (_stored(stocked) - before) / (time.perf_counter() - began)
    finally:
        over.set()
        job.join()
    p99 = {name: quantile(values, 0.99) * 1000 for name, values in costs.items()}
    pace = f"{rate:,.0f} requests a second being committed by one process meanwhile".replace(",", " ")
    return [
        Finding(
            what="poll under full ingest, p99",
            ours=p99["rows"],
            unit="ms",
            peer="a bare SELECT's",
            theirs=p99["bare"],
            budget="≤ 8 ms",
            met=p99["rows"] <= 8,
            note=f"{pace}; median {statistics.median(costs['rows']) * 1000:.2f} ms",
        ),
        Finding(
            what="a whole poll under full ingest, p99",
            ours=p99["whole"],
            unit="ms",
            note=f"median {statistics.median(costs['whole']) * 1000:.2f} ms",
        ),
    ]


def _stored(stocked: Stocked) -> int:
    return sum(run.requests for run in stocked.rows())


def _write_all_it_can(dsn: str, begun: Event, over: Event) -> None:
    """Be a job that logs one request after the other and never waits for anything but the store."""
    tracker = SimpleETLTracker(dsn, delivery="buffered", overload="wait")
    run_id = tracker.start_run("full ingest", job="ingest")
    calls = Traffic().calls(CALLS)
    while not over.is_set():
        for endpoint, offset, limit, status, items, milliseconds in calls:
            tracker.log_request(run_id, endpoint, offset, limit, status, items, milliseconds)
        begun.set()
    tracker.end_run(run_id, success=True)
    tracker.close()
