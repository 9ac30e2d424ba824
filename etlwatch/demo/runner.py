"""Run the demo's jobs as processes of their own.

What the command line calls:

- `default_demo_dsn()` – the DSN of the demo's own store, `demo.db` beside the embedded default;
- `prepare(dsn, fresh=True)` – delete that file (and only that one) and initialise the store;
- `run_once(dsn)` – run every job once, without a terminal, and return an exit status;
- `LiveDemo(dsn)` – as a context manager: keep jobs running in turns until it is left.

Owns which jobs run with which arguments. Starting and stopping processes is `processes`' part, the
timetable is `rota`'s, and neither this file nor the jobs draw anything.
"""

import logging
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from etlwatch.demo.demo_store import default_demo_dsn, prepare
from etlwatch.demo.processes import Child, Children
from etlwatch.demo.rota import JobCall, Rota, Slot

__all__ = ["LiveDemo", "default_demo_dsn", "prepare", "run_once"]

RUN_ONCE_DEADLINE_S = 36.0
_LOOK_EVERY_S = 0.2

_API = "etlwatch.demo.crm_api"
_CRM_SYNC = "etlwatch.demo.crm_sync"
_INVENTORY = "etlwatch.demo.inventory"
_IMPORT = "etlwatch.demo.conversation_import"

_API_ARGUMENTS = ("--seed", "7", "--broken-page", "opportunities:300")


def _call(module: str, options: str = "", *, notes: str = "", expected_status: int = 0) -> JobCall:
    arguments = (*options.split(), *(("--notes", notes) if notes else ()))
    return JobCall(module=module, arguments=arguments, expected_status=expected_status)


# A Python program that an exception ends leaves with status 1: for a damaged file that is what should happen.
ONCE = (
    _call(_CRM_SYNC),
    _call(_INVENTORY, "--pace 4"),
    _call(_IMPORT, "--pace 3", notes="Chat export of March"),
    _call(_IMPORT, "--damage time --pace 2", notes="Chat export of April, damaged on its way", expected_status=1),
)

# Short runs first, so that soon something is completed and something has failed; then such as can be watched.
LIVE = (
    Slot(
        first_after_s=0.0,
        pause_s=5.0,
        calls=(_call(_CRM_SYNC), _call(_CRM_SYNC, "--page-size 20 --pace 50")),
    ),
    Slot(
        first_after_s=0.3,
        pause_s=8.0,
        calls=(_call(_INVENTORY, "--pace 45"),),
    ),
    Slot(
        first_after_s=0.6,
        pause_s=9.0,
        calls=(
            _call(_IMPORT, "--seed 2 --pace 6", notes="Chat export, one week"),
            _call(_IMPORT, "--seed 3 --messages 15000 --pace 40", notes="Chat export, the whole year"),
            _call(_IMPORT, "--seed 4 --messages 9000 --pace 30", notes="Chat export, half a year"),
        ),
    ),
    Slot(
        first_after_s=2.0,
        pause_s=60.0,
        calls=(
            _call(
                _IMPORT,
                "--seed 5 --damage time --pace 12",
                notes="Chat export with a spoilt message",
                expected_status=1,
            ),
            _call(
                _IMPORT,
                "--seed 6 --damage truncated",
                notes="Chat export, download broken off",
                expected_status=1,
            ),
        ),
    ),
    Slot(
        first_after_s=7.0,
        pause_s=14.0,
        calls=(_call(_CRM_SYNC, "--entity contacts --pace 35", notes="Contacts only, for the newsletter"),),
    ),
)

logger = logging.getLogger(__name__)


def run_once(dsn: str) -> int:
    """Run every job once, all at the same time, recording into `dsn`.

    Returns 0 when each ended as it should (the import of a damaged file by failing), 1 when one did not or
    was not done within `RUN_ONCE_DEADLINE_S` seconds; why is logged as a warning. Takes about 15 s.
    """
    status = 0
    deadline = time.monotonic() + RUN_ONCE_DEADLINE_S
    with tempfile.TemporaryDirectory(prefix="etlwatch-demo-") as directory:
        launcher = _Launcher(dsn, Path(directory))
        try:
            launcher.start_api()
            started = [(call, launcher.start(call)) for call in ONCE]
            for call, child in started:
                if child is None:
                    continue
                try:
                    child.process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    logger.warning("demo: %s was not done after %.0f s", child.name, RUN_ONCE_DEADLINE_S)
                    status = 1
                    continue
                problem = launcher.problem(call, child)
                if problem:
                    logger.warning("demo: %s", problem)
                    status = 1
        finally:
            launcher.children.stop()
    return status


class LiveDemo:
    """Jobs that come and go by the timetable `LIVE`, from `with` on until it is left.

    Entering returns at once: everything is started by a thread, so that a dashboard can draw meanwhile.
    Leaving ends the children within a few seconds. Nothing is written to the terminal: `problems` says
    afterwards what did not go as it should.
    """

    def __init__(self, dsn: str) -> None:
        """Let the jobs record into `dsn`, which `prepare` has made ready."""
        self._directory = tempfile.TemporaryDirectory(prefix="etlwatch-demo-")
        self._launcher = _Launcher(dsn, Path(self._directory.name))
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._keep_running, name="demo", daemon=True)
        self._problems: list[str] = []

    @property
    def problems(self) -> tuple[str, ...]:
        """Give a line for each job that did not end as it should, oldest first."""
        return tuple(self._problems)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        # Before joining: the thread may be waiting for the API's first line, which then ends.
        self._launcher.children.stop()
        self._thread.join()
        self._directory.cleanup()

    def _keep_running(self) -> None:
        running: dict[int, tuple[JobCall, Child]] = {}
        try:
            self._launcher.start_api()
            rota = Rota(LIVE, now=time.monotonic())
            while not self._leaving.wait(_LOOK_EVERY_S):
                for slot, (call, child) in list(running.items()):
                    if child.process.poll() is not None and not self._leaving.is_set():
                        del running[slot]
                        rota.ended(slot, time.monotonic())
                        self._note(self._launcher.problem(call, child))
                        self._launcher.clear_away(child)
                for slot, call in rota.due(time.monotonic()):
                    started = self._launcher.start(call)
                    if started is not None:
                        running[slot] = (call, started)
        except OSError as error:
            # No more processes or no room: what runs goes on, and the dashboard with it.
            self._note(f"no more jobs are started: {error}")

    def _note(self, problem: str | None) -> None:
        if problem and not self._leaving.is_set():
            self._problems.append(problem)


class _Launcher:
    """Starts the API and the jobs, each with files of its own in one directory."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.children = Children(dsn, directory)
        self._directory = directory
        self._url = ""
        self._started = 0

    def start_api(self) -> None:
        """Start the CRM and wait for its address."""
        api = self.children.start("crm-api", _API, _API_ARGUMENTS, with_output=True)
        if api is not None and api.process.stdout is not None:
            self._url = api.process.stdout.readline().strip()

    def start(self, call: JobCall) -> Child | None:
        """Start one job; None once the demo is being left."""
        self._started += 1
        name = f"{call.module.rpartition('.')[2]}-{self._started}"
        arguments = [*call.arguments, "--result", str(self._directory / f"{name}.db")]
        if call.module == _CRM_SYNC and self._url:
            arguments += ["--url", self._url]
        return self.children.start(name, call.module, arguments)

    def problem(self, call: JobCall, child: Child) -> str | None:
        """Say in one line how a job ended if not as it should."""
        status = child.process.returncode
        if status == call.expected_status:
            return None
        return f"{child.name} ended with status {status} instead of {call.expected_status}: {child.last_words()}"

    def clear_away(self, child: Child) -> None:
        """Delete what an ended job left behind: in a long demo it would add up."""
        self.children.forget(child)
        for path in self._directory.glob(f"{child.name}.*"):
            path.unlink(missing_ok=True)
