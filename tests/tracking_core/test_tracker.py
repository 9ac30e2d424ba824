"""`SimpleETLTracker` over both stores: every guarantee that a store can show."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.peek import peek
from tracking_core import Run, RunMetrics, SimpleETLTracker
from tracking_core.config import resolve
from tracking_core.identity import format_run_id
from tracking_core.records import DeliveryReport
from tracking_core.store import open_store


@pytest.fixture
def tracker(store_dsn: str) -> SimpleETLTracker:
    return SimpleETLTracker(store_dsn)


def started(tracker: SimpleETLTracker, notes: str | None = "a run", **given: str) -> int:
    run_id = tracker.start_run(notes, **given)  # type: ignore[arg-type]
    assert run_id is not None
    return run_id


def only_run(tracker: SimpleETLTracker) -> Run:
    (run,) = tracker.get_recent_runs()
    return run


def test_a_run_is_recorded_from_its_start_to_its_end(tracker: SimpleETLTracker) -> None:
    before = datetime.now(UTC)
    run_id = started(tracker, "Contact sync 2025-01-31")
    assert tracker.end_run(run_id, True, "50 contacts")
    run = only_run(tracker)
    assert (run.run_id, run.id) == (run_id, format_run_id(run_id))
    assert (run.job, run.notes) == ("Contact sync", "Contact sync 2025-01-31\n50 contacts")
    assert (run.status, run.state) == ("completed", "completed")
    assert run.ended_at is not None
    assert abs((run.started_at - before).total_seconds()) < 60
    assert run.ended_at >= run.started_at
    assert run.duration_s >= 0
    assert run.pid > 0
    assert all((run.host, run.user, run.command, run.tracker_version))


def test_success_false_fails_the_run(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    assert tracker.end_run(run_id, False)
    assert (only_run(tracker).status, only_run(tracker).notes) == ("failed", "a run")


def test_an_ended_run_ends_only_once(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    assert tracker.end_run(run_id, True, "first")
    assert not tracker.end_run(run_id, False, "second")
    assert (only_run(tracker).status, only_run(tracker).notes) == ("completed", "a run\nfirst")


def test_an_unknown_run_is_refused_everywhere_and_nothing_is_written(tracker: SimpleETLTracker, store_dsn: str) -> None:
    started(tracker)
    assert not tracker.end_run(4711, True)
    assert not tracker.log_request(4711, "/a", 0, 1, 200, 1, 1)
    assert not tracker.log_source_count(4711, "contacts", 1)
    assert not tracker.log_phase(4711, "extract", "running")
    assert not tracker.log_error(4711, "oops")
    assert tracker.get_run_metrics(4711) is None
    for table in ("requests", "source_counts", "phases", "errors"):
        assert peek(store_dsn, f"SELECT count(*) FROM tracking.{table}") == [(0,)]
    assert peek(store_dsn, "SELECT count(*) FROM tracking.runs") == [(1,)]


@pytest.mark.parametrize(
    ("notes", "given", "environ", "job"),
    [
        ("Nightly sync 2025-01-31 #42", {}, {}, "Nightly sync"),
        ("first line\nsecond line", {}, {}, "first line"),
        ("notes", {"job": "crm"}, {"TRACKING_JOB": "other"}, "crm"),
        ("notes", {}, {"TRACKING_JOB": "from outside"}, "from outside"),
        ("2025-01-31", {}, {}, "pytest"),
        (None, {}, {}, "pytest"),
        ("", {"job": " "}, {}, "pytest"),
    ],
)
def test_a_job_is_named_by_the_caller_the_environment_the_notes_or_the_script(
    sqlite_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    notes: str | None,
    given: dict[str, str],
    environ: dict[str, str],
    job: str,
) -> None:
    monkeypatch.setattr("tracking_core.identity.script_name", lambda: "pytest")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    tracker = SimpleETLTracker(sqlite_dsn)
    started(tracker, notes, **given)
    assert only_run(tracker).job == job


def test_tags_are_kept(tracker: SimpleETLTracker) -> None:
    tracker.start_run("tagged", tags={"env": "prod", "attempt": 2})  # type: ignore[dict-item]
    assert only_run(tracker).tags == {"env": "prod", "attempt": "2"}


def test_log_request_takes_the_seed_s_positional_order(tracker: SimpleETLTracker, store_dsn: str) -> None:
    run_id = started(tracker)
    assert tracker.log_request(run_id, "/contacts", 200, 100, 201, 50, 1234.6)
    rows = peek(
        store_dsn,
        "SELECT endpoint, page_offset, page_limit, status, items, duration_ms, seq, error FROM tracking.requests",
    )
    assert rows == [("/contacts", 200, 100, 201, 50, 1235, 1, None)]


def test_a_request_paged_by_cursor_has_neither_offset_nor_limit(tracker: SimpleETLTracker, store_dsn: str) -> None:
    run_id = started(tracker)
    assert tracker.log_request(run_id, "/contacts", None, None, 200, 50, 12)
    assert peek(store_dsn, "SELECT page_offset, page_limit FROM tracking.requests") == [(None, None)]


def test_every_request_counts_as_throttled_failed_or_well(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    for status, given in [
        (200, {}),
        (399, {}),
        (429, {}),
        (200, {"throttled": True}),
        (503, {"throttled": True}),
        (429, {"error": "slow down"}),
        (400, {}),
        (500, {}),
        (200, {"error": "half a page"}),
        (200, {"error": ValueError("broken JSON")}),
        (0, {}),
        (None, {}),
    ]:
        assert tracker.log_request(run_id, "/contacts", 0, 100, status, 5, 10, **given)  # type: ignore[arg-type]
    assert tracker.get_run_metrics(run_id) == RunMetrics(
        run_id=run_id,
        total_requests=12,
        total_items=60,
        total_duration_ms=120,
        error_count=6,
        throttle_count=4,
        p50_ms=10.0,
        p95_ms=10.0,
        p99_ms=10.0,
    )
    run = only_run(tracker)
    assert (run.requests, run.items, run.failed_requests, run.throttled_requests, run.errors) == (12, 60, 6, 4, 0)


def test_a_run_without_requests_has_zeros(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    metrics = tracker.get_run_metrics(run_id)
    assert metrics is not None
    assert (metrics.total_requests, metrics.total_items, metrics.total_duration_ms) == (0, 0, 0)
    assert (metrics.error_count, metrics.throttle_count) == (0, 0)
    assert (metrics.p50_ms, metrics.p95_ms, metrics.p99_ms) == (0.0, 0.0, 0.0)


def test_percentiles_are_within_five_percent(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    for duration in range(10, 1010, 10):
        tracker.log_request(run_id, "/a", 0, 1, 200, 1, duration)
    metrics = tracker.get_run_metrics(run_id)
    assert metrics is not None
    assert metrics.p50_ms == pytest.approx(500, rel=0.05)
    assert metrics.p95_ms == pytest.approx(950, rel=0.05)
    assert metrics.p99_ms == pytest.approx(990, rel=0.05)


def test_what_arrives_after_the_end_still_counts(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    tracker.end_run(run_id, True)
    assert tracker.log_request(run_id, "/a", 1, 1, 200, 1, 1)
    assert tracker.log_error(run_id, "too late")
    run = only_run(tracker)
    assert (run.status, run.requests, run.errors) == ("completed", 2, 1)


def test_the_last_source_count_of_an_entity_wins(tracker: SimpleETLTracker, store_dsn: str) -> None:
    run_id = started(tracker)
    assert tracker.log_source_count(run_id, "contacts", 900)
    assert tracker.log_source_count(run_id, "companies", 20)
    assert tracker.log_source_count(run_id, "contacts", 1000)
    rows = peek(store_dsn, "SELECT entity, items FROM tracking.source_counts ORDER BY entity")
    assert rows == [("companies", 20), ("contacts", 1000)]


def test_a_phase_is_told_from_its_start_to_its_end(tracker: SimpleETLTracker, store_dsn: str) -> None:
    run_id = started(tracker)
    assert tracker.log_phase(run_id, "extract", "running", totals={"contacts": 100})
    assert tracker.log_phase(run_id, "extract", "running", processed={"contacts": 40}, memory_mb=50.0)
    assert tracker.log_phase(run_id, "load", "pending")
    assert tracker.log_phase(run_id, "extract", "completed", processed={"contacts": 100}, memory_mb=20.0)
    rows = peek(
        store_dsn,
        "SELECT phase, position, status, started_at IS NULL, ended_at IS NULL, memory_mb, peak_memory_mb "
        "FROM tracking.phases ORDER BY position",
    )
    assert [tuple(map(str, row)) for row in rows] == [
        tuple(map(str, row))
        for row in [
            ("extract", 1, "completed", rows[0][3], rows[0][4], 20.0, 50.0),
            ("load", 2, "pending", rows[1][3], rows[1][4], None, None),
        ]
    ]
    assert [(bool(row[3]), bool(row[4])) for row in rows] == [(False, False), (True, True)]


def test_an_exception_is_recorded_with_its_own_traceback_causes_and_notes(
    tracker: SimpleETLTracker, store_dsn: str
) -> None:
    run_id = started(tracker)
    try:
        try:
            _ = {}["contact_id"]
        except KeyError as cause:
            error = ValueError("a contact without an id")
            error.add_note("page 7")
            raise error from cause
    except ValueError as caught:
        kept = caught
    # Outside `except`, where traceback.format_exc() would know nothing.
    assert tracker.log_error(run_id, kept, phase="extract")
    ((phase, kind, message, text, seq),) = peek(
        store_dsn, "SELECT phase, error_type, message, traceback, seq FROM tracking.errors"
    )
    assert (phase, kind, message, seq) == ("extract", "ValueError", "a contact without an id", 1)
    for part in ("KeyError: 'contact_id'", "direct cause", "page 7", "test_tracker.py"):
        assert part in text
    assert only_run(tracker).errors == 1


def test_a_message_is_recorded_as_an_error_without_a_traceback(tracker: SimpleETLTracker, store_dsn: str) -> None:
    run_id = started(tracker)
    assert tracker.log_error(run_id, "the export is empty")
    assert peek(store_dsn, "SELECT error_type, message, traceback, phase FROM tracking.errors") == [
        ("message", "the export is empty", "", None)
    ]


def test_recent_runs_come_newest_first_and_limited(tracker: SimpleETLTracker) -> None:
    ids = [started(tracker, f"run {number}") for number in range(4)]
    assert [run.run_id for run in tracker.get_recent_runs(3)] == ids[:0:-1]
    assert len(tracker.get_recent_runs()) == 4
    assert tracker.get_recent_runs(0) == []


def test_hostile_text_and_numbers_are_recorded_and_harm_no_neighbour(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker, "bad \0 notes \ud800", job="job\0")
    assert tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert tracker.log_request(run_id, "/x\0" * 100_000, 2**70, -(2**70), 2**63, 2**63, float("inf"), error="\udfff")
    assert tracker.log_request(run_id, "/a", 0, 1, float("nan"), float("nan"), float("nan"))  # type: ignore[arg-type]
    assert tracker.log_source_count(run_id, "\ud83d\0", 2**80)
    assert tracker.log_phase(run_id, "p\0" * 5000, "running", totals={"u\0": 2**90}, memory_mb=float("nan"))
    assert tracker.log_error(run_id, "m\0" * 5_000_000)
    assert tracker.end_run(run_id, False, "x" * 10_000_000)
    run = only_run(tracker)
    assert (run.requests, run.errors, run.status, run.job) == (3, 1, "failed", "job\ufffd")
    assert run.notes is not None
    assert len(run.notes.encode()) < 70_000


def test_when_tracking_was_off_at_the_start_nothing_else_touches_the_store(sqlite_dsn: str) -> None:
    tracker = SimpleETLTracker(sqlite_dsn)
    tracker.disable()
    run_id = tracker.start_run("off")
    tracker.enable()
    assert run_id is None
    assert not tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert not tracker.log_source_count(run_id, "a", 1)
    assert not tracker.log_phase(run_id, "a", "running")
    assert not tracker.log_error(run_id, "a")
    assert not tracker.end_run(run_id, True)
    assert tracker.get_run_metrics(run_id) is None
    path = resolve(sqlite_dsn).path
    assert path is not None
    assert not path.exists()


def test_several_trackers_record_into_one_run_and_only_its_creator_ends_it(
    tracker: SimpleETLTracker, store_dsn: str
) -> None:
    run_id = started(tracker)
    other = SimpleETLTracker(store_dsn)
    with other.attach(run_id) as run:
        assert run.run_id == run_id
        assert run.log_request("/b", 0, 1, 200, 1, 1)
    assert other.attach(run_id).log_request("/b", 1, 1, 200, 1, 1)
    assert tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert (only_run(tracker).status, only_run(tracker).requests) == ("running", 3)
    assert tracker.end_run(run_id, True)


def test_another_process_s_run_may_be_ended_by_its_id(tracker: SimpleETLTracker, store_dsn: str) -> None:
    run_id = started(tracker)
    assert SimpleETLTracker(store_dsn).end_run(run_id, True)
    assert only_run(tracker).status == "completed"


def test_threads_may_share_a_tracker(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)

    def work(endpoint: str) -> None:
        for page in range(15):
            assert tracker.log_request(run_id, endpoint, page, 1, 200, 2, 3)

    threads = [threading.Thread(target=work, args=(f"/{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (only_run(tracker).requests, only_run(tracker).items) == (60, 120)
    assert tracker.flush() == DeliveryReport(sent=61)


def test_flush_and_close_end_no_run_and_close_may_be_called_twice(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    assert tracker.flush(0.1) == DeliveryReport(sent=1)
    tracker.close()
    tracker.close()
    assert only_run(tracker).status == "running"
    assert tracker.end_run(run_id, True)


def test_reading_a_file_that_nobody_wrote_is_an_empty_store(sqlite_dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    tracker = SimpleETLTracker(sqlite_dsn)
    assert tracker.get_recent_runs() == []
    assert tracker.get_run_metrics(1) is None
    assert caplog.records == []


def test_a_database_without_the_tables_is_warned_of_once(postgres_dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    tracker = SimpleETLTracker(postgres_dsn)
    assert tracker.start_run("no tables") is not None
    assert tracker.get_recent_runs() == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "etlwatch init" in caplog.text


def test_without_a_cfg_a_job_records_into_its_user_s_own_file(tmp_path: Path) -> None:
    started(SimpleETLTracker())
    file = tmp_path / "xdg_data_home" / "etlwatch" / "tracking.db"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_the_old_cfg_object_names_a_postgres_store(postgres_store_dsn: str) -> None:
    keywords = resolve(postgres_store_dsn).keywords
    cfg = SimpleNamespace(
        db_host=keywords.get("host"),
        db_port=keywords.get("port"),
        db_name=keywords.get("dbname"),
        db_user=keywords.get("user"),
        db_password=keywords.get("password"),
    )
    started(SimpleETLTracker(cfg))
    assert len(SimpleETLTracker(postgres_store_dsn).get_recent_runs()) == 1


def test_a_wrong_password_is_in_no_log_line_and_no_repr(
    postgres_store_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    keywords = {**resolve(postgres_store_dsn).keywords, "password": "geheim-7", "user": "nobody_here"}
    tracker = SimpleETLTracker(keywords)
    tracker.start_run("wrong password")
    assert caplog.records
    assert "geheim-7" not in caplog.text + repr(tracker)


def test_what_an_unreachable_store_does_not_take_is_recorded_in_the_spool(caplog: pytest.LogCaptureFixture) -> None:
    tracker = SimpleETLTracker("postgresql://me@127.0.0.1:1/x", deadline=2)
    run_id = started(tracker)
    assert tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert tracker.end_run(run_id, True)
    assert tracker.flush() == DeliveryReport(spooled=3)
    assert tracker.get_recent_runs() == []
    assert tracker.get_run_metrics(run_id) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_where_neither_store_nor_spool_can_be_reached_nothing_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRACKING_SPOOL_DIR", str(tmp_path / "file" / "spool"))
    tracker = SimpleETLTracker("postgresql://me@127.0.0.1:1/x", deadline=2)
    run_id = started(tracker)
    assert not tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert not tracker.end_run(run_id, True)
    assert tracker.flush() == DeliveryReport(dropped=3)


def test_cleanup_never_removes_a_running_run(tracker: SimpleETLTracker) -> None:
    running = started(tracker, "running")
    ended = started(tracker, "ended")
    tracker.end_run(ended, True)
    assert tracker.cleanup_old_runs(days=0) == 1
    assert only_run(tracker).run_id == running
    assert tracker.end_run(running, True)


def test_cleanup_keeps_what_is_younger_by_the_store_s_clock(tracker: SimpleETLTracker) -> None:
    tracker.end_run(started(tracker), True)
    assert tracker.cleanup_old_runs() == 0
    assert tracker.cleanup_old_runs(30) == 0
    assert tracker.cleanup_old_runs(10**9) == 0
    assert len(tracker.get_recent_runs()) == 1


def test_what_arrives_late_for_a_removed_run_is_refused(tracker: SimpleETLTracker) -> None:
    run_id = started(tracker)
    tracker.end_run(run_id, True)
    assert tracker.cleanup_old_runs(0) == 1
    assert not tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert not tracker.log_error(run_id, "late")
    assert tracker.get_recent_runs() == []
    assert tracker.get_run_metrics(run_id) is None


@pytest.mark.parametrize("job", [None, "crm"], ids=["all jobs", "this job"])
def test_the_shared_switch_is_obeyed_and_does_not_end_what_lives(
    tracker: SimpleETLTracker, store_dsn: str, job: str | None
) -> None:
    run_id = started(tracker, job="crm")
    with open_store(store_dsn).administration(5) as admin:
        admin.set_switch(enabled=False, job=job, actor="ana", reason="maintenance")
    assert not SimpleETLTracker(store_dsn).is_enabled() if job is None else SimpleETLTracker(store_dsn).is_enabled()
    assert not tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert not tracker.log_source_count(run_id, "contacts", 1)
    assert not tracker.log_phase(run_id, "extract", "running")
    assert not tracker.log_error(run_id, "x")
    assert not tracker.is_enabled()
    assert tracker.start_run("refused", job="crm") is None
    assert (tracker.start_run("another", job="other") is None) == (job is None)
    assert tracker.end_run(run_id, True)
    with open_store(store_dsn).administration(5) as admin:
        admin.set_switch(enabled=True, job=job, actor="ana", reason="done")
    assert tracker.start_run("again", job="crm") is not None
    assert tracker.is_enabled()


def test_a_run_that_a_person_closed_takes_the_job_s_own_end(tracker: SimpleETLTracker, store_dsn: str) -> None:
    run_id = started(tracker)
    with open_store(store_dsn).administration(5) as admin:
        assert admin.close_run(run_id, actor="ana", reason="looks dead")
    assert only_run(tracker).status == "abandoned"
    assert tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert tracker.end_run(run_id, True)
    assert (only_run(tracker).status, only_run(tracker).ended_by) == ("completed", "job")
