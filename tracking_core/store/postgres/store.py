"""The PostgreSQL store: opens connections and makes the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking_core.config import StoreLocation
from tracking_core.errors import StoreForbidden, StoreRefused
from tracking_core.process.interrupts import load
from tracking_core.store import sql_files
from tracking_core.store.postgres.connection import DIALECT, ENCODING, PostgresConnection
from tracking_core.store.sql_files import pending

if TYPE_CHECKING:
    from tracking_core.store.postgres.administration import PostgresAdministration
    from tracking_core.store.postgres.reader import PostgresReader
    from tracking_core.store.postgres.writer import PostgresWriter

INITIALIZE_SECONDS = 120.0


class PostgresStore:
    """One PostgreSQL database; see `tracking_core.store.base.Store` for the verbs."""

    kind = "postgres"

    def __init__(self, location: StoreLocation) -> None:
        self.location = location

    def __repr__(self) -> str:
        return f"PostgresStore({self.label})"

    @property
    def label(self) -> str:
        return self.location.label

    def writer(self, deadline: float) -> PostgresWriter:
        # Who only reads, or only writes, loads none of the rest.
        load("tracking_core.store.postgres.writer")
        from tracking_core.store.postgres.writer import PostgresWriter

        return PostgresWriter(self.location, deadline)

    def reader(self, deadline: float) -> PostgresReader:
        load("tracking_core.store.postgres.reader")
        from tracking_core.store.postgres.reader import PostgresReader

        return PostgresReader(self.location, deadline)

    def administration(self, deadline: float) -> PostgresAdministration:
        load("tracking_core.store.postgres.administration")
        from tracking_core.store.postgres.administration import PostgresAdministration

        return PostgresAdministration(self.location, deadline)

    def initialize(self) -> list[str]:
        """Create or upgrade the tables and their partitions; return the names of the migrations applied."""
        with PostgresConnection(self.location, INITIALIZE_SECONDS) as connection:
            try:
                return self._initialize(connection)
            except StoreForbidden as error:
                with connection.operation() as raw:
                    row = raw.execute(sql_files.blocks(DIALECT, "schema")["owner"]).fetchone()
                error.grants = grants(raw.info.user, database=raw.info.dbname, owner=row[0] if row else "")
                raise

    def _initialize(self, connection: PostgresConnection) -> list[str]:
        schema = sql_files.blocks(DIALECT, "schema")
        known = sql_files.migrations(DIALECT)
        with connection.operation() as raw, raw.transaction():
            if connection.encoding != ENCODING:
                raise StoreRefused(
                    f"{self.label} has the encoding {connection.encoding}, which lacks characters that jobs record: "
                    f"make the database with ENCODING '{ENCODING}'"
                )
            raw.execute(schema["lock_schema"])
            row = raw.execute(schema["has_versions"]).fetchone()
            applied = raw.execute(schema["versions"]).fetchall() if row and row[0] else []
            todo = pending(known, applied, self.label)
            for migration in todo:
                raw.execute(migration.sql)
                raw.execute(schema["record_version"], migration.as_row())
            raw.execute(sql_files.script(DIALECT, "partitions"))
        return [f"{migration.version:03d}_{migration.name}" for migration in todo]

    def migration_sql(self) -> str:
        """Return the SQL of all migrations and partitions, for an administrator to read or run."""
        return sql_files.whole_schema(DIALECT, "partitions")


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
