"""The demo: its store, its timetable, and its jobs as child processes, which read a CRM's API of this process."""

import fcntl
import itertools
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from tracking_core.config import resolve
from tracking_core.dataclass import dataclass

RUN_ONCE_DEADLINE_S = 36.0
GRACE_S = 5.0
"""How long jobs may take to end their runs when the demo is left."""

CRM_SYNC: Final = "etlwatch.demo.crm_sync"
INVENTORY: Final = "etlwatch.demo.inventory"
IMPORT: Final = "etlwatch.demo.conversation_import"
API: Mapping[str, Any] = {"seed": 7, "broken_pages": frozenset({("opportunities", 300)})}
"""The `Behaviour` of the API."""

_FILE_NAME: Final = "demo.db"
_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]

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

    first_after_s: float
    """Since the start of the demo."""

    pause_s: float
    """From the end of one run to the start of the next."""

    calls: tuple[JobCall, ...]


def _call(module: str, options: str = "", *, notes: str = "", expected_status: int = 0) -> JobCall:
    arguments = (*options.split(), *(("--notes", notes) if notes else ()))
    return JobCall(module=module, arguments=arguments, expected_status=expected_status)


# An exception ends a Python program with status 1, as expected for a damaged file.
ONCE = (
    _call(CRM_SYNC),
    _call(INVENTORY, "--pace 4"),
    _call(IMPORT, "--pace 3", notes="Chat export of March"),
    _call(IMPORT, "--damage time --pace 2", notes="Chat export of April, damaged on its way", expected_status=1),
)

# Short runs first, so that soon one is completed and one has failed; then longer ones to watch.
LIVE = (
    TimetableRow(0.0, 5.0, (_call(CRM_SYNC), _call(CRM_SYNC, "--page-size 20 --pace 50"))),
    TimetableRow(0.3, 8.0, (_call(INVENTORY, "--pace 45"),)),
    TimetableRow(
        0.6,
        9.0,
        (
            _call(IMPORT, "--seed 2 --pace 6", notes="Chat export, one week"),
            _call(IMPORT, "--seed 3 --messages 15000 --pace 40", notes="Chat export, the whole year"),
            _call(IMPORT, "--seed 4 --messages 9000 --pace 30", notes="Chat export, half a year"),
        ),
    ),
    TimetableRow(
        2.0,
        60.0,
        (
            _call(IMPORT, "--seed 5 --damage time --pace 12", notes="Chat export with an invalid message",
                  expected_status=1),
            _call(IMPORT, "--seed 6 --damage truncated", notes="Chat export, incomplete download", expected_status=1),
        ),
    ),
    TimetableRow(
        7.0, 14.0, (_call(CRM_SYNC, "--entity contacts --pace 35", notes="Contacts only, for the newsletter"),)
    ),
)  # fmt: skip


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that was started."""

    call: JobCall
    process: subprocess.Popen[str]
    log: Path

    def end(self) -> str:
        """Release what belongs to an ended job; return a line about an end that was not expected, else ''."""
        # Not earlier: the end of its stdin would signal it a second time while it is ending.
        if self.process.stdin is not None:
            self.process.stdin.close()
        status, expected = self.process.returncode, self.call.expected_status
        if status == expected:
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{self.name} ended with status {status} instead of {expected}: {last}"

    @property
    def name(self) -> str:
        """The last part of its module's name."""
        return self.call.module.rpartition(".")[2]


class Jobs:
    """The jobs of one demo, and the API that some of them read; `close` ends all of them."""

    def __init__(self, dsn: str) -> None:
        """Let the jobs record into `dsn`, a store that `prepare` has initialised."""
        self._resources = ExitStack()
        self._directory = Path(self._resources.enter_context(tempfile.TemporaryDirectory(prefix="etlwatch-demo-")))
        self._environment = job_environment(os.environ, dsn) | {"TMPDIR": str(self._directory)}
        self._lock = threading.Lock()
        """Guards what follows: threads start jobs while another one ends them."""

        self._jobs: list[Job] = []
        self._url = ""
        self._closed = False

    def start(self, call: JobCall) -> Job | None:
        """Start a job, and the API before the first sync; return None once the demo is being left.

        Raises OSError when the system cannot start a process or open a port.
        """
        with self._lock:
            if self._closed:
                return None
            arguments = list(call.arguments)
            if call.module == CRM_SYNC:
                arguments += ["--url", self._api()]
            log = self._directory / f"{len(self._jobs)}.log"
            with log.open("w", encoding="utf-8") as output:
                process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                    # -P: modules of the current directory must not replace those of the standard library.
                    [sys.executable, "-P", "-m", "etlwatch.demo.jobs", call.module, *arguments],
                    stdin=subprocess.PIPE,
                    # Never to the terminal, which may show the dashboard.
                    stdout=output,
                    stderr=output,
                    env=self._environment,
                    text=True,
                    # The terminal's ctrl-c must not reach it: leaving ends it.
                    process_group=0,
                )
            self._jobs.append(Job(call=call, process=process, log=log))
            return self._jobs[-1]

    def _api(self) -> str:
        if not self._url:
            # Imported late: a dashboard is drawn meanwhile.
            from etlwatch.demo.crm_sync import Behaviour, serving

            self._url = self._resources.enter_context(serving(Behaviour(**API)))
        return self._url

    def close(self) -> None:
        """Terminate every job, kill those that still run after `GRACE_S`, and start no more."""
        with self._lock:
            self._closed = True
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.process.terminate()
        deadline = time.monotonic() + GRACE_S
        for job in jobs:
            try:
                job.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                job.process.kill()
                job.process.wait()
            job.end()
        self._resources.close()


def job_environment(environment: Mapping[str, str], dsn: str) -> dict[str, str]:
    """Return a job's environment, with the DSN, which on a command line everyone on the machine could read.

    Variables that switch recording off or give all jobs one name are left out.
    """
    own = {name: value for name, value in environment.items() if name not in ("TRACKING_ENABLED", "TRACKING_JOB")}
    own["TRACKING_DSN"] = dsn
    # An installed package is found anyway; its directory must not come before the standard library.
    if _PACKAGE_ROOT.name not in ("site-packages", "dist-packages"):
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), environment.get("PYTHONPATH", "")]))
    return own


def run_once(dsn: str) -> int:
    """Run every job once, all at the same time, recording into `dsn`; takes about 15 s.

    Returns 0 when each ended with its expected status, 1 when one did not or took longer than
    `RUN_ONCE_DEADLINE_S` seconds, which is logged as a warning.
    """
    problems = []
    deadline = time.monotonic() + RUN_ONCE_DEADLINE_S
    with closing(Jobs(dsn)) as jobs:
        for job in [jobs.start(call) for call in ONCE]:
            assert job is not None  # the demo is not being left
            try:
                job.process.wait(max(0.0, deadline - time.monotonic()))
                problems.append(job.end())
            except subprocess.TimeoutExpired:
                problems.append(f"{job.name} was not done after {RUN_ONCE_DEADLINE_S:.0f} s")
    for problem in filter(None, problems):
        logger.warning("demo: %s", problem)
    return 1 if any(problems) else 0


class LiveDemo:
    """Runs jobs by the timetable `LIVE` inside its `with` block, each row by a thread of its own.

    Leaving ends them within a few seconds. Nothing is written to the terminal.
    """

    def __init__(self, dsn: str) -> None:
        """Let the jobs record into `dsn`, a store that `prepare` has initialised."""
        self.problems: list[str] = []
        """A line for each job that ended unexpectedly, oldest first."""

        self._jobs = Jobs(dsn)
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(row,), name="demo", daemon=True) for row in LIVE]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._jobs.close()
        for thread in self._threads:
            thread.join()

    def _repeat(self, row: TimetableRow) -> None:
        calls = itertools.cycle(row.calls)
        pause_s = row.first_after_s
        try:
            while not self._leaving.wait(pause_s):
                job = self._jobs.start(next(calls))
                if job is None:
                    return
                job.process.wait()
                if self._leaving.is_set():
                    return
                self.problems += filter(None, [job.end()])
                pause_s = row.pause_s
        except OSError as error:
            # No more processes or no disk space: other jobs and the dashboard continue.
            self.problems.append(f"no more jobs are started: {error}")
