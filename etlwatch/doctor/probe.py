"""A probe: a run under a job name of its own, written as jobs write, read back, and removed by its own id.

Its requests are dated into years in which there were no runs, each probe into a day of its own, so that what it adds to
the figures of all runs stands apart from them and goes with it. It has no spool: what the store does not take of it is
forgotten at once and cannot come back later.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from etlwatch.doctor.patient import Patient
from tracking_core import identity
from tracking_core.dataclass import dataclass, field
from tracking_core.delivery.base import NoSpool, RawRequest
from tracking_core.delivery.buffered import BufferedDelivery
from tracking_core.delivery.health import Health
from tracking_core.delivery.immediate import ImmediateDelivery
from tracking_core.events import Batch, RequestRow, RunStart, tally
from tracking_core.store.base import Store
from tracking_core.store.examining import PROBE_ERA_S, PROBE_JOB
from tracking_core.switch import TrackingSwitch
from tracking_core.version import VERSION

TAG = "etlwatch-doctor"
HEARTBEAT_INTERVAL_S = 10.0
ABANDONED_AFTER_S = 600.0
"""Older probes are left over from an examination that was killed."""

_DAY_S = 86_400
_WIDEST_CELL_S = 600
_MOST_PROBES = 100
_STATUSES = (200, 200, 200, 201, 304, 404, 429, 500, None)
_ENDPOINTS = ("/etlwatch-doctor/a", "/etlwatch-doctor/b", "/etlwatch-doctor/c")


@dataclass(slots=True)
class Probe:
    """A run that the doctor wrote, and who wrote it."""

    run_id: int
    day_s: int
    """Where its requests are dated, in seconds since 1970."""

    writer_ids: list[int] = field(default_factory=list)
    """Writers that its ledgers need not name."""


def new_probe(patient: Patient, *writer_ids: int) -> Probe:
    """Return a probe, remembered before anything of it is written."""
    if patient.probes:
        day_s = patient.probes[-1].day_s + _DAY_S
    else:
        begin, end = PROBE_ERA_S
        day_s = random.randrange(begin, end - _MOST_PROBES * _DAY_S, _WIDEST_CELL_S)
    probe = Probe(identity.new_run_id(), day_s, list(writer_ids))
    patient.probes.append(probe)
    return probe


def start_of(probe: Probe) -> RunStart:
    """Return how a probe begins."""
    return RunStart(
        run_id=probe.run_id,
        job=PROBE_JOB,
        notes="an examination by `etlwatch doctor`, which removes it again",
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
    """Return a request of a probe as a tracker hands it on: several endpoints, all kinds of status, ten a second."""
    at_us = probe.day_s * 1_000_000 + index * 100_000
    endpoint, status = _ENDPOINTS[index % len(_ENDPOINTS)], _STATUSES[index % len(_STATUSES)]
    return (probe.run_id, at_us, endpoint, index * 10, 10, status, 10, 5.0 + index % 50, False, None)


def batch_of(probe: Probe, writer_id: int, batch_seq: int | None, seqs: Sequence[int], *, begins: bool) -> Batch:
    """Return requests of a probe as one batch, sealed as a delivery seals it."""
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


class Overheard(Health):
    """What a delivery would have said in the job's log, kept to be shown as the cause."""

    speaks = False

    def __init__(self) -> None:
        super().__init__()
        self.cause = ""

    def failed(self, error: BaseException, label: str) -> None:  # noqa: ARG002 - the signature is the base's
        """Keep the first thing that went wrong."""
        self.cause = self.cause or str(error) or type(error).__name__

    def refused(self, run_id: int, reason: str) -> None:  # noqa: ARG002 - as above
        """Keep why the store did not take it."""
        self.cause = self.cause or f"the store says: {reason}"


def immediate(open_store: Callable[[], Store], deadline: float) -> tuple[ImmediateDelivery, Overheard]:
    """Return an immediate delivery as a tracker has one, but with no spool and whatever the environment says."""
    overheard = Overheard()
    switch = TrackingSwitch(environ={})
    return ImmediateDelivery(open_store, deadline=deadline, switch=switch, spool=NoSpool(), health=overheard), overheard


def buffered(open_store: Callable[[], Store], deadline: float) -> tuple[BufferedDelivery, Overheard]:
    """Return a buffered delivery as a tracker has one, but with no spool and whatever the environment says."""
    overheard = Overheard()
    switch = TrackingSwitch(environ={})
    return BufferedDelivery(open_store, deadline=deadline, switch=switch, spool=NoSpool(), health=overheard), overheard


def forget_probes(patient: Patient) -> int:
    """Remove every probe that was written; return how many rows remain. Raises StoreError when the store is away."""
    remaining = 0
    while patient.probes:
        probe = patient.probes[-1]
        with patient.examiner(may_write=True) as examiner:
            remaining += examiner.forget_probe(probe.run_id, probe.writer_ids)
        patient.probes.pop()
    return remaining


def forget_leftovers(patient: Patient) -> int:
    """Remove the probes of examinations that were killed; return how many there were."""
    mine = {probe.run_id for probe in patient.probes}
    with patient.store().reader(patient.patience) as reader:
        now = reader.now()
        left = [
            run.run_id
            for run in reader.runs_of_job(PROBE_JOB, _MOST_PROBES)
            if TAG in run.tags and run.run_id not in mine and (now - run.started_at).total_seconds() > ABANDONED_AFTER_S
        ]
    if left:
        with patient.examiner(may_write=True) as examiner:
            for run_id in left:
                with suppress(ValueError):
                    examiner.forget_probe(run_id)
    return len(left)
