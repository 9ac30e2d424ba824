"""The stored progress of a job that hangs, is ended or is forked: all that was done, not what the last update told."""

import json
import signal

import pytest

from tests.acceptance.once import BOTH_ONCE
from tests.support.job import job_process
from tests.support.peek import peek
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker

THROUGH = {
    "phase": """
    with ETLRunContext(tracker, "hanging") as run, run.phase("extract", contacts=100) as phase:
        for _ in range(50):
            phase.update(contacts=1)
        hang()
    """,
    "context": """
    with ETLRunContext(tracker, "hanging") as run:
        context = ETLContext(run=run, units=["contacts"])
        context.start_phase("extract", total_contacts=100)
        for _ in range(50):
            context.update_progress(contacts=1)
        hang()
    """,
    "an attached run": """
    run = tracker.attach(SimpleETLTracker(DSN, delivery="immediate").start_run("hanging"))
    with run.phase("extract", contacts=100) as phase:
        for _ in range(50):
            phase.update(contacts=1)
        hang()
    """,
}
PREPARATION = """
    import select
    from tracking_core import ETLContext
    tracker = SimpleETLTracker(DSN)
    def hang():
        print("hangs", flush=True)
        # Not one long wait: a signal that comes just before a blocking call is seen only when that call ends.
        while not select.select([sys.stdin], [], [], 0.1)[0]:
            pass
"""


def processed(dsn: str, unit: str = "contacts") -> int:
    rows = peek(dsn, "SELECT CAST(counters AS text) FROM tracking.phases WHERE phase = 'extract'")
    return sum(json.loads(counters).get(unit, {}).get("processed", 0) for (counters,) in rows)


@BOTH_ONCE
@pytest.mark.parametrize("through", THROUGH)
def test_a_job_that_hangs_after_quick_updates_is_shown_as_far_as_it_came(
    store_dsn: str, delivery: str, through: str
) -> None:
    with job_process(PREPARATION + THROUGH[through], store_dsn, TRACKING_DELIVERY=delivery) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "hangs\n"
        wait_until(lambda: processed(store_dsn) == 50, "all that was done is stored")
        assert peek(store_dsn, "SELECT status FROM tracking.phases WHERE phase = 'extract'") == [("running",)]


@BOTH_ONCE
@pytest.mark.parametrize("through", ["phase", "context"])
def test_a_job_that_is_terminated_after_quick_updates_leaves_all_that_it_did(
    store_dsn: str, delivery: str, through: str
) -> None:
    with job_process(PREPARATION + THROUGH[through], store_dsn, TRACKING_DELIVERY=delivery) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "hangs\n"
        job.terminate()
        assert job.wait(30) == -signal.SIGTERM
    assert processed(store_dsn) == 50
    assert peek(store_dsn, "SELECT status FROM tracking.runs") == [("terminated",)]


@BOTH_ONCE
def test_a_child_forked_in_a_phase_tells_what_it_counts_and_its_parent_goes_on(store_dsn: str, delivery: str) -> None:
    job = """
    with ETLRunContext(tracker, "forking") as run, run.phase("extract", contacts=100) as phase:
        phase.update(contacts=1)
        if os.fork() == 0:
            phase.update(rows=7)
            sys.stdin.read()
            os._exit(0)
        phase.update(pages=3)
        hang()
    """
    with job_process(PREPARATION + job, store_dsn, TRACKING_DELIVERY=delivery) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        wait_until(lambda: processed(store_dsn, "rows") == 7, "what the child did is stored")
        wait_until(lambda: processed(store_dsn, "pages") == 3, "what the parent did is stored")


def test_a_fork_finds_no_thread_of_ours_where_only_progress_is_told_of_a_run_begun_elsewhere(store_dsn: str) -> None:
    tracker = SimpleETLTracker(store_dsn)
    run_id = tracker.start_run("elsewhere")
    # The first of the hooks to be registered is the last one before the fork.
    job = """
    seen = []
    # A thread that another way began and that is over stays listed as a dummy in CPython 3.11.
    os.register_at_fork(
        before=lambda: seen.extend(each.name for each in threading.enumerate() if not each.name.startswith("Dummy-"))
    )
    context = ETLContext(run=(tracker, int(os.environ["JOB_RUN"])), units=["contacts"])
    context.start_phase("extract")
    context.update_progress(contacts=1)
    context.update_progress(contacts=1)
    assert "tracking_core heartbeat" in [thread.name for thread in threading.enumerate()]
    if os.fork() == 0:
        os._exit(0)
    os.wait()
    assert seen == ["MainThread"], seen
    hang()
    """
    with job_process(PREPARATION + job, store_dsn, JOB_RUN=str(run_id)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        wait_until(lambda: processed(store_dsn) == 2, "what was held back before the fork is stored")
    tracker.end_run(run_id, True)
