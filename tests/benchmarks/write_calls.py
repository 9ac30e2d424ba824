"""What one buffered `log_request` costs the job that calls it, beside what such jobs use elsewhere.

Judged as a job has it: the writer, or a peer's thread, at work meanwhile, and the garbage collector on. What the
caller's side costs alone, with neither, is a row beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.benchmarks import peers
from tests.benchmarks.measuring import Case, Effort, Finding, interleaved, quantile, without_collections
from tests.benchmarks.places import Places
from tests.benchmarks.traffic import Traffic
from tracking_core import ETLContext, SimpleETLTracker

CALLS = 4_000
"""Calls a round: eight of our batches, and of what OpenTelemetry exports at a time."""

ALONE = 400
"""Calls a round that do not send the writer off."""

PAUSE_S = 0.02
REQUESTS = 50_000
MOST_CPU_US = 6.0
UPDATES = 20_000
MOST_PROGRESS_US = 3.0
SPAN, QUEUE = "OpenTelemetry span", "logging.QueueHandler"
METRIC, ASYNC = "MLflow log_metric", "MLflow log_metric, async"
SHARES = {METRIC: 8, ASYNC: 40}
"""Calls a round of the peers that are too slow for more."""


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of the caller's side."""
    calls = Traffic().calls(CALLS)
    rows: list[Finding] = []
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        tracker = SimpleETLTracker(stack.enter_context(places.postgres_store()), delivery="buffered")
        stack.callback(tracker.close)
        run_id = tracker.start_run(job="calls")
        log_request = tracker.log_request
        samples: dict[str, list[float]] = {}

        def ours() -> float:
            tracker.flush(5)
            return _each(lambda call: log_request(run_id, *call), calls, samples.setdefault("ours", []))

        def alone() -> float:
            tracker.flush(5)
            with without_collections():
                return _each(lambda call: log_request(run_id, *call), calls[:ALONE], samples.setdefault("alone", []))

        cases: dict[str, Case] = {"ours": ours, "alone": alone}
        for name, log in _peers(places, stack, missing).items():
            some = calls[: SHARES.get(name, CALLS)]
            cases[name] = _case(log, some, samples.setdefault(name, []))
        interleaved(cases, effort.rounds(25))
        rows.append(_processor(tracker, run_id, effort))
    return [*_rows(samples, missing), *rows, _progress(effort)]


def _progress(effort: Effort) -> Finding:
    """Return the row of `ETLContext.update_progress` without a memory limit, memory samples included."""
    context = ETLContext()
    context.start_phase("extract")
    costs = []
    for _ in range(effort.rounds(25)):
        began = time.perf_counter_ns()
        for _ in range(UPDATES):
            context.update_progress(conversations=1, messages=3)
        costs.append((time.perf_counter_ns() - began) / UPDATES / 1000)
    cost = statistics.median(costs)
    return Finding(
        what="ETLContext.update_progress, no memory limit",
        ours=cost,
        unit="µs",
        budget=f"≤ {MOST_PROGRESS_US:g} µs",
        met=cost <= MOST_PROGRESS_US,
        note=f"two units a call, the median of rounds of {UPDATES} calls",
    )


def _processor(tracker: SimpleETLTracker, run_id: int | None, effort: Effort) -> Finding:
    """Return the row of the processor time of a request, writer's thread included, from its call to its commit."""
    calls = Traffic().calls(effort.size(REQUESTS))
    costs = []
    for _ in range(effort.rounds(7)):
        tracker.flush(5)
        began = time.process_time()
        for number, call in enumerate(calls):
            tracker.log_request(run_id, *call)
            if number % CALLS == CALLS - 1:
                tracker.flush(5)
        tracker.flush(5)
        costs.append((time.process_time() - began) / len(calls) * 1e6)
    cost = statistics.median(costs)
    return Finding(
        what="processor time of a request, writer's thread included",
        ours=cost,
        unit="µs",
        budget=f"≤ {MOST_CPU_US:g} µs",
        met=cost <= MOST_CPU_US,
        note=f"PostgreSQL, {CALLS} requests between two flushes",
    )


def _peers(places: Places, stack: ExitStack, missing: dict[str, str]) -> dict[str, peers.Log]:
    found = {QUEUE: stack.enter_context(peers.queue_handler())}
    try:
        found[SPAN] = stack.enter_context(peers.opentelemetry_span())
    except ImportError as error:
        missing[SPAN] = f"{error.name} is not installed"
    try:
        found[METRIC], found[ASYNC] = stack.enter_context(peers.mlflow_metrics(places.directory))
    except ImportError as error:
        missing[METRIC] = missing[ASYNC] = f"{error.name} is not installed"
    return found


def _case(log: peers.Log, calls: Sequence[peers.Call], samples: list[float]) -> Case:
    def case() -> float:
        time.sleep(PAUSE_S)
        return _each(log, calls, samples)

    return case


def _each(log: peers.Log, calls: Sequence[peers.Call], samples: list[float]) -> float:
    clock = time.perf_counter_ns
    taken = []
    for call in calls:
        began = clock()
        log(call)
        taken.append(clock() - began)
    samples.extend(cost / 1000 for cost in taken)
    return statistics.median(taken) / 1e9


def _rows(samples: dict[str, list[float]], missing: dict[str, str]) -> list[Finding]:
    p50 = {name: quantile(costs, 0.5) for name, costs in samples.items()}
    p99 = {name: quantile(costs, 0.99) for name, costs in samples.items()}
    mine = p50["ours"]
    rows = [
        Finding(
            what="buffered log_request, p50",
            ours=mine,
            unit="µs",
            budget="p50 ≤ 1.5 µs",
            met=mine <= 1.5,
            note=f"each call timed alone, its clock's {_clock_cost():.2f} µs included; writer at work, collector on",
        ),
        Finding(what="  the caller's side alone, p50", ours=p50["alone"], unit="µs"),
    ]
    for name in (SPAN, QUEUE, METRIC, ASYNC):
        budget = "≤ 0.06 ×" if name == SPAN else ""
        if name in missing:
            rows.append(
                Finding(what="  p50", ours=mine, unit="µs", peer=name, budget=budget, note=f"{name}: {missing[name]}")
            )
            continue
        met = mine <= 0.06 * p50[name] if budget else None
        rows.append(Finding(what="  p50", ours=mine, unit="µs", peer=name, theirs=p50[name], budget=budget, met=met))
        rows.append(Finding(what="  p99", ours=p99["ours"], unit="µs", peer=name, theirs=p99[name]))
    return rows


def _clock_cost() -> float:
    clock = time.perf_counter_ns
    costs = []
    for _ in range(2000):
        began = clock()
        costs.append(clock() - began)
    return statistics.median(costs) / 1000
