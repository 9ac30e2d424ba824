"""The demo's child processes: started and stopped by the parent, and ended with it.

    python -m etlwatch.demo.processes etlwatch.demo.inventory --pace 40

runs a job's `main` so that the process ends when its stdin does: the parent holds the other end, which closes when the
parent dies. Output goes to a file, never to the terminal, which may show the dashboard.
"""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from tracking_core.dataclass import dataclass

GRACE_S = 5.0

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A started program."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def last_line(self) -> str:
        """Return the last line of its output, "" when there is none."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Children:
    """The children of one demo."""

    def __init__(self, dsn: str, directory: Path) -> None:
        """Prepare to start children that record into `dsn` and write their output into `directory`."""
        self._environment = child_environment(os.environ, dsn)
        self._directory = directory
        self._lock = (
            threading.Lock()
        )  # guards the list and the flag: one thread starts children while another stops them
        self._children: list[Child] = []
        self._stopped = False

    def start(self, name: str, module: str, arguments: Sequence[str], *, with_output: bool = False) -> Child | None:
        """Start a module's `main`; return None once the demo is being stopped.

        With `with_output` its stdout is a pipe to the caller instead of the file. Raises OSError when the system
        cannot start a process.
        """
        log = self._directory / f"{name}.log"
        with self._lock, log.open("w", encoding="utf-8") as output:
            if self._stopped:
                return None
            process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                # -P: modules of the current directory must not replace those of the standard library.
                [sys.executable, "-P", "-m", "etlwatch.demo.processes", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if with_output else output,
                stderr=output,
                env=self._environment,
                text=True,
                # The terminal's ctrl-c must not reach it: `stop` ends it.
                process_group=0,
            )
            child = Child(name=name, process=process, log=log)
            self._children.append(child)
            return child

    def remove(self, child: Child) -> None:
        """Remove a child that has ended."""
        with self._lock:
            self._children.remove(child)
        _close(child.process.stdin)
        _close(child.process.stdout)

    def stop(self) -> None:
        """Terminate every child, kill those that still run after `GRACE_S`, and start no more."""
        with self._lock:
            self._stopped = True
            children, self._children = self._children, []
        for child in children:
            child.process.terminate()
        deadline = time.monotonic() + GRACE_S
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            # Not earlier: the end of its stdin would signal it a second time while it is ending.
            _close(child.process.stdin)
            _close(child.process.stdout)


def child_environment(environment: Mapping[str, str], dsn: str) -> dict[str, str]:
    """Return a child's environment, with the DSN, which on a command line everyone on the machine could read.

    Variables that switch recording off or give all jobs one name are left out.
    """
    own = {name: value for name, value in environment.items() if name not in ("TRACKING_ENABLED", "TRACKING_JOB")}
    own["TRACKING_DSN"] = dsn
    # An installed package is found anyway; its directory must not come before the standard library.
    if _PACKAGE_ROOT.name not in ("site-packages", "dist-packages"):
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), environment.get("PYTHONPATH", "")]))
    return own


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()


EXIT_S = 5.0  # for ending the run; then the process exits without it


def follow_parent(lifeline: int) -> None:
    """End this process once the descriptor `lifeline` reaches its end: SIGTERM, then exit."""
    thread = threading.Thread(target=_wait_for_end, args=(lifeline,), name="lifeline", daemon=True)
    thread.start()


def _wait_for_end(lifeline: int) -> None:
    # The main thread must take the signals: only there they interrupt a sleep.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    # Not a buffered reader, whose lock blocks the interpreter's shutdown.
    while os.read(lifeline, 1024):
        continue
    main_thread = threading.main_thread().ident
    if main_thread is not None:
        # To the main thread, so that a sleep or a wait for a socket is interrupted.
        signal.pthread_kill(main_thread, signal.SIGTERM)
    time.sleep(EXIT_S)
    os._exit(1)


def _leave(signal_number: int, _frame: FrameType | None) -> None:
    # A second signal ends the process at once.
    signal.signal(signal_number, signal.SIG_DFL)
    raise KeyboardInterrupt(f"ended by {signal.Signals(signal_number).name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `main` of the module named first with the rest as its arguments and return its status."""
    module, *rest = sys.argv[1:] if arguments is None else arguments
    # An exception, so that `with` blocks end the run. Also for SIGINT, which a shell ignores for background jobs.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        follow_parent(sys.stdin.fileno())
        status: int = importlib.import_module(module).main(rest)
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    raise SystemExit(main())
