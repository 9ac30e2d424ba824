"""A TCP proxy that fails on demand: refuses, falls silent, freezes, cuts. Owns its sockets and one thread.

It knows no protocol. Every fault is in force when its method returns. The proxy lives in the test's process: a
test that forks without `exec` hands its sockets to the child, which then keeps them open.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from psycopg import conninfo

from tests.support.ports import free_port
from tests.support.postgres import dsn_url

CHUNK_BYTES = 64 * 1024
# Closing a socket with this lingering sends a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """A proxy on a port of 127.0.0.1 in front of one server; the port stays the same through all faults.

    `connections` counts accepted ones, `live` those open now, `bytes_up` what went to the server and `bytes_down`
    what came back.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.host = "127.0.0.1"
        self.port = free_port(self.host)
        self.connections = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self._links: set[_Link] = set()
        self._requests_flow = True
        self._answers_flow = True
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)

    @property
    def live(self) -> int:
        """How many connections are open now."""
        return len(self._links)

    def start(self) -> None:
        """Listen and forward."""
        self._thread.start()
        self._call(self._listen)

    def stop(self) -> None:
        """Reset every connection, close the port and end the thread."""
        self._call(self._shut_down)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def refuse(self) -> None:
        """Close the port: a new connection is refused. Live connections go on."""
        self._call(self._close_port)

    def silence(self) -> None:
        """Accept new connections and never answer them. Live connections go on."""
        self._call(self._set_flow, requests=False, answers=False, live_too=False)

    def freeze(self) -> None:
        """Forward nothing in either direction, on live connections as on new ones, and keep them open."""
        self._call(self._set_flow, requests=False, answers=False, live_too=True)

    def hold_answers(self) -> None:
        """Let requests through and hold the answers back; after `cut` the server did it and nobody heard."""
        self._call(self._set_flow, requests=True, answers=False, live_too=True)

    def cut(self) -> None:
        """Reset every live connection. New ones meet whatever holds for them."""
        self._call(self._reset_links)

    def resume(self) -> None:
        """End every fault: listen, and forward also what was held back."""
        self._call(self._set_flow, requests=True, answers=True, live_too=True)
        self._call(self._listen)

    def _call(self, step: Callable[..., Coroutine[Any, Any, None]], **arguments: bool) -> None:
        asyncio.run_coroutine_threadsafe(step(**arguments), self._loop).result(timeout=10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=CHUNK_BYTES)

    async def _close_port(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _set_flow(self, *, requests: bool, answers: bool, live_too: bool) -> None:
        self._requests_flow, self._answers_flow = requests, answers
        if live_too:
            for link in self._links:
                link.set_flow(requests=requests, answers=answers)

    async def _reset_links(self) -> None:
        tasks = [link.task for link in self._links]
        for link in list(self._links):
            link.reset()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _shut_down(self) -> None:
        await self._close_port()
        await self._reset_links()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        link = _Link(writer)
        link.set_flow(requests=self._requests_flow, answers=self._answers_flow)
        self._links.add(link)
        try:
            await self._forward(link, reader, writer)
        except* (OSError, asyncio.CancelledError):
            # The server is down, one side is gone, or `cut` came: the other side hears of it as a reset.
            link.reset()
        finally:
            self._links.discard(link)
            link.close()

    async def _forward(self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A silent server accepts without a process behind the connection, so it is dialled only now.
        await link.requests_flow.wait()
        server_reader, server_writer = await asyncio.open_connection(*self.target, limit=CHUNK_BYTES)
        link.writers.append(server_writer)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, server_writer, link.requests_flow, self._count_up))
            both.create_task(_pump(server_reader, writer, link.answers_flow, self._count_down))

    def _count_up(self, size: int) -> None:
        self.bytes_up += size

    def _count_down(self, size: int) -> None:
        self.bytes_down += size


class _Link:
    """One client's connection and, once dialled, the server's; used only on the proxy's own thread."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.writers = [client]
        self.requests_flow = asyncio.Event()
        self.answers_flow = asyncio.Event()
        task = asyncio.current_task()
        assert task is not None
        self.task = task

    def set_flow(self, *, requests: bool, answers: bool) -> None:
        for gate, flows in ((self.requests_flow, requests), (self.answers_flow, answers)):
            if flows:
                gate.set()
            else:
                gate.clear()

    def reset(self) -> None:
        for writer in self.writers:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        if asyncio.current_task() is not self.task:
            self.task.cancel()

    def close(self) -> None:
        for writer in self.writers:
            writer.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event, count: Callable[[int], None]
) -> None:
    while True:
        chunk = await reader.read(CHUNK_BYTES)
        await gate.wait()
        if not chunk:
            with contextlib.suppress(OSError):
                writer.write_eof()
            return
        count(len(chunk))  # first, so that who has read the bytes finds them counted
        writer.write(chunk)
        await writer.drain()


class PostgresProxy(TcpProxy):
    """A proxy in front of a PostgreSQL server, with the `dsn` that leads through it."""

    def __init__(self, dsn: str) -> None:
        self._parameters = {name: str(value) for name, value in conninfo.conninfo_to_dict(dsn).items()}
        super().__init__(self._parameters["host"], int(self._parameters["port"]))

    @property
    def dsn(self) -> str:
        """The DSN of the same database through the proxy."""
        return dsn_url(**{**self._parameters, "host": self.host, "port": str(self.port)})
