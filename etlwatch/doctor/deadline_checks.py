"""Checks of what a job suffers from a store that is away: against peers of our own, never against the user's server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from statistics import median

from etlwatch.doctor import peers, probe
from etlwatch.doctor.findings import Result, brief, failed, ok
from etlwatch.doctor.patient import Patient
from etlwatch.doctor.probe import Probe
from tracking_core import identity
from tracking_core.errors import StoreError
from tracking_core.store.base import Store
from tracking_core.store.examining import PROBE_ERA_S

DEADLINE_S = 0.5
"""What the peers are given; a job's own deadline is kept by the same code."""

GRACE_S = 0.25
"""What a call may take beyond its deadline (P3)."""

BREAKER_CALLS = 200
BREAKER_S = 0.001
BUFFERED_CALLS = 2_000
BUFFERED_S = 0.005
START_S = 0.05


def check_silent(patient: Patient) -> Result:
    """Meet a store that says nothing: a server that accepts, or a file that another process holds."""
    if patient.is_postgres:
        return _meet(peers.silent, lambda store: store.reader(DEADLINE_S))
    return _meet(peers.held_file, _write)


def check_falling_silent(_patient: Patient) -> Result:
    """Meet a server that falls silent on a live connection."""
    return _meet(peers.falling_silent, lambda store: store.reader(DEADLINE_S))


def check_refused(_patient: Patient) -> Result:
    """Meet a port where nobody listens."""
    return _meet(peers.refusing, lambda store: store.reader(DEADLINE_S))


def _write(store: Store) -> object:
    nobody = _nobody()
    with store.writer(DEADLINE_S) as writer:
        return writer.write(probe.batch_of(nobody, identity.new_writer_id(), None, [1], begins=True))


def _nobody() -> Probe:
    """Return a probe that no store will ever see."""
    return Probe(identity.new_run_id(), PROBE_ERA_S[0])


def _meet(peer: Callable[[], AbstractContextManager[Store]], call: Callable[[Store], object]) -> Result:
    with peer() as store:
        began = time.monotonic()
        try:
            call(store)
        except StoreError:
            return judge_deadline(time.monotonic() - began)
        return failed("it answered", "Something on this machine answers in the place of what never does.")


def judge_deadline(took: float) -> Result:
    """Judge the seconds after which a call gave up."""
    figure = f"gave up after {brief(took)}, {DEADLINE_S:g} s allowed"
    value = round(took * 1000, 1)
    if took > DEADLINE_S + GRACE_S:
        return failed(figure, "A job would wait longer than its deadline.", value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def check_breaker(patient: Patient) -> Result:
    """Call on after a call has failed: the breaker answers in the store's place."""
    with (peers.silent if patient.is_postgres else peers.held_file)() as store:
        delivery, _ = probe.immediate(lambda: store, DEADLINE_S)
        nobody = _nobody()
        delivery.begin(probe.start_of(nobody))
        took = []
        for index in range(BREAKER_CALLS):
            began = time.perf_counter()
            delivery.request(probe.raw_request(nobody, index))
            took.append(time.perf_counter() - began)
    return judge_breaker(took)


def judge_breaker(took: Sequence[float]) -> Result:
    """Judge the seconds of calls while the breaker is open; the odd pause of a busy machine is not its fault."""
    typical, worst = median(took), max(took)
    figure = f"p50 {brief(typical)}, worst {brief(worst)} a call"
    value = round(typical * 1000, 4)
    if typical >= BREAKER_S:
        return failed(figure, "A job pays for every call while its store is away.", value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def check_buffered_without_store(patient: Patient) -> Result:
    """Begin a run and record into it with buffered delivery while the store says nothing."""
    with (peers.silent if patient.is_postgres else peers.held_file)() as store:
        delivery, _ = probe.buffered(lambda: store, DEADLINE_S)
        nobody = _nobody()
        try:
            began = time.perf_counter()
            delivery.begin(probe.start_of(nobody))
            start = time.perf_counter() - began
            took = []
            for index in range(BUFFERED_CALLS):
                began = time.perf_counter()
                delivery.request(probe.raw_request(nobody, index))
                took.append(time.perf_counter() - began)
        finally:
            delivery.leave(time.monotonic() + DEADLINE_S)
    return judge_buffered(start, took)


def judge_buffered(start: float, took: Sequence[float]) -> Result:
    """Judge the seconds of a run's start and of its calls; of a thousand calls one may meet a busy machine."""
    slowest = sorted(took)[-1 - len(took) // 1000]
    figure = f"start {brief(start)}, calls p50 {brief(median(took))}, p99.9 {brief(slowest)}"
    value = round(slowest * 1000, 4)
    if start >= START_S or slowest >= BUFFERED_S:
        return failed(figure, "A job feels that its store is away.", value=value, unit="ms")
    return ok(figure, value=value, unit="ms")
