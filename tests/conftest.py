"""Fixtures of every test: the stores to run on, and an environment that nothing leaks into.

PostgreSQL is real and never skipped: a server that cannot start fails the tests that need it.
`ETLWATCH_TEST_POSTGRES` (a superuser's DSN) names an existing server to use instead of an own one.
"""

import contextlib
import importlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.databases import Databases
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import OwnPostgres, PostgresServer
from tests.support.proxy import PostgresProxy
from tests.support.session import SharedSession

EXISTING_SERVER = "ETLWATCH_TEST_POSTGRES"
# The suite passes or fails alike wherever it runs: the same examples each time, and no example has to be quick.
# `--hypothesis-profile explore` looks further.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("steady")

SESSION_KEY = pytest.StashKey[SharedSession]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin the session in the process that the user started; join it in pytest-xdist's workers."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in its background so, and every program of a test would ignore ctrl-c as well.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker_input = getattr(config, "workerinput", None)
    if worker_input is not None:
        config.stash[SESSION_KEY] = SharedSession.join(worker_input["etlwatch_session"])
        _share_bytecode(config.stash[SESSION_KEY])
        return
    session = SharedSession.begin()
    session.once("controller", lambda: str(os.getpid()))
    config.stash[SESSION_KEY] = session
    if getattr(config.option, "dist", "no") == "no":
        _share_bytecode(session)


def _share_bytecode(session: SharedSession) -> None:
    """Let this process and those that it starts compile a module once, where none may be written beside the source."""
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(session.directory / "bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection(session: pytest.Session) -> None:
    """Compile a share of the whole suite in each worker before it collects: each collects all, and compiled all."""
    worker_input = getattr(session.config, "workerinput", None)
    if worker_input is None or sys.pycache_prefix is None or session.config.args != session.config.getini("testpaths"):
        return
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    for path in files[int(worker_input["workerid"].removeprefix("gw")) :: worker_input["workercount"]]:
        # What cannot be imported is reported by the collection.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(session.config.rootpath).with_suffix("").parts))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Hand the session's directory to a worker."""
    node.workerinput["etlwatch_session"] = str(node.config.stash[SESSION_KEY].directory)  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the session started: after a ctrl-c as after a last test."""
    session = config.stash.get(SESSION_KEY, None)
    if session is None or hasattr(config, "workerinput"):
        return
    try:
        description = session.made("postgres")
        if description is not None:
            OwnPostgres.attach(session, description).destroy()
        elif session.made("existing-postgres") is not None:
            Databases(PostgresServer(os.environ[EXISTING_SERVER]), session).drop_all()
    finally:
        session.end()


def _initialise_store(dsn: str) -> None:
    from tracking_core.store import open_store

    open_store(dsn).initialize()


@pytest.fixture(scope="session")
def shared_session(pytestconfig: pytest.Config) -> SharedSession:
    """Return the session that all processes of this test run share."""
    return pytestconfig.stash[SESSION_KEY]


@pytest.fixture(scope="session")
def postgres_server(shared_session: SharedSession) -> PostgresServer:
    """Return the one server of the whole session: `dsn(dbname)`, `guarded_dsn(dbname)`, `host`, `port`.

    It is shared by all tests and workers, so no test may stop or pause it: see `private_postgres`.
    """
    if EXISTING_SERVER in os.environ:
        shared_session.once("existing-postgres", lambda: "used")
        return PostgresServer(os.environ[EXISTING_SERVER])
    description = shared_session.once("postgres", lambda: OwnPostgres.create(shared_session, "postgres").describe())
    return OwnPostgres.attach(shared_session, description)


@pytest.fixture
def private_postgres(shared_session: SharedSession) -> Iterator[Callable[[], OwnPostgres]]:
    """Return a factory of servers for one test, which may stop, restart, pause and kill them; 0.5 s each."""
    servers: list[OwnPostgres] = []

    def create() -> OwnPostgres:
        server = OwnPostgres.create(shared_session, "private")
        servers.append(server)
        return server

    yield create
    for server in servers:
        server.destroy()


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer, shared_session: SharedSession) -> Databases:
    """Return the maker of databases on the session's server, for tests that need several."""
    return Databases(postgres_server, shared_session)


@pytest.fixture
def postgres_dsn(databases: Databases) -> Iterator[str]:
    """Yield the DSN of a fresh, empty PostgreSQL database."""
    with databases.fresh() as dsn:
        yield dsn


@pytest.fixture
def postgres_store_dsn(databases: Databases) -> Iterator[str]:
    """Yield the DSN of a fresh PostgreSQL database: an initialised, empty store, copied from a template."""
    with databases.fresh(template=databases.template("store", _initialise_store)) as dsn:
        yield dsn


@pytest.fixture
def sqlite_dsn(tmp_path: Path) -> str:
    """Return the DSN of a SQLite file that does not exist yet, absolute: four slashes."""
    return f"sqlite:///{tmp_path / 'tracking.db'}"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with an initialised, empty store, to be copied."""
    path = tmp_path_factory.mktemp("template") / "tracking.db"
    _initialise_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_store_dsn(sqlite_dsn: str, sqlite_template: Path, tmp_path: Path) -> str:
    """Return the DSN of a fresh SQLite file with an initialised, empty store."""
    shutil.copy(sqlite_template, tmp_path / "tracking.db")
    return sqlite_dsn


@pytest.fixture(params=["sqlite", "postgres"])
def store_dsn(request: pytest.FixtureRequest) -> str:
    """Return the DSN of a fresh, initialised store: the test runs once on each kind."""
    dsn: str = request.getfixturevalue(f"{request.param}_store_dsn")
    return dsn


@pytest.fixture(scope="session")
def pgbouncer_dsn(postgres_server: PostgresServer, shared_session: SharedSession) -> Iterator[Callable[[str], str]]:
    """Return a function from a database's name or DSN to its DSN through pgbouncer: transaction mode, pool of one.

    Skips the test, with its reason, where pgbouncer is not installed.
    """
    bouncer = PgBouncer.create(shared_session, postgres_server)
    yield bouncer.dsn
    bouncer.stop()


@pytest.fixture
def pgbouncer_store_dsn(postgres_store_dsn: str, pgbouncer_dsn: Callable[[str], str]) -> str:
    """Return the DSN of a fresh, initialised PostgreSQL store through pgbouncer."""
    return pgbouncer_dsn(postgres_store_dsn)


@pytest.fixture
def postgres_proxy() -> Iterator[Callable[[str], PostgresProxy]]:
    """Return a factory of proxies in front of a database: `proxy.dsn` leads through, `proxy.freeze()` and so on."""
    with contextlib.ExitStack() as proxies:
        yield lambda dsn: proxies.enter_context(PostgresProxy(dsn))


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's configuration, data, passwords and switches away from every test and its children."""
    for name in list(os.environ):
        if name.startswith(("TRACKING_", "PG", "ETLWATCH_")) and name != EXISTING_SERVER:
            monkeypatch.delenv(name)
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    # pytest-xdist tells its workers a size, which would count more than that of a terminal a test opens.
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    # The machine's own configuration is nobody's here; a test that is about it names another file.
    monkeypatch.setenv("ETLWATCH_SYSTEM_CONFIG", os.devnull)
    # libpq reads ~/.pgpass and ~/.pg_service.conf.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def nothing_underway_afterwards() -> Iterator[None]:
    """Let no run that a test left open beat on in a store that is gone, or be ended when pytest exits."""
    yield
    leaving, heartbeat = (
        sys.modules.get("tracking_core.process.exit"),
        sys.modules.get("tracking_core.process.heartbeat"),
    )
    if leaving is not None and heartbeat is not None:
        leaving.open_runs._open.clear()
        heartbeat.heartbeat._runs.clear()


@pytest.fixture(autouse=True)
def present(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `NOW` of a test module be the moment at which each test begins, not the one at which all were collected.

    Only where it was the clock's; a module whose NOW is a chosen date keeps it.
    """
    collected = getattr(request.module, "NOW", None)
    now = datetime.now(UTC).replace(microsecond=0)
    if isinstance(collected, datetime) and timedelta() <= now - collected < timedelta(hours=2):
        monkeypatch.setattr(request.module, "NOW", now)
