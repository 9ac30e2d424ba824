"""What a check is, the store that it tests, its result, and how checks run: in order, each within its time limit.

The checks themselves are in `store_checks`, `probe` and `outage_checks`, each with its table `CHECKS`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from etlwatch.text.numbers import duration_ms
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass, field
from tracking_core.errors import StoreUnavailable, TrackingError
from tracking_core.process import deadlines
from tracking_core.redaction import without_secrets
from tracking_core.store import open_store

if TYPE_CHECKING:
    from tracking_core.store.base import Store
    from tracking_core.store.postgres.administration import PostgresInspection
    from tracking_core.store.sqlite.administration import SqliteInspection

LIMIT_S = 10.0
GRACE_S = 1.0
THREADS = "doctor: "
REMOVAL_S = 10.0


class CheckStatus(StrEnum):
    """The status of a result; the values are printed."""

    OK = "ok"
    WARNING = "warning"
    """Recording works; a person should look."""

    FAILED = "failed"
    SKIPPED = "skipped"
    """Not run; the figure holds the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one check."""

    status: CheckStatus
    figure: str
    """What was measured, in a few words; for a failure, its cause."""

    detail: str = ""
    """The consequence and the remedy, in a sentence."""

    value: float | None = None
    """The figure as a number, where it is one."""

    unit: str = ""
    """Of the value: `ms`, `s`, `rows`, …"""

    @property
    def is_problem(self) -> bool:
        """Whether it is a warning or a failure."""
        return self.status in (CheckStatus.WARNING, CheckStatus.FAILED)


def ok(figure: str, detail: str = "", *, value: float | None = None, unit: str = "") -> Result:
    """Return a passed check."""
    return Result(status=CheckStatus.OK, figure=figure, detail=detail, value=value, unit=unit)


def warning(figure: str, detail: str, *, value: float | None = None, unit: str = "") -> Result:
    """Return a check that passed with something to look at."""
    return Result(status=CheckStatus.WARNING, figure=figure, detail=detail, value=value, unit=unit)


def noted(figure: str, detail: str, *, value: float | None = None, unit: str = "") -> Result:
    """Return a warning with a detail, a passed check where the detail is ''."""
    return (warning if detail else ok)(figure, detail, value=value, unit=unit)


def failed(figure: str, detail: str = "", *, value: float | None = None, unit: str = "") -> Result:
    """Return a failed check: a promise does not hold here."""
    return Result(status=CheckStatus.FAILED, figure=figure, detail=detail, value=value, unit=unit)


def skipped(reason: str) -> Result:
    """Return a check that was not run."""
    return Result(status=CheckStatus.SKIPPED, figure=reason)


def brief(seconds: float) -> str:
    """Format a short time: `0.4µs`, `38µs`, `1.2ms`, `23ms`, `2.9s`."""
    if seconds < 0.001:
        microseconds = seconds * 1e6
        return f"{microseconds:.1f}µs" if microseconds < 10 else f"{microseconds:.0f}µs"
    return duration_ms(seconds * 1000)


@dataclass(slots=True)
class Probe:
    """A run that the doctor writes."""

    run_id: int
    day_s: int
    """The date of its requests, in seconds since 1970."""

    writer_ids: list[int] = field(default_factory=list)
    """Writers that its delivery records may lack."""


@dataclass(slots=True, kw_only=True)
class Target:
    """One store under test, with the state that checks share."""

    location: StoreLocation
    read_only: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    patience: float = 5.0
    """The limit for each answer to the checks themselves, in seconds."""

    deadline: float = 5.0
    """The limit that a job here has for each operation, in seconds."""

    absent: str = ""
    """Why the store cannot be queried; '' when it can."""

    no_probe: str = ""
    """Why no probe is written; '' when one may be."""

    probes: list[Probe] = field(default_factory=list)
    """Probes that were written and not yet removed."""

    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when all checks are over: a check that still runs must not write any more."""

    def __post_init__(self) -> None:
        if self.read_only:
            self.no_probe = "--read-only"

    @property
    def is_postgres(self) -> bool:
        """Whether the store is a PostgreSQL database, not a SQLite file."""
        return self.location.kind == "postgres"

    def store(self) -> Store:
        """Return the store, not yet connected; raise StoreUnavailable once the checks are over."""
        if self.stopped.is_set():
            raise StoreUnavailable("the checks are over")
        return open_store(self.location)

    def examiner(self, *, may_write: bool = False) -> PostgresInspection | SqliteInspection:
        """Connect to the store for queries about itself; `may_write` for the removal of probes."""
        return self.postgres() if self.is_postgres else self.file(may_write=may_write)

    def postgres(self) -> PostgresInspection:
        """Connect to a PostgreSQL store for queries about itself."""
        from tracking_core.store.postgres.administration import PostgresInspection

        return PostgresInspection(self.location, self.patience)

    def file(self, *, may_write: bool = False) -> SqliteInspection:
        """Open a SQLite store for queries about itself."""
        from tracking_core.store.sqlite.administration import SqliteInspection

        return SqliteInspection(self.location, self.patience, may_write=may_write)

    def remove_probes(self) -> int:
        """Remove every probe; return the number of rows that remain; raise StoreError if the store does not answer."""
        remaining = 0
        while self.probes:
            probe = self.probes[-1]
            with self.examiner(may_write=True) as examiner:
                remaining += examiner.forget_probe(probe.run_id, probe.writer_ids)
            self.probes.pop()
        return remaining


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
    decides: bool = False
    """Whether the checks that need the store are skipped when it fails."""

    writes: bool = False
    """Whether it writes to the store, which `--read-only` prevents."""

    limit_s: float = LIMIT_S


def run_checks(
    target: Target, checks: Sequence[Check], *, on_start: Callable[[str], None] = lambda _name: None
) -> Generator[tuple[Check, Result]]:
    """Yield each check that concerns this kind of store with its result; `on_start` receives its name before it runs.

    Closing the iterator early, also by ctrl-c, removes the probes if the store answers.
    """
    try:
        for check in checks:
            if check.kind not in ("", target.location.kind):
                continue
            on_start(check.name)
            result = _run(check, target)
            if check.decides and result.status is CheckStatus.FAILED:
                target.absent = "the store cannot answer"
            yield check, result
    finally:
        _stop(target)
        if target.probes:
            with suppress(Exception):
                deadlines.bounded(REMOVAL_S, target.remove_probes)


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
            results.put(deadlines.bounded(check.limit_s, lambda: check.run(target)))
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
