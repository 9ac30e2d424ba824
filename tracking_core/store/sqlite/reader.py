"""Reading from the SQLite file, on a connection that may not write."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from tracking_core.config import StoreLocation
from tracking_core.errors import SchemaMissing, StoreError, StoreRefused, StoreUnavailable
from tracking_core.process.deadlines import moment
from tracking_core.process.interrupts import from_outside
from tracking_core.records import Bundle
from tracking_core.store import sql_files
from tracking_core.store.dialect import SQLITE, Rows
from tracking_core.store.queries import Reader
from tracking_core.store.sqlite.connection import DIALECT, SqliteConnection
from tracking_core.store.sqlite.forking import gate

_checked: set[tuple[str, int, int, int]] = set()
"""States of files whose contents a version of this program has made: path, inode, time, size."""

INSTRUCTIONS_BETWEEN_LOOKS = 100_000
"""How often a long query looks at the clock: about every millisecond."""


class SqliteReader(SqliteConnection, Reader):
    """One connection that answers queries; see `tracking_core.store.queries.Reader`."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        self._due = math.inf
        SqliteConnection.__init__(self, location, deadline, read_only=True)
        Reader.__init__(self)
        self._sql = sql_files.blocks(DIALECT, "reads")
        self._in_view = False
        self.bundle: Bundle | None = None
        """Where the file comes from if it is a bundle: then its clock stands still."""

        try:
            self._find_bundle()
            self._sql = self._blocks_for_schema(self.label)
        except StoreError:
            self.close()
            raise

    def _find_bundle(self) -> None:
        if not self.contents.bundled:
            return
        self._sql = {**self._sql, **sql_files.blocks(DIALECT, "archive")}
        try:
            self._check_parts("foreign_parts")
            version = self._ask("newest_version").value()
            self._sql |= sql_files.blocks(DIALECT, "archive", version if isinstance(version, int) else None)
            found = self._path.stat()
            state = (str(self._path), found.st_ino, found.st_mtime_ns, found.st_size)
            if state not in _checked:
                self._check_parts("misfits")
                _checked.add(state)
            self.bundle = self._ask("bundle").records(Bundle, self.forms)[0]
        except SchemaMissing:
            raise StoreRefused(f"{self.label} is no whole bundle: a table or a column is missing") from None
        self.at = self.bundle.made_at

    def _check_parts(self, block: str) -> None:
        wrong = self._ask(block).column("name")
        if wrong:
            raise StoreRefused(f"{self.label} is no whole bundle: what stands in {', '.join(wrong)} makes no sense")

    def _configure(self, *, read_only: bool) -> None:
        super()._configure(read_only=read_only)
        found = self._path.stat()
        self._opened = found.st_dev, found.st_ino
        self.raw.set_progress_handler(lambda: time.monotonic() > moment(self._due), INSTRUCTIONS_BETWEEN_LOOKS)

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Let all queries inside the block see one moment of the store: one transaction.

        The deadline holds for each query, not for the block. A view inside a view is the same one.
        """
        if self._in_view:
            yield
            return
        # A fork must not come between the queries of one view.
        with gate.open():
            with self.operation() as raw:
                self._check_same_file()
                raw.execute(self._sql["begin_view"])
            self._in_view = True
            try:
                yield
            finally:
                self._in_view = False
                # Closed where somebody interrupted the block and this comes when it is forgotten.
                if not self.closed and self.raw.in_transaction:
                    with suppress(StoreError), self.operation() as raw:
                        raw.execute(self._sql["end_view"])

    def _check_same_file(self) -> None:
        """Raise StoreUnavailable where the path names no file any more, or another one: ours gets no new rows."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise StoreUnavailable(f"{self.label} was moved or removed: {error.strerror}") from None
        if (found.st_dev, found.st_ino) != self._opened:
            raise StoreUnavailable(f"{self.label} is another file than before")

    def _ask(self, block: str, **parameters: object) -> Rows:
        with self.operation() as raw:
            self._due = time.monotonic() + self.deadline
            cursor = raw.execute(self._sql[block], parameters)
            return Rows(cursor.fetchall(), tuple(name for name, *_ in cursor.description or ()))


class EmptyStoreReader(Reader):
    """Reads a file that does not exist yet: an empty store, until a job makes the file; from then on that file."""

    forms = SQLITE

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__()
        self._location = location
        self._deadline = deadline
        self._reader: SqliteReader | None = None

    def one_view(self) -> AbstractContextManager[None]:
        reader = self._opened()
        return nullcontext() if reader is None else reader.one_view()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _ask(self, block: str, **parameters: object) -> Rows:
        reader = self._opened()
        if reader is not None:
            return reader._ask(block, **parameters)
        now = parameters.get("now")
        return Rows([(now, False, now)] if block == "now" else [], ("moment", "standby", "clock"))

    def _opened(self) -> SqliteReader | None:
        if self._reader is None and not without_file(self._location):
            self._reader = SqliteReader(self._location, self._deadline)
        return self._reader


def without_file(location: StoreLocation) -> bool:
    """Return whether this is the embedded default and no job has made its file yet."""
    if location.named or location.path is None:
        return False
    try:
        return location.path.stat().st_size == 0
    except FileNotFoundError:
        return True
    except OSError as error:
        if from_outside(error):
            raise
        return False
