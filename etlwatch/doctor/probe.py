"""Checks that write probes: runs of a job of their own, written as jobs write, read back and removed by their ids.

The requests of a probe are dated into years without runs, each probe on its own day, so that its share in the totals of
all runs can be told apart and removed. A probe has no spool: what the store does not take is discarded.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from statistics import median

from etlwatch.doctor.checks import Check, Probe, Result, Target, brief, failed, noted, ok
from etlwatch.text.numbers import number_of
from tracking_core import identity
from tracking_core.delivery.buffered import BufferedDelivery
from tracking_core.delivery.health_log import HealthLog
from tracking_core.delivery.immediate import ImmediateDelivery
from tracking_core.delivery.spool import DiskSpool
from tracking_core.delivery.store_link import StoreLink
from tracking_core.events import Batch, RawCount, RawEnd, RawError, RawPhase, RawRequest, RunStart
from tracking_core.failures import Failure
from tracking_core.identity import VERSION
from tracking_core.liveness import LOST_AFTER_INTERVALS, liveness_of
from tracking_core.requests import RequestRow, tally
from tracking_core.store.administration import PROBE_ERA_S, PROBE_JOB, Figures
from tracking_core.store.base import Store
from tracking_core.switch import TrackingSwitch

TAG = "etlwatch-doctor"
HEARTBEAT_INTERVAL_S = 10.0
ABANDONED_AFTER_S = 600.0
"""Older probes were left by a doctor that was killed."""

_DAY_S = 86_400
_WIDEST_CELL_S = 600
_MOST_PROBES = 100
_STATUSES = (200, 200, 200, 201, 304, 404, 429, 500, None)
_ENDPOINTS = ("/etlwatch-doctor/a", "/etlwatch-doctor/b", "/etlwatch-doctor/c")

IMMEDIATE_REQUESTS = 20
BUFFERED_REQUESTS = 600
"""More than one batch holds, so that one of them is full."""

RESENT_REQUESTS = 50
PATIENCE_S = 15.0
LIMIT_S = 25.0
"""For a check that writes a probe."""


def new_probe(target: Target, *writer_ids: int) -> Probe:
    """Return a new probe, listed for removal before anything of it is written."""
    if target.probes:
        day_s = target.probes[-1].day_s + _DAY_S
    else:
        begin, end = PROBE_ERA_S
        day_s = random.randrange(begin, end - _MOST_PROBES * _DAY_S, _WIDEST_CELL_S)
    probe = Probe(identity.new_run_id(), day_s, list(writer_ids))
    target.probes.append(probe)
    return probe


def unstored_probe() -> Probe:
    """Return a probe that reaches no store."""
    return Probe(identity.new_run_id(), PROBE_ERA_S[0])


def start_of(probe: Probe) -> RunStart:
    """Return the start event of a probe."""
    return RunStart(
        run_id=probe.run_id,
        job=PROBE_JOB,
        notes="a test by `etlwatch doctor`, which removes it again",
        tags={TAG: "probe"},
        started_us=time.time_ns() // 1000,
        host=identity.host_name(),
        pid=os.getpid(),
        boot_id=identity.boot_id(),
        username=identity.user_name(),
        command="etlwatch doctor",
        code_version=identity.code_version(),
        tracker_version=VERSION,
        heartbeat_interval_s=HEARTBEAT_INTERVAL_S,
    )


def raw_request(probe: Probe, index: int) -> RawRequest:
    """Return a request as a tracker passes it to a delivery: several endpoints, all kinds of status, ten a second."""
    at_us = probe.day_s * 1_000_000 + index * 100_000
    endpoint, status = _ENDPOINTS[index % len(_ENDPOINTS)], _STATUSES[index % len(_STATUSES)]
    return (probe.run_id, at_us, endpoint, index * 10, 10, status, 10, 5.0 + index % 50, False, None)


def batch_of(probe: Probe, writer_id: int, batch_seq: int | None, seqs: Sequence[int], *, begins: bool) -> Batch:
    """Return requests of a probe as one batch, built as a delivery builds it."""
    rows = tuple(_row(probe, seq) for seq in seqs)
    starts = (start_of(probe),) if begins else ()
    return Batch(writer_id=writer_id, batch_seq=batch_seq, starts=starts, requests=rows, cells=tally(rows))


def _row(probe: Probe, seq: int) -> RequestRow:
    run_id, at_us, endpoint, offset, limit, status, items, duration, _, error = raw_request(probe, seq)
    return RequestRow(
        run_id=run_id,
        seq=seq,
        at_us=at_us,
        endpoint=endpoint,
        page_offset=None if offset is None else int(offset),
        page_limit=None if limit is None else int(limit),
        status=None if status is None else int(status),
        items=int(items),
        duration_ms=int(duration),
        throttled=status == 429,
        error=error,
    )


class FirstError(HealthLog):
    """The first error of a delivery, kept for display instead of being logged."""

    writes_stderr = False

    def __init__(self) -> None:
        super().__init__()
        self.cause = ""

    def failed(self, error: BaseException, label: str) -> None:  # noqa: ARG002 - the signature is the base's
        """Keep the first error."""
        self.cause = self.cause or str(error) or type(error).__name__

    def refused(self, run_id: int, reason: str) -> None:  # noqa: ARG002 - as above
        """Keep the reason of the first rejection."""
        self.cause = self.cause or f"rejected by the store: {reason}"


def link_to(open_store: Callable[[], Store], deadline: float) -> tuple[StoreLink, FirstError]:
    """Return what a tracker's delivery sends over, but without a spool and not affected by the environment."""
    errors, switch = FirstError(), TrackingSwitch(environ={})
    return StoreLink(
        open_store, deadline=deadline, switch=switch, make_spool=lambda: DiskSpool("", ()), health=errors
    ), errors


def remove_leftovers(target: Target) -> int:
    """Remove the probes of doctors that were killed; return their number."""
    mine = {probe.run_id for probe in target.probes}
    with target.store().reader(target.patience) as reader:
        now = reader.now()
        left = [
            run.run_id
            for run in reader.runs_of_job(PROBE_JOB, _MOST_PROBES)
            if TAG in run.tags and run.run_id not in mine and (now - run.started_at).total_seconds() > ABANDONED_AFTER_S
        ]
    if left:
        with target.examiner(may_write=True) as examiner:
            for run_id in left:
                with suppress(ValueError):
                    examiner.forget_probe(run_id)
    return len(left)


def check_immediate(target: Target) -> Result:
    """Record a whole run with immediate delivery and read it back."""
    probe = new_probe(target)
    link, errors = link_to(target.store, target.deadline)
    delivery = ImmediateDelivery(link)
    taken = [delivery.begin(start_of(probe))]
    took = []
    for index in range(IMMEDIATE_REQUESTS):
        began = time.monotonic()
        taken.append(delivery.request(raw_request(probe, index)))
        took.append(time.monotonic() - began)
        if not taken[-1]:
            break
    taken.append(_record_rest(delivery, probe))
    if not all(taken):
        return failed("not recorded", errors.cause, value=0, unit="rows")
    with target.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    return evaluate_run(figures, IMMEDIATE_REQUESTS, f"p50 {brief(median(took))} a call")


def check_buffered(target: Target) -> Result:
    """Record a whole run with buffered delivery and read it back."""
    probe = new_probe(target)
    link, errors = link_to(target.store, target.deadline)
    delivery = BufferedDelivery(link)
    try:
        taken = [delivery.begin(start_of(probe))]
        began = time.perf_counter()
        taken += [delivery.request(raw_request(probe, index)) for index in range(BUFFERED_REQUESTS)]
        each = (time.perf_counter() - began) / BUFFERED_REQUESTS
        taken.append(_record_rest(delivery, probe))
        report = delivery.flush(PATIENCE_S)
    finally:
        # Nothing of the probe may be written after its removal.
        delivery.leave(time.monotonic() + 1.0)
    if not all(taken) or report.dropped or not report.sent:
        return failed("not recorded", errors.cause or "the store did not store it in time", value=0, unit="rows")
    with target.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    return evaluate_run(figures, BUFFERED_REQUESTS, f"{brief(each)} a call")


def _record_rest(delivery: ImmediateDelivery | BufferedDelivery, probe: Probe) -> bool:
    """Record a phase, a source count, an error and the end of a probe."""
    run_id, now_us = probe.run_id, probe.day_s * 1_000_000
    taken = [
        delivery.event(RawPhase(run_id, now_us, "check", "completed", {"requests": 1}, {"requests": 1}, 1.0)),
        delivery.event(RawCount(run_id, now_us, "requests", 1)),
    ]
    failure = Failure.from_error("an error that the doctor records and removes")
    # An error has its own sequence number in the ledger; the other counts are of requests alone.
    taken.append(delivery.event(RawError(run_id, now_us, "check", failure)))
    taken.append(delivery.end(RawEnd(run_id, time.time_ns() // 1000, "completed", None, "job")))
    return all(taken)


def evaluate_run(figures: Figures, expected: int, cost: str) -> Result:
    """Compare what each table counts for a run with the requests recorded, and one error."""
    counts = {
        "raw": figures.raw,
        "distinct": figures.distinct,
        "by endpoint": figures.by_endpoint,
        "over time": figures.over_time,
        "on the run": figures.on_run,
        "of all runs": figures.of_all_runs,
        "ledger": figures.in_ledgers - 1,
    }
    wrong = ", ".join(f"{name} {number:,}" for name, number in counts.items() if number != expected)
    if wrong:
        return failed(f"{expected:,} recorded, but {wrong}", value=figures.raw, unit="rows")
    return ok(f"{expected:,} in every table, {cost}", value=expected, unit="rows")


def check_resent(target: Target) -> Result:
    """Send a batch and a single request twice, alternating between two connections."""
    writer_id = identity.new_writer_id()
    probe = new_probe(target, writer_id)
    batch = batch_of(probe, writer_id, 1, range(1, RESENT_REQUESTS), begins=True)
    single = batch_of(probe, writer_id, None, [RESENT_REQUESTS], begins=False)
    store = target.store()
    with store.writer(target.deadline) as first, store.writer(target.deadline) as second:
        fresh, again = first.write(batch), second.write(batch)
        for writer in (first, second):
            writer.write(single)
    if fresh.refused:
        return failed(f"refused: {fresh.refused[probe.run_id]}")
    with target.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    if not (again.duplicate and not fresh.duplicate):
        return failed("the second copy was not recognised as a duplicate", value=figures.raw, unit="rows")
    if not figures.agree or figures.raw != RESENT_REQUESTS:
        return failed(f"sent {RESENT_REQUESTS} twice, counted {figures.on_run}", value=figures.on_run, unit="rows")
    return ok(f"{RESENT_REQUESTS} sent twice, counted once", value=figures.on_run, unit="rows")


def check_unknown(target: Target) -> Result:
    """Send requests of a run that was never started, alone and as a batch."""
    writer_id = identity.new_writer_id()
    probe = new_probe(target, writer_id)
    with target.store().writer(target.deadline) as writer:
        reasons = {
            writer.write(batch_of(probe, writer_id, batch_seq, seqs, begins=False)).refused.get(probe.run_id)
            for batch_seq, seqs in ((None, [1]), (1, range(2, RESENT_REQUESTS)))
        }
    with target.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    if reasons != {"unknown"} or figures.raw or figures.by_endpoint or figures.over_time:
        return failed(
            f"{number_of(figures.raw, 'row')} of a run that was never started stored", value=figures.raw, unit="rows"
        )
    return ok("refused, nothing stored", value=0, unit="rows")


def check_heartbeat(target: Target) -> Result:
    """Send one heartbeat of a probe, and compute when the run would be shown as lost."""
    writer_id = identity.new_writer_id()
    probe = new_probe(target, writer_id)
    store = target.store()
    with store.writer(target.deadline) as writer:
        writer.write(batch_of(probe, writer_id, 1, [1], begins=True))
    began = time.monotonic()
    with store.writer(target.deadline) as writer:
        receipt = writer.beat([probe.run_id])
    took = time.monotonic() - began
    with store.reader(target.patience) as reader:
        run, now = reader.run(probe.run_id), reader.now()
    if run is None or receipt.refused or run.state != "running" or run.heartbeat_at is None:
        return failed("a live run is not shown as running", f"its state is {run.state if run else 'unknown'}")
    silence = timedelta(seconds=LOST_AFTER_INTERVALS * HEARTBEAT_INTERVAL_S + 1)
    later = liveness_of(
        status=run.status,
        heartbeat_at=run.heartbeat_at,
        heartbeat_interval_s=run.heartbeat_interval_s,
        now=now + silence,
    )
    if later.state != "lost":
        return failed(
            "a run without heartbeats would not be shown as lost", f"its interval is {run.heartbeat_interval_s} s"
        )
    return evaluate_heartbeat(took, HEARTBEAT_INTERVAL_S)


def evaluate_heartbeat(took: float, interval: float) -> Result:
    """Compare the seconds of one heartbeat, with its connection, with the interval between heartbeats."""
    figure = f"a heartbeat takes {brief(took)}, lost after {LOST_AFTER_INTERVALS * interval:g} s without"
    slow = "Heartbeats take so long that live runs may be shown as lost."
    return noted(figure, slow if took > interval / 2 else "", value=round(took * 1000, 3), unit="ms")


def check_removal(target: Target) -> Result:
    """Remove all probes by their ids, and those of doctors that were killed."""
    number = len(target.probes)
    remaining = target.remove_probes()
    leftovers = remove_leftovers(target)
    if remaining:
        detail = f"They belong to runs of the job {PROBE_JOB}; the next `etlwatch doctor` tries again."
        return failed(f"left behind: {number_of(remaining, 'row')}", detail, value=remaining, unit="rows")
    older = f", {leftovers} older ones too" if leftovers else ""
    return ok(f"{number_of(number, 'probe')} removed{older}, nothing remains", value=0, unit="rows")


_writing = partial(Check, writes=True, limit_s=LIMIT_S)

CHECKS = (
    _writing("immediate run", check_immediate),
    _writing("buffered run", check_buffered),
    _writing("sent twice", check_resent, "P4"),
    _writing("unknown run", check_unknown),
    _writing("heartbeat", check_heartbeat, "P8"),
    _writing("removal", check_removal),
)
