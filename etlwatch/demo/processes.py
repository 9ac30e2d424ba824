"""The demo's child processes.

Owns starting them, telling how they ended, and stopping those and only those that were started here. A
child's output goes to a file, never to the terminal, which may be showing the dashboard. What to start when
is `runner`'s part.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
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

    def last_words(self) -> str:
        """Give the last line of what it wrote, "" when it wrote nothing."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Children:
    """All children of one demo: `with Children(dsn, directory) as children`; leaving stops them."""

    def __init__(self, dsn: str, directory: Path) -> None:
        """Let the children record into `dsn` and keep their output in `directory`."""
        self._environment = child_environment(os.environ, dsn)
        self._directory = directory
        self._lock = threading.Lock()  # guards the list and the flag: one thread starts while another one stops
        self._children: list[Child] = []
        self._stopped = False

    def start(self, name: str, module: str, arguments: Sequence[str], *, with_output: bool = False) -> Child | None:
        """Start a module's `main`; None once the demo is being stopped.

        `with_output` gives its stdout to the caller as a pipe instead of to the file. Raises OSError when the
        system has no process to spare.
        """
        log = self._directory / f"{name}.log"
        with self._lock, log.open("w", encoding="utf-8") as output:
            if self._stopped:
                return None
            process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                # -P keeps a module of the current directory from standing in for one of the standard library.
                [sys.executable, "-P", "-m", "etlwatch.demo.child", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if with_output else output,
                stderr=output,
                env=self._environment,
                text=True,
                # Away from the terminal's ctrl-c, which would reach it twice: from the terminal and from
                # `stop`.
                process_group=0,
            )
            child = Child(name=name, process=process, log=log)
            self._children.append(child)
            return child

    def forget(self, child: Child) -> None:
        """Let go of a child that has ended."""
        with self._lock:
            self._children.remove(child)
        _close(child.process.stdin)
        _close(child.process.stdout)

    def stop(self) -> None:
        """End every child that still runs, asked first and killed after `GRACE_S`, and start no more."""
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
            # Only now: the end of its stdin would be a second signal while it still writes its last words.
            _close(child.process.stdin)
            _close(child.process.stdout)


def child_environment(environment: Mapping[str, str], dsn: str) -> dict[str, str]:
    """Make a child's environment: where to record, and where this package is.

    The DSN goes this way because a command line can be read by everyone on the machine. What would switch the
    recording off or give all jobs one name is left out: a demo without runs shows nothing.
    """
    own = {name: value for name, value in environment.items() if name not in ("TRACKING_ENABLED", "TRACKING_JOB")}
    own["TRACKING_DSN"] = dsn
    # An installed package is found anyway, and its neighbours must not come before the standard library.
    if _PACKAGE_ROOT.name not in ("site-packages", "dist-packages"):
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), environment.get("PYTHONPATH", "")]))
    return own


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()
