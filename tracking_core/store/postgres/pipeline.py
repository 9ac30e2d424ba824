"""Several statements in one exchange with the server, in a form that a pooler in transaction mode counts right.

The seam is `Pipeline._exit_gen`, which is private to psycopg: a test reads what goes over the wire.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import psycopg
from psycopg import generators

from tracking_core.process.interrupts import from_outside
from tracking_core.store.postgres.deadline import DeadlineConnection


class OneSyncPipeline(psycopg.Pipeline):
    """A pipeline whose last message is its Sync.

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
