"""The examination: every check in its order, each within its time, and the removal of what they wrote.

Owns order, time limits and what follows when a check fails. A check that raises or hangs is a finding; nothing that a
check does leaves here but findings, and ctrl-c.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from etlwatch.doctor import (
    deadline_checks,
    file_checks,
    history_checks,
    probe_checks,
    spool_checks,
    store_checks,
)
from etlwatch.doctor.findings import Finding, Result, Verdict, failed, skipped
from etlwatch.doctor.patient import Patient
from etlwatch.doctor.probe import forget_probes
from tracking_core.dataclass import dataclass
from tracking_core.errors import TrackingError
from tracking_core.redaction import without_secrets
from tracking_core.store import due

LIMIT_S = 10.0
WRITING_LIMIT_S = 25.0
GRACE_S = 1.0
THREADS = "doctor: "
REMOVAL_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to try."""

    name: str
    look: Callable[[Patient], Result]
    promise: str = ""
    only: str = ""
    """The kind of store that it concerns, `postgres` or `sqlite`; '' for both."""

    needs_store: bool = True
    writes: bool = False
    """Whether it writes to the store: not with `--read-only`."""

    limit_s: float = LIMIT_S


CHECKS: Sequence[Check] = (
    Check(name="settings", look=history_checks.check_settings, needs_store=False),
    Check(name="store", look=store_checks.check_store, promise="P12", needs_store=False),
    Check(name="role", look=store_checks.check_role),
    Check(name="connect", look=store_checks.check_connect, promise="P3"),
    Check(name="round trip", look=store_checks.check_round_trip),
    Check(name="clock", look=store_checks.check_clock, only="postgres", promise="P10"),
    Check(name="pooler", look=store_checks.check_pooler, only="postgres", promise="P5"),
    Check(name="partitions", look=history_checks.check_partitions, only="postgres"),
    Check(name="default partition", look=history_checks.check_strays, only="postgres"),
    Check(name="journal", look=file_checks.check_journal, only="sqlite", promise="P13"),
    Check(name="integrity", look=file_checks.check_integrity, only="sqlite", promise="P13"),
    Check(name="file mode", look=file_checks.check_file, only="sqlite"),
    Check(name="file system", look=file_checks.check_file_system, only="sqlite", promise="P13"),
    Check(name="throughput", look=history_checks.check_throughput),
    Check(name="lost runs", look=history_checks.check_lost_runs, promise="P8"),
    Check(name="switch", look=history_checks.check_switch),
    Check(name="immediate run", look=probe_checks.check_immediate, writes=True, limit_s=WRITING_LIMIT_S),
    Check(name="buffered run", look=probe_checks.check_buffered, writes=True, limit_s=WRITING_LIMIT_S),
    Check(name="sent twice", look=probe_checks.check_resent, promise="P4", writes=True, limit_s=WRITING_LIMIT_S),
    Check(name="unknown run", look=probe_checks.check_unknown, writes=True, limit_s=WRITING_LIMIT_S),
    Check(name="heartbeat", look=probe_checks.check_heartbeat, promise="P8", writes=True, limit_s=WRITING_LIMIT_S),
    Check(name="removal", look=probe_checks.check_removal, writes=True, limit_s=WRITING_LIMIT_S),
    Check(name="silent store", look=deadline_checks.check_silent, promise="P3", needs_store=False),
    Check(
        name="silent later", look=deadline_checks.check_falling_silent, only="postgres", promise="P3", needs_store=False
    ),
    Check(name="refused port", look=deadline_checks.check_refused, only="postgres", promise="P1", needs_store=False),
    Check(name="breaker", look=deadline_checks.check_breaker, promise="P3", needs_store=False),
    Check(
        name="buffered, no store",
        look=deadline_checks.check_buffered_without_store,
        promise="P1",
        needs_store=False,
    ),
    Check(name="spool", look=spool_checks.check_spool, promise="P2", needs_store=False),
    Check(name="spooled", look=spool_checks.check_spooled_or_skip, promise="P2", needs_store=False),
)


def examine(
    patient: Patient, checks: Sequence[Check] | None = None, *, begins: Callable[[str], None] = lambda _name: None
) -> Iterator[Finding]:
    """Yield a finding for each check that concerns this kind of store; `begins` is told the name of each.

    Whoever stops asking, ctrl-c included, leaves no probe behind that can still be removed.
    """
    try:
        for check in CHECKS if checks is None else checks:
            if check.only not in ("", patient.location.kind):
                continue
            begins(check.name)
            result = _tried(check, patient)
            if check.look is store_checks.check_store and result.verdict is Verdict.FAILED:
                patient.absent = "the store cannot answer"
            yield Finding(check=check.name, promise=check.promise, result=result)
    finally:
        _stop(patient)
        if patient.probes:
            with suppress(Exception), due.within(REMOVAL_S):
                forget_probes(patient)


def _stop(patient: Patient) -> None:
    """Let a check that still runs write no more, and wait for what it has on its way."""
    patient.stopped.set()
    for thread in threading.enumerate():
        if thread.name.startswith(THREADS) and thread.ident is not None:
            with due.hurrying(thread.ident, time.monotonic() + GRACE_S):
                thread.join(2 * GRACE_S)


def _tried(check: Check, patient: Patient) -> Result:
    if check.needs_store and patient.absent:
        return skipped(patient.absent)
    if check.writes and patient.no_probe:
        return skipped(patient.no_probe)
    answers: SimpleQueue[Result] = SimpleQueue()

    def try_it() -> None:
        try:
            with due.within(check.limit_s):
                answers.put(check.look(patient))
        except TrackingError as error:
            answers.put(failed(_one_line(str(error) or type(error).__name__)))
        except Exception as error:  # noqa: BLE001 - whatever happens in a check is what it found
            answers.put(failed(_one_line(f"{type(error).__name__}: {error}")))

    # On a thread of its own: what asks the operating system about a dead network disk may never come back.
    threading.Thread(target=try_it, name=f"{THREADS}{check.name}", daemon=True).start()
    try:
        return answers.get(timeout=check.limit_s + GRACE_S)
    except Empty:
        return failed(f"no answer within {check.limit_s:g} s", "Whatever it asked hangs; the other checks went on.")


def _one_line(text: str) -> str:
    return without_secrets(" ".join(text.split()))
