"""A psycopg connection whose every wait ends at a deadline, the lookup of host names included.

`statement_timeout`, keepalives and `tcp_user_timeout` do not cover a peer that acknowledges packets and sends nothing,
and libpq's connect_timeout has a floor of two seconds and counts anew for each host; so the deadline is kept in the
loop in which psycopg waits for the socket, for connecting and for every operation alike. When it passes, the socket is
closed: the connection is of no more use. Of several hosts each is given its share of what is left, so that a silent one
does not use up the time of those behind it; names are looked up within the same time.

The seam is `Connection.wait(generator)`, which is public, and `Connection._connect_gen(conninfo)`, which is not: a test
fails when a release of psycopg moves it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import waiting

from tracking_core.process.deadlines import is_leaving, moment
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import from_outside, load, suppress_faults
from tracking_core.process.locks import Signal, daemon_thread, start_thread

T = TypeVar("T")
POLL_INTERVAL_S = 0.1
"""How often a silent wait checks the clock and allows ctrl-c."""


class DeadlineExceeded(psycopg.OperationalError):
    """The server did not answer in time."""


class _Connecting(threading.local):
    """The connecting that this thread is doing."""

    due: float | None = None
    """When it must be over, on the monotonic clock."""

    attempts: int = 1
    """How many addresses are still to be tried."""


_connecting = _Connecting()


def _until(due: float, generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    try:
        wanted = next(generator)
        while True:
            # What has arrived is read first; a server may also send for ever without an answer.
            wanted = generator.send((yield wanted))
            if time.monotonic() >= moment(due):
                generator.close()
                raise DeadlineExceeded("no answer within the deadline")
    except StopIteration as done:
        result: T = done.value
        return result


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that waits for the server no longer than until `due`."""

    due: float | None = None
    """On the monotonic clock; None waits for ever. Set when an operation begins."""

    @classmethod
    def open(cls, keywords: Mapping[str, str], seconds: float) -> DeadlineConnection:
        """Connect within this many seconds, all hosts together; psycopg.Error otherwise.

        No named prepared statements and no startup options, so that poolers in transaction mode work.
        """
        due = time.monotonic() + seconds
        try:
            resolved: dict[str, Any] = with_addresses(keywords, due)
        except NameNotResolved as error:
            raise psycopg.OperationalError(str(error)) from None
        attempts = resolved.get("hostaddr", resolved.get("host", "")).count(",") + 1
        if resolved.get("target_session_attrs") == "prefer-standby":
            # Each is tried as a standby first.
            attempts *= 2
        _connecting.due, _connecting.attempts = due, attempts
        try:
            return cls.connect(autocommit=True, prepare_threshold=None, **resolved)
        finally:
            _connecting.due = None

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> Generator[Any, Any, Any]:
        generator = super()._connect_gen(conninfo, **options)
        if _connecting.due is None:
            return generator
        now = time.monotonic()
        share = (moment(_connecting.due) - now) / _connecting.attempts
        _connecting.attempts = max(_connecting.attempts - 1, 1)
        return _until(now + share, generator)

    def wait(self, gen: Any, interval: float = POLL_INTERVAL_S, *_: Any, **__: Any) -> Any:
        """Run one exchange with the server; closes the connection when the deadline or an interrupt ends it."""
        due = self.due
        try:
            if due is None:
                return waiting.wait(gen, self.pgconn.socket, interval=interval)
            remaining = max(min(interval, moment(due) - time.monotonic()), 0.001)
            return waiting.wait(_until(due, gen), self.pgconn.socket, interval=remaining)
        except BaseException as error:
            if isinstance(error, DeadlineExceeded) or from_outside(error):
                self.pgconn.finish()
            raise


_DEFAULT_PORT = "5432"


class NameNotResolved(OSError):
    """None of the hosts has an address, or none was found in time."""


class _Lookup:
    """One request to the resolver."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.addresses: list[str] = []
        self.fault = "the resolver did not answer within the deadline"
        self.answered = Signal()

    def run(self) -> None:
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            self.addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            if self.addresses:
                _last_known[self.host] = self.addresses
            self.fault = "it has no address"
        except (OSError, UnicodeError) as error:
            self.fault = str(error)
        finally:
            if _under_way.get(self.host) is self:
                del _under_way[self.host]
            self.answered.set()


_under_way: dict[str, _Lookup] = {}
_last_known: dict[str, list[str]] = {}
renew_in_child(_under_way.clear)


def with_addresses(keywords: Mapping[str, str], due: float) -> dict[str, str]:
    """Return libpq keywords with a `hostaddr` for each host, one attempt after the other; unchanged without names.

    `due`: a moment of the monotonic clock. Raises NameNotResolved when no host can be tried.
    """
    filled = _filled(keywords)
    hosts = filled.get("host", "").split(",")
    if "hostaddr" in filled or not any(map(_is_name, hosts)):
        return dict(keywords)
    ports = filled.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        # libpq words this complaint.
        return dict(keywords)
    attempts: list[tuple[str, str, str]] = []
    faults: list[str] = []
    for position, (host, port) in enumerate(zip(hosts, ports, strict=True)):
        share = time.monotonic() + max(moment(due) - time.monotonic(), 0) / (len(hosts) - position)
        try:
            addresses = _look_up(host, share) if _is_name(host) else [_literal(host)]
        except NameNotResolved as error:
            faults.append(str(error))
            continue
        attempts += [(host, address, port or _DEFAULT_PORT) for address in addresses]
    if not attempts:
        raise NameNotResolved("; ".join(faults))
    names, addresses_, numbers = (",".join(column) for column in zip(*attempts, strict=True))
    return {**keywords, "host": names, "hostaddr": addresses_, "port": numbers}


def _look_up(host: str, due: float) -> list[str]:
    """Return the addresses of a host; raises NameNotResolved when there is none or no answer by then."""
    lookup = _under_way.get(host)
    if lookup is None:
        lookup = _under_way[host] = _Lookup(host)
        try:
            asked = not is_leaving() and start_thread(daemon_thread(lookup.run, "tracking_core resolver"))
        except BaseException:
            # Interrupted: whether a thread was started is unknown, so the next caller starts one.
            _under_way.pop(host, None)
            raise
        if not asked:
            _under_way.pop(host, None)
            if host not in _last_known:
                raise NameNotResolved(f"host {host!r}: no thread can be started to ask for it")
            return _last_known[host]
    lookup.answered.wait(max(due - time.monotonic(), 0))
    if not lookup.addresses:
        raise NameNotResolved(f"host {host!r}: {lookup.fault}")
    return lookup.addresses


def _is_name(host: str) -> bool:
    return bool(host) and not host.startswith("/") and not _literal(host)


def _literal(host: str) -> str:
    """Return a host that is an address, '' for one that is a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    return host


def _filled(keywords: Mapping[str, str]) -> dict[str, str]:
    """Return host, hostaddr and port as libpq will see them: from the keywords, else the service, else PG…."""
    service = keywords.get("service") or os.environ.get("PGSERVICE", "")
    found = _of_service(service) if service else {}
    for name, variable in (("host", "PGHOST"), ("hostaddr", "PGHOSTADDR"), ("port", "PGPORT")):
        value = keywords.get(name) or found.get(name) or os.environ.get(variable)
        if value:
            found[name] = str(value)
        else:
            found.pop(name, None)
    return found


def _of_service(name: str) -> dict[str, str]:
    """Return the settings of a service in libpq's service files; {} where they cannot be read."""
    load("configparser")
    import configparser

    own = os.environ.get("PGSERVICEFILE") or os.path.expanduser("~/.pg_service.conf")  # noqa: PTH111 - may have no home
    shared = Path(os.environ.get("PGSYSCONFDIR", "/etc/postgresql-common")) / "pg_service.conf"
    for path in (Path(own), shared):
        parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=False)
        with suppress_faults(OSError, UnicodeError, configparser.Error):
            parser.read_string(path.read_text(encoding="utf-8"))
            if parser.has_section(name):
                return dict(parser[name])
    return {}
