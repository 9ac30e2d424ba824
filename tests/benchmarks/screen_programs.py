"""The programs that draw, each in a terminal of its own that notes when which bytes came; and what feeds them.

No emulator stands behind the terminals: drawing what arrives would take from the cores that are measured. Run as a
program, it is one of the feeders: `python -m tests.benchmarks.screen_programs table|writer …`.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg

from tests.benchmarks.traffic import Traffic, run_start
from tracking_core import SimpleETLTracker
from tracking_core.events import Batch, RunEnd
from tracking_core.identity import new_run_id, new_writer_id
from tracking_core.store import open_store

ROOT = Path(__file__).resolve().parents[2]
COLUMNS, LINES = 160, 40
JOB = "crm_sync"
PATIENCE_S = 60.0
HERE = "tests.benchmarks.screen_programs"

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P_^X].*?(?:\x1b\\|\x07)|[ -/]*[0-Z\\-~])", re.DOTALL)
_ANSWERS = {b"\x1b[?2026$p": b"\x1b[?2026;2$y", b"\x1b[6n": b"\x1b[1;1R", b"\x1b[c": b"\x1b[?62;22c"}
"""What terminals say when asked for synchronised updates, the cursor's place, their kind; silence costs some 5 s."""


def etlwatch(dsn: str, *options: str) -> list[str]:
    """Return the command of the dashboard on a store."""
    start = "import sys; from etlwatch.__main__ import main; sys.exit(main())"
    return [sys.executable, "-c", start, "--dsn", dsn, *options]


def table(rows: int, *, moving: bool = False) -> list[str]:
    """Return the command of the peer: Textual's DataTable with so many rows, three cells of each moving or none."""
    return [sys.executable, "-m", HERE, "table", str(rows), str(int(moving))]


def pg_activity(dsn: str) -> list[str]:
    """Return the command of pg_activity on a server."""
    return [sys.executable, "-m", "pgactivity", dsn]


def htop() -> list[str]:
    """Return the command of htop, as often as the dashboard draws."""
    return ["htop", "-d", "10"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A slow line between program and terminal; what is not yet through waits in the terminal's 4 kB."""

    bytes_per_s: float
    latency_s: float
    """There and back."""


class Watched:
    """A program in a terminal of 160 × 40 unless `size` says otherwise; use as a context manager, which ends it."""

    def __init__(
        self, command: Sequence[str], *, size: tuple[int, int] = (COLUMNS, LINES), link: Link | None = None
    ) -> None:
        self._link = link
        self._chunks: list[tuple[float, bytes]] = []
        self._changed = threading.Condition()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        dropped = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TMUX", "STY", "LC_ALL")
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH"))))
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            command, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self._leaving = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._leaving = True
        self._reader.join()
        os.close(self._master)

    @property
    def first_byte_s(self) -> float:
        """Seconds from the start to the first byte."""
        return self._chunks[0][0] - self.began

    @property
    def bytes_written(self) -> int:
        """How many bytes have come so far."""
        with self._changed:
            return sum(len(chunk) for _, chunk in self._chunks)

    @property
    def last_byte_at(self) -> float:
        """When the last bytes came, by `time.perf_counter`."""
        with self._changed:
            return self._chunks[-1][0]

    @property
    def processor_s(self) -> float:
        """Seconds of processor time that the program has used, its threads included."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def resident_mb(self) -> float:
        """Memory that the program holds now, in MiB."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / (1 << 20)

    def wait_for(self, text: str) -> float:
        """Wait until a text has come, whatever colours it, and return the seconds since the start."""
        wanted = text.encode()
        return self._wait(0, lambda came: wanted in came) - self.began

    def press(self, key: bytes) -> float:
        """Press a key and return the seconds until the first characters that it changed have come."""
        with self._changed:
            seen = len(self._chunks)
        began = time.perf_counter()
        os.write(self._master, key)
        return self._wait(seen, lambda came: any(byte > 32 for byte in came)) - began

    def send(self, key: bytes) -> None:
        """Press a key and wait for nothing, but for the way to the program."""
        if self._link is not None:
            time.sleep(self._link.latency_s / 2)
        os.write(self._master, key)

    def _wait(self, seen: int, enough: object) -> float:
        assert callable(enough)
        deadline = time.perf_counter() + PATIENCE_S
        with self._changed:
            while True:
                came = b"".join(chunk for _, chunk in self._chunks[seen:])
                if enough(_SEQUENCE.sub(b"", came)):
                    return self._chunks[-1][0]
                if time.perf_counter() > deadline or not self._reader.is_alive():
                    raise TimeoutError(f"the program did not show what was waited for; its last: {came[-500:]!r}")
                self._changed.wait(0.5)

    def _read(self) -> None:
        while not self._leaving:
            if not select.select([self._master], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(self._master, 100 if self._link else 1 << 16)
            except OSError:
                return
            now = time.perf_counter()
            if self._link is not None:
                time.sleep(len(chunk) / self._link.bytes_per_s)
                now = time.perf_counter() + self._link.latency_s / 2
            for query, answer in _ANSWERS.items():
                if query in chunk:
                    os.write(self._master, answer)
            with self._changed:
                self._chunks.append((now, chunk))
                self._changed.notify_all()


def stock(dsn: str, runs: int) -> None:
    """Write finished runs of 20 jobs, a second apart."""
    now_us = time.time_ns() // 1000
    starts = tuple(
        replace(run_start(new_run_id()), job=f"{JOB}_{number % 20:02}", started_us=now_us - (number + 90) * 1_000_000)
        for number in range(runs)
    )
    ends = tuple(
        RunEnd(run_id=start.run_id, status="completed", ended_us=start.started_us + 60_000_000, duration_ms=60_000)
        for start in starts
    )
    with open_store(dsn).writer(60.0) as writer:
        writer.write(Batch(writer_id=new_writer_id(), batch_seq=1, starts=starts, ends=ends))


@contextmanager
def moving(dsn: str, runs: int) -> Iterator[None]:
    """Let a process record into so many runs of its own, each once a second, through the public API."""
    command = [sys.executable, "-m", HERE, "writer", dsn, str(runs)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


@contextmanager
def sleeping(dsn: str, backends: int) -> Iterator[None]:
    """Keep so many server processes in a query, for pg_activity to show."""
    connections = [psycopg.connect(dsn, autocommit=True) for _ in range(backends)]
    try:
        for connection in connections:
            connection.pgconn.send_query(b"SELECT pg_sleep(600)")
        yield
    finally:
        with psycopg.connect(dsn, autocommit=True) as other:
            for connection in connections:
                other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
                connection.close()


def _write(dsn: str, runs: int) -> None:
    tracker = SimpleETLTracker(dsn, delivery="buffered")
    run_ids = [tracker.start_run(job=f"{JOB}_{number:02}") for number in range(runs)]
    calls = Traffic()
    for beat in itertools.count(1):
        for run_id in run_ids:
            for call in calls.calls(3):
                tracker.log_request(run_id, *call)
            tracker.log_phase(
                run_id, "fetch", "running", totals={"contacts": 90_000}, processed={"contacts": beat * 300}
            )
        if beat == 1:
            tracker.flush(10)
            print("moving", flush=True)
        time.sleep(1)


def _show_table(rows: int, *, moving: bool) -> None:
    # Imported here, so that neither the writer nor the measuring process carries Textual.
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    class Peer(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable(cursor_type="row", zebra_stripes=False)

        def on_mount(self) -> None:
            shown: DataTable[str] = self.query_one(DataTable)
            names = ("state", "job", "started", "time", "phase", "requests", "req/s", "items", "errors", "p95", "notes")
            for name in names:
                shown.add_column(name, key=name)
            for number in range(rows):
                cells = ("running", f"{JOB}_{number % 20:02}", "02:10:00", "1m 00s", "1/1 fetch", "180", "3.0")
                shown.add_row(*cells, "18000", "0", "140ms", "", key=str(number))
            if moving:
                self.set_interval(1, self._move)

        def _move(self) -> None:
            shown: DataTable[str] = self.query_one(DataTable)
            beat = int(time.monotonic()) % 10_000
            for number in range(rows):
                shown.update_cell(str(number), "time", f"{beat // 60}m {beat % 60:02}s")
                shown.update_cell(str(number), "requests", str(beat * 3 + number))
                shown.update_cell(str(number), "items", str(beat * 300 + number))

    Peer().run()


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "writer":
        _write(words[0], int(words[1]))
    else:
        _show_table(int(words[0]), moving=words[1] == "1")
