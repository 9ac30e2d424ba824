"""Parallel processing: a context, a tracker and a monitor under many threads, and across a fork."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.tracking_core.etl_doubles import RecordingRun
from tracking_core.etl import ETLContext, MemoryMonitor, ProgressTracker
from tracking_core.process.locks import ReentrantLock

THREADS = 8
ROUNDS = 500


@pytest.fixture(autouse=True)
def eager_switching() -> Iterator[None]:
    """Let threads take turns so often that an unguarded addition loses counts."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def hammer(work: Callable[[int], None]) -> None:
    """Run `work(number)` many times in each of many threads that start together; fail on what they raise."""
    raised: list[BaseException] = []
    together = threading.Barrier(THREADS)

    def run(number: int) -> None:
        together.wait()
        try:
            for _ in range(ROUNDS):
                work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []


def test_no_progress_is_lost() -> None:
    run = RecordingRun()
    context = ETLContext(parallel_processing=True, run=run)
    context.start_phase("load")
    hammer(lambda _: context.update_progress(1, 3))
    statistics = context.end_phase()
    assert (statistics["processed_conversations"], statistics["processed_messages"]) == (
        THREADS * ROUNDS,
        3 * THREADS * ROUNDS,
    )
    told = [event[4]["messages"] for event in run.told if event[4] is not None]
    assert told == sorted(told)
    assert told[-1] == 3 * THREADS * ROUNDS


class YieldingDict(dict[str, int]):
    """Counters that let another thread run between reading and writing."""

    def __getitem__(self, name: str) -> int:
        count = super().__getitem__(name)
        time.sleep(0)
        return count


def test_a_tracker_alone_loses_none_either() -> None:
    tracker = ProgressTracker()
    tracker.start_phase("load")
    tracker._counters = YieldingDict(tracker._counters)
    hammer(lambda _: tracker.update(messages=1))
    assert tracker.processed_messages == THREADS * ROUNDS


def test_no_phase_ends_between_the_check_and_the_count_of_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    context = ETLContext(parallel_processing=True)
    context.start_phase("load")
    ending = threading.Thread(target=context.end_phase)
    count = context.progress_tracker.update

    def count_while_another_thread_ends(*increments: int, **named_increments: int) -> None:
        ending.start()
        # Long enough for an end that nothing holds back.
        ending.join(0.2)
        count(*increments, **named_increments)

    monkeypatch.setattr(ProgressTracker, "update", lambda _, *a, **b: count_while_another_thread_ends(*a, **b))
    context.update_progress(messages=5)
    ending.join()
    assert context.statistics["total"]["messages_processed"] == 5


def test_errors_statistics_and_resources_survive_all_at_once() -> None:
    context = ETLContext(parallel_processing=True)

    def work(number: int) -> None:
        context.set_resource(f"worker {number}", number)
        assert context.get_resource(f"worker {number}") == number
        context.record_error("load", "one row")
        if number == 0 and len(context.statistics["errors"]) % 50 == 0:
            context.to_dict()

    hammer(work)
    assert len(context.statistics["errors"]) == THREADS * ROUNDS


def test_a_phase_is_started_by_one_thread_only() -> None:
    context = ETLContext(parallel_processing=True)
    started: list[str] = []
    refused: list[str] = []

    def work(_: int) -> None:
        try:
            context.start_phase("load")
        except ValueError as error:
            refused.append(str(error))
            return
        started.append("load")
        context.update_progress(messages=1)
        context.end_phase()

    hammer(work)
    assert len(started) + len(refused) == THREADS * ROUNDS
    assert context.statistics["total"]["messages_processed"] == len(started)
    assert set(refused) <= {"Cannot start phase 'load': Phase 'load' is already in progress"}


class OvertakenReading(float):
    """A reading that lets another thread sample while it is compared."""

    other: threading.Thread

    def __gt__(self, peak: float) -> bool:
        if self.other.ident is None:
            self.other.start()
            # Long enough for a sample that nothing holds back.
            self.other.join(0.2)
        return float(self) > peak


def test_of_two_threads_peaks_the_greater_stays() -> None:
    monitor = MemoryMonitor()
    small = OvertakenReading(5)
    small.other = threading.Thread(target=monitor.check_memory)
    readings = [900.0, small]
    monitor.get_current_memory_mb = lambda: readings.pop()  # type: ignore[method-assign]
    monitor.check_memory()
    small.other.join()
    assert (monitor.peak_memory_mb, monitor.phase_peak_mb) == (900, 900)


def test_a_lock_lets_its_own_thread_in_again_and_others_not() -> None:
    lock = ReentrantLock()
    taken: list[bool] = []
    with lock, lock:
        other = threading.Thread(target=lambda: taken.append(lock.acquire(blocking=False)))
        other.start()
        other.join()
    assert taken == [False]
    assert lock.acquire(blocking=False)
    lock.release()


def test_a_child_forked_while_another_thread_holds_every_lock_does_not_hang() -> None:
    code = """
import os, signal, threading
from tracking_core.etl import ETLContext
context = ETLContext("sqlite:///job.db")
context.start_phase("load")
held, go_on = threading.Event(), threading.Event()
def hold():
    with context._lock, context._throttle, context._connection._lock:
        held.set()
        go_on.wait()
threading.Thread(target=hold).start()
held.wait()
if os.fork() == 0:
    signal.alarm(20)
    context.update_progress(messages=1)
    context.end_phase()
    context.close_db_connection()
    os._exit(0)
child = os.waitstatus_to_exitcode(os.wait()[1])
go_on.set()
raise SystemExit(0 if child == 0 else 1)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
