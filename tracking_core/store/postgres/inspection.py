"""An inspection of a PostgreSQL store: the server, our rights in it, its partitions, a pooler in between."""

from __future__ import annotations

from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.store import sql_files
from tracking_core.store.inspection import Inspection
from tracking_core.store.postgres.connection import DIALECT, PostgresTransactions


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
