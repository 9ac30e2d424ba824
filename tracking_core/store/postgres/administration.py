"""What people and `etlwatch doctor` do on PostgreSQL: short transactions; old requests are dropped by whole weeks.

A run goes with all its summaries in one step, and nothing shows raw requests of a run that is not there. So its rows
may wait for their week, which is dropped once all of it is older than the cutoff and nothing in it is kept. Row by row
goes what is in a week that other runs use, or outside all weeks; and everything, when every finished run goes
(days=0: jobs may well be recording in those weeks) or when the role owns no tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import ClassVar

from psycopg import errors, sql

from tracking_core.clock import to_microseconds
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.identity import MAX_RUN_ID, first_run_id_at
from tracking_core.store import sql_files
from tracking_core.store.administration import Administration, Inspection
from tracking_core.store.postgres.connection import DIALECT, PostgresTransactions
from tracking_core.store.retention import Cleanup, RequestsFate, StepLimits

LOCK_WAIT_MS = 50
"""How long a drop waits for each of its locks before it gives up; writers wait for the block's as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One week of requests."""

    name: str
    block: str
    """The table that it hangs below."""

    first: int
    beyond: int
    """It takes the run ids from `first` on and before `beyond`."""

    owned: bool
    """Whether this role may drop it."""

    bytes: int
    """What it takes on the disk; 0 where nothing was ever written."""

    stays: bool
    """Whether it holds a run that is not removed."""

    requests: int
    """How many requests the runs have that are removed."""

    @property
    def last(self) -> int:
        """The greatest run id that it takes."""
        return self.beyond - 1

    def is_past(self, limit: int) -> bool:
        """Return whether all its run ids are smaller than a limit."""
        return self.beyond <= limit

    def goes_whole(self, limit: int) -> bool:
        """Return whether it can be dropped, given the first run id that is too young."""
        return self.owned and self.is_past(limit) and not self.stays


def too_young(cutoff: datetime, now: datetime) -> int:
    """Return the first run id of a clean-up's cutoff; a week of the future never goes."""
    return first_run_id_at(to_microseconds(min(cutoff, now)))


def gaps(weeks: Sequence[Week]) -> list[tuple[int, int]]:
    """Return the run ids (first, last) for which there is no week: their requests lie in a default partition."""
    found = []
    first = 0
    for week in weeks:
        if first < week.first:
            found.append((first, week.first - 1))
        first = week.beyond
    return [*found, (first, MAX_RUN_ID)]


class PostgresAdministration(PostgresTransactions, Administration):
    """One connection that changes what people ask for."""

    limits = StepLimits(runs=400, weight=100_000, purge=20_000, requests=False)

    pauses: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.2, 0.4, 0.8)
    """Seconds between the rounds in which weeks in use are tried again: busy writers, or a dump."""

    pause: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._load()

    def _record(self, **parameters: object) -> int:
        return int(self._read("record_action", **parameters).value())

    def _fate_of_requests(self, days: int, cutoff: datetime, now: datetime, spared: list[int], /) -> RequestsFate:
        limit = too_young(cutoff, now)
        weeks = self._weeks(cutoff, spared, limit)
        if days == 0 or not any(week.owned for week in weeks):
            return RequestsFate()
        dropped = [week for week in weeks if week.goes_whole(limit) and week.bytes]
        others = [week for week in weeks if week.requests and not week.goes_whole(limit)]
        return RequestsFate(
            dropped_weeks=len(dropped),
            dropped_bytes=sum(week.bytes for week in dropped),
            cut_weeks=sum(week.is_past(limit) or not week.owned for week in others),
            waiting_requests=sum(week.requests for week in others if week.owned and not week.is_past(limit)),
        )

    def _clear_requests(self, under_way: Cleanup, /) -> Iterator[int]:
        limit = too_young(under_way.cutoff, under_way.now)
        with self._look():
            weeks = self._weeks(under_way.cutoff, under_way.spared, limit)
        if under_way.days == 0:
            going, by_rows = [], weeks
        else:
            going = [week for week in weeks if week.goes_whole(limit)]
            by_rows = [
                week
                for week in weeks
                if not week.goes_whole(limit) and (week.is_past(limit) or (week.first < limit and not week.owned))
            ]
        yield from self._drop_weeks(going, under_way)
        for first, last in [*gaps(weeks), *((week.first, week.last) for week in by_rows if week.bytes)]:
            yield from self._remove_orphans(first, last)

    def _weeks(self, cutoff: datetime, spared: Sequence[int], limit: int) -> list[Week]:
        found = self._read("weeks", cutoff=self._moment(cutoff), spared=self._list(spared), limit=limit)
        return found.records(Week, self.forms)

    def _drop_weeks(self, weeks: Sequence[Week], under_way: Cleanup) -> Iterator[int]:
        """Drop weeks; those in use all the time are left for the next clean-up."""
        for pause in (0.0, *self.pauses):
            if not weeks:
                return
            if pause:
                self.pause(pause)
            busy = []
            for week in weeks:
                if not self._drop(week, under_way):
                    busy.append(week)
                yield 0
            weeks = busy

    def _drop(self, week: Week, under_way: Cleanup) -> bool:
        """Drop a week unless it has a run now; False, and nothing changed, when it is in use."""
        with self.operation() as raw:
            try:
                with raw.transaction():
                    self._do("be_impatient", milliseconds=str(LOCK_WAIT_MS))
                    raw.execute(self._naming("lock_week", week=week.name))
                    raw.execute(self._naming("lock_block", block=week.block))
                    if not self._read("week_in_use", first=week.first, last=week.last).value():
                        raw.execute(self._naming("drop_week", week=week.name))
                        under_way.removed.weeks += bool(week.bytes)
                        self._amend(under_way)
            except errors.LockNotAvailable:
                return False
            except errors.UndefinedTable:
                # Another clean-up was there first.
                return True
        return True

    def _remove_orphans(self, first: int, last: int) -> Iterator[int]:
        """Delete the requests of runs that are gone, among the run ids of one week or of none."""
        bounds = {"first": first, "last": last}
        while True:
            with self._look():
                run_ids = self._read("orphans", **bounds, most=self.limits.runs).column("run_id")
            if not run_ids:
                return
            removed = self.limits.purge
            while removed == self.limits.purge:
                with self._change():
                    removed = self._do("remove_orphans", **bounds, run_ids=self._list(run_ids), most=self.limits.purge)
                yield 0

    def _naming(self, statement: str, **tables: str) -> sql.Composed:
        named = {name: sql.Identifier(table) for name, table in tables.items()}
        return sql.SQL(self._sql[statement]).format(**named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server that answered, and our role there."""

    version: str
    role: str
    backend_pid: int
    """The server's process behind this connection."""

    announced_pid: int
    """What was announced as such when connecting: a pooler announces a number of its own."""

    in_recovery: bool
    """Whether it is a standby, which takes no writes."""

    read_only: bool
    encrypted: bool

    @property
    def behind_pooler(self) -> bool:
        """Whether something else than the server answered the connection."""
        return self.backend_pid != self.announced_pid


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRights:
    """What the role may do with one table."""

    table: str
    read: bool
    insert: bool
    update: bool
    delete: bool
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """What a session holds that a pooler would take from it; all 0 for a connection of ours."""

    prepared: int
    locks: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """What is in the default partition, beyond all weeks that there are partitions for."""

    requests: int
    """Counted up to a limit."""

    newest_run_id: int | None


class PostgresInspection(PostgresTransactions, Inspection):
    """One connection that inspects."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = {**sql_files.blocks(DIALECT, "administration"), **sql_files.blocks(DIALECT, "inspection")}

    def server(self) -> Server:
        """Return which server answers, and our role there."""
        with self._look():
            (found,) = self._read("server").by_name()
        encrypted = bool(self.raw.pgconn.ssl_in_use)
        return Server(**found, announced_pid=self.raw.pgconn.backend_pid, encrypted=encrypted)

    def rights(self) -> list[TableRights]:
        """Return what our role may do with each table."""
        with self._look():
            return self._read("rights").records(TableRights, self.forms)

    def session_after(self, queries: int) -> SessionState:
        """Return what this session holds more after so many queries than before, all in one transaction."""
        with self._look():
            (before,) = self._read("session").by_name()
            for _ in range(queries):
                self._read("versions")
            (after,) = self._read("session").by_name()
        return SessionState(**{name: after[name] - before[name] for name in before})

    def partitions(self) -> list[tuple[int, int]]:
        """Return the run ids [from, to) that each weekly partition takes, in order."""
        with self._look():
            return [(row["first"], row["beyond"]) for row in self._read("partitions").by_name()]

    def without_default(self) -> list[str]:
        """Return the tables below which a default partition is missing."""
        with self._look():
            return self._read("without_default").column("relname")

    def strays(self, most: int) -> Strays:
        """Return what is in the default partition, counted up to `most` rows."""
        with self._look():
            return self._read("strays", most=most).records(Strays, self.forms)[0]
