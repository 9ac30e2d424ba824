"""Connections to PostgreSQL, their pipelines, and the one place where psycopg's errors become ours.

The seam is `Pipeline._communicate_gen`, `_fetch_gen` and `_exit_gen`, private to psycopg: a test reads what goes over
the wire.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg import generators
from psycopg.types.numeric import Int8BinaryLoader

from tracking_core import errors as our
from tracking_core.config import StoreLocation
from tracking_core.process.deadlines import moment
from tracking_core.process.interrupts import from_outside, replaced_in
from tracking_core.redaction import without_secrets
from tracking_core.store import sql_files
from tracking_core.store.base import Connection
from tracking_core.store.dialect import POSTGRES, Forms, Rows, Transactions
from tracking_core.store.postgres.deadline import DeadlineConnection, DeadlineExceeded

T = TypeVar("T")
APPLICATION = "etlwatch"

ENCODING = "UTF8"
"""Of a database that lacks no character a job records, and of every session of ours."""

SESSION = {"client_encoding": ENCODING}
"""What a session must be set to, whatever the environment, the DSN, the role or the database has.

Nothing else that they may set changes what goes over the wire: times and numbers come in their binary form, parameters
are sent as ISO 8601 or binary, names are qualified. Poolers keep the client's encoding for each client.
"""


BLOCKED = ("23", "44", "P0001", "22021", "22P05")
"""SQLSTATEs, or their beginnings, by which a rule of the database stops a row.

Constraints (23: a missing partition among them), check options of views, `RAISE EXCEPTION` in a trigger, and characters
that the database's encoding lacks. The row waits in the spool; the others go on.
"""

UNCHECKED = "23514"
REJECTED = ("22",)
"""By which a value does not fit: sending it again will not help."""

WITHOUT_TABLES = ("42P01", "3F000")
OTHER_TABLES = ("42703",)

GONE = ("57P", "08")
"""By which a server ends a connection: shut down, an administrator's command, idle for too long."""

IDLE_S = 0.5
"""A connection that was not used for so long may have been ended by the server, a pooler or a firewall."""

STATEMENT_MODE = "transaction blocks not allowed in statement pooling mode"
"""The message of pgbouncer, in no other language, before it ends the connection."""

READ_ONLY = "25006"
CONFLICT = "40"
"""By which a transaction is ended because of another one: a deadlock, a serialization failure, replay on a standby."""

NOT_ALLOWED = "42501"
ROW_SECURITY_CHECK = "ExecWithCheckOptions"
"""The server's function that fails with NOT_ALLOWED for one row, by a policy, and not for a whole table."""

REFUSED = ("28", "3D000", "42", "0A", READ_ONLY)
"""By which the server refuses: because of the role, of what is missing, or of permissions."""

# Everything else (08, 40, 53, 54, 55, 57, 58, XX, no SQLSTATE at all) may pass by itself. All but the first two
# keep the whole batch: it is spooled and sent again.


def translate(error: psycopg.Error, label: str) -> our.StoreError:
    """Return the error of ours that a driver's error means; the message names the store and holds no password.

    Judged by SQLSTATE: the texts come in the server's language.
    """
    text = without_secrets(" ".join(str(error).split())) or type(error).__name__
    where = f"{label}: {text}"
    if isinstance(error, DeadlineExceeded):
        return our.StoreUnavailable(f"{label}: no answer within the deadline")
    state = error.sqlstate
    if STATEMENT_MODE in text:
        return our.StoreRefused(
            f"{label} is a pooler in statement mode, which allows no transactions:"
            " use its session or transaction mode, or connect to the server itself"
        )
    if state is None:
        return _without_state(error)(where)
    if state == NOT_ALLOWED and error.diag.source_function == ROW_SECURITY_CHECK:
        return our.RowBlocked(f"{where}: row security stops this row")
    if state == NOT_ALLOWED:
        return our.StoreForbidden(
            f"{label}: {without_secrets(error.diag.message_primary or text)}; `etlwatch init` prints what to grant"
        )
    if state.startswith(WITHOUT_TABLES):
        return our.SchemaMissing(f"{label} holds no tables of etlwatch: make them with `etlwatch init`")
    if state.startswith(OTHER_TABLES):
        return our.SchemaMissing(f"{label} has tables of another version: run `etlwatch init`")
    if state.startswith(CONFLICT):
        return our.StoreConflict(where)
    if state.startswith(BLOCKED):
        # Only this violation of the table's own bounds has no constraint that it could name.
        unplaced = state == UNCHECKED and error.diag.table_name and not error.diag.constraint_name
        return our.RowBlocked(f"{where}: `etlwatch init` makes missing partitions" if unplaced else where)
    if state.startswith(REJECTED):
        return our.RowRejected(where)
    return (our.StoreRefused if state.startswith(REFUSED) else our.StoreUnavailable)(where)


def _without_state(error: psycopg.Error) -> type[our.StoreError]:
    """Return the kind of an error that came from the driver, or from a server that was still being connected to."""
    if isinstance(error, psycopg.DataError):
        return our.RowRejected
    connecting = error.pgconn
    if connecting is not None and (connecting.needs_password or connecting.used_password):
        return our.StoreRefused
    # A server's messages before it accepts a connection have no SQLSTATE; not in English they count as unreachable.
    return our.StoreRefused if "does not exist" in str(error) else our.StoreUnavailable


class PostgresConnection(Connection):
    """One connection with a deadline for each operation; the base of writer, reader and administration."""

    forms: ClassVar[Forms] = POSTGRES

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        self.label = location.label
        self.deadline = deadline
        self._keywords = {"application_name": APPLICATION, **location.keywords, **SESSION}
        self._spoke_in_turns = False
        """Whether a transaction of several exchanges was ever made: a pooler in statement mode allows none."""

        before = sys.exc_info()[1]
        try:
            self._open(deadline)
        except psycopg.Error as error:
            raise replaced_in(error, before) or translate(error, self.label) from None

    def _open(self, seconds: float) -> DeadlineConnection:
        self.raw = DeadlineConnection.open(self._keywords, seconds)
        # Times are integers on the wire: no DateStyle, no TimeZone, and a third of the time.
        self.raw.adapters.register_loader("timestamptz", Int8BinaryLoader)
        self._used_at = time.monotonic()
        return self.raw

    @contextmanager
    def operation(self, seconds: float | None = None) -> Iterator[DeadlineConnection]:
        """Bound everything inside the block by one deadline and translate what goes wrong."""
        before = sys.exc_info()[1]
        self.raw.due = time.monotonic() + (self.deadline if seconds is None else seconds)
        try:
            yield self.raw
        except psycopg.Error as error:
            if (outer := replaced_in(error, before)) is not None:
                raise outer from None
            if error.sqlstate == READ_ONLY and self.standby:
                raise our.StoreRefused(f"{self.label} is a standby; changes go to its primary") from error
            raise translate(self._reason(error), self.label) from error
        except UnicodeEncodeError as error:
            raise our.RowRejected(f"{self.label}: {error}") from error
        except UnicodeDecodeError as error:
            raise our.StoreRefused(f"{self.label} holds bytes that are no UTF-8: {error}") from error
        except OSError as error:
            if from_outside(error):
                raise
            raise our.StoreUnavailable(f"{self.label}: {error}") from error

    def repeated(self, work: Callable[[DeadlineConnection], T]) -> T:
        """Return what `work` does as one operation; a connection that was ended while idle is replaced, once.

        `work` begins and ends a transaction, or begins one, and may be done again.
        """
        before = sys.exc_info()[1]
        with self.operation() as raw:
            idle, standby = time.monotonic() - self._used_at >= IDLE_S, self.standby
            try:
                done = work(raw)
            except psycopg.Error as error:
                if not (idle and self._is_gone(error)) or replaced_in(error, before) is not None:
                    raise
                due, remaining = raw.due, moment(raw.due or 0.0) - time.monotonic()
                raw.close()
                raw = self._open(remaining)
                if self.standby != standby:
                    # Another server, whose answers are judged by another clock.
                    raise
                raw.due = due
                done = work(raw)
        self._used_at = time.monotonic()
        return done

    def _is_gone(self, error: psycopg.Error) -> bool:
        if isinstance(error, DeadlineExceeded):
            return False
        return self.closed or (error.sqlstate or "").startswith(GONE)

    def _reason(self, error: psycopg.Error) -> psycopg.Error:
        """Return why a connection ended, if a second one shows it: the driver loses a pooler's last message."""
        remaining = moment(self.raw.due or 0.0) - time.monotonic()
        unexplained = error.sqlstate is None and self._is_gone(error) and not self._spoke_in_turns
        if not unexplained or remaining <= 0:
            return error
        try:
            with DeadlineConnection.open(self._keywords, remaining) as other:
                other.due = self.raw.due
                other.execute("BEGIN")
                other.execute("ROLLBACK")
        except psycopg.Error as second:
            return second if STATEMENT_MODE in str(second) else error
        return error

    @property
    def standby(self) -> bool | None:
        """Whether the server was a standby when it last reported it; None before PostgreSQL 14, without reports."""
        reported = self.raw.pgconn.parameter_status(b"in_hot_standby")
        return reported == b"on" if reported else None

    @property
    def encoding(self) -> str:
        """The encoding of the database, which may lack characters; '' when the server does not report it."""
        return (self.raw.pgconn.parameter_status(b"server_encoding") or b"").decode()

    @property
    def closed(self) -> bool:
        """Whether the connection is of no more use."""
        return self.raw.closed or self.raw.broken

    def close(self) -> None:
        self.raw.close()


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
            # What follows a statement that failed is "aborted": that must not replace what went wrong.
            with suppress(psycopg.Error):
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


DIALECT = "postgres"


class PostgresTransactions(PostgresConnection, Transactions):
    """One connection that runs blocks of SQL in transactions; the base of administration and inspection."""

    @contextmanager
    def _look(self) -> Iterator[None]:
        reads = sql_files.blocks(DIALECT, "reads")
        with self.operation() as raw:
            raw.execute(reads["begin_view"])
            try:
                yield
            finally:
                if not self.closed:
                    raw.execute(reads["end_view"])

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self.operation() as raw:
            # Whatever the role's default is: a stricter one makes transactions fail where they meet.
            raw.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            with raw.transaction():
                yield

    def _read(self, block: str, **parameters: object) -> Rows:
        cursor = self.raw.cursor(binary=True).execute(self._sql[block], parameters)
        return Rows(cursor.fetchall(), tuple(column.name for column in cursor.description or ()))

    def _do(self, block: str, **parameters: object) -> int:
        return self.raw.execute(self._sql[block], parameters).rowcount
