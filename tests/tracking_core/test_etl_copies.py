"""Contexts, progress trackers and memory monitors, copied and sent to other processes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.peek import peek
from tests.tracking_core.etl_doubles import SteppedClock
from tracking_core import ETLContext, ETLRunContext, MemoryMonitor, ProgressTracker, SimpleETLTracker


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


COPIES: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy, "pickle": pickled}
in_each_way = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())


@in_each_way
def test_a_context_goes_on_in_its_copy_and_shares_nothing_with_it(copied: Callable[[Any], Any]) -> None:
    context = ETLContext({"dbname": "x"}, 7, 1e9, True, "out", phases=["a", "b"], units=["rows"])
    context.set_resource("limits", {"rows": 5})
    with context.phase("a", 10) as phase:
        phase.update(10)
    context.start_phase("b", 3)
    context.update_progress(1)
    twin = copied(context)
    twin.update_progress(2)
    twin.record_error("b", "broken")
    twin.get_resource("limits")["rows"] = 6
    assert twin.end_phase()["processed_rows"] == 3
    assert twin.statistics["total"]["rows_processed"] == 13
    assert (twin.batch_size, twin.phases, twin.units, twin.db_config) == (7, ("a", "b"), ("rows",), {"dbname": "x"})
    assert (context.current_phase, context.phase_status["b"]) == ("b", "running")
    assert (context.progress_tracker.processed_rows, "errors" in context.statistics) == (1, False)
    assert context.get_resource("limits") == {"rows": 5}
    twin.finalize()
    assert 0 <= twin.statistics["total"]["duration_seconds"] < 60


@in_each_way
def test_a_copy_has_a_lock_of_its_own_that_its_parts_share(copied: Callable[[Any], Any]) -> None:
    context = ETLContext()
    twin = copied(context)
    assert twin._lock is twin.progress_tracker._lock is twin.memory_monitor._lock
    assert twin._lock is not context._lock
    with context._lock:
        worker = threading.Thread(target=twin.start_phase, args=("extract",))
        worker.start()
        worker.join(20)
        assert twin.current_phase == "extract"


@in_each_way
def test_the_connection_stays_behind(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    context = ETLContext(f"sqlite:///{tmp_path / 'job.db'}")
    connection = context.get_db_connection()
    twin = copied(context)
    assert twin.get_db_connection() is not connection
    twin.close_db_connection()
    assert context.get_db_connection() is connection
    context.close_db_connection()


@in_each_way
def test_a_progress_tracker_goes_on_in_its_copy(copied: Callable[[Any], Any]) -> None:
    tracker = ProgressTracker(clock=SteppedClock())
    tracker.start_phase("extract", 2, 4)
    tracker._clock.advance(3)  # type: ignore[attr-defined]
    tracker.update(1)
    twin = copied(tracker)
    twin.update(1, 4)
    twin._clock.advance(2)
    assert (twin.finish_phase()["duration_seconds"], twin.processed) == (5.0, {"conversations": 2, "messages": 4})
    assert tracker.processed == {"conversations": 1, "messages": 0}
    assert copied(ProgressTracker(["rows"])).units == ("rows",)


@in_each_way
def test_a_memory_monitor_reads_again_in_its_copy(copied: Callable[[Any], Any]) -> None:
    monitor = MemoryMonitor(1e9)
    monitor.check_memory()
    twin = copied(monitor)
    assert (twin.memory_limit_mb, twin.peak_memory_mb) == (1e9, monitor.peak_memory_mb)
    assert twin.get_current_memory_mb() > 0


@in_each_way
def test_a_copy_tells_the_same_run(copied: Callable[[Any], Any], store_dsn: str) -> None:
    tracker = SimpleETLTracker(store_dsn)
    with ETLRunContext(tracker, "pool") as run:
        for form in (run, (tracker, run.run_id)):
            twin = copied(ETLContext(run=form))
            with twin.phase("extract", total_messages=2) as phase:
                phase.update(messages=2)
    assert peek(store_dsn, "SELECT run_id, phase, status FROM tracking.phases WHERE position = 1") == [
        (run.run_id, "extract", "completed")
    ]


def work(context: ETLContext, messages: int) -> dict[str, Any]:
    with context.phase("transform", total_messages=messages):
        context.update_progress(messages=messages)
    return context.to_dict()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_pool_takes_a_context(method: str) -> None:
    context = ETLContext(parallel_processing=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        done = pool.submit(work, context, 5).result(60)
    assert done["phases"]["transform"]["processed_messages"] == 5
    assert context.progress_tracker.processed_messages == 0
