"""An inspection of a SQLite file: its library, its journal, its pages."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tracking_core.config import StoreLocation
from tracking_core.process.deadlines import moment
from tracking_core.store import sql_files
from tracking_core.store.inspection import Inspection
from tracking_core.store.sqlite.connection import DIALECT, SqliteTransactions
from tracking_core.store.sqlite.reader import INSTRUCTIONS_BETWEEN_LOOKS


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
