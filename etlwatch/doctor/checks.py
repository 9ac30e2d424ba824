"""All checks in order, each run within its time limit, and the removal of the probes that they wrote."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from etlwatch.doctor import local_checks, outage_checks, probe, store_checks
from etlwatch.doctor.target import CheckStatus, Result, Target, failed, skipped
from tracking_core.dataclass import dataclass
from tracking_core.errors import TrackingError
from tracking_core.process import deadlines
from tracking_core.redaction import without_secrets

LIMIT_S = 10.0
WRITING_LIMIT_S = 25.0
GRACE_S = 1.0
THREADS = "doctor: "
REMOVAL_S = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check and the conditions under which it runs."""

    name: str
    run: Callable[[Target], Result]
    promise: str = ""
    """The promise that it tests: `P3`; '' for none."""

    kind: str = ""
    """The only kind of store that it concerns, `postgres` or `sqlite`; '' for both."""

    needs_store: bool = True
    writes: bool = False
    """Whether it writes to the store, which `--read-only` prevents."""

    limit_s: float = LIMIT_S


def _writing(name: str, run: Callable[[Target], Result], promise: str = "") -> Check:
    return Check(name, run, promise, writes=True, limit_s=WRITING_LIMIT_S)


CHECKS: Sequence[Check] = (
    Check("settings", store_checks.check_settings, needs_store=False),
    Check("store", store_checks.check_store, "P12", needs_store=False),
    Check("role", store_checks.check_role),
    Check("connect", store_checks.check_connect, "P3"),
    Check("round trip", store_checks.check_round_trip),
    Check("clock", store_checks.check_clock, "P10", "postgres"),
    Check("pooler", store_checks.check_pooler, "P5", "postgres"),
    Check("partitions", store_checks.check_partitions, kind="postgres"),
    Check("default partition", store_checks.check_strays, kind="postgres"),
    Check("journal", local_checks.check_journal, "P13", "sqlite"),
    Check("integrity", local_checks.check_integrity, "P13", "sqlite"),
    Check("file mode", local_checks.check_file_mode, kind="sqlite"),
    Check("file system", local_checks.check_file_system, "P13", "sqlite"),
    Check("throughput", store_checks.check_throughput),
    Check("lost runs", store_checks.check_lost_runs, "P8"),
    Check("switch", store_checks.check_switch),
    _writing("immediate run", probe.check_immediate),
    _writing("buffered run", probe.check_buffered),
    _writing("sent twice", probe.check_resent, "P4"),
    _writing("unknown run", probe.check_unknown),
    _writing("heartbeat", probe.check_heartbeat, "P8"),
    _writing("removal", probe.check_removal),
    Check("silent store", outage_checks.check_silent, "P3", needs_store=False),
    Check("silent later", outage_checks.check_falling_silent, "P3", "postgres", needs_store=False),
    Check("refused port", outage_checks.check_refused_port, "P1", "postgres", needs_store=False),
    Check("breaker", outage_checks.check_breaker, "P3", needs_store=False),
    Check("buffered, no store", outage_checks.check_buffered_without_store, "P1", needs_store=False),
    Check("spool", local_checks.check_spool, "P2", needs_store=False),
    Check("spooled", local_checks.check_spooled, "P2", needs_store=False),
)


def run_checks(
    target: Target, checks: Sequence[Check] | None = None, *, on_start: Callable[[str], None] = lambda _name: None
) -> Generator[tuple[Check, Result]]:
    """Yield each check that concerns this kind of store with its result; `on_start` receives its name before it runs.

    Closing the iterator early, also by ctrl-c, removes the probes if the store answers.
    """
    try:
        for check in CHECKS if checks is None else checks:
            if check.kind not in ("", target.location.kind):
                continue
            on_start(check.name)
            result = _run(check, target)
            if check.run is store_checks.check_store and result.status is CheckStatus.FAILED:
                target.absent = "the store cannot answer"
            yield check, result
    finally:
        _stop(target)
        if target.probes:
            with suppress(Exception), deadlines.within(REMOVAL_S):
                probe.remove_probes(target)


def _stop(target: Target) -> None:
    """Prevent further writes of a check that still runs, and wait for those in progress."""
    target.stopped.set()
    for thread in threading.enumerate():
        if thread.name.startswith(THREADS) and thread.ident is not None:
            with deadlines.limit_thread(thread.ident, time.monotonic() + GRACE_S):
                thread.join(2 * GRACE_S)


def _run(check: Check, target: Target) -> Result:
    if check.needs_store and target.absent:
        return skipped(target.absent)
    if check.writes and target.no_probe:
        return skipped(target.no_probe)
    results: SimpleQueue[Result] = SimpleQueue()

    def run() -> None:
        try:
            with deadlines.within(check.limit_s):
                results.put(check.run(target))
        except TrackingError as error:
            results.put(failed(_one_line(str(error) or type(error).__name__)))
        except Exception as error:  # noqa: BLE001 - any error in a check is its result
            results.put(failed(_one_line(f"{type(error).__name__}: {error}")))

    # On its own thread: a system call about a dead network disk may never return.
    threading.Thread(target=run, name=f"{THREADS}{check.name}", daemon=True).start()
    try:
        return results.get(timeout=check.limit_s + GRACE_S)
    except Empty:
        return failed(f"no answer within {check.limit_s:g} s", "The check hangs; the others were run.")


def _one_line(text: str) -> str:
    return without_secrets(" ".join(text.split()))
