"""Connections to the SQLite file, and the one place where sqlite3's errors become ours."""

from __future__ import annotations

import sqlite3
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import wraps
from pathlib import Path
from threading import get_ident
from typing import ClassVar, NamedTuple, ParamSpec, TypeVar

from tracking_core import errors as our
from tracking_core import histogram
from tracking_core.config import StoreLocation, is_trusted
from tracking_core.process.deadlines import moment
from tracking_core.process.forks import hook
from tracking_core.process.interrupts import from_outside
from tracking_core.store import sql_files
from tracking_core.store.base import Connection
from tracking_core.store.dialect import SQLITE, Forms, Rows, Transactions
from tracking_core.store.sqlite.forking import gate

P = ParamSpec("P")
T = TypeVar("T")
LOCK_WAIT_S = 0.1
"""How long SQLite itself waits for a lock; the waiting beyond it is ours, so that it can be cut short."""


BLOCKED = frozenset({sqlite3.SQLITE_CONSTRAINT})
"""Result codes by which a rule of the file stops a row: a constraint, or RAISE in a trigger. The row waits."""

REJECTED = frozenset({sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH})
"""By which a value does not fit: sending it again will not help."""

REFUSED = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
)
"""By which the file cannot be written by us as it is."""

# Everything else (FULL, IOERR, CANTOPEN, BUSY, LOCKED, NOMEM, SCHEMA) may pass by itself. All but the first two
# keep the whole batch: it is spooled and sent again.


MOST_BYTES_READ = 16 * 1024 * 1024
"""The longest row that is read; the longest that is written is a hundredth of it."""


def _still(path: Path) -> str:
    return f"{path.as_uri()}?mode=ro&immutable=1"


def _is_bundle(path: Path) -> bool:
    """Return whether a file is a bundle, without taking a lock or changing anything."""
    try:
        with closing(sqlite3.connect(_still(path), uri=True)) as raw:
            raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES_READ)
            return bool(raw.execute(sql_files.blocks("sqlite", "schema")["is_bundle"]).fetchone()[0])
    except sqlite3.Error:
        return False


def translate(error: Exception, label: str) -> our.StoreError:
    """Return the error of ours that a driver's error means; the message names the file. Judged by result code."""
    text = " ".join(str(error).split())
    where = f"{label}: {text}"
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:
        # Raised by the driver itself: it has no form for such a value, or the connection is closed.
        is_value = isinstance(error, OverflowError | UnicodeEncodeError | sqlite3.InterfaceError | sqlite3.DataError)
        return (our.RowRejected if is_value else our.StoreUnavailable)(where)
    code = extended & 0xFF
    if code == sqlite3.SQLITE_ERROR and ("no such table" in text or "column" in text):
        # SQLite has one code for all that is wrong with a statement, and one language.
        return our.SchemaMissing(f"{label} holds no tables of etlwatch, or of another version: run `etlwatch init`")
    if code in BLOCKED:
        return our.RowBlocked(where)
    if code in REJECTED:
        return our.RowRejected(where)
    if code in REFUSED:
        return our.StoreRefused(where)
    if code == sqlite3.SQLITE_INTERRUPT:
        return our.StoreUnavailable(f"{label}: no answer within the deadline")
    if code in (sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_BUSY):
        return our.StoreUnavailable(f"{label}: another process holds it longer than the deadline")
    return our.StoreUnavailable(where)


def pack_blob(packed: list[int]) -> bytes:
    """Return a packed histogram as the blob that is stored: little-endian 64-bit integers."""
    numbers = array("q", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpack_blob(blob: bytes) -> array[int]:
    """Return the packed histogram of a stored blob."""
    numbers = array("q")
    numbers.frombytes(blob)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


_raised: dict[int, BaseException] = {}
"""By thread the exception that a function of ours raised within a statement: SQLite reports only that there was one."""


def _noted(work: Callable[P, T]) -> Callable[P, T]:
    @wraps(work)
    def call(*args: P.args, **keywords: P.kwargs) -> T:
        try:
            return work(*args, **keywords)
        except BaseException as error:
            _raised[get_ident()] = error
            raise

    return call


@_noted
def _merge(first: bytes, second: bytes) -> bytes:
    return pack_blob(histogram.pack(histogram.merge((unpack_blob(first), unpack_blob(second)))))


class _SumHistograms:
    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    @_noted
    def step(self, blob: bytes) -> None:
        """Add one histogram."""
        self._counts = histogram.merge((histogram.pack(self._counts), unpack_blob(blob)))

    @_noted
    def finalize(self) -> bytes:
        """Return the sum."""
        return pack_blob(histogram.pack(self._counts))


class Contents(NamedTuple):
    """What kind of file it is."""

    tables: int
    ours: int
    """1 where our tables are among them, else 0."""

    bundled: int
    """1 for a bundle, which is read and never written (see archive.py)."""


class SqliteConnection(Connection):
    """One connection to the file; the base of writer, reader and administration."""

    forms: ClassVar[Forms] = SQLITE

    contents: Contents
    """What kind of file it was when the connection was opened."""

    def __init__(self, location: StoreLocation, deadline: float, *, read_only: bool = False) -> None:
        assert location.path is not None
        self.label = location.label
        self.deadline = deadline
        self._path = location.path
        self._is_default = not location.named
        self._read_only = read_only
        self._was_cut = False
        if not read_only:
            # Who only reads is spared what a fork between writers needs.
            hook()
        with gate.open():
            self._open()
        gate.add(self)

    def _open(self) -> None:
        self._check(self._path, read_only=self._read_only)
        # A bundle is not even locked, and a file beside it (a foreign journal) is left alone.
        still = self._read_only and _is_bundle(self._path)
        try:
            self.raw = sqlite3.connect(
                _still(self._path) if still else self._path,
                uri=still,
                timeout=LOCK_WAIT_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
            )
        except sqlite3.Error as error:
            raise translate(error, self.label) from None
        self._was_cut = False
        try:
            with self.operation():
                self._configure(read_only=self._read_only)
        except BaseException:
            self.close()
            raise

    def cut(self) -> None:
        """Close it because this process forks; the next operation opens it again."""
        if not self.closed:
            self._was_cut = True
            self.raw.close()

    def _check(self, path: Path, *, read_only: bool) -> None:
        if path.is_dir():
            raise our.StoreRefused(f"{self.label} is a directory; name a file in it")
        if read_only and not path.exists():
            raise our.SchemaMissing(f"{self.label} does not exist yet: a job makes it, or `etlwatch init`")
        if not path.parent.is_dir():
            raise our.StoreUnavailable(f"{self.label}: the directory {path.parent} does not exist")
        if path.exists() and not path.is_file():
            # To open a pipe would wait for a process at its other end.
            raise our.StoreRefused(f"{self.label} is no regular file")
        for place in (path.parent, path) if self._is_default else ():
            if not is_trusted(place):
                raise our.StoreRefused(f"{self.label}: {place} belongs to another user, or everybody may write to it")

    def _configure(self, *, read_only: bool) -> None:
        schema = sql_files.blocks("sqlite", "schema")
        if read_only:
            self.raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES_READ)
            self.raw.executescript(schema["configure_reader"])
        self.patiently(lambda: self._look_at(schema["contents"]))
        if read_only:
            return
        if self.contents.bundled:
            # Before anything is set that the file would keep.
            raise our.StoreRefused(f"{self.label} is a bundle: it is looked at, and nothing is written to it")
        self.raw.create_function("merge_histograms", 2, _merge, deterministic=True)
        self.raw.create_aggregate("sum_histograms", 1, _SumHistograms)  # type: ignore[arg-type]
        # Turning WAL on does not wait for its turn as other statements do.
        self.patiently(lambda: self.raw.executescript(schema["configure"]))

    def _look_at(self, query: str) -> None:
        self.contents = Contents(*self.raw.execute(query).fetchone())

    def patiently(self, take_lock: Callable[[], object]) -> None:
        """Do what needs a lock, again until it is had or the deadline has passed."""
        give_up = time.monotonic() + self.deadline
        while True:
            try:
                take_lock()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= moment(give_up):
                    raise
                time.sleep(0.005)
            else:
                return

    @contextmanager
    def operation(self) -> Iterator[sqlite3.Connection]:
        """Translate what goes wrong inside the block; a transaction left open is rolled back."""
        with gate.open():
            if self._was_cut:
                self._open()
            try:
                yield self.raw
            except (sqlite3.Error, OverflowError, UnicodeError) as error:
                self._roll_back()
                within = _raised.pop(get_ident(), None)
                if within is not None and from_outside(within):
                    raise within from None
                raise translate(error, self.label) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self.raw.rollback()

    @property
    def closed(self) -> bool:
        """Whether the connection is of no more use."""
        if self._was_cut:
            return False
        try:
            return self.raw.total_changes < 0
        except sqlite3.ProgrammingError:
            return True

    def close(self) -> None:
        self._was_cut = False
        with gate.open(), suppress(sqlite3.Error):
            self.raw.close()


DIALECT = "sqlite"


class SqliteTransactions(SqliteConnection, Transactions):
    """One connection that runs blocks of SQL in transactions; the base of administration and inspection."""

    @contextmanager
    def _look(self) -> Iterator[None]:
        with self.operation() as raw:
            raw.execute(sql_files.blocks(DIALECT, "reads")["begin_view"])
            yield
            raw.commit()

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self.operation() as raw:
            self.patiently(lambda: raw.execute(sql_files.blocks(DIALECT, "writes")["begin"]))
            yield
            raw.commit()

    def _read(self, block: str, **parameters: object) -> Rows:
        cursor = self.raw.execute(self._sql[block], parameters)
        return Rows(cursor.fetchall(), tuple(name for name, *_ in cursor.description))

    def _do(self, block: str, **parameters: object) -> int:
        return self.raw.execute(self._sql[block], parameters).rowcount
