"""How each question is answered, read from its plan: nothing scans raw requests or opens a partition too many."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.store.stocking import Stock
from tracking_core.clock import to_microseconds
from tracking_core.store import sql_files

NOW = datetime.now(UTC).replace(microsecond=0)
STORE = Path(sql_files.__file__).parent
NOT_QUESTIONS = {"begin_view", "end_view"}
QUESTIONS = sorted(sql_files.blocks("postgres", "reads").keys() - NOT_QUESTIONS)
SQLITE_QUESTIONS = sorted(sql_files.blocks("sqlite", "reads").keys() - NOT_QUESTIONS)

TINY = {"switches", "schema_version"}
"""Tables of a handful of rows, which are read whole."""

SORTED_BY_INDEX = {
    "recent_runs",
    "run_versions",
    "live_runs",
    "runs_in_status",
    "runs_of_jobs",
    "outlines_of_jobs",
    "runs_alive_at",
    "run_ids_ending_in",
    "latest_run_id",
    "runs_of_job",
    "errors",
    "errors_of_jobs",
    "audit",
}
"""What grows for ever: these stop at their limit, so the order must come from an index."""


def stock_store(dsn: str) -> list[int]:
    stock = Stock(dsn)
    run_ids = []
    for job in ("inventory", "crm", "inventory"):
        run_id = stock.start(NOW - timedelta(minutes=30), job=job)
        stock.requests(run_id, [(NOW - timedelta(minutes=30 - n), f"/{n % 3}", 200, 1, n) for n in range(30)])
        stock.phase(run_id, "extract", NOW, position=1, counters={"items": {"processed": 1}})
        stock.source_count(run_id, "items", 30, NOW)
        stock.error(run_id, "broken", NOW)
        run_ids.append(run_id)
    stock.end(run_ids[0], NOW)
    stock.close()
    return run_ids


@pytest.fixture
def postgres(postgres_store_dsn: str) -> Iterator[tuple[psycopg.Connection[Any], list[int]]]:
    run_ids = stock_store(postgres_store_dsn)
    with psycopg.connect(postgres_store_dsn, autocommit=True) as connection:
        connection.execute("ANALYZE")
        # A small table is cheapest read whole; without that choice the plan is that of a large one.
        connection.execute("SET enable_seqscan = off")
        yield connection, run_ids


@pytest.fixture
def sqlite(sqlite_store_dsn: str) -> Iterator[tuple[sqlite3.Connection, list[int]]]:
    run_ids = stock_store(sqlite_store_dsn)
    with closing(sqlite3.connect(sqlite_store_dsn.removeprefix("sqlite:///"))) as file:
        yield file, run_ids


def parameters(
    run_ids: list[int], *, now: object, run_list: object, fingerprints: object = ("f00d",)
) -> dict[str, object]:
    end = int(NOW.timestamp())
    return {
        "now": now,
        "before_at": None,
        "before_id": None,
        "limit": 2,
        "run_id": run_ids[0],
        "run_ids": run_list,
        "mask": 1023,
        "bits": 5,
        "job": "inventory",
        "jobs": ["inventory", "crm"] if now is None else '["inventory", "crm"]',
        "statuses": ["failed"] if now is None else '["failed"]',
        "completed": False,
        "moment": NOW if now is None else to_microseconds(NOW),
        "fingerprints": fingerprints,
        "most": 100,
        "since": end - 3600,
        "until": end,
    }


def postgres_plan(
    connection: psycopg.Connection[Any], statement: str, given: dict[str, object]
) -> list[dict[str, Any]]:
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), given).fetchone()
    assert row is not None
    return list(nodes(row[0][0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def relations(plan: list[dict[str, Any]], prefix: str) -> set[str]:
    return {node["Relation Name"] for node in plan if node.get("Relation Name", "").startswith(prefix)}


def read_whole(plan: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"} - TINY


def sqlite_plan(file: sqlite3.Connection, statement: str, given: dict[str, object]) -> list[str]:
    return [detail for *_, detail in file.execute(f"EXPLAIN QUERY PLAN {statement}", given)]


DERIVED = {
    "stretches",
    "samples",
    "marks",
    "gaps",
    "writer",
    "kind",
    "names",
    "busy",
    "latest",
    "of_run",
    "wanted",
    "newest",
    "given",
}
"""What a question makes for itself: a handful of groups or names, read as a whole."""


def scanned(plan: list[str]) -> list[str]:
    return [
        step
        for step in plan
        if step.startswith("SCAN")
        and " INDEX " not in step
        and "json_each" not in step
        and "CONSTANT" not in step
        and step.split()[1] not in DERIVED
        and not step.startswith("SCAN (subquery")
    ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_postgres_reads_by_index_and_no_raw_request(
    postgres: tuple[psycopg.Connection[Any], list[int]], question: str
) -> None:
    connection, run_ids = postgres
    given = parameters(run_ids, now=None, run_list=run_ids, fingerprints=["f00d"])
    if question in {"error_groups", "runs_alive_at", "count_alive_at", "count_runs", "count_runs_in_status"}:
        given["since"] = NOW - timedelta(hours=1)
    plan = postgres_plan(connection, sql_files.blocks("postgres", "reads")[question], given)
    assert relations(plan, "requests") == set()
    assert read_whole(plan) == set()
    if question in SORTED_BY_INDEX:
        assert "Sort" not in {node["Node Type"] for node in plan}


@pytest.mark.parametrize("question", ["series", "series_of_runs", "pauses_of_runs", "recent_traffic", "traffic_until"])
def test_postgres_opens_only_the_partition_of_the_runs_asked_for(
    postgres: tuple[psycopg.Connection[Any], list[int]], question: str
) -> None:
    connection, run_ids = postgres
    given = parameters(run_ids, now=None, run_list=run_ids)
    plan = postgres_plan(connection, sql_files.blocks("postgres", "reads")[question], given)
    assert len(relations(plan, "run_series")) == 1


def test_postgres_reads_the_pages_of_a_run_from_one_partition_and_sorts_nothing(
    postgres: tuple[psycopg.Connection[Any], list[int]],
) -> None:
    connection, run_ids = postgres
    plan = postgres_plan(connection, sql_files.blocks("postgres", "raw")["pages"], {"run_id": run_ids[0], "limit": 10})
    assert len(relations(plan, "requests")) == 1
    assert "Sort" not in {node["Node Type"] for node in plan}


def test_sqlite_reads_the_pages_of_a_run_by_its_key_and_sorts_nothing(
    sqlite: tuple[sqlite3.Connection, list[int]],
) -> None:
    file, run_ids = sqlite
    plan = sqlite_plan(file, sql_files.blocks("sqlite", "raw")["pages"], {"run_id": run_ids[0], "limit": 10})
    assert "SEARCH requests USING PRIMARY KEY (run_id=?)" in plan
    assert not [step for step in plan if "SCAN requests" in step or "TEMP B-TREE" in step]


def test_the_check_knows_a_scan_of_every_partition(postgres: tuple[psycopg.Connection[Any], list[int]]) -> None:
    connection, _ = postgres
    plan = postgres_plan(connection, "SELECT count(*) FROM tracking.requests WHERE endpoint = '/0'", {})
    assert len(relations(plan, "requests")) > 50
    assert len(read_whole(plan)) > 50


@pytest.mark.parametrize("question", SQLITE_QUESTIONS)
def test_sqlite_reads_by_index_and_no_raw_request(sqlite: tuple[sqlite3.Connection, list[int]], question: str) -> None:
    file, run_ids = sqlite
    given = parameters(run_ids, now=to_microseconds(NOW), run_list=json.dumps(run_ids), fingerprints='["f00d"]')
    plan = sqlite_plan(file, sql_files.blocks("sqlite", "reads")[question], given)
    assert not [step for step in plan if " requests" in step]
    if question not in {"switches", "audit"}:
        assert scanned(plan) == []
    if question in SORTED_BY_INDEX:
        assert not [step for step in plan if "TEMP B-TREE" in step]


@pytest.mark.parametrize("question", ["runs_of_jobs", "outlines_of_jobs"])
def test_sqlite_finds_the_runs_of_each_job_by_its_index_however_few_there_are(
    sqlite: tuple[sqlite3.Connection, list[int]], question: str
) -> None:
    file, run_ids = sqlite
    file.execute("ANALYZE")
    given = parameters(run_ids, now=to_microseconds(NOW), run_list="[]", fingerprints="[]")
    plan = sqlite_plan(file, sql_files.blocks("sqlite", "reads")[question], given)
    assert [step.split()[1] for step in plan if step.startswith("SEARCH")] == ["own", "run"]


def test_the_check_knows_a_scan_of_the_file(sqlite: tuple[sqlite3.Connection, list[int]]) -> None:
    file, _ = sqlite
    assert scanned(sqlite_plan(file, "SELECT count(*) FROM requests WHERE endpoint = '/0'", {})) == ["SCAN requests"]


PLANNING = ("clock", "plan_jobs", "count_kept", "last_successes")
"""What `cleanup --dry-run` asks of an administration."""


@pytest.mark.parametrize("question", PLANNING)
def test_postgres_plans_a_removal_by_index(postgres: tuple[psycopg.Connection[Any], list[int]], question: str) -> None:
    connection, _ = postgres
    given = {"now": None, "cutoff": NOW - timedelta(days=400), "spared": []}
    assert (
        read_whole(postgres_plan(connection, sql_files.blocks("postgres", "administration")[question], given)) == set()
    )


@pytest.mark.parametrize("question", PLANNING)
def test_sqlite_plans_a_removal_by_index_however_many_runs_stay(
    sqlite: tuple[sqlite3.Connection, list[int]], question: str
) -> None:
    file, _ = sqlite
    file.execute("ANALYZE")
    given = {"now": to_microseconds(NOW), "cutoff": 1, "spared": "[]"}
    plan = sqlite_plan(file, sql_files.blocks("sqlite", "administration")[question], given)
    assert not [step for step in plan if step.startswith("SCAN runs")]


def test_every_question_that_a_command_sends_has_a_plan_that_is_checked() -> None:
    """The readers' blocks are all checked above; of an administration those are asked by commands that only look."""
    sent = re.compile(r"""\b_(?:ask|ask_of_runs?|runs|read)\(\s*"(\w+)\"""")
    shared = [path.read_text() for path in (STORE / "queries.py", STORE / "postgres" / "reader.py")]
    asked = {name for text in shared for name in sent.findall(text)}
    raw = sql_files.blocks("postgres", "raw").keys()
    assert asked - raw <= {*QUESTIONS, "newest_version"}, "a block of another file than reads.sql"
    assert asked & raw <= {"pages", "requests", "runs_with_holes"}, "a new question about raw requests"
    source = (STORE / "administration.py").read_text()
    planning = source[source.index("def plan_cleanup") : source.index("def cleanup(")]
    planned = {*sent.findall(planning), "last_successes", "clock"}
    assert planned == set(PLANNING), "what a dry run asks has to be checked, too"


def test_every_question_is_one_select() -> None:
    for dialect in ("postgres", "sqlite"):
        for name, text in sql_files.blocks(dialect, "reads").items():
            (statement,) = sql_files.statements(text)
            assert statement.startswith(("SELECT", "WITH")) or name in NOT_QUESTIONS
