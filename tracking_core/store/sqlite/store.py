"""The SQLite store: one file that makes itself at the first write."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tracking_core.config import StoreLocation, make_private_directory
from tracking_core.errors import SchemaMissing, StoreRefused, StoreUnavailable
from tracking_core.process.interrupts import from_outside, load
from tracking_core.store import sql_files
from tracking_core.store.sql_files import pending
from tracking_core.store.sqlite.connection import DIALECT, SqliteConnection
from tracking_core.store.sqlite.reader import EmptyStoreReader, SqliteReader, without_file

if TYPE_CHECKING:
    from tracking_core.store.sqlite.administration import SqliteAdministration
    from tracking_core.store.sqlite.writer import SqliteWriter

INITIALIZE_SECONDS = 30.0
FILE_MODE = 0o600


class SqliteStore:
    """One SQLite file; see `tracking_core.store.base.Store` for the verbs."""

    kind = "sqlite"

    def __init__(self, location: StoreLocation) -> None:
        assert location.path is not None
        self.location = location
        self.path: Path = location.path

    def __repr__(self) -> str:
        return f"SqliteStore({self.label})"

    @property
    def label(self) -> str:
        """The file's path."""
        return self.location.label

    def writer(self, deadline: float) -> SqliteWriter:
        """Connect for writing; a file that is not there yet is made."""
        # Who only reads loads none of it.
        load("tracking_core.store.sqlite.writer")
        from tracking_core.store.sqlite.writer import SqliteWriter

        if not self.path.exists():
            self.initialize()
        writer = SqliteWriter(self.location, deadline)
        contents = writer.contents
        if contents.tables and not contents.ours:
            writer.close()
            raise SchemaMissing(
                f"{self.label} is another program's database; name a file of its own, or `etlwatch init`"
            )
        if not contents.tables:
            writer.close()
            self.initialize()
            writer = SqliteWriter(self.location, deadline)
        return writer

    def reader(self, deadline: float) -> SqliteReader | EmptyStoreReader:
        """Connect for reading; the embedded default that no job has made yet is an empty store.

        Raises SchemaMissing where the file was named and is not there.
        """
        return (EmptyStoreReader if without_file(self.location) else SqliteReader)(self.location, deadline)

    def administration(self, deadline: float) -> SqliteAdministration:
        """Connect for a person's changes; the embedded default is made where no job has made it yet.

        Raises SchemaMissing where the file was named and is not there: a slip of the pen makes no store.
        """
        load("tracking_core.store.sqlite.administration")
        from tracking_core.store.sqlite.administration import SqliteAdministration

        if without_file(self.location):
            self.initialize()
        elif not self.path.exists():
            raise SchemaMissing(f"{self.label} does not exist yet: a job makes it, or `etlwatch init`")
        return SqliteAdministration(self.location, deadline)

    def initialize(self) -> list[str]:
        """Create the file (0600) or upgrade its tables; return the names of the migrations applied."""
        schema = sql_files.blocks(DIALECT, "schema")
        known = sql_files.migrations(DIALECT)
        self._make_file()
        with SqliteConnection(self.location, INITIALIZE_SECONDS) as connection, connection.operation() as raw:
            connection.patiently(lambda: raw.execute(schema["lock_schema"]))
            (has_versions,) = raw.execute(schema["has_versions"]).fetchone()
            applied = raw.execute(schema["versions"]).fetchall() if has_versions else []
            todo = pending(known, applied, self.label)
            for migration in todo:
                for statement in sql_files.statements(migration.sql):
                    raw.execute(statement)
                raw.execute(schema["record_version"], migration.as_row())
            raw.commit()
        return [f"{migration.version:03d}_{migration.name}" for migration in todo]

    def migration_sql(self) -> str:
        """Return the SQL of all migrations."""
        return sql_files.whole_schema(DIALECT)

    def _make_file(self) -> None:
        if self.path.is_dir():
            raise StoreRefused(f"{self.label} is a directory; name a file in it")
        try:
            if not self.location.named:
                make_private_directory(self.path.parent)
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))
        except FileNotFoundError:
            raise StoreUnavailable(f"{self.label}: the directory {self.path.parent} does not exist") from None
        except OSError as error:
            if from_outside(error):
                raise
            raise StoreRefused(f"{self.label}: {error.strerror or error}") from None
