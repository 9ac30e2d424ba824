"""P7, P10 to P14: many threads, wrong clocks, impossible values, other versions, full disks, too many events."""

import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.ledger import assert_nothing_lost, counts, status_of
from tests.acceptance.once import BOTH_ONCE
from tests.support.job import run_job
from tests.support.peek import peek
from tests.support.proxy import PostgresProxy
from tracking_core import SimpleETLTracker
from tracking_core.config import resolve
from tracking_core.delivery.event_queue import MOST_EVENTS, MOST_REQUESTS
from tracking_core.errors import SchemaNewer
from tracking_core.store import open_store

CLOCK = """
import tracking_core.clock, tracking_core.tracker
real, off = time.time_ns, [OFF * 3_600_000_000_000]
time.time_ns = tracking_core.tracker.time_ns = lambda: real() + off[0]
tracker = SimpleETLTracker(DSN)
run_id = tracker.start_run("clock")
for page in range(3):
    tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
    tracker.flush()
off[0] += STEP * 3_600_000_000_000
for page in range(3, 6):
    tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
    tracker.flush()
tracker.end_run(run_id, True)
"""


@pytest.mark.parametrize(
    ("delivery", "off", "step"),
    [("buffered", 1, 0), ("buffered", 0, 1), ("buffered", 0, -1), ("immediate", -1, 0), ("immediate", 1, -1)],
)
def test_a_job_s_clock_that_is_an_hour_off_or_steps_changes_no_time_and_no_duration(
    postgres_store_dsn: str, delivery: str, off: int, step: int
) -> None:
    job = CLOCK.replace("OFF", str(off)).replace("STEP", str(step))
    assert run_job(job, postgres_store_dsn, TRACKING_DELIVERY=delivery).stderr == ""
    (run,) = SimpleETLTracker(postgres_store_dsn).get_recent_runs()
    assert abs(run.started_at.timestamp() - time.time()) < 120
    assert run.duration_s < 60
    assert run.clock_offset_ms == pytest.approx(-off * 3_600_000, abs=5_000)
    spread = (
        "SELECT extract(epoch FROM max(at) - min(at)), abs(extract(epoch FROM max(at) - now())) FROM tracking.requests"
    )
    assert all(seconds < 60 for seconds in peek(postgres_store_dsn, spread)[0])


ODD = """
from decimal import Decimal
tracker = SimpleETLTracker(DSN)
run_id = tracker.start_run("nul \\0 and \\ud800")
assert tracker.log_request(run_id, "/good", 0, 1, 200, 1, 1)
assert tracker.log_request(run_id, "/\\0\\udfff", 1, 2**63, 200, 1, float("nan"), error="x" * 10_000_000)
assert tracker.log_request(run_id, "/b", 2, 1, 200, 1, float("inf"))
assert tracker.log_request(run_id, "/c", 3, 1, 2**70, 2**80, Decimal("1.5"))
assert tracker.log_error(run_id, "\\0" * 100 + "\\ud800")
assert tracker.log_phase(run_id, "p\\0", "running", processed={"u\\ud800": 2**90}, memory_mb=float("nan"))
assert tracker.log_source_count(run_id, "s\\0", 2**77)
assert tracker.log_request(run_id, "/good", 4, 1, 200, 1, 1)
tracker.end_run(run_id, True, "bye \\ud800")
tracker.flush()
"""


@BOTH_ONCE
def test_impossible_values_raise_nothing_and_lose_no_neighbour(store_dsn: str, delivery: str) -> None:
    job = run_job(ODD, store_dsn, TRACKING_DELIVERY=delivery)
    assert (job.returncode, job.stderr) == (0, "")
    assert_nothing_lost(store_dsn, 5)
    marked = peek(store_dsn, "SELECT count(*) FROM tracking.requests WHERE error LIKE '%[adjusted]%'")
    assert marked == [(3,)]
    assert peek(store_dsn, "SELECT max(length(error)) FROM tracking.requests")[0][0] <= 65_536 + 200
    assert status_of(store_dsn) == ["completed"]


def schema_version(dsn: str, version: int) -> None:
    """Make a store look as if it had another version, with what a later one might add."""
    location = resolve(dsn)
    row = f"VALUES ({version}, 'later', 'x'"
    if location.path is not None:
        with sqlite3.connect(location.path) as connection:
            connection.execute("ALTER TABLE runs ADD COLUMN later TEXT NOT NULL DEFAULT 'x'")
            connection.execute(f"INSERT INTO schema_version (version, name, checksum, applied_at) {row}, 0)")
        connection.close()
        return
    with psycopg.connect(location.dsn) as postgres:
        postgres.execute("ALTER TABLE tracking.runs ADD COLUMN later text NOT NULL DEFAULT 'x'")
        postgres.execute(f"INSERT INTO tracking.schema_version (version, name, checksum) {row})".encode())


def test_a_job_writes_into_a_schema_two_versions_newer_and_says_so_once(
    store_dsn: str, delivery: str, caplog: pytest.LogCaptureFixture
) -> None:
    schema_version(store_dsn, 4)
    tracker = SimpleETLTracker(store_dsn, delivery=delivery)  # type: ignore[arg-type]
    run_id = tracker.start_run("newer")
    for page in range(20):
        assert tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
    tracker.end_run(run_id, True)
    tracker.close()
    assert_nothing_lost(store_dsn, 20)
    assert [record.getMessage().count("schema version 4") for record in caplog.records] == [1]
    assert tracker.get_recent_runs()[0].requests == 20


def test_a_job_writes_into_a_schema_two_versions_older_without_touching_it(
    store_dsn: str, delivery: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tracking_core.store import sql_files

    known = sql_files.migrations
    later = sql_files.Migration(version=4, name="later", sql="CREATE TABLE must_not_be_made (x int)")
    monkeypatch.setattr(sql_files, "migrations", lambda dialect: (*known(dialect), later))
    tracker = SimpleETLTracker(store_dsn, delivery=delivery)  # type: ignore[arg-type]
    run_id = tracker.start_run("older")
    assert tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    tracker.end_run(run_id, True)
    tracker.close()
    assert_nothing_lost(store_dsn, 1)
    assert ["etlwatch init" in record.getMessage() for record in caplog.records] == [True]
    assert peek(store_dsn, "SELECT max(version) FROM tracking.schema_version") == [(2,)]


def test_a_reader_tolerates_two_versions_and_refuses_more(store_dsn: str) -> None:
    schema_version(store_dsn, 4)
    open_store(store_dsn).reader(5.0).close()
    location = resolve(store_dsn)
    if location.path is not None:
        with sqlite3.connect(location.path) as connection:
            connection.execute("UPDATE schema_version SET version = 5 WHERE version = 4")
        connection.close()
    else:
        with psycopg.connect(location.dsn) as postgres:
            postgres.execute("UPDATE tracking.schema_version SET version = 5 WHERE version = 4")
    with pytest.raises(SchemaNewer):
        open_store(store_dsn).reader(5.0)


FULL = """
import resource
tracker = SimpleETLTracker(DSN)
run_id = tracker.start_run("full disk")
tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
tracker.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_SIZE, resource.RLIM_INFINITY))
for page in range(1, 3001):
    tracker.log_request(run_id, f"/a", page, 1, 200, 1, 1, error="x" * 300)
tracker.flush(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
time.sleep(2.2)
tracker.end_run(run_id, True)
report = tracker.flush(20)
print(report.sent, report.spooled, report.dropped)
"""


def test_a_full_disk_under_the_file_and_the_spool_leaves_the_file_sound_and_totals_right(
    sqlite_store_dsn: str, tmp_path: Path
) -> None:
    path = resolve(sqlite_store_dsn).path
    assert path is not None
    limit = path.stat().st_size + 50_000
    job = run_job(FULL.replace("MOST_SIZE", str(limit)), sqlite_store_dsn, TRACKING_DELIVERY="buffered", seconds=60)
    assert (job.returncode, job.stderr) == (0, "")
    assert peek(sqlite_store_dsn, "PRAGMA integrity_check") == [("ok",)]
    found = counts(sqlite_store_dsn)
    assert found["runs"] == found["endpoints"] == found["series"] == found["throughput"] == 3_001
    assert status_of(sqlite_store_dsn) == ["completed"]


@pytest.mark.parametrize("overload", ["aggregate", "wait"])
def test_more_events_than_the_store_takes(
    postgres_store_dsn: str,
    postgres_proxy: Callable[[str], PostgresProxy],
    overload: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRACKING_SPOOL_DIR", str(tmp_path / "file" / "nowhere"))
    proxy = postgres_proxy(postgres_store_dsn)
    tracker = SimpleETLTracker(proxy.dsn, delivery="buffered", overload=overload, deadline=0.5)  # type: ignore[arg-type]
    run_id = tracker.start_run("flood")
    tracker.flush()
    proxy.freeze()
    total = MOST_REQUESTS + 20_000
    failures = 4 * MOST_EVENTS if overload == "aggregate" else 1
    if overload == "wait":
        healer = threading.Timer(3, lambda: (proxy.cut(), proxy.resume()))
        healer.start()
    tracemalloc.start()
    try:
        for page in range(total):
            tracker.log_request(run_id, "/a", page, 1, 200, 1, 5)
        for number in range(failures):
            tracker.log_error(run_id, f"the same error, number {number}")
        tracker.log_phase(run_id, "extract", "completed", processed={"a": 1})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * 48 * 1024 * 1024
    if overload == "aggregate":
        proxy.cut()
        proxy.resume()
    else:
        healer.join()
    tracker.end_run(run_id, True)
    deadline = time.monotonic() + 60
    while status_of(postgres_store_dsn) != ["completed"] and time.monotonic() < deadline:
        tracker.flush(1)
    report = tracker.flush(10)
    tracker.close()
    if overload == "wait":
        assert report.dropped == 0
        assert_nothing_lost(postgres_store_dsn, total)
    else:
        assert report.dropped > 0
        ((kept,),) = peek(postgres_store_dsn, "SELECT count(*) FROM tracking.errors")
        assert_nothing_lost(postgres_store_dsn, total, detail=total - (report.dropped - (failures - kept)))
        assert peek(postgres_store_dsn, "SELECT dropped, emitted FROM tracking.runs") == [
            (report.dropped, total + failures)
        ]
    assert peek(postgres_store_dsn, "SELECT errors FROM tracking.runs") == [(failures,)]
    assert peek(postgres_store_dsn, "SELECT status FROM tracking.phases") == [("completed",)]
