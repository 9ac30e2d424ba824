"""What people and `etlwatch doctor` do on the SQLite file: the write lock for a few milliseconds a step."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar

from tracking_core.config import StoreLocation
from tracking_core.process.deadlines import moment
from tracking_core.store import sql_files
from tracking_core.store.administration import SUMMARIES_OF_A_RUN, Administration, Inspection
from tracking_core.store.retention import Candidate, StepLimits
from tracking_core.store.sqlite.connection import DIALECT, SqliteTransactions
from tracking_core.store.sqlite.reader import INSTRUCTIONS_BETWEEN_LOOKS


class SqliteAdministration(SqliteTransactions, Administration):
    """One connection that changes what people ask for."""

    removed_with_a_run: ClassVar[tuple[str, ...]] = ("remove_requests", *SUMMARIES_OF_A_RUN)
    limits = StepLimits(runs=50, weight=5_000, purge=2_000)

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._load()

    def _record(self, **parameters: object) -> int:
        return int(self.raw.execute(self._sql["record_action"], parameters).lastrowid or 0)

    def _lighten(self, run: Candidate, cutoff: datetime, /) -> Iterator[int]:
        while True:
            with self._look():
                bound = self._read("bound_of_requests", run_id=run.run_id, most=self.limits.weight).by_name()
            if not bound:
                return
            given = {"run_id": run.run_id, "cutoff": self._moment(cutoff), **bound[0]}
            with self._change():
                trimmed = self._do("trim_requests", **given)
            if not trimmed:
                return
            yield 0

    def _tidy(self) -> Iterator[int]:
        before, free = 0, self._free_pages()
        # A file that was made without auto_vacuum keeps its free pages, to be filled again.
        while free and free != before:
            with self.operation() as raw:
                # This pragma frees pages only as long as it is stepped, which execute() does once.
                self.patiently(lambda: raw.executescript(self._sql["give_back"]))
            yield 0
            before, free = free, self._free_pages()
        with self.operation() as raw:
            raw.execute(self._sql["checkpoint"]).fetchall()

    def _free_pages(self) -> int:
        with self.operation() as raw:
            return int(raw.execute(self._sql["free_pages"]).fetchone()[0])


class SqliteInspection(SqliteTransactions, Inspection):
    """One connection that inspects; it changes nothing, not even the journal's mode, unless it `may_write`."""

    def __init__(self, location: StoreLocation, deadline: float, *, may_write: bool = False) -> None:
        super().__init__(location, deadline, read_only=not may_write)
        self._sql = {**sql_files.blocks(DIALECT, "administration"), **sql_files.blocks(DIALECT, "inspection")}

    @contextmanager
    def operation(self) -> Iterator[sqlite3.Connection]:
        """Translate what goes wrong inside the block, which ends at the deadline."""
        due = time.monotonic() + self.deadline
        with super().operation() as raw:
            raw.set_progress_handler(lambda: time.monotonic() > moment(due), INSTRUCTIONS_BETWEEN_LOOKS)
            yield raw

    def library(self) -> str:
        """Return the version of SQLite."""
        with self._look():
            return str(self._read("library").value())

    def journal_mode(self) -> str:
        """Return how the file is kept whole: `wal`, as our writers leave it, or another mode."""
        with self._look():
            return str(self._read("journal_mode").value())

    def quick_check(self) -> str:
        """Return `ok`, or what is wrong with the file's pages; reads all of it. StoreUnavailable at the deadline."""
        with self._look():
            return str(self._read("quick_check").value())
