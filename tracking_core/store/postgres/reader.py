"""Reading from PostgreSQL: READ ONLY transactions, one moment for all queries of a view, no session state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Cursor

from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.errors import StoreError, StoreRefused
from tracking_core.records import Run
from tracking_core.store import sql_files
from tracking_core.store.dialect import Row, Rows
from tracking_core.store.postgres.connection import CONFLICT, DIALECT, PostgresConnection, quiet_pipeline
from tracking_core.store.postgres.deadline import DeadlineConnection
from tracking_core.store.queries import Reader


class PostgresReader(PostgresConnection, Reader):
    """One connection that answers queries; see `tracking_core.store.queries.Reader`."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        PostgresConnection.__init__(self, location, deadline)
        Reader.__init__(self)
        self._sql = sql_files.blocks(DIALECT, "reads")
        self._names: dict[str, tuple[str, ...]] = {}
        self._in_view = False
        self._begun = False
        self._newest = RowVersions()
        self._prefetch = QueryPrefetch()
        self._answers: dict[Query, Rows] = {}
        self._waited = 0.0
        try:
            plain = self._sql = self._blocks_for_schema(self.label)
            if self.standby is not False:
                data_time = sql_files.blocks(DIALECT, "standby")["data_time"].rstrip(";")
                self._sql = {name: sql.replace("now()", data_time) for name, sql in plain.items()}
                try:
                    self._ask("now", now=None)
                except StoreRefused:
                    # Managed servers may keep these functions back: the server's clock has to do, its lag is unknown.
                    self._sql = {**plain, "now": plain["now"].replace("pg_is_in_recovery()", "false")}
        except StoreError:
            self.close()
            raise

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Let all queries inside the block see one moment of the store: one REPEATABLE READ transaction.

        The moment is that of the first query, with which the transaction begins; the queries that are expected
        are sent with it. The deadline holds for each exchange, not for the block. A view inside a view is the same one.
        """
        if self._in_view:
            yield
            return
        self._in_view, self._begun = True, False
        try:
            yield
        except BaseException:
            with suppress(StoreError):
                self._end_view()
            raise
        else:
            self._end_view()
        finally:
            self._in_view, self._answers = False, {}

    def recent_runs(self, limit: int, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        """Return the newest runs by (started_at, run_id); with `before`, those older than that pair.

        Inside a view, as a poll reads them, only those of the newest are sent that have changed since the last one.
        """
        if before is not None or not self._in_view:
            return super().recent_runs(limit, before=before)
        versions = self._ask("run_versions", now=self._now(), limit=max(limit, 0))
        if not versions:
            return []
        rows = self._newest.of(versions, lambda run_ids: self._ask_of_runs("runs_named", run_ids))
        return self._records.at(rows, self.forms.moment(versions.column("read_at")[0]))

    def _end_view(self) -> None:
        if self._begun and not self.closed:
            with self.operation() as raw:
                raw.execute(self._sql["end_view"])

    def _ask(self, block: str, **parameters: object) -> Rows:
        query = Query.of(block, parameters)
        if not self._in_view:
            return self._begin([query], and_end=True)[query]
        if not self._begun:
            began = time.monotonic()
            self._answers = self._begin([query, *self._prefetch.new_view()])
            self._begun, self._waited = True, time.monotonic() - began
        if query in self._answers:
            self._prefetch.sent(query, self._waited)
            return self._answers[query]
        began = time.monotonic()
        with self.operation() as raw:
            answer = self._rows_of(block, raw.cursor(binary=True).execute(self._sql[block], parameters))
        self._spoke_in_turns = True
        self._prefetch.sent(query, time.monotonic() - began)
        return answer

    def _begin(self, queries: Iterable[Query], *, and_end: bool = False) -> dict[Query, Rows]:
        """Begin a transaction and send these queries in it, all in one exchange; return their answers.

        What a standby ended because it kept it from replaying is begun once more, within the same deadline.
        """
        asked = list(queries)

        def begin(raw: DeadlineConnection) -> dict[Query, Rows]:
            cursors = {query: raw.cursor(binary=True) for query in asked}
            try:
                return self._exchange(raw, cursors, and_end=and_end)
            except psycopg.Error as error:
                if self.closed or not (error.sqlstate or "").startswith(CONFLICT):
                    raise
            return self._exchange(raw, cursors, and_end=and_end)

        return self.repeated(begin)

    def _exchange(
        self, raw: DeadlineConnection, cursors: Mapping[Query, Cursor[Any]], *, and_end: bool
    ) -> dict[Query, Rows]:
        try:
            with quiet_pipeline(raw):
                raw.execute(self._sql["begin_view"])
                for query, cursor in cursors.items():
                    cursor.execute(self._sql[query.block], query.parameters)
                if and_end:
                    raw.execute(self._sql["end_view"])
            return {query: self._rows_of(query.block, cursor) for query, cursor in cursors.items()}
        except BaseException:
            if not self.closed:
                raw.rollback()
            raise

    def _rows_of(self, block: str, cursor: Cursor[Any]) -> Rows:
        names = self._names.get(block)
        if names is None:
            names = self._names[block] = tuple(column.name for column in cursor.description or ())
        return Rows(cursor.fetchall(), names)


class RowVersions:
    """The rows of the newest runs as the last poll read them, each with the version that it had.

    A poll reads the same runs again and again, and most have ended: to send all columns of 200 rows costs the server
    four times what finding them does. A row's version is its `xmin`; every change of a row is by another transaction.
    """

    def __init__(self) -> None:
        self._rows: dict[int, tuple[object, Row]] = {}
        self._names: tuple[str, ...] = ()

    def of(self, versions: Rows, read: Callable[[list[int]], Rows]) -> Rows:
        """Return the rows of a page, given the versions of each; `read` returns those that are not held so.

        Both must see one moment of the store.
        """
        held, fresh = self._rows, {}
        present = dict(zip(versions.column("run_id"), versions.column("version"), strict=True))
        changed = [run_id for run_id, version in present.items() if held.get(run_id, (None,))[0] != version]
        if changed:
            found = read(changed)
            self._names = found.names or self._names
            fresh = dict(zip(found.column("run_id"), found, strict=True))
        self._rows = {
            run_id: (version, fresh[run_id] if run_id in fresh else held[run_id][1])
            for run_id, version in present.items()
        }
        return Rows([row for _, row in self._rows.values()], self._names)


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
