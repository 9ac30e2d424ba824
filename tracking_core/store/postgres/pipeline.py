"""Statements and how they are sent: several in one exchange, prepared, and queries ahead of their call.

The seam is `Pipeline._exit_gen` and `_communicate_gen`, private to psycopg: a test reads what goes over the wire.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Any

import psycopg
from psycopg import Connection, RawCursor, generators

from tracking_core.clock import from_microseconds
from tracking_core.dataclass import dataclass
from tracking_core.histogram import pack
from tracking_core.process.interrupts import from_outside
from tracking_core.requests import SERIES_FINE_S, RequestRow, series_slot, tally
from tracking_core.store import parameters, sql_files
from tracking_core.store.postgres.deadline import DeadlineConnection


class OneSyncPipeline(psycopg.Pipeline):
    """A pipeline that is sent as a whole, and whose last message is its Sync.

    psycopg's own sends a Flush behind it, in a packet of its own. Where the answer to the Sync overtakes that packet,
    pgbouncer has put the server's connection back into its pool, takes one again for the Flush, and keeps it for this
    client until its next transaction: a Flush has no answer that would say "ready". With a pool of one all others wait
    in vain.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the pipeline; an exception from outside, which must stay the one raised, closes the connection."""
        interrupted = error is not None and from_outside(error)
        try:
            if not interrupted:
                with self._lock:
                    self._conn.wait(self._exit_gen())
        except BaseException as ended:
            interrupted = from_outside(ended)
            raise
        finally:
            if interrupted:
                self.pgconn.finish()
            self._exit(error)

    def _communicate_gen(self) -> Generator[Any, Any, None]:
        # All is sent at once, with the Sync: a packet for each statement costs both sides a wake-up.
        if self.result_queue and self.result_queue[-1] is None:
            yield from super()._communicate_gen()

    def _fetch_gen(self, *, flush: bool) -> Generator[Any, Any, None]:
        if flush:
            # A result is asked for before the end.
            yield from super()._communicate_gen()
        yield from super()._fetch_gen(flush=flush)

    def _exit_gen(self) -> Generator[Any, Any, None]:
        self._enqueue_sync()
        try:
            yield from self._communicate_gen()
        except psycopg.Error:
            yield from self._collect()
            raise
        yield from self._collect()

    def _collect(self) -> Generator[Any, Any, None]:
        # The Sync may still wait behind more than the socket took at once.
        yield from generators.send(self.pgconn)
        yield from self._fetch_gen(flush=False)


@contextmanager
def quiet_pipeline(raw: DeadlineConnection) -> Iterator[None]:
    """Run statements without waiting for each answer.

    What goes wrong inside leaves the pipeline as if there were none and is raised afterwards: psycopg would log a
    warning of its own for each one, into the job's log.
    """
    raw._pipeline = OneSyncPipeline(raw)
    failure: Exception | None = None
    try:
        with raw.pipeline():
            try:
                yield
            except Exception as error:
                if from_outside(error):
                    raise
                failure = error
    except psycopg.Error as error:
        raise (error if failure is None or from_outside(error) else failure) from None
    if failure is not None:
        raise failure


_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One block of SQL and the names of its parameters, in the order of their numbers."""

    text: bytes
    names: tuple[str, ...]

    def run(self, connection: Connection[Any], values: Mapping[str, Any]) -> RawCursor[Any]:
        """Run it and return its cursor, answers in binary; values that it does not name are passed over.

        Numbers go as text without a type, which the server takes for that of the column: for a number psycopg names the
        narrowest type that holds it, so that one statement would be prepared for many types, and on a fresh connection
        each type's operators and casts are looked up anew.
        """
        given = [values[name] for name in self.names]
        plain = [str(value) if type(value) is int else value for value in given]
        return RawCursor(connection).execute(self.text, plain, binary=True)


@cache
def statements(version: int | None = None) -> dict[str, Statement]:
    """Return the statements of writes.sql for a schema version, None for the newest."""
    blocks = sql_files.blocks("postgres", "writes", version)
    return {block: _statement(text) for block, text in blocks.items()}


def _statement(text: str) -> Statement:
    names: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return "%" if match[1] is None else f"${names.setdefault(match[1], len(names) + 1)}"

    plain = _SPACE.sub(" ", _COMMENT.sub("", text)).strip().rstrip(";")
    return Statement(text=_PLACEHOLDER.sub(numbered, plain).encode(), names=tuple(names))


def of_request(writer_id: int, request: RequestRow) -> dict[str, Any]:
    """Return the parameters of one immediate request: its columns, and what it adds to the counters."""
    (cell,) = tally((request,)).values()
    seconds = request.at_us // 1_000_000
    fine = seconds - seconds % SERIES_FINE_S
    bucket, width = series_slot(request.run_id, fine)
    return {
        **request._asdict(),
        **{name: getattr(cell, name) for name in parameters.COUNTED},
        "is_throttled": request.throttled,
        "writer_id": writer_id,
        "at": from_microseconds(request.at_us),
        "bucket": bucket,
        "width": width,
        "fine_bucket": fine,
        "shard": writer_id % parameters.SHARDS,
        "histogram": array_of(pack(cell.histogram)),
    }


def array_of(numbers: Iterable[int | str]) -> str:
    """Return numbers or array literals as an array literal, which the driver passes on as it is."""
    return "{" + ",".join(map(str, numbers)) + "}"


def as_arrays(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as columns: numbers as array literals, which the driver passes on as they are, others as lists."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: array_of(column) if isinstance(column[0], int) else column for name, column in columns.items()}


@dataclass(frozen=True, slots=True)
class Query:
    """One block of SQL with its parameters, as a key."""

    block: str
    given: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, block: str, parameters: Mapping[str, Any]) -> Query:
        """Return the query; lists become tuples."""
        pairs = parameters.items()
        return cls(block, tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in pairs))

    @property
    def parameters(self) -> dict[str, Any]:
        """Return them as the driver takes them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.given}


QUICK_S = 0.5
"""A query that takes longer is not sent ahead: all that are sent together have one deadline."""


class QueryPrefetch:
    """Stores the queries of the last two views."""

    def __init__(self) -> None:
        self._before: dict[Query, None] = {}
        self._last: dict[Query, None] = {}

    def new_view(self) -> list[Query]:
        """Begin a view; return the queries that are expected, in the order of the last one."""
        expected = [query for query in self._last if query in self._before]
        self._before, self._last = self._last, {}
        return expected

    def sent(self, query: Query, seconds: float) -> None:
        """Store a query of the present view that was answered within so many seconds."""
        if seconds < QUICK_S:
            self._last[query] = None
