"""Whom the checks examine: one store as a job would use it, and the probes written there so far.

Owns what one check has to know from another: whether the store answers, whether probes may be written, and which were.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass, field
from tracking_core.errors import StoreUnavailable
from tracking_core.store import open_store

if TYPE_CHECKING:
    from etlwatch.doctor.probe import Probe
    from tracking_core.store.base import Store
    from tracking_core.store.postgres.examiner import PostgresExaminer
    from tracking_core.store.sqlite.examiner import SqliteExaminer

DEFAULT_DEADLINE_S = 5.0


@dataclass(slots=True, kw_only=True)
class Patient:
    """One store under examination."""

    location: StoreLocation
    read_only: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    patience: float = 5.0
    """How long the store may take for each answer to the examination itself, in seconds."""

    deadline: float = DEFAULT_DEADLINE_S
    """What a job would allow an operation here, in seconds."""

    absent: str = ""
    """Why the store cannot be asked; '' when it can."""

    no_probe: str = ""
    """Why no probe is written; '' when one may be."""

    probes: list[Probe] = field(default_factory=list)
    """What was written and is not removed yet."""

    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when the examination is over: what still runs of a check must not write any more."""

    def __post_init__(self) -> None:
        if self.read_only:
            self.no_probe = "--read-only"

    @property
    def is_postgres(self) -> bool:
        """Whether the store is a PostgreSQL database, and not a file."""
        return self.location.kind == "postgres"

    def store(self) -> Store:
        """Return the store, nothing is connected yet; StoreUnavailable once the examination is over."""
        if self.stopped.is_set():
            raise StoreUnavailable("the examination is over")
        return open_store(self.location)

    def examiner(self, *, may_write: bool = False) -> PostgresExaminer | SqliteExaminer:
        """Connect for an examination; `may_write` for the removal of probes."""
        return self.postgres() if self.is_postgres else self.file(may_write=may_write)

    def postgres(self) -> PostgresExaminer:
        """Connect to a PostgreSQL store for an examination."""
        from tracking_core.store.postgres.examiner import PostgresExaminer

        return PostgresExaminer(self.location, self.patience)

    def file(self, *, may_write: bool = False) -> SqliteExaminer:
        """Open a SQLite store for an examination."""
        from tracking_core.store.sqlite.examiner import SqliteExaminer

        return SqliteExaminer(self.location, self.patience, may_write=may_write)
