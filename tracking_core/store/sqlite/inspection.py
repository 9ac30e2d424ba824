"""An examination of a SQLite file: its library, its journal, its pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tracking_core.config import StoreLocation
from tracking_core.process.deadlines import moment
from tracking_core.store import sql_files
from tracking_core.store.inspection import Inspection
from tracking_core.store.rows import Row
from tracking_core.store.sqlite.connection import DIALECT, SqliteConnection, SqliteDialect
from tracking_core.store.sqlite.reader import INSTRUCTIONS_BETWEEN_LOOKS


class SqliteInspection(SqliteConnection, SqliteDialect, Inspection):
    """One connection that examines; it changes nothing, not even the journal's mode, unless it `may_write`."""

    def __init__(self, location: StoreLocation, deadline: float, *, may_write: bool = False) -> None:
        super().__init__(location, deadline, read_only=not may_write)
        self._sql = sql_files.blocks(DIALECT, "inspection")
        self._due = 0.0
        self.raw.set_progress_handler(lambda: time.monotonic() > moment(self._due), INSTRUCTIONS_BETWEEN_LOOKS)

    @contextmanager
    def _look(self) -> Iterator[None]:
        self._due = time.monotonic() + self.deadline
        with self.operation() as raw:
            raw.execute(self._sql["begin_look"])
            yield
            raw.execute(self._sql["end_look"])

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._due = time.monotonic() + self.deadline
        with self.operation() as raw:
            self.patiently(lambda: raw.execute(self._sql["begin_change"]))
            yield
            raw.commit()

    def _read(self, block: str, **parameters: object) -> list[Row]:
        return self.raw.execute(self._sql[block], parameters).fetchall()

    def _do(self, block: str, **parameters: object) -> int:
        return self.raw.execute(self._sql[block], parameters).rowcount

    def library(self) -> str:
        """Return the version of SQLite."""
        with self._look():
            return str(self._read("library")[0][0])

    def journal_mode(self) -> str:
        """Return how the file is kept whole: `wal`, as our writers leave it, or another mode."""
        with self._look():
            return str(self._read("journal_mode")[0][0])

    def quick_check(self) -> str:
        """Return `ok`, or what is wrong with the file's pages; reads all of it. StoreUnavailable at the deadline."""
        with self._look():
            return str(self._read("quick_check")[0][0])
