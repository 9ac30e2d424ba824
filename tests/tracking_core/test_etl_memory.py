"""The process's memory, at most, and against a limit."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any, NoReturn

import psutil
import pytest

from tests.tracking_core.etl_doubles import set_memory
from tracking_core.etl import MemoryMonitor


def test_current_memory_is_the_resident_set_in_mb() -> None:
    monitor = MemoryMonitor()
    resident_mb = psutil.Process(os.getpid()).memory_info().rss / (1024 * 1024)
    assert monitor.get_current_memory_mb() == pytest.approx(resident_mb, rel=0.2)
    assert isinstance(monitor.get_current_memory_mb(), float)


def test_the_error_above_the_limit_is_the_seeds() -> None:
    monitor = MemoryMonitor(1024)
    set_memory(monitor, 1536.5)
    with pytest.raises(MemoryError) as raised:
        monitor.check_memory()
    assert str(raised.value) == "Memory usage (1536.50 MB) exceeds limit (1024 MB)"


def test_memory_at_the_limit_passes() -> None:
    monitor = MemoryMonitor(1024)
    set_memory(monitor, 1024)
    monitor.check_memory()


def test_no_limit_raises_nothing_and_still_samples_the_peak() -> None:
    monitor = MemoryMonitor()
    assert (monitor.memory_limit_mb, monitor.peak_memory_mb) == (None, 0)
    set_memory(monitor, 100, 300, 200)
    for _ in range(3):
        monitor.check_memory()
    assert monitor.peak_memory_mb == 300


def test_the_peak_is_kept_when_the_limit_is_passed() -> None:
    monitor = MemoryMonitor(10)
    set_memory(monitor, 20)
    with pytest.raises(MemoryError):
        monitor.check_memory()
    assert monitor.peak_memory_mb == 20


@pytest.mark.parametrize(
    ("limit", "error"),
    [(0, ValueError), (-1, ValueError), (float("nan"), ValueError), (True, TypeError), ("1024", TypeError)],
)
def test_a_limit_is_a_number_above_zero(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="memory_limit_mb"):
        MemoryMonitor(limit)


def test_a_phases_peak_begins_anew_and_the_monitors_stays() -> None:
    monitor = MemoryMonitor()
    set_memory(monitor, 300, 200)
    monitor.check_memory()
    monitor.begin_phase()
    monitor.check_memory()
    assert (monitor.peak_memory_mb, monitor.phase_peak_mb) == (300, 200)


def test_memory_that_cannot_be_read_is_warned_of_once_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    monitor = MemoryMonitor(10)

    def refuse() -> NoReturn:
        raise PermissionError("no /proc here")

    monitor.get_current_memory_mb = refuse  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, "tracking_core"):
        monitor.check_memory()
        monitor.check_memory()
    assert [record.message for record in caplog.records] == [
        "Memory usage cannot be read (no /proc here); limit and peak are not watched"
    ]
    assert monitor.sample() is None


def test_a_forked_child_reads_its_own_memory() -> None:
    code = """
import os
from tracking_core.etl import MemoryMonitor
monitor = MemoryMonitor()
monitor.get_current_memory_mb()
if os.fork() == 0:
    monitor.get_current_memory_mb()
    os._exit(0 if monitor._process.pid == os.getpid() else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
