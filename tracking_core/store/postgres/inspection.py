"""An inspection of a PostgreSQL store: server, rights and the SQL that grants them, partitions, a pooler in between."""

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


RECORDING = {
    "runs": "SIU", "requests": "SI", "run_endpoints": "SIU", "run_series": "SIU", "throughput": "SIUD",
    "phases": "SIU", "phase_series": "SIU", "source_counts": "SIU", "errors": "SI", "batches": "SIUD", "writers": "SIU",
    "switches": "S", "removed_runs": "S", "retention": "S", "schema_version": "S", "audit": "I",
}  # fmt: skip
"""S select, I insert, U update, D delete: what a job's own writing needs of each table."""

ADMINISTRATION = {
    "runs": "SUD", "requests": "SD", "run_endpoints": "SD", "run_series": "SD", "phases": "SD", "phase_series": "SD",
    "source_counts": "SD", "errors": "SD", "batches": "SD", "writers": "SD", "switches": "SIU", "removed_runs": "SID",
    "retention": "SIU", "schema_version": "S", "audit": "SIU",
}  # fmt: skip
"""The same for switches, closing runs and clean-ups."""

WORDS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}


def quoted(name: str) -> str:
    """Return a name as SQL writes an identifier."""
    return '"' + name.replace('"', '""') + '"'


def grants(role: str, *, database: str = "", owner: str = "") -> str:
    """Return the SQL that lets a role record, read and administrate, for an administrator to choose from.

    `database` where the role asked to make the tables; `owner` of the tables that there are.
    """
    to = quoted(role)
    if owner:
        lines = [f"-- the tables belong to {quoted(owner)}: run `etlwatch init` as this role or a member of it"]
    elif database:
        lines = ["-- to make the tables with `etlwatch init`", f"GRANT CREATE ON DATABASE {quoted(database)} TO {to};"]
    else:
        lines = []
    lines += [
        "-- to use tables that another role has made with `etlwatch init`",
        f"GRANT USAGE ON SCHEMA tracking TO {to};",
        "-- to look: commands and dashboard",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA tracking TO {to};",
        "-- to record: jobs",
        *_on_tables(RECORDING, to),
        "-- to turn tracking on and off, close runs and clean up (only the owner's members drop whole weeks)",
        *_on_tables(ADMINISTRATION, to),
    ]
    return "\n".join(lines) + "\n"


def _on_tables(needed: dict[str, str], to: str) -> list[str]:
    tables: dict[str, list[str]] = {}
    for table, letters in needed.items():
        tables.setdefault(letters, []).append(f"tracking.{table}")
    return [
        f"GRANT {', '.join(WORDS[letter] for letter in letters)} ON {', '.join(names)} TO {to};"
        for letters, names in tables.items()
    ]
