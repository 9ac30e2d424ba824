"""Checks of what a job does while its store is unreachable: its calls, and the spool on this machine.

The unreachable stores are local test servers and files.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from statistics import median

from etlwatch.doctor import probe
from etlwatch.doctor.checks import Check, Probe, Result, Target, brief, failed, noted, ok
from etlwatch.text.numbers import bytes_, number_of, share, span
from tracking_core import identity
from tracking_core.config import StoreLocation, spool_directories
from tracking_core.delivery.buffered import BufferedDelivery
from tracking_core.delivery.immediate import ImmediateDelivery
from tracking_core.delivery.spool import LEAST_FREE_SHARE, DiskSpool
from tracking_core.delivery.spool_file import SpoolFile, waiting
from tracking_core.delivery.spool_place import folder_for, own_name, store_key
from tracking_core.errors import StoreError
from tracking_core.events import Batch, Receipt
from tracking_core.store import open_store
from tracking_core.store.base import Store

DEADLINE_S = 0.5
"""For these checks; the same code enforces a job's own deadline."""

GRACE_S = 0.25
"""How long a call may take beyond its deadline (P3)."""

BREAKER_CALLS = 200
BREAKER_S = 0.001
BUFFERED_CALLS = 2_000
BUFFERED_S = 0.005
START_S = 0.05
LOOPBACK = "127.0.0.1"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def _postgres_at(port: int) -> Store:
    # Every keyword is given, so that libpq's environment variables have no effect.
    keywords = {
        "host": LOOPBACK, "hostaddr": LOOPBACK, "port": str(port), "user": "doctor", "dbname": "doctor",
        "password": "", "sslmode": "disable", "gssencmode": "disable", "target_session_attrs": "any", "options": "",
    }  # fmt: skip
    return open_store(StoreLocation(kind="postgres", label=f"{LOOPBACK}:{port}", keywords=keywords))


@contextmanager
def refusing_server() -> Iterator[Store]:
    """Yield a store at a port that is bound but not listened on: every connection is refused."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield _postgres_at(held.getsockname()[1])


@contextmanager
def silent_server() -> Iterator[Store]:
    """Yield a store whose server accepts connections and never sends anything."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        # The kernel accepts this many by itself.
        listening.listen(128)
        yield _postgres_at(listening.getsockname()[1])


@contextmanager
def falling_silent_server() -> Iterator[Store]:
    """Yield a store whose server completes the login and answers no query."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen(16)
        clients: list[socket.socket] = []
        threading.Thread(target=_accept, args=(listening, clients), daemon=True, name="silent server").start()
        try:
            yield _postgres_at(listening.getsockname()[1])
        finally:
            # Closing alone does not interrupt the thread's accept.
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            for client in clients:
                client.close()


def _accept(listening: socket.socket, clients: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            clients.append(client)
            client.recv(8192)
            client.sendall(_LOGIN_ANSWER)


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def _setting(name: bytes, value: bytes) -> bytes:
    return _message(b"S", name + b"\0" + value + b"\0")


# https://www.postgresql.org/docs/current/protocol-flow.html: authenticated, settings, ready for a query.
_LOGIN_ANSWER = (
    _message(b"R", struct.pack("!i", 0))
    + _setting(b"server_version", b"17.0")
    + _setting(b"client_encoding", b"UTF8")
    + _setting(b"standard_conforming_strings", b"on")
    + _setting(b"integer_datetimes", b"on")
    + _message(b"K", struct.pack("!ii", 1, 1))
    + _message(b"Z", b"I")
)


@contextmanager
def locked_file() -> Iterator[Store]:
    """Yield a new SQLite store whose file another connection locks."""
    import sqlite3

    with tempfile.TemporaryDirectory(prefix="etlwatch-doctor-") as folder:
        path = Path(folder) / "held.db"
        store = open_store(StoreLocation(kind="sqlite", label=str(path), path=path))
        store.initialize()
        holder = sqlite3.connect(path, isolation_level=None)
        try:
            holder.execute("BEGIN EXCLUSIVE")
            yield store
        finally:
            holder.close()


def _blocked_store(target: Target) -> AbstractContextManager[Store]:
    return silent_server() if target.is_postgres else locked_file()


def check_silent(target: Target) -> Result:
    """Call a store that does not answer: a silent server, or a locked file."""
    return _measure_deadline(_blocked_store(target), _read if target.is_postgres else _write)


def check_falling_silent(_target: Target) -> Result:
    """Call a server that stops answering on an open connection."""
    return _measure_deadline(falling_silent_server(), _read)


def check_refused_port(_target: Target) -> Result:
    """Call a port where no server listens."""
    return _measure_deadline(refusing_server(), _read)


def _read(store: Store) -> object:
    return store.reader(DEADLINE_S)


def _write(store: Store) -> object:
    batch = probe.batch_of(probe.unstored_probe(), identity.new_writer_id(), None, [1], begins=True)
    with store.writer(DEADLINE_S) as writer:
        return writer.write(batch)


def _measure_deadline(unreachable: AbstractContextManager[Store], call: Callable[[Store], object]) -> Result:
    with unreachable as store:
        began = time.monotonic()
        try:
            call(store)
        except StoreError:
            return evaluate_deadline(time.monotonic() - began)
        return failed("it answered", "Something on this machine answers in place of the silent test server.")


def evaluate_deadline(took: float) -> Result:
    """Evaluate the seconds after which a call gave up."""
    figure = f"gave up after {brief(took)}, {DEADLINE_S:g} s allowed"
    value = round(took * 1000, 1)
    if took > DEADLINE_S + GRACE_S:
        return failed(figure, "A job would wait longer than its deadline.", value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def _time_requests(delivery: ImmediateDelivery | BufferedDelivery, run: Probe, number: int) -> list[float]:
    """Record requests; return the seconds of each call."""
    took = []
    for index in range(number):
        began = time.perf_counter()
        delivery.request(probe.raw_request(run, index))
        took.append(time.perf_counter() - began)
    return took


def check_breaker(target: Target) -> Result:
    """Measure calls after a failed one: the breaker fails them without a connection."""
    with _blocked_store(target) as store:
        delivery = ImmediateDelivery(probe.link_to(lambda: store, DEADLINE_S)[0])
        run = probe.unstored_probe()
        delivery.begin(probe.start_of(run))
        took = _time_requests(delivery, run, BREAKER_CALLS)
    return evaluate_breaker(took)


def evaluate_breaker(took: Sequence[float]) -> Result:
    """Evaluate the seconds of calls while the breaker is open, by their median: a busy machine delays single calls."""
    typical, worst = median(took), max(took)
    figure = f"p50 {brief(typical)}, worst {brief(worst)} a call"
    value = round(typical * 1000, 4)
    if typical >= BREAKER_S:
        return failed(figure, "Every call delays the job while its store is unreachable.", value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def check_buffered_without_store(target: Target) -> Result:
    """Start a run and record into it with buffered delivery while the store does not answer."""
    with _blocked_store(target) as store:
        delivery = BufferedDelivery(probe.link_to(lambda: store, DEADLINE_S)[0])
        run = probe.unstored_probe()
        try:
            began = time.perf_counter()
            delivery.begin(probe.start_of(run))
            start = time.perf_counter() - began
            took = _time_requests(delivery, run, BUFFERED_CALLS)
        finally:
            delivery.leave(time.monotonic() + DEADLINE_S)
    return evaluate_buffered(start, took)


def evaluate_buffered(start: float, took: Sequence[float]) -> Result:
    """Evaluate the seconds of a run's start and of its calls, of which one in a thousand may meet a busy machine."""
    slowest = sorted(took)[-1 - len(took) // 1000]
    figure = f"start {brief(start)}, calls p50 {brief(median(took))}, p99.9 {brief(slowest)}"
    value = round(slowest * 1000, 4)
    if start >= START_S or slowest >= BUFFERED_S:
        return failed(figure, "An unreachable store delays the job.", value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def check_spool(target: Target) -> Result:
    """Write a batch to the spool and replay it; with `--read-only`, only look at its directory."""
    directories = spool_directories(target.environ)
    if not target.read_only:
        fault = _try_spool(directories)
        if fault:
            return failed(fault, f"Tried {' and '.join(map(str, directories))}: what the store misses is lost.")
    places = [directory / own_name() for directory in directories]
    place = next((place for place in places if place.is_dir()), None)
    if place is None:
        nearest = next((parent for parent in (places or [Path("/")])[0].parents if parent.exists()), Path("/"))
        return evaluate_spool(nearest, 0o700, shutil.disk_usage(nearest), writable=os.access(nearest, os.W_OK))
    mode = stat.S_IMODE(place.stat().st_mode)
    return evaluate_spool(place, mode, shutil.disk_usage(place), writable=os.access(place, os.W_OK))


def _try_spool(directories: tuple[Path, ...]) -> str:
    """Return what fails when a batch is spooled and replayed, '' when nothing does; leave no files."""
    label = f"etlwatch-doctor {os.urandom(8).hex()}"
    made = [folder_for(directory, store_key(label)).path for directory in directories]
    absent = [folder for place in made for folder in place.parents if not folder.exists()]
    spool = DiskSpool(label, directories)
    batch = probe.batch_of(probe.unstored_probe(), 1, 1, range(1, 3), begins=True)
    replayed: list[Batch] = []

    def write(again: Batch) -> Receipt:
        replayed.append(again)
        return Receipt()

    try:
        if not spool.take(batch):
            return "it accepts nothing"
        file = next(path for folder in made for path in folder.glob("*"))
        if stat.S_IMODE(file.stat().st_mode) & _OTHERS or stat.S_IMODE(file.parent.stat().st_mode) & _OTHERS:
            return "others can read its files"
        spool.replay(write, others=False)
        return "" if replayed == [batch] else "it does not return what it stored"
    finally:
        spool.close()
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in sorted(absent, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()


def evaluate_spool(place: Path, mode: int, disk: tuple[int, int, int], *, writable: bool) -> Result:
    """Evaluate the spool directory, its mode and its disk (total, used, free in bytes)."""
    total, _, free = disk
    left = free / total if total else 1.0
    if not writable:
        return failed(f"{place} cannot be written", "What the store misses is lost; TRACKING_SPOOL_DIR sets another.")
    figure = f"{bytes_(free)} ({share(left)}) free at {place}"
    detail = ""
    if left < LEAST_FREE_SHARE:
        detail = f"With less than {share(LEAST_FREE_SHARE)} of the disk free nothing is spooled."
    elif mode & (stat.S_IWGRP | stat.S_IWOTH):
        figure, detail = f"{place} has mode {mode:04o}", "Others can put files there: chmod 700 it."
    return noted(figure, detail, value=free, unit="bytes")


def check_spooled(target: Target) -> Result:
    """Count what waits in the spool, for this store and for others."""
    directories = spool_directories(target.environ)
    files = waiting(directories) if any(directory.is_dir() for directory in directories) else ()
    return evaluate_spooled(files, target.location.label)


def evaluate_spooled(files: Sequence[SpoolFile], label: str) -> Result:
    """Evaluate the waiting spool files; `label` names the store under test."""
    here = [file for file in files if file.store and store_key(file.store) == store_key(label)]
    dead = [file for file in here if not file.in_use and file.batches]
    rejected = sum(file.rejected for file in here)
    batches = sum(file.batches for file in here)
    elsewhere = sum(file.batches for file in files) - batches
    unused = [file for file in files if file.fault]
    others = f", {elsewhere:,} for other stores" if elsewhere else ""
    figure = (
        f"{number_of(batches, 'batch')} {'waits' if batches == 1 else 'wait'}{others}"
        if batches or elsewhere
        else "nothing waits"
    )
    detail = ""
    if dead:
        oldest = span(max(file.age_s for file in dead))
        detail = f"Left by {len(dead)} dead processes up to {oldest} ago; the next job or `etlwatch spool replay` "
        detail += "sends them."
    elif rejected:
        figure = f"{figure}, {rejected:,} rejected"
        detail = "Batches that the store rejected are kept in `.rejected` files beside the others."
    elif unused:
        figure, detail = f"{figure}, {len(unused)} not used", f"{unused[0].path} is not used: {unused[0].fault}."
    return noted(figure, detail, value=batches, unit="batches")


CHECKS = (
    Check("silent store", check_silent, "P3", needs_store=False),
    Check("silent later", check_falling_silent, "P3", "postgres", needs_store=False),
    Check("refused port", check_refused_port, "P1", "postgres", needs_store=False),
    Check("breaker", check_breaker, "P3", needs_store=False),
    Check("buffered, no store", check_buffered_without_store, "P1", needs_store=False),
    Check("spool", check_spool, "P2", needs_store=False),
    Check("spooled", check_spooled, "P2", needs_store=False),
)
