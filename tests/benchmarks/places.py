"""Where it is measured: a PostgreSQL server, fresh databases and files, and the words that say which.

The server is the one that $ETLWATCH_TEST_POSTGRES names, or the tests' own (tests/support/postgres.py): in memory and
with fsync off, so that figures tell of the program and not of a disk. Writing is measured as shipped as well, and
judged there: on a server with PostgreSQL's own settings and on a disk, as a user has it.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from tests.benchmarks.measuring import Effort, Finding
from tests.support.databases import Databases
from tests.support.postgres import GUARDED_ROLE, OwnPostgres, PostgresServer
from tests.support.session import SharedSession
from tracking_core.store import open_store

Topic: TypeAlias = "Callable[[Places, Effort], list[Finding]]"
"""What measures one subject and returns its rows."""

EXISTING_SERVER = "ETLWATCH_TEST_POSTGRES"
SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "ssl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """A directory, and a server with the means to make databases on it."""

    directory: Path
    server: PostgresServer
    databases: Databases
    session: SharedSession

    @contextmanager
    def as_shipped(self) -> Iterator[Places]:
        """Yield places as a user has them; these very ones where somebody else runs the server."""
        if not isinstance(self.server, OwnPostgres):
            yield self
            return
        server = OwnPostgres.create(self.session, "shipped", as_shipped=True)
        try:
            databases = Databases(server, self.session)
            yield replace(self, directory=self.session.directory, server=server, databases=databases)
        finally:
            server.destroy()

    @contextmanager
    def postgres_store(self) -> Iterator[str]:
        """Yield the DSN of a fresh store on PostgreSQL."""
        with self.databases.fresh() as dsn:
            open_store(dsn).initialize()
            yield dsn

    @contextmanager
    def sqlite_store(self) -> Iterator[str]:
        """Yield the DSN of a fresh store in a file."""
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            dsn = f"sqlite:///{directory}/tracking.db"
            open_store(dsn).initialize()
            yield dsn

    def with_password(self, dsn: str) -> str | None:
        """Return the DSN for a role that owns nothing and whose password is checked; None on a foreign server."""
        if not isinstance(self.server, OwnPostgres):
            return None
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in (
                f"GRANT USAGE ON SCHEMA tracking TO {GUARDED_ROLE}",
                f"GRANT ALL ON ALL TABLES IN SCHEMA tracking, public TO {GUARDED_ROLE}",
            ):
                connection.execute(statement.encode())
        return self.server.guarded_dsn(dsn.rpartition("/")[2])

    def surroundings(self) -> dict[str, str]:
        """Return what the figures were measured on."""
        with psycopg.connect(self.server.superuser_dsn) as connection:
            settings = {
                name: str(connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0])  # type: ignore[index]
                for name in SETTINGS
            }
        version = settings.pop("server_version")
        return {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} at the end",
            "python": f"{platform.python_version()}, psycopg {psycopg.__version__}",
            "postgresql": f"{version}; for rows of clean-up and promises, and those `in memory`: "
            + ", ".join(f"{name} {value}" for name, value in settings.items()),
            "sqlite": f"{sqlite3.sqlite_version}, journal WAL, synchronous NORMAL",
        }


def as_shipped(topic: Topic) -> Topic:
    """Return a topic that is measured on a server with its own settings, fsync included."""

    def shipped(places: Places, effort: Effort) -> list[Finding]:
        with places.as_shipped() as there:
            return topic(there, effort)

    return shipped


UNJUDGED: Mapping[str, Any] = {"budget": "", "met": None, "note": "", "judged_ratio": None}


def also_in_memory(topic: Topic) -> Topic:
    """Return a topic that is judged as shipped and measured in memory too, for what the disk hides."""

    def both(places: Places, effort: Effort) -> list[Finding]:
        with places.as_shipped() as shipped:
            judged = topic(shipped, effort)
            if shipped is places:
                return judged
        bare = topic(places, effort)
        return [*judged, *(replace(row, what=f"  in memory: {row.what.strip()}", **UNJUDGED) for row in bare)]

    return both


@contextmanager
def open_places() -> Iterator[Places]:
    """Yield the places; what was started is stopped and what was made is removed."""
    session = SharedSession.begin()
    session.once("controller", lambda: str(os.getpid()))
    own: OwnPostgres | None = None
    try:
        if EXISTING_SERVER in os.environ:
            server = PostgresServer(os.environ[EXISTING_SERVER])
        else:
            server = own = OwnPostgres.create(session, "postgres")
        databases = Databases(server, session)
        with isolated(session.data):
            yield Places(directory=session.data, server=server, databases=databases, session=session)
        if own is None:
            databases.drop_all()
    finally:
        if own is not None:
            own.destroy()
        session.end()


@contextmanager
def isolated(directory: Path) -> Iterator[None]:
    """Keep the user's own settings, data and spools out of what is measured."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("TRACKING_", "PG", "MLFLOW_", "OTEL_", "PYTHONDONTWRITE")):
            del os.environ[name]
    # Without compiled modules a start is mostly compiling, which an installed program never does; not in the tree.
    os.environ["PYTHONPYCACHEPREFIX"] = str(directory / "pycache")
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        os.environ[name] = str(directory / name.lower())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
