"""A psycopg connection whose every wait ends at a deadline.

`statement_timeout`, keepalives and `tcp_user_timeout` do not cover a peer that acknowledges packets and says nothing,
and libpq's connect_timeout has a floor of two seconds and counts anew for each host; so the deadline stands in the loop
in which psycopg waits for the socket, for connecting and for every operation alike. When it passes, the socket is
closed: the connection is of no more use.

The seam is `Connection.wait(generator)`, which is public, and `Connection._connect_gen(conninfo)`, which is not: a test
tells when a release of psycopg moves it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import waiting

from tracking_core.store.due import moment

T = TypeVar("T")
POLL_INTERVAL_S = 0.1
"""How often a silent wait looks at the clock and lets ctrl-c through."""


class DeadlineExceeded(psycopg.OperationalError):
    """The server did not answer in time."""


class _Due(threading.local):
    """When the connecting that this thread is doing must be over, on the monotonic clock."""

    at: float | None = None


_connecting = _Due()


def _until(due: float, generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= moment(due):
                generator.close()
                raise DeadlineExceeded("no answer within the deadline")
            wanted = generator.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that waits for the server no longer than until `due`."""

    due: float | None = None
    """On the monotonic clock; None waits for ever. Whoever begins an operation sets it."""

    @classmethod
    def open(cls, conninfo: str, seconds: float) -> DeadlineConnection:
        """Connect within this many seconds, all hosts together; psycopg.Error otherwise.

        No named prepared statements and no startup options, so that poolers in transaction mode work.
        """
        _connecting.at = time.monotonic() + seconds
        try:
            connection = cls.connect(conninfo, autocommit=True, prepare_threshold=None)
        finally:
            _connecting.at = None
        return connection

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Generator[Any, Any, Any]:
        generator = super()._connect_gen(conninfo, **options)
        return generator if _connecting.at is None else _until(_connecting.at, generator)

    def wait(self, gen: Any, interval: float = POLL_INTERVAL_S, *_: Any, **__: Any) -> Any:
        """Run one exchange with the server; closes the connection when the deadline or an interrupt ends it."""
        due = self.due
        try:
            if due is None:
                return waiting.wait(gen, self.pgconn.socket, interval=interval)
            remaining = max(min(interval, moment(due) - time.monotonic()), 0.001)
            return waiting.wait(_until(due, gen), self.pgconn.socket, interval=remaining)
        except (DeadlineExceeded, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise
