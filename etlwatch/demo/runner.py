"""The live demo: its store, its timetable, and the jobs run as child processes.

- `default_demo_dsn()` – the DSN of the demo's own store, `demo.db` beside the embedded default;
- `prepare(dsn, fresh=True)` – delete that file (and only that one) and initialise the store;
- `run_once(dsn)` – run every job once, without a terminal, and return an exit status;
- `LiveDemo(dsn)` – a context manager that keeps jobs running by the timetable `LIVE`.
"""

import fcntl
import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from etlwatch.demo.processes import Child, Children
from tracking_core.config import resolve
from tracking_core.dataclass import dataclass

RUN_ONCE_DEADLINE_S = 36.0
_POLL_S = 0.2

_API = "etlwatch.demo.crm_api"
_CRM_SYNC = "etlwatch.demo.crm_sync"
_INVENTORY = "etlwatch.demo.inventory"
_IMPORT = "etlwatch.demo.conversation_import"

_API_ARGUMENTS = ("--seed", "7", "--broken-page", "opportunities:300")
_FILE_NAME = "demo.db"

logger = logging.getLogger(__name__)

# Held until the process ends: a second demo must not delete the file of a running one.
_claims: list[IO[str]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCall:
    """One job to start: a module with a `main`, its arguments, and the expected exit status."""

    module: str
    arguments: tuple[str, ...] = ()
    expected_status: int = 0


@dataclass(frozen=True, slots=True)
class TimetableRow:
    """Jobs that run one after the other, in turn, for ever."""

    first_after_s: float  # since the start of the demo
    pause_s: float  # from the end of one run to the start of the next
    calls: tuple[JobCall, ...]


class Timetable:
    """Which job is due when; each row has at most one job at a time."""

    def __init__(self, rows: Sequence[TimetableRow], *, now: float) -> None:
        """Start at `now`, in seconds of a monotonic clock."""
        self._rows = tuple(rows)
        self._due_at: list[float | None] = [now + row.first_after_s for row in self._rows]
        self._rounds = [0] * len(self._rows)

    def due(self, now: float) -> list[tuple[int, JobCall]]:
        """Return the jobs to start now, each with the number of its row, and mark them as started."""
        calls = []
        for number, due_at in enumerate(self._due_at):
            if due_at is not None and due_at <= now:
                row = self._rows[number]
                calls.append((number, row.calls[self._rounds[number] % len(row.calls)]))
                self._rounds[number] += 1
                self._due_at[number] = None
        return calls

    def ended(self, number: int, now: float) -> None:
        """Mark the job of a row as ended: its next one is due after the pause."""
        self._due_at[number] = now + self._rows[number].pause_s


def demo_path() -> Path:
    """Return the path of the demo's own SQLite file, beside the embedded default store."""
    environment = {name: value for name, value in os.environ.items() if name != "TRACKING_DSN"}
    embedded = resolve(environ=environment).path
    assert embedded is not None  # the embedded default is a file
    return embedded.with_name(_FILE_NAME)


def default_demo_dsn() -> str:
    """Return the DSN of the demo's own store."""
    return f"sqlite:///{demo_path()}"


def prepare(dsn: str, *, fresh: bool) -> None:
    """Initialise the store.

    With `fresh`, the demo's own file is deleted first, unless another demo uses it; no other store is emptied.
    Raises `ConfigurationError` for an invalid DSN and `TrackingError` for a store that cannot be initialised.
    """
    # Imported late: the rest of the demo needs no driver.
    from tracking_core.store import open_store

    if dsn == default_demo_dsn():
        demo_path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if fresh:
            _delete_file(demo_path())
    open_store(dsn).initialize()


def _delete_file(path: Path) -> None:
    claim = path.with_name(path.name + ".lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        logger.warning("another demo uses %s: its runs are kept", path)
        return
    _claims.append(claim)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _call(module: str, options: str = "", *, notes: str = "", expected_status: int = 0) -> JobCall:
    arguments = (*options.split(), *(("--notes", notes) if notes else ()))
    return JobCall(module=module, arguments=arguments, expected_status=expected_status)


# An exception ends a Python program with status 1, as expected for a damaged file.
ONCE = (
    _call(_CRM_SYNC),
    _call(_INVENTORY, "--pace 4"),
    _call(_IMPORT, "--pace 3", notes="Chat export of March"),
    _call(_IMPORT, "--damage time --pace 2", notes="Chat export of April, damaged on its way", expected_status=1),
)

# Short runs first, so that soon one is completed and one has failed; then longer ones to watch.
LIVE = (
    TimetableRow(0.0, 5.0, (_call(_CRM_SYNC), _call(_CRM_SYNC, "--page-size 20 --pace 50"))),
    TimetableRow(0.3, 8.0, (_call(_INVENTORY, "--pace 45"),)),
    TimetableRow(
        0.6,
        9.0,
        (
            _call(_IMPORT, "--seed 2 --pace 6", notes="Chat export, one week"),
            _call(_IMPORT, "--seed 3 --messages 15000 --pace 40", notes="Chat export, the whole year"),
            _call(_IMPORT, "--seed 4 --messages 9000 --pace 30", notes="Chat export, half a year"),
        ),
    ),
    TimetableRow(
        2.0,
        60.0,
        (
            _call(
                _IMPORT,
                "--seed 5 --damage time --pace 12",
                notes="Chat export with an invalid message",
                expected_status=1,
            ),
            _call(_IMPORT, "--seed 6 --damage truncated", notes="Chat export, incomplete download", expected_status=1),
        ),
    ),
    TimetableRow(
        7.0, 14.0, (_call(_CRM_SYNC, "--entity contacts --pace 35", notes="Contacts only, for the newsletter"),)
    ),
)


def run_once(dsn: str) -> int:
    """Run every job once, all at the same time, recording into `dsn`; takes about 15 s.

    Returns 0 when each ended with its expected status, 1 when one did not or took longer than
    `RUN_ONCE_DEADLINE_S` seconds, which is logged as a warning.
    """
    status = 0
    deadline = time.monotonic() + RUN_ONCE_DEADLINE_S
    with tempfile.TemporaryDirectory(prefix="etlwatch-demo-") as directory:
        launcher = _Launcher(dsn, Path(directory))
        try:
            launcher.start_api()
            for call, child in [(call, launcher.start(call)) for call in ONCE]:
                if child is None:
                    continue
                try:
                    child.process.wait(max(0.0, deadline - time.monotonic()))
                    problem = launcher.problem(call, child)
                except subprocess.TimeoutExpired:
                    problem = f"{child.name} was not done after {RUN_ONCE_DEADLINE_S:.0f} s"
                if problem:
                    logger.warning("demo: %s", problem)
                    status = 1
        finally:
            launcher.children.stop()
    return status


class LiveDemo:
    """Runs jobs by the timetable `LIVE` inside its `with` block.

    A thread starts everything, so that a dashboard can draw meanwhile. Leaving ends the children within a few
    seconds. Nothing is written to the terminal: `problems` lists jobs that ended unexpectedly.
    """

    def __init__(self, dsn: str) -> None:
        """Let the jobs record into `dsn`, a store that `prepare` has initialised."""
        self._directory = tempfile.TemporaryDirectory(prefix="etlwatch-demo-")
        self._launcher = _Launcher(dsn, Path(self._directory.name))
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._keep_running, name="demo", daemon=True)
        self._problems: list[str] = []

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each job that ended unexpectedly, oldest first."""
        return tuple(self._problems)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        # Before joining: the thread may wait for the API's first line.
        self._launcher.children.stop()
        self._thread.join()
        self._directory.cleanup()

    def _keep_running(self) -> None:
        running: dict[int, tuple[JobCall, Child]] = {}
        try:
            self._launcher.start_api()
            timetable = Timetable(LIVE, now=time.monotonic())
            while not self._leaving.wait(_POLL_S):
                for row, (call, child) in list(running.items()):
                    if child.process.poll() is not None and not self._leaving.is_set():
                        del running[row]
                        timetable.ended(row, time.monotonic())
                        self._note(self._launcher.problem(call, child))
                        self._launcher.clean_up(child)
                for row, call in timetable.due(time.monotonic()):
                    started = self._launcher.start(call)
                    if started is not None:
                        running[row] = (call, started)
        except OSError as error:
            # No more processes or no disk space: running jobs and the dashboard continue.
            self._note(f"no more jobs are started: {error}")

    def _note(self, problem: str | None) -> None:
        if problem and not self._leaving.is_set():
            self._problems.append(problem)


class _Launcher:
    """Starts the API and the jobs, each with its own files in one directory."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.children = Children(dsn, directory)
        self._directory = directory
        self._url = ""
        self._started = 0

    def start_api(self) -> None:
        """Start the CRM's API and wait for its address."""
        api = self.children.start("crm-api", _API, _API_ARGUMENTS, with_output=True)
        if api is not None and api.process.stdout is not None:
            self._url = api.process.stdout.readline().strip()

    def start(self, call: JobCall) -> Child | None:
        """Start one job; return None once the demo is being stopped."""
        self._started += 1
        name = f"{call.module.rpartition('.')[2]}-{self._started}"
        arguments = [*call.arguments, "--result", str(self._directory / f"{name}.db")]
        if call.module == _CRM_SYNC and self._url:
            arguments += ["--url", self._url]
        return self.children.start(name, call.module, arguments)

    def problem(self, call: JobCall, child: Child) -> str | None:
        """Return a line about a job that ended unexpectedly, else None."""
        status = child.process.returncode
        if status == call.expected_status:
            return None
        return f"{child.name} ended with status {status} instead of {call.expected_status}: {child.last_line()}"

    def clean_up(self, child: Child) -> None:
        """Delete the files of an ended job, which would add up in a long demo."""
        self.children.remove(child)
        for path in self._directory.glob(f"{child.name}.*"):
            path.unlink(missing_ok=True)
