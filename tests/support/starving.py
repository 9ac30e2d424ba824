"""Processes that get a small share of a processor: stopped most of the time, or held by a quota of the system."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PERIOD_S = 0.1


@contextmanager
def starved(process: "subprocess.Popen[str]", share: float) -> Iterator[None]:
    """Let a process run for a share of each tenth of a second inside the block; it needs no rights for that."""
    over = threading.Event()

    def hold() -> None:
        with suppress(ProcessLookupError):
            while not over.is_set() and process.poll() is None:
                os.kill(process.pid, signal.SIGSTOP)
                over.wait(PERIOD_S * (1 - share))
                os.kill(process.pid, signal.SIGCONT)
                over.wait(PERIOD_S * share)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def quota(share: float) -> Iterator[Path | None]:
    """Make a control group with a share of one processor; yield its list of processes, None where none can be made."""
    name = f"etlwatch-tests-{os.getpid()}"
    for root, settings in (
        (Path("/sys/fs/cgroup/cpu"), {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": f"{round(share * 100_000)}"}),
        (Path("/sys/fs/cgroup"), {"cpu.max": f"{round(share * 100_000)} 100000"}),
    ):
        group = root / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for setting, value in settings.items():
                (group / setting).write_text(value)
        except OSError:
            group.rmdir()
            continue
        yield group / "cgroup.procs"
        with suppress(OSError):
            group.rmdir()
        return
    yield None
