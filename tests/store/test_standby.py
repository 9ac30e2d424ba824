"""A streaming standby: judged at its data's own time when it is behind, never changed, followed into its promotion."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import psycopg
import pytest

from tests.etlwatch.cli_program import Program
from tests.support.job import run_job
from tests.support.postgres import GUARDED_ROLE, OwnPostgres
from tests.support.session import SharedSession
from tests.support.waiting import wait_until
from tests.tracking_core.sample_batches import batch_of, start_of
from tracking_core.config import spool_directories
from tracking_core.errors import StoreRefused, StoreUnavailable
from tracking_core.store import open_store
from tracking_core.store.postgres.reader import PostgresReader

JOB = """
tracker = SimpleETLTracker(DSN, delivery="buffered", deadline=5)
run = tracker.start_run("night")
for page in range(50):
    tracker.log_request(run, "/x", page, 10, 200, 1, 5.0)
tracker.end_run(run, True)
"""


class Pair:
    """A primary with one run in it, and its standby."""

    def __init__(self, session: SharedSession) -> None:
        self.primary = OwnPostgres.create(session, "primary", as_shipped=True)
        self.dsn = self.primary.dsn("postgres")
        self.ask(self.dsn, "ALTER SYSTEM SET fsync = off")
        # What commits by itself would move the time of the data.
        self.ask(self.dsn, "ALTER SYSTEM SET autovacuum = off")
        self.ask(self.dsn, "SELECT pg_reload_conf()")
        store = open_store(self.dsn)
        store.initialize()
        with store.writer(30) as writer:
            writer.write(batch_of(3, starts=(start_of(),)))
        self.standby = self.primary.make_standby(session)
        self.standby_dsn = self.standby.dsn("postgres")
        self.ask(self.standby_dsn, "ALTER SYSTEM SET max_standby_streaming_delay = '20ms'")
        self.ask(self.standby_dsn, "SELECT pg_reload_conf()")
        wait_until(lambda: self.ask(self.standby_dsn, "SELECT count(*) FROM pg_stat_wal_receiver") == 1, "it streams")

    @staticmethod
    def ask(dsn: str, statement: str) -> Any:
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall()[0][0] if cursor.description else None

    def wait_for_replay(self) -> None:
        there = self.ask(self.dsn, "SELECT pg_current_wal_lsn()")
        wait_until(
            lambda: self.ask(self.standby_dsn, f"SELECT pg_last_wal_replay_lsn() >= '{there}'"), "it has replayed all"
        )

    def halt_replay(self) -> None:
        """Let the standby receive and replay nothing more."""
        self.ask(self.standby_dsn, "SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: self.ask(self.standby_dsn, "SELECT pg_get_wal_replay_pause_state()") == "paused",
            "it replays nothing",
        )

    def go_on(self) -> None:
        self.ask(self.standby_dsn, "SELECT pg_wal_replay_resume()")
        self.wait_for_replay()

    def beat(self) -> None:
        """Let the run beat now, for the last time, as one that is lost in 0.6 s."""
        self.ask(self.dsn, "UPDATE tracking.runs SET heartbeat_at = clock_timestamp(), heartbeat_interval_s = 0.2")


@pytest.fixture(scope="module")
def pair(shared_session: SharedSession) -> Iterator[Pair]:
    made = Pair(shared_session)
    try:
        yield made
    finally:
        made.standby.destroy()
        made.primary.destroy()


def state_on(dsn: str) -> tuple[str, float | None]:
    """Return the state of the run, and how far behind the store is."""
    with open_store(dsn).reader(5) as reader, reader.one_view():
        reader.now()
        (run,) = reader.runs_of_job("job", 1)
        return run.state, reader.behind_s


@pytest.fixture
def etlwatch(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


def test_a_standby_is_read_and_refuses_changes_by_name(pair: Pair) -> None:
    store = open_store(pair.standby_dsn)
    with store.reader(5) as reader:
        assert reader.recent_runs(1)[0].requests == 3
    words = "is a standby; changes go to its primary"
    with store.writer(5) as writer:
        with pytest.raises(StoreRefused, match=words):
            writer.write(batch_of(1, batch_seq=2, first=9))
        with pytest.raises(StoreRefused, match=words):
            writer.write(batch_of(1, batch_seq=None, first=9))
    with store.administration(5) as admin:
        with pytest.raises(StoreRefused, match=words):
            admin.set_switch(enabled=False, job=None, actor="p", reason="")
        with pytest.raises(StoreRefused, match=words):
            list(admin.cleanup(0, actor="p"))


def test_states_on_a_standby_that_is_behind_are_those_of_its_data(pair: Pair, etlwatch: Program) -> None:
    pair.beat()
    pair.wait_for_replay()
    pair.halt_replay()
    try:
        pair.ask(pair.dsn, "UPDATE tracking.runs SET heartbeat_interval_s = 0.2")
        wait_until(lambda: state_on(pair.dsn)[0] == "lost", "the run is lost")
        wait_until(lambda: (state_on(pair.standby_dsn)[1] or 0) > 2, "the standby is behind")
        assert state_on(pair.standby_dsn)[0] == "running"
        for block in ("run", "runs_of_job", "live_runs"):
            with open_store(pair.standby_dsn).reader(5) as reader:
                asked: dict[str, Callable[[], Any]] = {
                    "run": lambda: [reader.run(reader.live_runs()[0].run_id)],
                    "runs_of_job": lambda: reader.runs_of_job("job", 1),
                    "live_runs": reader.live_runs,
                }
                assert [run.state for run in asked[block]()] == ["running"], block
        check = etlwatch("check", "--dsn", pair.standby_dsn)
        assert (check.err, " lost=0;" in check.out) == ("", True)
        assert "; standby " in check.out
        assert ";300;;0" in check.out.partition(" behind=")[2]
        assert etlwatch("check", "--dsn", pair.standby_dsn, "-c", "behind=1").status == 2
        told = etlwatch("runs", "--dsn", pair.standby_dsn).err
        assert told.count("standby ") == 1
        assert "behind; states are those of its newest data" in told
        doctor = etlwatch("doctor", "--dsn", pair.standby_dsn).out
        assert " behind its primary" in doctor
        assert "no skew" in doctor
    finally:
        pair.go_on()


def test_a_quiet_primary_leaves_its_standby_at_the_present(pair: Pair) -> None:
    pair.beat()
    pair.wait_for_replay()
    wait_until(lambda: state_on(pair.dsn)[0] == "lost", "the run is lost")
    wait_until(lambda: state_on(pair.standby_dsn) == ("lost", 0.0), "the standby is not behind")
    assert state_on(pair.dsn) == ("lost", None)


def test_a_standby_that_does_not_tell_is_read_at_its_own_clock(pair: Pair) -> None:
    functions = "FUNCTION pg_last_wal_receive_lsn()"
    pair.ask(pair.dsn, f"GRANT USAGE ON SCHEMA tracking TO {GUARDED_ROLE}")
    pair.ask(pair.dsn, f"GRANT SELECT ON ALL TABLES IN SCHEMA tracking TO {GUARDED_ROLE}")
    guarded = pair.standby.guarded_dsn("postgres")
    pair.wait_for_replay()
    assert state_on(guarded)[1] == 0.0
    pair.ask(pair.dsn, f"REVOKE EXECUTE ON {functions} FROM public")
    try:
        pair.wait_for_replay()
        assert state_on(guarded)[1] is None
    finally:
        pair.ask(pair.dsn, f"GRANT EXECUTE ON {functions} TO public")


def test_what_a_recovery_conflict_ended_is_asked_once_more(pair: Pair) -> None:
    with open_store(pair.dsn).administration(5) as admin:
        admin.set_switch(enabled=True, job="other", actor="p", reason="")
    pair.wait_for_replay()
    # Slow as long as there is a switch; when that is gone, and its row with it, the question is a quick one.
    slow = "SELECT 7, (SELECT pg_sleep(20) FROM tracking.switches LIMIT 1)"
    with cast("PostgresReader", open_store(pair.standby_dsn).reader(15)) as reader:
        reader._sql = {**reader._sql, "count_live": slow}
        with psycopg.connect(pair.dsn, autocommit=True) as primary:

            def take_away() -> None:
                wait_until(
                    lambda: pair.ask(
                        pair.standby_dsn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                    ),
                    "the question is being answered",
                )
                primary.execute("DELETE FROM tracking.switches")
                primary.execute("VACUUM tracking.switches")

            thread = threading.Thread(target=take_away)
            thread.start()
            try:
                assert reader.count_live() == 7
            finally:
                thread.join()


def test_a_connection_that_a_recovery_conflict_ended_is_an_unavailable_store(pair: Pair) -> None:
    with open_store(pair.dsn).administration(5) as admin:
        admin.set_switch(enabled=True, job="other", actor="p", reason="")
    pair.wait_for_replay()
    with open_store(pair.standby_dsn).reader(5) as reader:
        with reader.one_view():
            reader.recent_runs(2)
            pair.ask(pair.dsn, "DELETE FROM tracking.switches")
            pair.ask(pair.dsn, "VACUUM tracking.switches")
            pair.wait_for_replay()
            with pytest.raises(StoreUnavailable):
                reader.switches()
        with pytest.raises(StoreUnavailable):
            reader.recent_runs(2)


def test_what_a_job_records_on_a_standby_waits_for_a_primary(pair: Pair, etlwatch: Program) -> None:
    files = lambda: list(spool_directories()[0].glob("*/*/*.spool"))  # noqa: E731
    for _ in range(2):
        job = run_job(JOB, pair.standby_dsn, TRACKING_QUIET="")
        assert job.returncode == 0
        assert job.stderr.count("is a standby; changes go to its primary") == 1
        assert "etlwatch spool replay" in job.stderr
    # To its primary, by name: the files are for another address.
    replay = etlwatch("spool", "replay", "--dsn", pair.dsn)
    assert "files wait for" in replay.err or "file waits for" in replay.err
    night = "SELECT coalesce(sum(requests), 0)::int FROM tracking.runs WHERE job = 'night' AND status = 'completed'"
    first, *others = files()
    assert etlwatch("spool", "replay", "--other-store", str(first), "--dsn", pair.dsn).status == 0
    assert pair.ask(pair.dsn, night) == (50 if others else 100)

    # A primary that is gone leaves all that it sent replayed, and its standby behind all the same.
    pair.beat()
    pair.wait_for_replay()
    pair.primary.stop(immediately=True)
    wait_until(lambda: (state_on(pair.standby_dsn)[1] or 0) > 0.7, "the standby is behind")
    assert state_on(pair.standby_dsn)[0] == "running"
    pair.standby.restart()
    assert state_on(pair.standby_dsn)[0] == "running"

    with open_store(pair.standby_dsn).reader(5) as reader:
        pair.ask(pair.standby_dsn, "SELECT pg_promote()")
        reader.now()
        assert reader.behind_s is None
        assert "lost" in {run.state for run in reader.recent_runs(5)}
    assert etlwatch("spool", "replay", "--dsn", pair.standby_dsn).status == 0
    assert files() == []
    assert pair.ask(pair.standby_dsn, night) == 100
    job = run_job(JOB, pair.standby_dsn, TRACKING_QUIET="")
    assert (job.returncode, job.stderr) == (0, "")
    assert pair.ask(pair.standby_dsn, night) == 150
