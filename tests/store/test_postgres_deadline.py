"""Every wait for PostgreSQL ends at its deadline: connecting, looking up names, each operation (promise P3).

The bounds only tell what keeps to its deadline from what does not: that lasts for ever here, or much longer.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import conninfo

from tests.support.proxy import PostgresProxy
from tests.support.waiting import wait_until
from tracking_core.config import resolve
from tracking_core.errors import StoreRefused, StoreUnavailable
from tracking_core.process import deadlines
from tracking_core.store.postgres import deadline as names
from tracking_core.store.postgres.connection import PostgresConnection

DEADLINE = 0.4
BUSY_MACHINE_S = 3.0

MakeProxy = Callable[[str], PostgresProxy]


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began <= seconds + BUSY_MACHINE_S


def connect(dsn: object, deadline: float = DEADLINE) -> PostgresConnection:
    return PostgresConnection(resolve(dsn), deadline)


def keywords_of(dsn: str) -> dict[str, str]:
    return {name: str(value) for name, value in conninfo.conninfo_to_dict(dsn).items()}


def through(proxy: PostgresProxy, dsn: str) -> dict[str, str]:
    """Return the keywords of a database with a silent host before its own."""
    keywords = keywords_of(dsn)
    return {**keywords, "host": f"127.0.0.1,{keywords['host']}", "port": f"{proxy.port},{keywords['port']}"}


def test_a_server_that_accepts_and_says_nothing_is_given_up_at_the_deadline(
    postgres_dsn: str, postgres_proxy: MakeProxy
) -> None:
    proxy = postgres_proxy(postgres_dsn)
    proxy.silence()
    with at_most(DEADLINE), pytest.raises(StoreUnavailable, match="no answer within the deadline"):
        connect(proxy.dsn)


def test_silence_on_a_live_connection_ends_the_operation_and_the_connection(
    postgres_dsn: str, postgres_proxy: MakeProxy
) -> None:
    proxy = postgres_proxy(postgres_dsn)
    connection = connect(proxy.dsn)
    proxy.freeze()
    with at_most(DEADLINE), pytest.raises(StoreUnavailable, match="deadline"), connection.operation() as raw:
        raw.execute("SELECT 1")
    assert connection.closed
    connection.close()


def test_a_server_that_keeps_talking_without_an_answer_is_given_up_too(postgres_dsn: str) -> None:
    chatter = "DO $$ BEGIN LOOP RAISE NOTICE 'x'; END LOOP; END $$"
    connection = connect(postgres_dsn)
    with at_most(DEADLINE), pytest.raises(StoreUnavailable), connection.operation() as raw:
        raw.execute(chatter)


def test_waiting_for_a_lock_ends_at_the_deadline(postgres_store_dsn: str) -> None:
    with psycopg.connect(postgres_store_dsn) as holder, connect(postgres_store_dsn) as connection:
        holder.execute("LOCK TABLE tracking.runs")
        with at_most(DEADLINE), pytest.raises(StoreUnavailable), connection.operation() as raw:
            raw.execute("SELECT count(*) FROM tracking.runs")


def test_a_silent_host_leaves_time_for_those_behind_it(postgres_dsn: str, postgres_proxy: MakeProxy) -> None:
    proxy = postgres_proxy(postgres_dsn)
    proxy.silence()
    with connect(through(proxy, postgres_dsn), 2.0) as connection, connection.operation() as raw:
        assert raw.execute("SELECT 1").fetchone() == (1,)
    assert proxy.connections == 1


def test_all_hosts_together_are_given_one_deadline(postgres_dsn: str, postgres_proxy: MakeProxy) -> None:
    proxy = postgres_proxy(postgres_dsn)
    proxy.silence()
    hosts, deadline = 4, 2.0
    keywords = {**keywords_of(postgres_dsn), "host": ",".join(["127.0.0.1"] * hosts), "port": str(proxy.port)}
    with at_most(deadline), pytest.raises(StoreUnavailable):
        connect(keywords, deadline)
    assert proxy.connections == hosts


def test_a_call_s_bound_holds_over_connecting_and_all_its_operations(
    postgres_dsn: str, postgres_proxy: MakeProxy
) -> None:
    proxy = postgres_proxy(postgres_dsn)

    def ask() -> None:
        with connect(proxy.dsn, 30.0) as connection:
            proxy.freeze()
            with pytest.raises(StoreUnavailable), connection.operation() as raw:
                raw.execute("SELECT 1")

    with at_most(DEADLINE):
        deadlines.bounded(DEADLINE, ask)


def test_who_waits_for_a_thread_can_shorten_what_it_waits_for(postgres_dsn: str, postgres_proxy: MakeProxy) -> None:
    proxy = postgres_proxy(postgres_dsn)
    proxy.silence()
    faults: list[BaseException] = []

    def ask() -> None:
        try:
            connect(proxy.dsn, 60.0)
        except StoreUnavailable as error:
            faults.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: proxy.connections, "the thread waits")
    assert thread.ident is not None
    with deadlines.limit_thread(thread.ident, time.monotonic()):
        thread.join(20)
    assert len(faults) == 1


class Resolver:
    """What stands for the system's resolver."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.answers = threading.Event()

    def getaddrinfo(self, host: str, port: object, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        self.answers.wait(60)
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self.addresses[host]]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    stand_in = Resolver()
    monkeypatch.setattr(names.socket, "getaddrinfo", stand_in.getaddrinfo)
    monkeypatch.setattr(names, "_under_way", {})
    monkeypatch.setattr(names, "_last_known", {})
    yield stand_in
    stand_in.answers.set()


def test_a_resolver_that_says_nothing_is_given_up_at_the_deadline_and_asked_once(
    postgres_dsn: str, resolver: Resolver
) -> None:
    keywords = {**keywords_of(postgres_dsn), "host": "db.example"}
    for _ in range(2):
        with at_most(DEADLINE), pytest.raises(StoreUnavailable, match=r"'db.example'.*resolver"):
            connect(keywords)
    assert resolver.asked == ["db.example"]


def test_every_address_of_a_name_is_tried(postgres_dsn: str, resolver: Resolver) -> None:
    resolver.answers.set()
    resolver.addresses["db.example"] = ["127.0.0.2", "127.0.0.1"]
    with connect({**keywords_of(postgres_dsn), "host": "db.example"}) as connection:
        assert connection.raw.info.host == "db.example"


def test_a_host_without_an_address_leaves_the_others(postgres_dsn: str, resolver: Resolver) -> None:
    resolver.answers.set()
    keywords = keywords_of(postgres_dsn)
    connect({**keywords, "host": "gone.example,127.0.0.1"}).close()
    with pytest.raises(StoreUnavailable, match=r"'gone.example'.*not known"):
        connect({**keywords, "host": "gone.example"})


def test_a_service_s_host_is_looked_up_within_the_deadline(
    postgres_dsn: str, resolver: Resolver, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services"  # type: ignore[operator]
    file.write_text("[prod]\nhost=db.example\nport=1\nuser=job\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    with at_most(DEADLINE), pytest.raises(StoreUnavailable, match=r"'db.example'"):
        connect("service=prod dbname=x")
    assert resolver.asked == ["db.example"]


def test_a_leaving_process_uses_the_last_known_address_and_starts_no_thread(
    postgres_dsn: str, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    keywords = {**keywords_of(postgres_dsn), "host": "db.example"}
    monkeypatch.setattr(names, "is_leaving", lambda: True)
    with pytest.raises(StoreUnavailable, match="no thread"):
        connect(keywords)
    monkeypatch.setattr(names, "_last_known", {"db.example": ["127.0.0.1"]})
    connect(keywords).close()
    assert resolver.asked == []


def test_addresses_and_sockets_are_asked_of_nobody(postgres_server: object, resolver: Resolver) -> None:
    for host in ("127.0.0.1", "::1", "/nowhere", ""):
        with pytest.raises((StoreUnavailable, StoreRefused)):
            connect({"host": host, "port": "1", "dbname": "x", "user": "y"})
    assert resolver.asked == []


def test_a_wrong_number_of_ports_is_libpq_s_to_complain_of(resolver: Resolver) -> None:
    with pytest.raises(StoreUnavailable, match="could not match"):
        connect({"host": "a.example,b.example,c.example", "port": "1,2", "dbname": "x"})
