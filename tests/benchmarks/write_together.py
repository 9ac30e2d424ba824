"""Two writers on one run beside the same two on two runs: what sharing a run costs."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from multiprocessing.synchronize import Barrier

from tests.benchmarks.measuring import Effort, Finding, interleaved, median_ratio, medians
from tests.benchmarks.places import Places
from tests.benchmarks.traffic import Traffic
from tracking_core.events import Batch
from tracking_core.identity import new_writer_id
from tracking_core.requests import RequestColumns, tally
from tracking_core.store import open_store

BATCHES = 60
BATCH = 500
LEAST = 0.85


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the one row."""
    batches = effort.size(BATCHES)
    with places.postgres_store() as dsn:
        costs = interleaved(
            {"one": lambda: _race(dsn, batches, shared=True), "two": lambda: _race(dsn, batches, shared=False)},
            effort.rounds(9),
        )
    middle = medians(costs)
    rows = 2 * batches * BATCH
    ratio = median_ratio(costs["two"], costs["one"])
    return [
        Finding(
            what="two writers on one run",
            ours=rows / middle["one"],
            unit="rows/s",
            peer="the same on two runs",
            theirs=rows / middle["two"],
            budget=f"≥ {LEAST} ×",
            met=ratio >= LEAST,
            judged_ratio=ratio,
        )
    ]


def _race(dsn: str, batches: int, *, shared: bool) -> float:
    context = multiprocessing.get_context("fork")
    traffics = [Traffic()] * 2 if shared else [Traffic(), Traffic()]
    with open_store(dsn).writer(60.0) as writer:
        for traffic in traffics:
            writer.write(Batch(writer_id=new_writer_id(), batch_seq=1, starts=traffic.starts()))
    ready = context.Barrier(3)
    done = context.Barrier(3)
    racers = [
        context.Process(target=_write, args=(dsn, traffic.run_ids[0], batches, ready, done)) for traffic in traffics
    ]
    for racer in racers:
        racer.start()
    ready.wait()
    began = time.perf_counter()
    done.wait()
    cost = time.perf_counter() - began
    for racer in racers:
        racer.join()
    return cost


def _write(dsn: str, run_id: int, batches: int, ready: Barrier, done: Barrier) -> None:
    traffic = Traffic()
    sealed = []
    writer_id = new_writer_id()
    numbers = itertools.count(1)
    for batch_seq in range(1, batches + 1):
        rows = RequestColumns.of([row._replace(run_id=run_id, seq=next(numbers)) for row in traffic.rows(BATCH)])
        sealed.append(Batch(writer_id=writer_id, batch_seq=batch_seq, requests=rows, cells=tally(rows)))
    with open_store(dsn).writer(60.0) as writer:
        ready.wait()
        for batch in sealed:
            writer.write(batch)
        done.wait()
