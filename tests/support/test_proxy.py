"""The proxy's faults are the ones that a network and a hanging server produce."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.support.proxy import RESET, PostgresProxy, TcpProxy
from tests.support.waiting import wait_until

# Long enough that a forwarded answer would have come, short enough to wait for one that must not.
SILENCE_SECONDS = 0.2


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := self.request.recv(65536):
                self.server.heard.append(chunk)  # type: ignore[attr-defined]
                self.request.sendall(chunk)


class _EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.heard: list[bytes] = []


@pytest.fixture
def echo() -> Iterator[_EchoServer]:
    with _EchoServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: _EchoServer) -> Iterator[TcpProxy]:
    host, port = echo.server_address[:2]
    with TcpProxy(str(host), int(port)) as proxy:
        yield proxy


def dial(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=10)


def ask(connection: socket.socket, message: bytes) -> bytes:
    connection.sendall(message)
    return connection.recv(65536)


def hears_nothing(connection: socket.socket) -> bool:
    connection.settimeout(SILENCE_SECONDS)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(10)
    return False


def test_forwarded_bytes_and_connections_are_counted(proxy: TcpProxy) -> None:
    with dial(proxy) as first, dial(proxy) as second:
        assert ask(first, b"one") == b"one"
        assert ask(second, b"three") == b"three"
        assert (proxy.connections, proxy.live, proxy.bytes_up, proxy.bytes_down) == (2, 2, 8, 8)
    wait_until(lambda: proxy.live == 0, "the proxy has seen both clients leave")


def test_large_transfers_arrive_whole(proxy: TcpProxy) -> None:
    payload = bytes(range(256)) * 20_000
    received = bytearray()
    with dial(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=[payload])
        sender.start()
        while len(received) < len(payload):
            received += connection.recv(1 << 20)
        sender.join()
    assert bytes(received) == payload


def test_refusing_closes_the_port_and_spares_live_connections(proxy: TcpProxy) -> None:
    with dial(proxy) as live:
        assert ask(live, b"before") == b"before"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
        assert ask(live, b"still") == b"still"
        proxy.resume()
        with dial(proxy) as late:
            assert ask(late, b"again") == b"again"


def test_silence_accepts_and_says_nothing(proxy: TcpProxy, echo: _EchoServer) -> None:
    with dial(proxy) as live:
        assert ask(live, b"before") == b"before"
        proxy.silence()
        with dial(proxy) as unheard:
            unheard.sendall(b"hello?")
            assert hears_nothing(unheard)
            assert ask(live, b"still") == b"still"
            assert echo.heard == [b"before", b"still"]
            proxy.resume()
            assert unheard.recv(100) == b"hello?"


def test_frozen_connection_stays_open_and_loses_nothing(proxy: TcpProxy, echo: _EchoServer) -> None:
    with dial(proxy) as connection:
        assert ask(connection, b"before") == b"before"
        proxy.freeze()
        connection.sendall(b"during")
        assert hears_nothing(connection)
        assert echo.heard == [b"before"]
        proxy.resume()
        assert connection.recv(100) == b"during"


def test_held_answer_is_lost_by_a_cut_though_the_server_heard_the_request(proxy: TcpProxy, echo: _EchoServer) -> None:
    with dial(proxy) as connection:
        assert ask(connection, b"before") == b"before"
        proxy.hold_answers()
        connection.sendall(b"commit")
        wait_until(lambda: echo.heard == [b"before", b"commit"], "the server has heard the request")
        assert hears_nothing(connection)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_cut_resets_live_connections_and_takes_new_ones(proxy: TcpProxy) -> None:
    with dial(proxy) as connection:
        assert ask(connection, b"before") == b"before"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with dial(proxy) as connection:
        assert ask(connection, b"after") == b"after"


def test_server_that_is_down_behind_the_proxy_resets_the_client(proxy: TcpProxy) -> None:
    proxy.target = ("127.0.0.1", 1)
    with pytest.raises(ConnectionResetError), dial(proxy) as connection:
        connection.recv(100)


def test_reset_by_the_client_ends_the_link_without_a_word(proxy: TcpProxy, caplog: pytest.LogCaptureFixture) -> None:
    connection = dial(proxy)
    assert ask(connection, b"before") == b"before"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()
    wait_until(lambda: proxy.live == 0, "the proxy has seen the reset")
    assert not caplog.records


def test_postgres_is_reached_through_the_proxy(
    postgres_proxy: Callable[[str], PostgresProxy], postgres_dsn: str
) -> None:
    proxy = postgres_proxy(postgres_dsn)
    with psycopg.connect(proxy.dsn) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (connection.info.dbname,)
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert proxy.connections >= 1
