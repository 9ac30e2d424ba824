"""A pgbouncer with a pool of one, in transaction mode unless another is asked for: the narrowest a job may meet.

Owns its configuration, process and port. It needs Debian's `pgbouncer`; tests that ask for one are skipped without.
"""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
from psycopg import conninfo

from tests.support.ports import free_port
from tests.support.postgres import PostgresServer, dsn_url
from tests.support.session import SharedSession
from tests.support.unprivileged import alive
from tests.support.waiting import wait_until

# `any` takes every user and logs in as the one of the database line: the server's own rules are tested without it.
# One refused login (a database being copied, say) must not keep every client waiting for the default of 15 seconds.
# No startup parameter is ignored, so that a client which sends `options` is refused as it would be in production.
CONFIGURATION = """\
[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 1
min_pool_size = 0
reserve_pool_size = 0
max_client_conn = 500
server_reset_query =
server_login_retry = 0.2
pidfile = {directory}/pid
"""


class PgBouncer:
    """A running pgbouncer in front of every database of one server."""

    def __init__(self, directory: Path, port: int, pid: int) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self.directory = directory
        self._pid = pid

    @classmethod
    def create(cls, session: SharedSession, server: PostgresServer, mode: str = "transaction") -> "PgBouncer":
        """Start a pgbouncer. Skips the test where none is installed; raises RuntimeError with its log."""
        program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("pgbouncer is not installed (on Debian: apt-get install pgbouncer)")
        directory = session.own_directory(f"pgbouncer-{mode}")
        for _ in range(5):
            port = free_port()
            configuration = directory / "pgbouncer.ini"
            configuration.write_text(
                CONFIGURATION.format(server=_database_line(server), port=port, directory=directory, mode=mode)
            )
            session.account.own(configuration)
            pid = session.account.start([program, configuration], directory / "log")
            bouncer = cls(directory, port, pid)
            wait_until(lambda b=bouncer: b._answers() or not alive(b._pid), "pgbouncer listens or ends")  # type: ignore[misc]
            if alive(pid):
                return bouncer
        raise RuntimeError(f"pgbouncer did not start:\n{(directory / 'log').read_text(errors='replace')[-2000:]}")

    def dsn(self, database: str) -> str:
        """Return the DSN of a database, given by its name or its own DSN, through the pooler."""
        if "=" in database or "://" in database:
            database = str(conninfo.conninfo_to_dict(database)["dbname"])
        return dsn_url(host=self.host, port=str(self.port), user="job", dbname=database)

    def stop(self) -> None:
        """End the pooler; it holds nothing that would need an orderly shutdown."""
        if alive(self._pid):
            os.kill(self._pid, signal.SIGKILL)
            wait_until(lambda: not alive(self._pid), "pgbouncer has ended")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True


def _database_line(server: PostgresServer) -> str:
    parameters = conninfo.conninfo_to_dict(server.superuser_dsn)
    kept = {name: str(value) for name, value in parameters.items() if name in {"host", "port", "user", "password"}}
    return " ".join(f"{name}='" + value.replace("'", "''") + "'" for name, value in kept.items())
