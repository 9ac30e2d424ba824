"""The store under test, and the result of one check."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from etlwatch.text.numbers import duration_ms
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass, field
from tracking_core.errors import StoreUnavailable
from tracking_core.store import open_store

if TYPE_CHECKING:
    from etlwatch.doctor.probe import Probe
    from tracking_core.store.base import Store
    from tracking_core.store.postgres.inspection import PostgresInspection
    from tracking_core.store.sqlite.inspection import SqliteInspection


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
        from tracking_core.store.postgres.inspection import PostgresInspection

        return PostgresInspection(self.location, self.patience)

    def file(self, *, may_write: bool = False) -> SqliteInspection:
        """Open a SQLite store for queries about itself."""
        from tracking_core.store.sqlite.inspection import SqliteInspection

        return SqliteInspection(self.location, self.patience, may_write=may_write)
