"""P17: a server at fault is not a value at fault: what it does not take waits, is reported, and delivered later."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import conninfo

from tests.acceptance.ledger import assert_nothing_lost, replay_spool, status_of
from tests.support.databases import Databases
from tracking_core import SimpleETLTracker
from tracking_core.store import open_store

REQUESTS = 40
EVENTS = REQUESTS + 5
"""The start, a phase, a source count, an error and the end are the others."""

TABLES = (
    "runs",
    "requests",
    "run_endpoints",
    "run_series",
    "throughput",
    "phases",
    "source_counts",
    "errors",
    "batches",
    "writers",
    "switches",
)
STOP = (
    "CREATE OR REPLACE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'nicht heute'; END $$;"
    "CREATE TRIGGER stop BEFORE INSERT ON tracking.{table} FOR EACH ROW EXECUTE FUNCTION public.stop()"
)
FAULTS = {
    "CHECK": (
        "ALTER TABLE tracking.requests ADD CONSTRAINT odd CHECK (page_offset <> 7)",
        "ALTER TABLE tracking.requests DROP CONSTRAINT odd",
        1,
    ),
    "trigger on errors": (STOP.format(table="errors"), "DROP TRIGGER stop ON tracking.errors", 1),
    "trigger on requests": (STOP.format(table="requests"), "DROP TRIGGER stop ON tracking.requests", REQUESTS),
    "trigger on runs": (STOP.format(table="runs"), "DROP TRIGGER stop ON tracking.runs", EVENTS),
    "no partition": (
        (
            "ALTER TABLE tracking.requests RENAME TO kept;\n"
            "CREATE TABLE tracking.requests (LIKE tracking.kept INCLUDING ALL) PARTITION BY RANGE (run_id)"
        ),
        "DROP TABLE tracking.requests;\nALTER TABLE tracking.kept RENAME TO requests",
        REQUESTS,
    ),
    "no column": (
        "ALTER TABLE tracking.phases RENAME COLUMN counters TO counts",
        "ALTER TABLE tracking.phases RENAME COLUMN counts TO counters",
        None,
    ),
    "read only": (
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "SET default_transaction_read_only = off;\nALTER DATABASE {database} RESET default_transaction_read_only",
        EVENTS,
    ),
    "statement timeout": (
        "ALTER DATABASE {database} SET statement_timeout = 1;\n"
        + STOP.format(table="runs").replace("RAISE EXCEPTION 'nicht heute'", "PERFORM pg_sleep(0.1)"),
        (
            "SET statement_timeout = 0;\nDROP TRIGGER stop ON tracking.runs;\n"
            "ALTER DATABASE {database} RESET statement_timeout"
        ),
        EVENTS,
    ),
}


def record(dsn: str, delivery: str, *, text: str = "x") -> tuple[int, int, int]:
    """Record a run of everything; return how many of its events were sent, spooled and dropped."""
    tracker = SimpleETLTracker(dsn, delivery=delivery, heartbeat_interval=60)
    run_id = tracker.start_run("faulty", job="job")
    for page in range(REQUESTS):
        assert tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
    assert tracker.log_phase(run_id, "load", "running", totals={"rows": 3})
    assert tracker.log_source_count(run_id, "contacts", 3)
    tracker.log_error(run_id, text)
    assert tracker.end_run(run_id, True)
    tracker.close()
    report = tracker.flush(1.0)
    return report.sent, report.spooled, report.dropped


def run_sql(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        database = connection.info.dbname
        for part in filter(None, statement.split(";\n")):
            connection.execute(part.replace("{database}", f'"{database}"').encode())


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_faulty_database_does_not_take_waits_and_is_delivered_when_it_is_repaired(
    fault: str, delivery: str, postgres_store_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    cause, repair, waits = FAULTS[fault]
    run_sql(postgres_store_dsn, cause)
    with caplog.at_level(logging.WARNING, "tracking_core"):
        sent, spooled, dropped = record(postgres_store_dsn, delivery)
    assert (sent + spooled, dropped) == (EVENTS, 0)
    assert spooled >= 1
    if waits is not None and fault not in ("no partition",):
        assert spooled == waits
    assert 1 <= len(caplog.records) <= 3
    run_sql(postgres_store_dsn, repair)
    assert replay_spool(postgres_store_dsn) >= 1
    assert_nothing_lost(postgres_store_dsn, REQUESTS)
    assert status_of(postgres_store_dsn) == ["completed"]


@pytest.mark.parametrize("table", TABLES)
def test_rights_that_are_missing_on_one_table_lose_nothing(
    table: str, delivery: str, databases: Databases, postgres_store_dsn: str
) -> None:
    run_sql(
        postgres_store_dsn,
        "GRANT USAGE ON SCHEMA tracking TO guarded;\n"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tracking TO guarded;\n"
        f"REVOKE ALL ON tracking.{table} FROM guarded",
    )
    dsn = databases.guarded_dsn(str(conninfo.conninfo_to_dict(postgres_store_dsn)["dbname"]))
    sent, spooled, dropped = record(dsn, delivery)
    assert (sent + spooled, dropped) == (EVENTS, 0)
    run_sql(postgres_store_dsn, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tracking.{table} TO guarded")
    replay_spool(dsn)
    assert_nothing_lost(postgres_store_dsn, REQUESTS)
    assert status_of(postgres_store_dsn) == ["completed"]


ROW_SECURITY = {
    "runs hidden": ("runs", "CREATE POLICY add_only ON tracking.runs FOR INSERT TO guarded WITH CHECK (true)", EVENTS),
    "runs not inserted": ("runs", "CREATE POLICY look ON tracking.runs FOR SELECT TO guarded USING (true)", EVENTS),
    "runs not updated": (
        "runs",
        (
            "CREATE POLICY look ON tracking.runs FOR SELECT TO guarded USING (true);\n"
            "CREATE POLICY add ON tracking.runs FOR INSERT TO guarded WITH CHECK (true)"
        ),
        EVENTS,
    ),
    "requests hidden": (
        "requests",
        "CREATE POLICY add_only ON tracking.requests FOR INSERT TO guarded WITH CHECK (true)",
        REQUESTS,
    ),
    "requests not inserted": ("requests", "", REQUESTS),
    "requests inserted": ("requests", "CREATE POLICY all_rows ON tracking.requests TO guarded USING (true)", 0),
    "one request not inserted": (
        "requests",
        "CREATE POLICY most ON tracking.requests TO guarded USING (page_offset <> 7)",
        1,
    ),
    "errors not inserted": ("errors", "", 1),
    "phases hidden": (
        "phases",
        "CREATE POLICY add_only ON tracking.phases FOR INSERT TO guarded WITH CHECK (true)",
        1,
    ),
    "summaries not inserted": ("run_series", "", REQUESTS),
    "batches not inserted": ("batches", "", 0),
}
"""The table that has row security, its policies, and how many events wait at least.

Where each has to be sent alone, a process that leaves may hand more of them to the spool.
"""


@pytest.mark.parametrize("rule", ROW_SECURITY)
def test_row_security_loses_nothing_and_is_named(
    rule: str, delivery: str, databases: Databases, postgres_store_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    table, policies, waits = ROW_SECURITY[rule]
    run_sql(
        postgres_store_dsn,
        "GRANT USAGE ON SCHEMA tracking TO guarded;\n"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tracking TO guarded;\n"
        f"ALTER TABLE tracking.{table} ENABLE ROW LEVEL SECURITY;\n{policies}",
    )
    dsn = databases.guarded_dsn(str(conninfo.conninfo_to_dict(postgres_store_dsn)["dbname"]))
    with caplog.at_level(logging.WARNING, "tracking_core"):
        sent, spooled, dropped = record(dsn, delivery)
    assert (sent + spooled, dropped) == (EVENTS, 0)
    assert spooled >= waits
    assert spooled == 0 or rule != "requests inserted"
    if waits:
        assert any("row security" in entry.getMessage() for entry in caplog.records)
    run_sql(postgres_store_dsn, f"ALTER TABLE tracking.{table} DISABLE ROW LEVEL SECURITY")
    replay_spool(dsn)
    assert_nothing_lost(postgres_store_dsn, REQUESTS)
    assert status_of(postgres_store_dsn) == ["completed"]


def test_one_character_that_a_database_lacks_keeps_one_row_back(
    databases: Databases, delivery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An omitted word of a command line is recorded as `…`, which LATIN1 lacks as well.
    monkeypatch.setattr("sys.argv", ["job", "positional"])
    monkeypatch.setattr("sys.orig_argv", ["python", "job", "positional"])
    with databases.fresh(encoding="LATIN1") as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(open_store(dsn).migration_sql().encode())
        assert record(dsn, delivery, text="5 €") == (EVENTS - 1, 1, 0)
        assert_nothing_lost(dsn, REQUESTS)
        with open_store(dsn).reader(5) as reader:
            assert reader.recent_runs(1)[0].command == "python job ..."


def test_a_value_that_does_not_fit_is_dropped_alone_counted_and_set_aside(
    postgres_store_dsn: str, delivery: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_sql(postgres_store_dsn, "ALTER TABLE tracking.errors ALTER COLUMN message TYPE varchar(5)")
    with caplog.at_level(logging.WARNING, "tracking_core"):
        assert record(postgres_store_dsn, delivery, text="much longer") == (EVENTS - 1, 0, 1)
    assert len([entry for entry in caplog.records if "too long" in entry.message]) == 1
    assert_nothing_lost(postgres_store_dsn, REQUESTS)
    with open_store(postgres_store_dsn).reader(5) as reader:
        assert reader.recent_runs(1)[0].errors == 0


# -- SQLite ------------------------------------------------------------------------------------------------------------


@contextmanager
def the_file(dsn: str) -> Iterator[sqlite3.Connection]:
    file = sqlite3.connect(dsn.removeprefix("sqlite:///"))
    yield file
    file.commit()
    file.close()


FILE_FAULTS: dict[str, tuple[str, str, int | None]] = {
    "trigger": (
        (
            "CREATE TRIGGER stop BEFORE INSERT ON requests WHEN new.page_offset = 7"
            " BEGIN SELECT RAISE(ABORT, 'nicht heute'); END"
        ),
        "DROP TRIGGER stop",
        1,
    ),
    "left out": (
        "CREATE TRIGGER stop BEFORE INSERT ON requests WHEN new.page_offset = 7 BEGIN SELECT RAISE(IGNORE); END",
        "DROP TRIGGER stop",
        None,
    ),
    "run left out": (
        "CREATE TRIGGER stop BEFORE INSERT ON runs BEGIN SELECT RAISE(IGNORE); END",
        "DROP TRIGGER stop",
        EVENTS,
    ),
    "no table": ("ALTER TABLE errors RENAME TO kept", "ALTER TABLE kept RENAME TO errors", None),
    "no column": (
        "ALTER TABLE phases RENAME COLUMN counters TO counts",
        "ALTER TABLE phases RENAME COLUMN counts TO counters",
        None,
    ),
}


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_what_a_faulty_file_does_not_take_waits_and_is_delivered_when_it_is_repaired(
    fault: str, delivery: str, sqlite_store_dsn: str
) -> None:
    cause, repair, waits = FILE_FAULTS[fault]
    with the_file(sqlite_store_dsn) as file:
        file.execute(cause)
    sent, spooled, dropped = record(sqlite_store_dsn, delivery)
    assert (sent + spooled, dropped) == (EVENTS, 0)
    assert spooled == waits if waits is not None else spooled >= 1
    with the_file(sqlite_store_dsn) as file:
        file.execute(repair)
    replay_spool(sqlite_store_dsn)
    with the_file(sqlite_store_dsn) as file:
        for question in (
            "SELECT count(*) FROM requests",
            "SELECT requests FROM runs",
            "SELECT sum(requests) FROM throughput",
        ):
            assert file.execute(question).fetchone() == (REQUESTS,)
        assert file.execute("SELECT status, errors FROM runs").fetchall() == [("completed", 1)]
