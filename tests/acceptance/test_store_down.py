"""P1, immediate and buffered: a store that is down at the start costs the job neither its way nor a run."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.acceptance.ledger import replay_spool
from tests.acceptance.test_processes import stored
from tests.support.job import job_process, run_job
from tests.support.peek import peek
from tests.support.proxy import PostgresProxy
from tracking_core import SimpleETLTracker

Proxies: TypeAlias = Callable[[str], PostgresProxy]
JOB = """
tracker = SimpleETLTracker(DSN, deadline=1)
with ETLRunContext(tracker, "born in the dark", job="sync") as run:
    for page in range(25):
        if run.run_id is not None and not run.log_request("/contacts", page, 100, 200, 100, 12):
            print("not recorded")
    run.log_source_count("contacts", 2500)
    with run.phase("load", contacts=2500) as phase:
        phase.update(contacts=2500)
    run.log_error("one hiccup")
print("done")
sys.exit(3)
"""
NEXT_JOB = """
tracker = SimpleETLTracker(DSN)
tracker.end_run(tracker.start_run("the next job"), True)
"""


@pytest.mark.parametrize("fault", ["refuse", "silence"])
def test_a_job_whose_store_is_down_goes_as_without_tracking_and_its_run_appears_with_the_next_job(
    postgres_store_dsn: str, postgres_proxy: Proxies, delivery: str, fault: str
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    getattr(proxy, fault)()
    untracked = run_job(JOB, proxy.dsn, TRACKING_ENABLED="off")
    tracked = run_job(JOB, proxy.dsn, TRACKING_DELIVERY=delivery)
    assert (tracked.returncode, tracked.stdout, tracked.stderr) == (3, "done\n", "")
    assert (tracked.returncode, tracked.stdout, tracked.stderr) == (
        untracked.returncode,
        untracked.stdout,
        untracked.stderr,
    )
    assert peek(postgres_store_dsn, "SELECT count(*) FROM tracking.runs") == [(0,)]
    proxy.resume()
    assert run_job(NEXT_JOB, proxy.dsn).returncode == 0
    assert stored(postgres_store_dsn) == (25, 25, 1, 25, 25, 25)
    later, run = SimpleETLTracker(postgres_store_dsn).get_recent_runs()
    assert (later.job, run.job, run.status, run.errors, run.emitted) == ("the next job", "sync", "completed", 1, 26)
    assert peek(postgres_store_dsn, "SELECT phase, status FROM tracking.phases") == [("load", "completed")]
    assert peek(postgres_store_dsn, "SELECT items FROM tracking.source_counts") == [(2500,)]


@pytest.mark.parametrize("fault", ["refuse", "freeze"])
def test_a_store_that_goes_away_in_the_middle_loses_and_doubles_nothing(
    postgres_store_dsn: str, postgres_proxy: Proxies, delivery: str, fault: str
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    job = """
    tracker = SimpleETLTracker(DSN, deadline=1)
    with ETLRunContext(tracker, "interrupted") as run:
        for page in range(300):
            assert run.log_request("/contacts", page, 100, 200, 100, 12)
            if page in (100, 200):
                tracker.flush()
                print(page, flush=True)
                sys.stdin.readline()
    """
    with job_process(job, proxy.dsn, TRACKING_DELIVERY=delivery) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in (getattr(proxy, fault), proxy.resume):
            process.stdout.readline()
            step()
            process.stdin.write("go on\n")
            process.stdin.flush()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    replay_spool(proxy.dsn)
    (run,) = SimpleETLTracker(postgres_store_dsn).get_recent_runs()
    assert (run.job, run.status, run.emitted) == ("interrupted", "completed", 300)
    assert stored(postgres_store_dsn) == (300, 300, 1, 300, 300, 300)


def test_a_file_store_without_its_directory_is_down_until_somebody_makes_it(tmp_path: Path, delivery: str) -> None:
    directory = tmp_path / "later"
    dsn = f"sqlite:///{directory / 'runs.db'}"
    result = run_job(JOB, dsn, TRACKING_DELIVERY=delivery)
    assert (result.returncode, result.stdout, result.stderr) == (3, "done\n", "")
    directory.mkdir()
    run_job("ETLRunContext(SimpleETLTracker(DSN), 'next').__enter__()", dsn)
    assert SimpleETLTracker(dsn).get_recent_runs()[-1].job == "sync"
    assert stored(dsn) == (25, 25, 1, 25, 25, 25)
