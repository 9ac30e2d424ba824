"""`init`, `tracking`, `close` on both stores: what they change, what they refuse, who is written down."""

import io
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock
from tests.support.ports import free_port
from tracking_core import SimpleETLTracker
from tracking_core.identity import format_run_id, host_name, user_name
from tracking_core.store import open_store

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
ME = f"{user_name()}@{host_name()}"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_init_makes_the_tables_once_and_says_so(etlwatch: Program, kind: str, request: pytest.FixtureRequest) -> None:
    dsn = request.getfixturevalue(f"{kind}_dsn")
    first = etlwatch("init", "--dsn", dsn)
    assert (first.status, first.out) == (0, "")
    assert "001_initial" in first.err
    assert etlwatch("runs", "--dsn", dsn, "--format", "json").data == []
    again = etlwatch("init", "--dsn", dsn)
    assert again.status == 0
    assert "nothing to do" in again.err


def test_init_makes_a_file_that_only_its_owner_may_read(etlwatch: Program, sqlite_dsn: str, tmp_path: Path) -> None:
    assert etlwatch("init", "--dsn", sqlite_dsn).status == 0
    assert stat.S_IMODE((tmp_path / "tracking.db").stat().st_mode) == 0o600


def test_the_printed_sql_makes_a_store_without_anybody_being_asked(etlwatch: Program, postgres_dsn: str) -> None:
    printed = etlwatch("init", "--sql", "--dsn", f"postgresql://127.0.0.1:{free_port()}/nowhere")
    assert (printed.status, printed.err) == (0, "")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(printed.out.encode())
    assert "nothing to do" in etlwatch("init", "--dsn", postgres_dsn).err
    assert etlwatch("runs", "--dsn", postgres_dsn, "--format", "json").data == []


@pytest.fixture
def job_role(postgres_dsn: str) -> Iterator[str]:
    """Return the DSN of a role with a name to quote that owns nothing and has no rights."""
    name = f'a "job" of {conninfo.conninfo_to_dict(postgres_dsn)["dbname"]}'[:63]
    quoted = sql.Identifier(name)
    with psycopg.connect(postgres_dsn, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(quoted))
        yield conninfo.make_conninfo(postgres_dsn, user=name, password="secret")
        owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(quoted))


def test_init_prints_what_a_role_that_owns_nothing_needs(etlwatch: Program, postgres_dsn: str, job_role: str) -> None:
    refused = etlwatch("init", "--dsn", job_role)
    assert refused.status == 3
    assert "GRANT CREATE ON DATABASE" in refused.out
    open_store(postgres_dsn).initialize()
    refused = etlwatch("init", "--dsn", job_role)
    assert refused.status == 3
    assert "the tables belong to" in refused.out.splitlines()[0]
    assert "`etlwatch init` prints what to grant" in etlwatch("runs", "--dsn", job_role).complaint
    with psycopg.connect(postgres_dsn) as owner:
        owner.execute(refused.out.encode())
    assert "nothing to do" in etlwatch("init", "--dsn", job_role).err
    tracker = SimpleETLTracker(job_role)
    run_id = tracker.start_run(job="j")
    assert tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert tracker.end_run(run_id, success=True)
    assert tracker.flush().spooled == 0
    assert len(etlwatch("runs", "--dsn", job_role, "--format", "json").data) == 1
    for words in (["tracking", "off", "-j", "j", "--reason", "r"], ["cleanup", "--older-than", "0d", "--yes"]):
        assert etlwatch(*words, "--dsn", job_role).status == 0
    assert etlwatch("runs", "--dsn", job_role, "--format", "json").data == []


def test_the_grants_for_a_role_are_printed_without_a_store(etlwatch: Program, sqlite_dsn: str) -> None:
    printed = etlwatch("init", "--grants", "etl", "--dsn", f"postgresql://127.0.0.1:{free_port()}/nowhere")
    assert (printed.status, printed.err) == (0, "")
    assert 'GRANT USAGE ON SCHEMA tracking TO "etl";' in printed.out
    assert etlwatch("init", "--grants", "etl", "--dsn", sqlite_dsn).status == 2


def test_tracking_is_on_as_long_as_nobody_turned_it(etlwatch: Program, store_dsn: str) -> None:
    for words in (["tracking"], ["tracking", "status"]):
        answer = etlwatch(*words, "--dsn", store_dsn)
        assert (answer.status, answer.err) == (0, "")
        assert answer.out.splitlines()[1].split() == ["all", "on"]
    (switch,) = etlwatch("tracking", "status", "--dsn", store_dsn, "--format", "json").data
    assert (switch["scope"], switch["job"], switch["enabled"], switch["changed_at"]) == ("global", "", True, None)


def test_tracking_off_refuses_a_start_and_on_lets_it_record_again(etlwatch: Program, store_dsn: str) -> None:
    off = etlwatch("tracking", "off", "--all", "--reason", "moving house", "--dsn", store_dsn)
    assert off.status == 0
    assert "off" in off.err
    (switch,) = etlwatch("tracking", "status", "--dsn", store_dsn, "--format", "json").data
    assert (switch["enabled"], switch["changed_by"], switch["reason"]) == (False, ME, "moving house")
    assert "moving house" in etlwatch("tracking", "--dsn", store_dsn).out
    with_tracking_off = SimpleETLTracker(store_dsn)
    assert not with_tracking_off.is_enabled()
    assert with_tracking_off.start_run("refused") is None
    assert etlwatch("tracking", "on", "--dsn", store_dsn).status == 0
    tracker = SimpleETLTracker(store_dsn)
    run_id = tracker.start_run("taken")
    assert run_id is not None
    assert tracker.end_run(run_id, success=True)
    (run,) = etlwatch("runs", "--dsn", store_dsn, "--format", "json").data
    assert run["run_id"] == str(run_id)


def test_one_job_is_turned_off_without_the_others(etlwatch: Program, store_dsn: str) -> None:
    answer = etlwatch("tracking", "--dsn", store_dsn, "off", "--job", "noisy", "--reason", "disk", "--format", "json")
    assert answer.status == 0
    assert [(row["scope"], row["job"], row["enabled"]) for row in answer.data] == [
        ("global", "", True),
        ("job", "noisy", False),
    ]
    tracker = SimpleETLTracker(store_dsn)
    assert not tracker.is_enabled() or tracker.start_run(job="noisy") is None
    assert tracker.start_run(job="other") is not None
    only = etlwatch("tracking", "status", "--job", "other", "--dsn", store_dsn, "--format", "json").data
    assert [row["scope"] for row in only] == ["global"]


def test_turning_tracking_off_says_which_live_runs_it_touches(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    stock.start(NOW, job="a")
    stock.start(NOW, job="b")
    assert "2 live runs" in etlwatch("tracking", "off", "--all", "--reason", "x", "--dsn", store_dsn).err
    assert "1 live run " in etlwatch("tracking", "off", "--job", "a", "--dsn", store_dsn).err
    assert "no live run" in etlwatch("tracking", "off", "--job", "c", "--dsn", store_dsn).err


def test_an_environment_that_switches_tracking_off_is_pointed_out(
    etlwatch: Program, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_ENABLED", "0")
    answer = etlwatch("tracking", "status", "--dsn", store_dsn)
    assert answer.status == 0
    assert "TRACKING_ENABLED" in answer.err


def test_a_lost_run_is_closed_by_name(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    lost = stock.start(NOW - HOUR, job="import", heartbeat_interval_s=1e-6)
    answer = etlwatch("close", format_run_id(lost)[-6:], "--reason", "host died", "--dsn", store_dsn)
    assert (answer.status, answer.out) == (0, "")
    assert "abandoned" in answer.err
    (run,) = etlwatch("runs", "--dsn", store_dsn, "--format", "json").data
    assert run["status"] == "abandoned"
    assert ME in run["ended_by"]
    with open_store(store_dsn).reader(5.0) as reader:
        (operation,) = reader.audit()
    assert operation.actor == ME
    assert "host died" in str(operation.detail)


def test_a_run_that_is_not_lost_is_closed_only_by_force(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    live = stock.start(NOW, job="import")
    refused = etlwatch("close", str(live), "--dsn", store_dsn)
    assert refused.status == 1
    assert "not lost" in refused.complaint
    assert "--force" in refused.complaint
    assert etlwatch("runs", "--dsn", store_dsn, "--format", "json").data[0]["status"] == "running"
    assert etlwatch("close", str(live), "--force", "--dsn", store_dsn).status == 0
    assert etlwatch("runs", "--dsn", store_dsn, "--format", "json").data[0]["status"] == "abandoned"


def test_a_finished_run_is_not_closed(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    done = stock.finished(NOW - HOUR, NOW)
    answer = etlwatch("close", str(done), "--force", "--dsn", store_dsn)
    assert answer.status == 1
    assert "already completed; nothing was changed" in answer.complaint


def test_all_jobs_are_turned_off_only_by_who_means_it(
    etlwatch: Program, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_on() -> bool:
        rows = etlwatch("tracking", "--format", "json", "--dsn", store_dsn).data
        return all(row["enabled"] for row in rows)

    off = ("tracking", "off", "--dsn", store_dsn)
    for words in ((), ("--all",), ("--reason", "moving house"), ("--all", "--reason", " ")):
        answer = etlwatch(*off, *words)
        assert answer.status == 2
        assert "give --all and --reason, or --job" in answer.complaint
    assert etlwatch(*off, "--all", "--job", "x", "--reason", "y").status == 2
    assert is_on()
    monkeypatch.setattr("etlwatch.cli.control.is_terminal", lambda _stream: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\ny\n"))
    refused = etlwatch(*off)
    assert refused.status == 1
    assert "Let no job record anything new in" in refused.err
    assert "nothing was changed" in refused.err
    assert is_on()
    assert etlwatch(*off).status == 0
    assert not is_on()
    monkeypatch.setattr("etlwatch.cli.control.is_terminal", lambda _stream: False)
    assert etlwatch("tracking", "on", "--dsn", store_dsn).status == 0
    assert is_on()
    assert etlwatch(*off, "--all", "--reason", "moving house").status == 0
    assert not is_on()
