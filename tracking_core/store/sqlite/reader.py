"""Reading from the SQLite file, on a connection that may not write."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import ClassVar, Self

from tracking_core.clock import to_microseconds
from tracking_core.config import StoreLocation
from tracking_core.errors import StoreError
from tracking_core.store import queries, rows
from tracking_core.store.migrate import check_readable
from tracking_core.store.questions import Questions
from tracking_core.store.rows import Row
from tracking_core.store.sqlite.connection import SqliteConnection

DIALECT = "sqlite"
INSTRUCTIONS_BETWEEN_LOOKS = 100_000
"""How often a long query looks at the clock: about every millisecond."""


class _SqliteQuestions(Questions):
    """How parameters are written for SQLite."""

    forms: ClassVar[rows.Forms] = rows.SQLITE

    def _now(self) -> object:
        return time.time_ns() // 1000 if self.at is None else to_microseconds(self.at)

    def _moment(self, moment: datetime) -> object:
        return to_microseconds(moment)

    def _list(self, values: Sequence[int] | Sequence[str]) -> object:
        return json.dumps(values)


class SqliteReader(SqliteConnection, _SqliteQuestions):
    """One connection that answers questions; see `tracking_core.store.base.Reader`."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        SqliteConnection.__init__(self, location, deadline, read_only=True)
        Questions.__init__(self)
        self._sql = queries.blocks(DIALECT, "reads")
        self._in_view = False
        self._due = 0.0
        self.raw.set_progress_handler(lambda: time.monotonic() > self._due, INSTRUCTIONS_BETWEEN_LOOKS)
        try:
            check_readable(self._ask("newest_version")[0][0], queries.migrations(DIALECT)[-1].version, self.label)
        except StoreError:
            self.close()
            raise

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Let all questions inside the block see one moment of the store: one transaction.

        The deadline holds for each question, not for the block. A view inside a view is the same one.
        """
        if self._in_view:
            yield
            return
        with self.operation() as raw:
            raw.execute(self._sql["begin_view"])
        self._in_view = True
        try:
            yield
        finally:
            self._in_view = False
            if self.raw.in_transaction:
                with suppress(StoreError), self.operation() as raw:
                    raw.execute(self._sql["end_view"])

    def _ask(self, block: str, **parameters: object) -> list[Row]:
        with self.operation() as raw:
            self._due = time.monotonic() + self.deadline
            return raw.execute(self._sql[block], parameters).fetchall()


class UnbornReader(_SqliteQuestions):
    """Reads a file that nobody has made yet: an empty store, until a job makes it; from then on that file."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__()
        self._location = location
        self._deadline = deadline
        self._reader: SqliteReader | None = None

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Let all questions inside the block see one moment of the store."""
        reader = self._born()
        if reader is None:
            yield
            return
        with reader.one_view():
            yield

    def close(self) -> None:
        """Close it; closing twice is fine."""
        if self._reader is not None:
            self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, block: str, **parameters: object) -> list[Row]:
        reader = self._born()
        if reader is not None:
            return reader._ask(block, **parameters)
        return [(parameters["now"],)] if block == "now" else []

    def _born(self) -> SqliteReader | None:
        if self._reader is None and not unborn(self._location):
            self._reader = SqliteReader(self._location, self._deadline)
        return self._reader


def unborn(location: StoreLocation) -> bool:
    """Return whether this is the embedded default and no job has made its file yet."""
    if not location.is_embedded_default or location.path is None:
        return False
    try:
        return location.path.stat().st_size == 0
    except FileNotFoundError:
        return True
    except OSError:
        return False
