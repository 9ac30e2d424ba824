"""P6 and P7: fork, spawn, forkserver, pools and threads: nothing hangs, nothing is doubled, only the creator ends."""

import textwrap
from typing import Any

import pytest

from tests.acceptance.once import BOTH_ONCE
from tests.support.job import ROOT, run_job
from tests.support.peek import peek
from tracking_core import Run, SimpleETLTracker


def only_run(dsn: str) -> Run:
    (run,) = SimpleETLTracker(dsn).get_recent_runs()
    return run


def stored(dsn: str) -> tuple[Any, ...]:
    """Return raw rows, distinct pages, writers, and the totals of run, endpoints and series."""
    (row,) = peek(
        dsn,
        """
        SELECT (SELECT count(*) FROM tracking.requests),
               (SELECT count(*) FROM (SELECT DISTINCT endpoint, page_offset FROM tracking.requests) AS pages),
               (SELECT count(*) FROM (SELECT DISTINCT writer_id FROM tracking.requests) AS writers),
               (SELECT sum(requests) FROM tracking.runs),
               (SELECT sum(requests) FROM tracking.run_endpoints),
               (SELECT sum(requests) FROM tracking.run_series)
        """,
    )
    return tuple(int(value) for value in row)


@BOTH_ONCE
def test_a_forked_child_records_into_its_parent_s_run_as_another_writer(store_dsn: str, delivery: str) -> None:
    job = """
    tracker = SimpleETLTracker(DSN)
    with ETLRunContext(tracker, "forking") as run:
        run.log_request("/parent", 0, 1, 200, 1, 1)
        children = []
        for number in range(5):
            child = os.fork()
            if child == 0:
                for page in range(4):
                    assert run.log_request(f"/child {number}", page, 1, 200, 1, 1)
                sys.exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        run.log_request("/parent", 1, 1, 200, 1, 1)
        tracker.flush()
        assert tracker.get_recent_runs()[0].status == "running"
    """
    result = run_job(job, store_dsn, TRACKING_DELIVERY=delivery)
    assert (result.returncode, result.stderr) == (0, "")
    assert stored(store_dsn) == (22, 22, 6, 22, 22, 22)
    assert only_run(store_dsn).status == "completed"


@BOTH_ONCE
def test_a_fork_finds_no_thread_of_ours_and_they_go_on_afterwards(store_dsn: str, delivery: str) -> None:
    # The first of the hooks to be registered is the last one before the fork.
    job = """
    seen = []
    # A thread that another way began and that is over stays listed as a dummy in CPython 3.11.
    names = lambda: [each.name for each in threading.enumerate() if not each.name.startswith("Dummy-")]
    os.register_at_fork(before=lambda: seen.append(names()))
    tracker = SimpleETLTracker(DSN, heartbeat_interval=0.2)
    with ETLRunContext(tracker, "forking") as run:
        for page in range(3):
            run.log_request("/parent", page, 1, 200, 1, 1)
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        assert seen == [["MainThread"]] * 3, seen
        time.sleep(1.5)
        (now,) = tracker.get_recent_runs()
        assert (now.requests, now.state) == (3, "running"), now
    """
    preamble_first = "import os, threading\n"
    result = run_job(preamble_first + textwrap.dedent(job), store_dsn, TRACKING_DELIVERY=delivery)
    assert (result.returncode, result.stderr) == (0, "")
    assert only_run(store_dsn).status == "completed"


@BOTH_ONCE
def test_two_hundred_forks_while_eight_threads_log(store_dsn: str, delivery: str) -> None:
    job = """
    import warnings
    warnings.simplefilter("ignore")
    tracker = SimpleETLTracker(DSN)
    done = False
    with ETLRunContext(tracker, "many") as run:
        def log(number):
            page = 0
            while not done and page < 300:
                run.log_request(f"/thread {number}", page, 1, 200, 1, 1)
                counts[number] = page = page + 1
                time.sleep(0.002)
        counts = [0] * 8
        threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for number in range(200):
            child = os.fork()
            if child == 0:
                if number % 20 == 0:
                    run.log_request(f"/child {number}", 0, 1, 200, 1, 1)
                    tracker.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        done = True
        for thread in threads:
            thread.join()
    print(sum(counts) + 10)
    """
    result = run_job(job, store_dsn, seconds=60, TRACKING_DELIVERY=delivery)
    assert (result.returncode, result.stderr) == (0, "")
    total = int(result.stdout)
    assert stored(store_dsn) == (total, total, 11, total, total, total)
    assert only_run(store_dsn).status == "completed"


WORKER_MODULE = """
import os, sys
from tracking_core import SimpleETLTracker

def with_its_own_tracker(dsn, run_id, number):
    run = SimpleETLTracker(dsn).attach(run_id)
    for page in range(3):
        assert run.log_request(f"/worker {number}", page, 1, 200, 1, 1)

def with_the_run(run, number):
    for page in range(3):
        assert run.log_request(f"/worker {number}", page, 1, 200, 1, 1)
    return run.run_id
"""


@BOTH_ONCE
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_record_into_the_run_and_do_not_end_it(
    store_dsn: str, delivery: str, method: str, tmp_path: Any
) -> None:
    (tmp_path / "job_workers.py").write_text(WORKER_MODULE)
    job = f"""
    import multiprocessing, warnings
    from concurrent.futures import ProcessPoolExecutor
    warnings.simplefilter("ignore")
    import job_workers
    context = multiprocessing.get_context("{method}")
    tracker = SimpleETLTracker(DSN)
    with ETLRunContext(tracker, "pool") as run:
        tracker.flush()
        process = context.Process(target=job_workers.with_its_own_tracker, args=(DSN, run.run_id, 0))
        process.start()
        process.join()
        assert process.exitcode == 0
        process = context.Process(target=job_workers.with_the_run, args=(run, 1))
        process.start()
        process.join()
        assert process.exitcode == 0
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert set(pool.map(job_workers.with_the_run, [run] * 4, range(2, 6))) == {{run.run_id}}
    """
    path = f"{ROOT}:{tmp_path}"
    result = run_job(job, store_dsn, TRACKING_DELIVERY=delivery, PYTHONPATH=path)
    assert (result.returncode, result.stderr) == (0, "")
    rows, pages, _, *totals = stored(store_dsn)
    assert (rows, pages, totals) == (18, 18, [18, 18, 18])
    assert only_run(store_dsn).status == "completed"


def test_a_run_handed_to_a_child_is_stored_by_whoever_reaches_the_store_first(store_dsn: str, tmp_path: Any) -> None:
    (tmp_path / "job_workers.py").write_text(WORKER_MODULE)
    job = """
    import pickle, subprocess
    import tracking_core.tracker as module
    tracker = SimpleETLTracker(DSN)
    module.SimpleETLTracker._store, real = (lambda self: 1 / 0), module.SimpleETLTracker._store
    run = ETLRunContext(tracker, "handed over").__enter__()
    child = "import pickle, sys, job_workers; job_workers.with_the_run(pickle.load(sys.stdin.buffer), 0)"
    subprocess.run([sys.executable, "-c", child], input=pickle.dumps(run), check=True)
    print(SimpleETLTracker.get_recent_runs.__name__)
    os._exit(0)
    """
    result = run_job(job, store_dsn, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert (result.returncode, result.stderr) == (0, "")
    assert (only_run(store_dsn).job, only_run(store_dsn).requests) == ("handed over", 3)


def test_a_run_begun_below_another_names_its_parent(store_dsn: str) -> None:
    job = """
    import subprocess
    with ETLRunContext(SimpleETLTracker(DSN), "parent") as run:
        child = "import os; from tracking_core import *; SimpleETLTracker(os.environ['JOB_DSN']).start_run('child')"
        subprocess.run([sys.executable, "-c", child], env={**os.environ, "TRACKING_RUN": str(run.run_id)}, check=True)
    """
    assert run_job(job, store_dsn).returncode == 0
    child, parent = SimpleETLTracker(store_dsn).get_recent_runs()
    assert (child.job, child.parent_run_id) == ("child", parent.run_id)


@pytest.mark.parametrize(("delivery", "each"), [("immediate", 20), ("buffered", 10_000)])
def test_sixteen_threads_count_exactly_and_without_a_gap(store_dsn: str, delivery: str, each: int) -> None:
    job = f"""
    tracker = SimpleETLTracker(DSN, overload="wait")
    with ETLRunContext(tracker, "threads") as run:
        def log(number):
            for page in range({each}):
                run.log_request(f"/thread {{number}}", page, 1, 200, 1, 1)
        threads = [threading.Thread(target=log, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(tracker.flush(60).sent)
    """
    result = run_job(job, store_dsn, seconds=90, TRACKING_DELIVERY=delivery)
    total = 16 * each
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{total + 2}\n", "")
    assert stored(store_dsn) == (total, total, 1, total, total, total)
    sequence = peek(store_dsn, "SELECT min(seq), max(seq), count(DISTINCT seq) FROM tracking.requests")
    assert sequence == [(1, total, total)]
    assert only_run(store_dsn).emitted == total


@BOTH_ONCE
def test_logging_from_a_finalizer_and_from_a_log_handler_counts_and_does_not_hang(
    store_dsn: str, delivery: str
) -> None:
    job = """
    import gc, logging
    gc.set_threshold(50)
    tracker = SimpleETLTracker(DSN)
    made = 0
    class Handler(logging.Handler):
        def emit(self, record):
            run.log_request("/handler", record.args[0], 1, 200, 1, 1)
    class Thing:
        def __init__(self, number):
            self.number, self.me = number, self
        def __del__(self):
            run.log_request("/finalizer", self.number, 1, 200, 1, 1)
    with ETLRunContext(tracker, "odd places") as run:
        logging.getLogger().addHandler(Handler())
        for number in range(60):
            Thing(number)
            logging.getLogger("job").warning("%d", number)
            run.log_request("/job", number, 1, 200, 1, 1)
        gc.collect()
    """
    result = run_job(job, store_dsn, seconds=60, TRACKING_DELIVERY=delivery)
    assert result.returncode == 0
    assert stored(store_dsn) == (180, 180, 1, 180, 180, 180)
    assert peek(store_dsn, "SELECT max(seq) FROM tracking.requests") == [(180,)]


def test_the_old_tracker_s_connection_is_neither_used_nor_closed_by_a_child(store_dsn: str) -> None:
    job = """
    import warnings
    from tracking_core import get_etl_tracker
    warnings.simplefilter("ignore", DeprecationWarning)
    tracker = get_etl_tracker(DSN)
    tracker.start_run("old")
    for number in range(3):
        child = os.fork()
        if child == 0:
            tracker.log_request(f"/child {number}", 0, 1, 200, 1, 1)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        tracker.log_request("/parent", number, 1, 200, 1, 1)
    tracker.end_run(True)
    """
    result = run_job(job, store_dsn)
    assert (result.returncode, result.stderr) == (0, "")
    assert stored(store_dsn) == (6, 6, 4, 6, 6, 6)
    assert only_run(store_dsn).status == "completed"
