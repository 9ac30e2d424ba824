"""Checks that write: probes as both deliveries write them, resent, refused, kept alive, and removed again."""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median

from etlwatch.doctor import probe as probes
from etlwatch.doctor.findings import Result, brief, failed, ok, warning
from etlwatch.doctor.patient import Patient
from etlwatch.model.numbers import count
from tracking_core import identity
from tracking_core.delivery.base import RawCount, RawEnd, RawError, RawPhase
from tracking_core.delivery.buffered import BufferedDelivery
from tracking_core.delivery.immediate import ImmediateDelivery
from tracking_core.failures import Failure
from tracking_core.liveness import LOST_AFTER_INTERVALS, judge
from tracking_core.store.examining import PROBE_JOB, Figures

IMMEDIATE_REQUESTS = 20
BUFFERED_REQUESTS = 600
"""More than one batch takes, so that a full one is among them."""

RESENT_REQUESTS = 50
PATIENCE_S = 15.0


def check_immediate(patient: Patient) -> Result:
    """Record a whole run with immediate delivery and read it back."""
    probe = probes.new_probe(patient)
    delivery, overheard = probes.immediate(patient.store, patient.deadline)
    taken = [delivery.begin(probes.start_of(probe))]
    took = []
    for index in range(IMMEDIATE_REQUESTS):
        began = time.monotonic()
        taken.append(delivery.request(probes.raw_request(probe, index)))
        took.append(time.monotonic() - began)
        if not taken[-1]:
            break
    taken.append(_tell_the_rest(delivery, probe))
    if not all(taken):
        return failed("not recorded", overheard.cause, value=0, unit="rows")
    with patient.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    return judge_run(figures, IMMEDIATE_REQUESTS, f"p50 {brief(median(took))} a call")


def check_buffered(patient: Patient) -> Result:
    """Record a whole run with buffered delivery and read it back."""
    probe = probes.new_probe(patient)
    delivery, overheard = probes.buffered(patient.store, patient.deadline)
    try:
        taken = [delivery.begin(probes.start_of(probe))]
        began = time.perf_counter()
        taken += [delivery.request(probes.raw_request(probe, index)) for index in range(BUFFERED_REQUESTS)]
        each = (time.perf_counter() - began) / BUFFERED_REQUESTS
        taken.append(_tell_the_rest(delivery, probe))
        report = delivery.flush(PATIENCE_S)
    finally:
        # What is not written by now must not be written after the probe was removed.
        delivery.leave(time.monotonic() + 1.0)
    if not all(taken) or report.dropped or not report.sent:
        return failed("not recorded", overheard.cause or "the store did not take it in time", value=0, unit="rows")
    with patient.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    return judge_run(figures, BUFFERED_REQUESTS, f"{brief(each)} a call")


def _tell_the_rest(delivery: ImmediateDelivery | BufferedDelivery, probe: probes.Probe) -> bool:
    """Record a phase, a source count, an error and the end of a probe."""
    run_id, now_us = probe.run_id, probe.day_s * 1_000_000
    taken = [
        delivery.phase(RawPhase(run_id, now_us, "examine", "completed", {"requests": 1}, {"requests": 1}, 1.0)),
        delivery.source_count(RawCount(run_id, now_us, "requests", 1)),
    ]
    failure = Failure.from_error("an error that the doctor records and removes")
    # An error has a number of its own and is in the ledger; the figures compare requests alone.
    taken.append(delivery.error(RawError(run_id, now_us, "examine", failure)))
    taken.append(delivery.end(RawEnd(run_id, time.time_ns() // 1000, "completed", None, "job")))
    return all(taken)


def judge_run(figures: Figures, expected: int, cost: str) -> Result:
    """Judge what the tables count of a run of so many requests, and one error."""
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


def check_resent(patient: Patient) -> Result:
    """Send a batch and a single request twice, over two connections that take turns."""
    writer_id = identity.new_writer_id()
    probe = probes.new_probe(patient, writer_id)
    batch = probes.batch_of(probe, writer_id, 1, range(1, RESENT_REQUESTS), begins=True)
    single = probes.batch_of(probe, writer_id, None, [RESENT_REQUESTS], begins=False)
    store = patient.store()
    with store.writer(patient.deadline) as first, store.writer(patient.deadline) as second:
        fresh, again = first.write(batch), second.write(batch)
        for writer in (first, second):
            writer.write(single)
    if fresh.refused:
        return failed(f"refused: {fresh.refused[probe.run_id]}")
    with patient.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    if not (again.duplicate and not fresh.duplicate):
        return failed("the second copy was not recognised", value=figures.raw, unit="rows")
    if not figures.agree or figures.raw != RESENT_REQUESTS:
        return failed(f"sent {RESENT_REQUESTS} twice, counted {figures.on_run}", value=figures.on_run, unit="rows")
    return ok(f"{RESENT_REQUESTS} sent twice, counted once", value=figures.on_run, unit="rows")


def check_unknown(patient: Patient) -> Result:
    """Send requests of a run that was never begun, alone and as a batch."""
    writer_id = identity.new_writer_id()
    probe = probes.new_probe(patient, writer_id)
    with patient.store().writer(patient.deadline) as writer:
        said = {
            writer.write(probes.batch_of(probe, writer_id, batch_seq, seqs, begins=False)).refused.get(probe.run_id)
            for batch_seq, seqs in ((None, [1]), (1, range(2, RESENT_REQUESTS)))
        }
    with patient.examiner() as examiner:
        figures = examiner.figures(probe.run_id)
    if said != {"unknown"} or figures.raw or figures.by_endpoint or figures.over_time:
        return failed(
            f"{count(figures.raw)} rows were taken of a run that nobody began", value=figures.raw, unit="rows"
        )
    return ok("refused, nothing stored", value=0, unit="rows")


def check_heartbeat(patient: Patient) -> Result:
    """Let a probe beat once, and see when its silence would be seen."""
    writer_id = identity.new_writer_id()
    probe = probes.new_probe(patient, writer_id)
    store = patient.store()
    with store.writer(patient.deadline) as writer:
        writer.write(probes.batch_of(probe, writer_id, 1, [1], begins=True))
    began = time.monotonic()
    with store.writer(patient.deadline) as writer:
        receipt = writer.beat([probe.run_id])
    took = time.monotonic() - began
    with store.reader(patient.patience) as reader:
        run, now = reader.run(probe.run_id), reader.now()
    if run is None or receipt.refused or run.state != "running" or run.heartbeat_at is None:
        return failed("a live run does not look alive", f"its state is {run.state if run else 'unknown'}")
    silence = timedelta(seconds=LOST_AFTER_INTERVALS * probes.HEARTBEAT_INTERVAL_S + 1)
    later = judge(
        status=run.status,
        heartbeat_at=run.heartbeat_at,
        heartbeat_interval_s=run.heartbeat_interval_s,
        now=now + silence,
    )
    if later.state != "lost":
        return failed("a silent run would not be seen", f"it beats every {run.heartbeat_interval_s} s")
    return judge_heartbeat(took, probes.HEARTBEAT_INTERVAL_S)


def judge_heartbeat(took: float, interval: float) -> Result:
    """Judge the seconds of one beat, connecting included, against the interval between beats."""
    figure = f"a beat {brief(took)}, lost after {LOST_AFTER_INTERVALS * interval:g} s of silence"
    value = round(took * 1000, 3)
    if took > interval / 2:
        return warning(figure, "Beats take so long that live runs may look lost.", value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def check_removal(patient: Patient) -> Result:
    """Remove all probes by their own ids, and those of examinations that were killed."""
    number = len(patient.probes)
    remaining = probes.forget_probes(patient)
    leftovers = probes.forget_leftovers(patient)
    if remaining:
        detail = f"They belong to runs of the job {PROBE_JOB}; the next examination tries again."
        return failed(f"{remaining:,} rows remain", detail, value=remaining, unit="rows")
    older = f", {leftovers} older ones too" if leftovers else ""
    return ok(f"{number} probes removed{older}, nothing remains", value=0, unit="rows")
