"""Several statements in one exchange with the server, in a form that a pooler in transaction mode counts right.

The seam is `Pipeline._exit_gen`, which is private to psycopg: a test reads what goes over the wire.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import generators

from tracking_core.store.postgres.deadline import DeadlineConnection


class OneSyncPipeline(psycopg.Pipeline):
    """A pipeline whose last message is its Sync.

    psycopg's own sends a Flush behind it, in a packet of its own. Where the answer to the Sync overtakes that packet,
    pgbouncer has put the server's connection back into its pool, takes one again for the Flush, and keeps it for this
    client until its next transaction: a Flush has no answer that would say "ready". With a pool of one all others wait
    in vain.
    """

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

    The error of a statement leaves the pipeline as if there were none and is raised afterwards: psycopg would log a
    warning of its own for each one, into the job's log.
    """
    raw._pipeline = OneSyncPipeline(raw)
    failure: psycopg.Error | None = None
    try:
        with raw.pipeline():
            try:
                yield
            except psycopg.Error as error:
                failure = error
    except psycopg.Error as error:
        raise (failure or error) from None
    if failure is not None:
        raise failure
