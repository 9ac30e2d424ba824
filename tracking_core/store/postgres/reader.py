"""Reading from PostgreSQL: READ ONLY transactions, one moment for all questions of a view, no session state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

import psycopg
from psycopg import Cursor

from tracking_core.config import StoreLocation
from tracking_core.errors import StoreError, StoreRefused
from tracking_core.records import Run
from tracking_core.store import sql_files
from tracking_core.store.postgres.connection import CONFLICT, DIALECT, PostgresConnection, PostgresDialect
from tracking_core.store.postgres.deadline import DeadlineConnection
from tracking_core.store.postgres.pipeline import quiet_pipeline
from tracking_core.store.postgres.prefetch import Query, QueryPrefetch
from tracking_core.store.queries import Queries
from tracking_core.store.rows import Row
from tracking_core.store.sql_files import check_readable


class PostgresReader(PostgresConnection, PostgresDialect, Queries):
    """One connection that answers questions; see `tracking_core.store.base.Reader`."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        PostgresConnection.__init__(self, location, deadline)
        Queries.__init__(self)
        plain = self._sql = {**sql_files.blocks(DIALECT, "reads"), **sql_files.blocks(DIALECT, "raw")}
        self._in_view = False
        self._begun = False
        self._newest = RowVersions()
        self._prefetch = QueryPrefetch()
        self._answers: dict[Query, list[Row]] = {}
        self._waited = 0.0
        try:
            if self.standby is not False:
                data_time = sql_files.blocks(DIALECT, "standby")["data_time"].rstrip(";")
                self._sql = {name: sql.replace("now()", data_time) for name, sql in plain.items()}
                try:
                    self._ask("now", now=None)
                except StoreRefused:
                    # Managed servers may keep these functions back: the server's clock has to do, its lag is unknown.
                    self._sql = {**plain, "now": plain["now"].replace("pg_is_in_recovery()", "false")}
            check_readable(self._ask("newest_version")[0][0], sql_files.migrations(DIALECT)[-1].version, self.label)
        except StoreError:
            self.close()
            raise

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Let all questions inside the block see one moment of the store: one REPEATABLE READ transaction.

        The moment is that of the first question, with which the transaction begins; what can be foreseen is asked with
        it. The deadline holds for each exchange, not for the block. A view inside a view is the same one.
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
        rows = self._newest.of(
            [version[:2] for version in versions], lambda run_ids: self._ask_of_runs("runs_named", run_ids)
        )
        return self._records.at(rows, self.forms.moment(versions[0][-1]))

    def _end_view(self) -> None:
        if self._begun and not self.closed:
            with self.operation() as raw:
                raw.execute(self._sql["end_view"])

    def _ask(self, block: str, **parameters: object) -> list[Row]:
        question = Query.of(block, parameters)
        if not self._in_view:
            return self._begin([question], and_end=True)[question]
        if not self._begun:
            began = time.monotonic()
            self._answers = self._begin([question, *self._prefetch.new_view()])
            self._begun, self._waited = True, time.monotonic() - began
        if question in self._answers:
            self._prefetch.asked(question, self._waited)
            return self._answers[question]
        began = time.monotonic()
        with self.operation() as raw:
            answer = raw.cursor(binary=True).execute(self._sql[block], parameters).fetchall()
        self._spoke_in_turns = True
        self._prefetch.asked(question, time.monotonic() - began)
        return answer

    def _begin(self, questions: Iterable[Query], *, and_end: bool = False) -> dict[Query, list[Row]]:
        """Begin a transaction and ask these questions in it, all in one exchange; return their answers.

        What a standby ended because it kept it from replaying is begun once more, within the same deadline.
        """
        asked = list(questions)

        def begin(raw: DeadlineConnection) -> dict[Query, list[Row]]:
            cursors = {question: raw.cursor(binary=True) for question in asked}
            try:
                return self._exchange(raw, cursors, and_end=and_end)
            except psycopg.Error as error:
                if self.closed or not (error.sqlstate or "").startswith(CONFLICT):
                    raise
            return self._exchange(raw, cursors, and_end=and_end)

        return self.repeated(begin)

    def _exchange(
        self, raw: DeadlineConnection, cursors: Mapping[Query, Cursor[Row]], *, and_end: bool
    ) -> dict[Query, list[Row]]:
        try:
            with quiet_pipeline(raw):
                raw.execute(self._sql["begin_view"])
                for question, cursor in cursors.items():
                    cursor.execute(self._sql[question.block], question.parameters)
                if and_end:
                    raw.execute(self._sql["end_view"])
            return {question: cursor.fetchall() for question, cursor in cursors.items()}
        except BaseException:
            if not self.closed:
                raw.rollback()
            raise


class RowVersions:
    """Remembers the rows of one page."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[object, Row]] = {}

    def of(self, versions: Sequence[Row], read: Callable[[list[int]], Sequence[Row]]) -> list[Row]:
        """Return the rows of a page, given (run_id, version) of each; `read` returns those that are not held so.

        Both must see one moment of the store.
        """
        held = self._rows
        changed = [run_id for run_id, version in versions if run_id not in held or held[run_id][0] != version]
        fresh = {row[0]: row for row in read(changed)} if changed else {}
        self._rows = {
            run_id: (version, fresh[run_id] if run_id in fresh else held[run_id][1]) for run_id, version in versions
        }
        return [row for _, row in self._rows.values()]
