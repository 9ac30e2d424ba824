"""Fresh databases for tests on a server that is there already. Owns their names, creation and removal."""

import contextlib
from collections.abc import Callable, Iterator

import psycopg
from psycopg import rows, sql

from tests.support.postgres import PostgresServer
from tests.support.session import SharedSession


class Databases:
    """The databases that one test session makes on a server, all under the session's own prefix."""

    def __init__(self, server: PostgresServer, session: SharedSession) -> None:
        self._server = server
        self._session = session

    @contextlib.contextmanager
    def fresh(self, *, template: str = "template0", encoding: str | None = None) -> Iterator[str]:
        """Create a database, yield its DSN, drop it afterwards with whatever is still connected to it."""
        name = self._session.unique("db")
        self._create(name, template, encoding)
        try:
            yield self._server.dsn(name)
        finally:
            self._drop(name)

    def template(self, kind: str, initialise: Callable[[str], None]) -> str:
        """Return the name of a database that `initialise(dsn)` filled, once for the whole session."""

        def make() -> str:
            name = self._session.unique(kind)
            self._create(name, "template0")
            initialise(self._server.dsn(name))
            return name

        return self._session.once(f"template-{kind}", make)

    def drop_all(self) -> None:
        """Drop every database of this session; for a server that outlives it."""
        with self._maintenance() as connection:
            names = connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [self._session.name + "_"]
            ).fetchall()
        for name in names:
            self._drop(name)

    def guarded_dsn(self, name: str) -> str:
        """Return the DSN of a database as the role that owns nothing."""
        return self._server.guarded_dsn(name)

    def _create(self, name: str, template: str, encoding: str | None = None) -> None:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        if encoding is not None:
            statement += sql.SQL(" ENCODING {}").format(sql.Literal(encoding))
        if self._server.copy_strategy is not None:
            statement += sql.SQL(" STRATEGY {}").format(sql.Identifier(self._server.copy_strategy.lower()))
        with self._maintenance() as connection:
            connection.execute(statement)

    def _drop(self, name: str) -> None:
        with self._maintenance() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _maintenance(self) -> psycopg.Connection[str]:
        return psycopg.connect(self._server.superuser_dsn, autocommit=True, row_factory=rows.scalar_row)
