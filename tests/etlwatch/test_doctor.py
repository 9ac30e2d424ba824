"""`etlwatch doctor` on real stores: its results on a healthy one, the faults it finds, and that no probe remains."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from etlwatch.doctor import outage_checks, store_checks
from etlwatch.doctor import probe as probes
from etlwatch.doctor.checks import Check, CheckStatus, Probe, Result, Target, run_checks
from tests.etlwatch.cli_program import MAIN, PROJECT, Program
from tests.store.stocking import Stock
from tests.support.databases import Databases
from tests.support.ports import free_port
from tests.support.postgres import GUARDED_ROLE, PostgresServer
from tests.support.proxy import PostgresProxy
from tests.support.waiting import wait_until
from tracking_core.config import resolve
from tracking_core.delivery.spool import DiskSpool
from tracking_core.errors import RowBlocked, StoreUnavailable
from tracking_core.identity import first_run_id_at, format_run_id
from tracking_core.store.administration import PROBE_JOB

NOW = datetime.now(UTC).replace(microsecond=0)

OF_THE_MACHINE = {"file system", "spool", "silent store", "silent later", "breaker", "buffered, no store"}
"""Checks whose result depends on this machine's disk and load."""

PROBING = {"immediate run", "buffered run", "sent twice", "unknown run", "heartbeat", "removal"}


CHECKS = (*store_checks.CHECKS, *probes.CHECKS, *outage_checks.CHECKS)


def only(*names: str) -> list[Check]:
    chosen = [check for check in CHECKS if check.name in names]
    assert len(chosen) == len(names)
    return chosen


def look(dsn: str, *names: str, **settings: Any) -> dict[str, Result]:
    target = Target(location=resolve(dsn), **settings)
    return {check.name: result for check, result in run_checks(target, only(*names) if names else CHECKS)}


def stock(dsn: str) -> int:
    """Record a run as a job would, half of it in cells that a probe's could be confused with."""
    filled = Stock(dsn)
    run_id = filled.start(NOW - timedelta(minutes=30))
    filled.requests(run_id, [(NOW - timedelta(minutes=30 - n), f"/{n % 3}", 200, 1, n) for n in range(30)])
    filled.phase(run_id, "extract", NOW, position=1, counters={"items": {"processed": 1}})
    filled.source_count(run_id, "items", 30, NOW)
    filled.error(run_id, "broken", NOW)
    filled.end(run_id, NOW)
    filled.close()
    return run_id


def contents(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    if dsn.startswith("sqlite"):
        with closing(sqlite3.connect(dsn.removeprefix("sqlite:///"))) as file:
            tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: sorted(file.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'tracking'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        ).fetchall()
        return {
            name: sorted(
                connection.execute(sql.SQL("SELECT * FROM tracking.{}").format(sql.Identifier(name))).fetchall(),
                key=repr,
            )
            for (name,) in names
        }


def test_a_healthy_store_passes_and_no_row_of_a_probe_remains(etlwatch: Program, store_dsn: str) -> None:
    stock(store_dsn)
    before = contents(store_dsn)
    answer = etlwatch("doctor", "--dsn", store_dsn, "--format", "json")
    rows = {row["check"]: row for row in answer.data}
    assert {name for name, row in rows.items() if row["verdict"] != "ok"} <= OF_THE_MACHINE
    assert rows.keys() >= PROBING
    assert rows["immediate run"]["value"] == 20
    assert rows["buffered run"]["value"] == 600
    assert contents(store_dsn) == before
    assert answer.status == (1 if any(row["verdict"] in ("warning", "failed") for row in rows.values()) else 0)


def test_everything_holds_behind_a_pooler_in_transaction_mode(
    pgbouncer_store_dsn: str, postgres_store_dsn: str
) -> None:
    before = contents(postgres_store_dsn)
    found = look(pgbouncer_store_dsn)
    assert {name for name, result in found.items() if result.status != "ok"} <= OF_THE_MACHINE
    assert found["pooler"].figure.startswith("in between, transaction mode")
    assert contents(postgres_store_dsn) == before


def test_without_a_pooler_none_is_seen(postgres_store_dsn: str) -> None:
    assert look(postgres_store_dsn, "pooler")["pooler"].figure.startswith("none in between")


def test_read_only_writes_neither_to_the_store_nor_to_the_spool(
    etlwatch: Program, store_dsn: str, tmp_path: Path
) -> None:
    stock(store_dsn)
    before = contents(store_dsn), sorted(path for path in tmp_path.rglob("*") if "spool" in path.parts)
    answer = etlwatch("doctor", "--read-only", "--dsn", store_dsn, "--format", "json")
    rows = {row["check"]: row for row in answer.data}
    assert {name for name, row in rows.items() if row["verdict"] == "skipped"} == PROBING
    assert all(rows[name]["figure"] == "--read-only" for name in PROBING)
    assert (contents(store_dsn), sorted(path for path in tmp_path.rglob("*") if "spool" in path.parts)) == before


def test_read_only_leaves_the_journal_of_a_file_as_it_is(sqlite_store_dsn: str) -> None:
    path = sqlite_store_dsn.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = DELETE")
    found = look(sqlite_store_dsn, "settings", "store", "role", "journal", "integrity", read_only=True)
    assert found["journal"].status == CheckStatus.WARNING
    assert found["journal"].figure.startswith("delete")
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_the_embedded_file_that_no_job_has_made_is_not_made(etlwatch: Program, tmp_path: Path) -> None:
    answer = etlwatch("doctor", "--format", "json")
    rows = {row["check"]: row for row in answer.data}
    assert rows["store"]["verdict"] == "ok"
    assert rows["immediate run"]["figure"] == "no job has created the file yet"
    assert not list(tmp_path.rglob("*.db"))


# -- stores that do not answer ---------------------------------------------------------------------------------------


def test_a_store_that_cannot_answer_is_a_row_and_exit_3_and_the_rest_is_tried(etlwatch: Program) -> None:
    port = free_port()
    answer = etlwatch("doctor", "--dsn", f"postgresql://ana:hunter2@127.0.0.1:{port}/etl", "--format", "json")
    rows = {row["check"]: row for row in answer.data}
    assert answer.status == 3
    assert rows["store"]["verdict"] == "failed"
    assert "refused" in rows["store"]["figure"]
    assert str(port) in answer.err
    assert rows["immediate run"]["verdict"] == "skipped"
    assert rows["silent store"]["verdict"] != "skipped"
    assert "hunter2" not in answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_a_wrong_password_is_named_and_not_shown(
    etlwatch: Program, postgres_server: PostgresServer, postgres_dsn: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_checks, "CHECKS", only("store", "role"))
    monkeypatch.setattr(probes, "CHECKS", ())
    monkeypatch.setattr(outage_checks, "CHECKS", ())
    name = psycopg.conninfo.conninfo_to_dict(postgres_dsn)["dbname"]
    answer = etlwatch("doctor", "--dsn", postgres_server.guarded_dsn(str(name), "hunter2 is wrong"), "--format", form)
    assert answer.status == 3
    assert "password authentication failed" in answer.out
    assert "hunter2" not in answer.out + answer.err


def test_a_database_without_tables_is_reported_with_init(etlwatch: Program, postgres_dsn: str) -> None:
    answer = etlwatch("doctor", "--dsn", postgres_dsn)
    assert answer.status == 3
    assert "etlwatch init" in answer.out
    assert "etlwatch init" in answer.err


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_named(encoding: str, databases: Databases) -> None:
    with databases.fresh(encoding=encoding) as dsn:
        found = look(dsn, "store")["store"]
    assert (found.status, found.figure) == ("failed", f"the encoding is {encoding}, not UTF8")
    assert "create the database with ENCODING 'UTF8'" in found.detail


def test_a_store_that_stops_answering_ends_the_checks_in_time_and_its_probes_can_be_removed_later(
    postgres_store_dsn: str, postgres_proxy: Callable[[str], PostgresProxy]
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    target = Target(location=resolve(proxy.dsn), patience=0.3, environ={**os.environ, "TRACKING_DEADLINE": "0.3"})
    checks = only("settings", "store", "role", "immediate run", "buffered run", "sent twice", "removal", "lost runs")

    def freeze(name: str) -> None:
        if name == "buffered run":
            proxy.freeze()

    found = {check.name: result for check, result in run_checks(target, checks, on_start=freeze)}
    assert found["immediate run"].status == CheckStatus.OK
    assert {found[name].status for name in ("buffered run", "sent twice", "removal")} == {CheckStatus.FAILED}
    assert "deadline" in found["sent twice"].figure
    assert target.probes
    proxy.resume()
    assert target.remove_probes() == 0
    assert not contents(postgres_store_dsn)["runs"]


# -- what it leaves ----------------------------------------------------------------------------------------------------


def test_stopping_midway_leaves_no_probe(store_dsn: str) -> None:
    before = contents(store_dsn)
    target = Target(location=resolve(store_dsn))
    found = run_checks(target, only("store", "immediate run", "sent twice", "removal"))
    assert [next(found)[0].name for _ in range(3)] == ["store", "immediate run", "sent twice"]
    assert contents(store_dsn) != before
    found.close()
    assert contents(store_dsn) == before


def _probe_of(dsn: str, began: datetime, tags: dict[str, str], *, writer_id: int = 1) -> None:
    filled = Stock(dsn, writer_id=writer_id)
    run_id = filled.start(began, job=PROBE_JOB, tags=tags)
    filled.requests(run_id, [(datetime(1987, 5, 4, tzinfo=UTC), "/a", 200, 1, 1)])
    filled.close()


def test_probes_of_a_doctor_that_was_killed_are_removed_by_the_next(store_dsn: str) -> None:
    before = contents(store_dsn)
    _probe_of(store_dsn, NOW - timedelta(hours=1), {probes.TAG: "probe"})
    found = look(store_dsn, "store", "removal")
    assert found["removal"].status == CheckStatus.OK
    assert "1 older" in found["removal"].figure
    assert contents(store_dsn) == before


def test_a_run_of_that_job_that_is_no_probe_and_a_probe_of_just_now_stay(store_dsn: str) -> None:
    _probe_of(store_dsn, NOW - timedelta(hours=1), {"team": "etl"})
    _probe_of(store_dsn, NOW - timedelta(minutes=1), {probes.TAG: "probe"}, writer_id=2)
    look(store_dsn, "store", "removal")
    assert len(contents(store_dsn)["runs"]) == 2


def test_the_run_of_another_job_is_never_removed_as_a_probe(store_dsn: str) -> None:
    run_id = stock(store_dsn)
    before = contents(store_dsn)
    with (
        Target(location=resolve(store_dsn)).examiner(may_write=True) as examiner,
        pytest.raises(ValueError, match="no probe"),
    ):
        examiner.forget_probe(run_id)
    assert contents(store_dsn) == before


def test_the_spool_is_left_as_it_was(sqlite_store_dsn: str, tmp_path: Path) -> None:
    found = look(sqlite_store_dsn, "store", "spool", "spooled")
    assert {result.status for result in found.values()} <= {CheckStatus.OK, CheckStatus.WARNING}
    assert not (tmp_path / "xdg_state_home").exists()


def test_ctrl_c_ends_it_with_130_and_leaves_no_probe(store_dsn: str) -> None:
    before = contents(store_dsn)
    program = subprocess.Popen(
        [sys.executable, "-c", MAIN, "doctor", "--dsn", store_dsn, "--format", "jsonl"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The first probe is there, and is not removed before others have been written.
    wait_until(lambda: program.poll() is not None or contents(store_dsn)["runs"], "a probe is there")
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=30)
    assert program.returncode == 130
    assert "Traceback" not in said
    assert contents(store_dsn) == before


# -- what it finds -----------------------------------------------------------------------------------------------------


def grant(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement).format(role=sql.Identifier(GUARDED_ROLE)))  # type: ignore[arg-type]


def as_guarded(server: PostgresServer, dsn: str) -> str:
    return server.guarded_dsn(str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]))


def test_a_role_that_may_only_read_is_reported_and_writes_no_probe(
    postgres_server: PostgresServer, postgres_store_dsn: str
) -> None:
    grant(
        postgres_store_dsn,
        "GRANT USAGE ON SCHEMA tracking TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA tracking TO {role}",
    )
    found = look(as_guarded(postgres_server, postgres_store_dsn), "store", "role", "immediate run", "removal")
    assert found["role"].status == CheckStatus.WARNING
    assert "INSERT on runs" in found["role"].detail
    assert found["immediate run"].status == CheckStatus.SKIPPED
    assert "may not record" in found["immediate run"].figure


def test_a_role_that_may_not_remove_writes_no_probe(postgres_server: PostgresServer, postgres_store_dsn: str) -> None:
    grant(
        postgres_store_dsn,
        "GRANT USAGE ON SCHEMA tracking TO {role}",
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA tracking TO {role}",
        "GRANT DELETE ON tracking.throughput, tracking.batches TO {role}",
    )
    found = look(as_guarded(postgres_server, postgres_store_dsn), "store", "role", "immediate run")
    assert found["role"].status == CheckStatus.OK
    assert "cannot clean up" in found["role"].figure
    assert found["immediate run"].status == CheckStatus.SKIPPED


def test_a_job_with_the_least_rights_passes_every_probe(
    postgres_server: PostgresServer, postgres_store_dsn: str
) -> None:
    grant(
        postgres_store_dsn,
        "GRANT USAGE ON SCHEMA tracking TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tracking TO {role}",
    )
    found = look(as_guarded(postgres_server, postgres_store_dsn), "store", "role", *PROBING)
    assert {result.status for result in found.values()} == {CheckStatus.OK}
    assert "owns no tables" in found["role"].detail


def test_probes_are_not_tried_while_tracking_is_off(etlwatch: Program, store_dsn: str) -> None:
    etlwatch("tracking", "off", "--all", "--dsn", store_dsn, "--reason", "moving house")
    found = look(store_dsn, "store", "switch", "immediate run")
    assert found["switch"].status == CheckStatus.WARNING
    assert "moving house" in found["switch"].detail
    assert found["immediate run"].figure == "tracking is switched off"


def test_an_environment_that_switches_tracking_off_is_reported_and_the_store_is_still_checked(
    store_dsn: str,
) -> None:
    environ = {**os.environ, "TRACKING_ENABLED": "off"}
    found = look(store_dsn, "store", "switch", "immediate run", environ=environ)
    assert found["switch"].figure == "off in this environment"
    assert found["immediate run"].status == CheckStatus.OK


def test_an_invalid_setting_is_named(store_dsn: str) -> None:
    found = look(store_dsn, "settings", environ={"TRACKING_DEADLINE": "soon"})
    assert found["settings"].status == CheckStatus.FAILED
    assert "$TRACKING_DEADLINE" in found["settings"].figure


def test_lost_runs_are_named(store_dsn: str) -> None:
    filled = Stock(store_dsn)
    run_id = filled.start(NOW - timedelta(hours=2), job="nightly", heartbeat_interval_s=0.001)
    with filled.store.reader(5.0) as reader:
        wait_until(lambda: [run.state for run in reader.live_runs()] == ["lost"], "three beats are missed")
    filled.close()
    result = look(store_dsn, "store", "lost runs")["lost runs"]
    assert (result.status, result.figure) == (CheckStatus.WARNING, "1 of 1 running")
    assert f"{format_run_id(run_id)} (nightly)" in result.detail


def test_rows_of_an_absurd_clock_are_found_in_the_default_partition(postgres_store_dsn: str) -> None:
    filled = Stock(postgres_store_dsn)
    when = datetime(2071, 1, 1, tzinfo=UTC)
    run_id = filled.start(when)
    filled.requests(run_id, [(when, "/a", 200, 1, 1)])
    filled.close()
    result = look(postgres_store_dsn, "store", "default partition")["default partition"]
    assert result.status == CheckStatus.WARNING
    assert "2071-01-01" in result.detail


@pytest.mark.parametrize("lost", ["DROP TABLE tracking.{0}", "ALTER TABLE tracking.{1} DETACH PARTITION tracking.{0}"])
def test_a_missing_default_partition_is_named_and_made_again_by_init(postgres_store_dsn: str, lost: str) -> None:
    absurd = first_run_id_at(4_000_000_000_000_000)
    with psycopg.connect(postgres_store_dsn, autocommit=True) as connection:
        ((block,),) = connection.execute(
            "SELECT min(relname) FROM pg_class WHERE relkind = 'p' AND relname LIKE 'requests_from%'"
        ).fetchall()
        for parent in ("requests", block):
            connection.execute(lost.format(f"{parent}_default", parent))
        found = look(postgres_store_dsn, "store", "default partition")["default partition"]
        assert (found.status, found.figure) == (CheckStatus.FAILED, "missing below requests and 1 more")
        with closing(Stock(postgres_store_dsn)) as stock:
            stock.start(NOW, run_id=absurd)
            with pytest.raises(RowBlocked, match="`etlwatch init` makes missing partitions"):
                stock.requests(absurd, [(NOW, "/a", 200, 1, 1)])
            stock.store.initialize()
            stock.requests(absurd, [(NOW, "/a", 200, 1, 1)])
    assert look(postgres_store_dsn, "store", "default partition")["default partition"].value == 1


def test_partitions_reach_two_years_ahead_after_init(postgres_store_dsn: str) -> None:
    result = look(postgres_store_dsn, "store", "partitions")["partitions"]
    assert result.status == CheckStatus.OK
    assert result.value is not None
    assert result.value > 700


def test_a_file_that_others_can_read_is_found(sqlite_store_dsn: str) -> None:
    Path(sqlite_store_dsn.removeprefix("sqlite:///")).chmod(0o644)
    result = look(sqlite_store_dsn, "store", "file mode")["file mode"]
    assert result.status == CheckStatus.WARNING
    assert "0644" in result.figure


def test_a_damaged_file_is_found(sqlite_store_dsn: str) -> None:
    stock(sqlite_store_dsn)
    path = Path(sqlite_store_dsn.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page_size,) = file.execute("PRAGMA page_size").fetchone()
        (page,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'errors'").fetchone()
    with path.open("r+b") as raw:
        raw.seek((page - 1) * page_size)
        raw.write(b"\xff" * 64)
    result = look(sqlite_store_dsn, "store", "integrity")["integrity"]
    assert result.status == CheckStatus.FAILED


def test_what_dead_processes_left_in_the_spool_is_found(sqlite_store_dsn: str, tmp_path: Path) -> None:
    environ = {"TRACKING_SPOOL_DIR": str(tmp_path / "spool")}
    for label in (str(resolve(sqlite_store_dsn)), "postgresql://elsewhere/etl"):
        spool = DiskSpool(label, (tmp_path / "spool",))
        assert spool.take(probes.batch_of(Probe(1, 0), 1, 1, [1], begins=False))
        spool.close()
    result = look(sqlite_store_dsn, "spooled", environ=environ)["spooled"]
    assert result.status == CheckStatus.WARNING
    assert result.figure == "1 batch waits, 1 for other stores"
    assert "spool replay" in result.detail


def test_a_spool_that_cannot_be_made_is_found(sqlite_store_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    result = look(sqlite_store_dsn, "spool", environ={"TRACKING_SPOOL_DIR": str(tmp_path / "taken" / "spool")})["spool"]
    assert result.status == CheckStatus.FAILED


# -- how checks fail ---------------------------------------------------------------------------------------------------


def outcome(dsn: str, check: Callable[[Target], Result], limit_s: float = 5.0) -> Result:
    odd = Check("odd", check, limit_s=limit_s, needs_store=False)
    return next(run_checks(Target(location=resolve(dsn)), [odd]))[1]


def raising(error: Exception) -> Callable[[Target], Result]:
    def check(_target: Target) -> Result:
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnavailable("the store is away"), "the store is away"),
        (KeyError("surprise"), "KeyError: 'surprise'"),
        (RuntimeError("password=hunter2 in\ntwo lines"), "RuntimeError: password=*** in two lines"),
    ],
)
def test_a_check_that_raises_is_a_row_with_its_cause(sqlite_dsn: str, error: Exception, said: str) -> None:
    result = outcome(sqlite_dsn, raising(error))
    assert result.status == CheckStatus.FAILED
    assert result.figure == said


def test_a_check_that_hangs_is_a_row(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etlwatch.doctor.checks.GRACE_S", 0.0)
    free = threading.Event()

    def hang(_target: Target) -> Result:
        free.wait()
        raise AssertionError

    result = outcome(sqlite_dsn, hang, limit_s=0.05)
    free.set()
    assert result.status == CheckStatus.FAILED
    assert result.figure == "no answer within 0.05 s"


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_every_format_shows_every_status(
    etlwatch: Program, sqlite_store_dsn: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: Sequence[str] = ("store", "role", "file mode", "immediate run", "removal")
    monkeypatch.setattr(store_checks, "CHECKS", only(*names))
    monkeypatch.setattr(probes, "CHECKS", ())
    monkeypatch.setattr(outage_checks, "CHECKS", ())
    Path(sqlite_store_dsn.removeprefix("sqlite:///")).chmod(0o640)
    answer = etlwatch("doctor", "--dsn", sqlite_store_dsn, "--format", form)
    assert answer.status == 1
    assert all(name in answer.out for name in names)
    assert "0640" in answer.out
    assert answer.err == ""
