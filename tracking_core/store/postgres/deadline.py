"""A psycopg connection whose every wait ends at a deadline.

`statement_timeout`, keepalives and `tcp_user_timeout` do not cover a peer that acknowledges packets and sends nothing,
and libpq's connect_timeout has a floor of two seconds and counts anew for each host; so the deadline is kept in the
loop in which psycopg waits for the socket, for connecting and for every operation alike. When it passes, the socket is
closed: the connection is of no more use. Of several hosts each is given its share of what is left, so that a silent one
does not use up the time of those behind it; names are looked up within the same time (see names.py).

The seam is `Connection.wait(generator)`, which is public, and `Connection._connect_gen(conninfo)`, which is not: a test
fails when a release of psycopg moves it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import waiting

from tracking_core.process.deadlines import moment
from tracking_core.process.interrupts import from_outside
from tracking_core.store.postgres.names import NameNotResolved, with_addresses

T = TypeVar("T")
POLL_INTERVAL_S = 0.1
"""How often a silent wait checks the clock and allows ctrl-c."""


class DeadlineExceeded(psycopg.OperationalError):
    """The server did not answer in time."""


class _Connecting(threading.local):
    """The connecting that this thread is doing."""

    due: float | None = None
    """When it must be over, on the monotonic clock."""

    attempts: int = 1
    """How many addresses are still to be tried."""


_connecting = _Connecting()


def _until(due: float, generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    try:
        wanted = next(generator)
        while True:
            # What has arrived is read first; a server may also send for ever without an answer.
            wanted = generator.send((yield wanted))
            if time.monotonic() >= moment(due):
                generator.close()
                raise DeadlineExceeded("no answer within the deadline")
    except StopIteration as done:
        result: T = done.value
        return result


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that waits for the server no longer than until `due`."""

    due: float | None = None
    """On the monotonic clock; None waits for ever. Set when an operation begins."""

    @classmethod
    def open(cls, keywords: Mapping[str, str], seconds: float) -> DeadlineConnection:
        """Connect within this many seconds, all hosts together; psycopg.Error otherwise.

        No named prepared statements and no startup options, so that poolers in transaction mode work.
        """
        due = time.monotonic() + seconds
        try:
            resolved: dict[str, Any] = with_addresses(keywords, due)
        except NameNotResolved as error:
            raise psycopg.OperationalError(str(error)) from None
        attempts = resolved.get("hostaddr", resolved.get("host", "")).count(",") + 1
        if resolved.get("target_session_attrs") == "prefer-standby":
            # Each is tried as a standby first.
            attempts *= 2
        _connecting.due, _connecting.attempts = due, attempts
        try:
            return cls.connect(autocommit=True, prepare_threshold=None, **resolved)
        finally:
            _connecting.due = None

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Generator[Any, Any, Any]:
        generator = super()._connect_gen(conninfo, **options)
        if _connecting.due is None:
            return generator
        now = time.monotonic()
        share = (moment(_connecting.due) - now) / _connecting.attempts
        _connecting.attempts = max(_connecting.attempts - 1, 1)
        return _until(now + share, generator)

    def wait(self, gen: Any, interval: float = POLL_INTERVAL_S, *_: Any, **__: Any) -> Any:
        """Run one exchange with the server; closes the connection when the deadline or an interrupt ends it."""
        due = self.due
        try:
            if due is None:
                return waiting.wait(gen, self.pgconn.socket, interval=interval)
            remaining = max(min(interval, moment(due) - time.monotonic()), 0.001)
            return waiting.wait(_until(due, gen), self.pgconn.socket, interval=remaining)
        except BaseException as error:
            if isinstance(error, DeadlineExceeded) or from_outside(error):
                self.pgconn.finish()
            raise
