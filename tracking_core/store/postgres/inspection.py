"""An examination of a PostgreSQL store: the server, our rights in it, its partitions, a pooler in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.store import sql_files
from tracking_core.store.inspection import Inspection
from tracking_core.store.postgres.connection import DIALECT, PostgresConnection, PostgresDialect
from tracking_core.store.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who answered."""

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
    """What lies in the default partition, beyond all weeks that there are partitions for."""

    requests: int
    """Counted up to a limit."""

    newest_run_id: int | None


class PostgresInspection(PostgresConnection, PostgresDialect, Inspection):
    """One connection that examines."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = sql_files.blocks(DIALECT, "inspection")

    @contextmanager
    def _look(self) -> Iterator[None]:
        with self.operation() as raw:
            raw.execute(self._sql["begin_look"])
            try:
                yield
            finally:
                if not self.closed:
                    raw.execute(self._sql["end_look"])

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self.operation() as raw, raw.transaction():
            yield

    def _read(self, block: str, **parameters: object) -> list[Row]:
        return self.raw.cursor(binary=True).execute(self._sql[block], parameters).fetchall()

    def _do(self, block: str, **parameters: object) -> int:
        return self.raw.execute(self._sql[block], parameters).rowcount

    def server(self) -> Server:
        """Return who answers, and as whom we are known there."""
        with self._look():
            version, role, pid, in_recovery, read_only = self._read("server")[0]
        return Server(
            version=version,
            role=role,
            backend_pid=pid,
            announced_pid=self.raw.pgconn.backend_pid,
            in_recovery=in_recovery,
            read_only=read_only,
            encrypted=bool(self.raw.pgconn.ssl_in_use),
        )

    def rights(self) -> list[TableRights]:
        """Return what our role may do with each table."""
        with self._look():
            found = self._read("rights")
        return [
            TableRights(table=table, read=read, insert=insert, update=update, delete=delete, own=own)
            for table, read, insert, update, delete, own in found
        ]

    def session_after(self, questions: int) -> SessionState:
        """Return what this session holds more after so many questions than before, all in one transaction."""
        with self._look():
            before = self._read("session")[0]
            for _ in range(questions):
                self._read("versions")
            after = self._read("session")[0]
        prepared, locks, channels = (now - then for now, then in zip(after, before, strict=True))
        return SessionState(prepared=prepared, locks=locks, channels=channels)

    def partitions(self) -> list[tuple[int, int]]:
        """Return the run ids [from, to) that each weekly partition takes, in order."""
        with self._look():
            return [(first, after_last) for first, after_last in self._read("partitions")]

    def without_default(self) -> list[str]:
        """Return the tables below which a default partition is missing."""
        with self._look():
            return [name for (name,) in self._read("without_default")]

    def strays(self, most: int) -> Strays:
        """Return what lies in the default partition, counted up to `most` rows."""
        with self._look():
            requests, newest = self._read("strays", most=most)[0]
        return Strays(requests=requests, newest_run_id=newest)
