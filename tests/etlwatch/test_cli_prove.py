"""`prove` on both stores: what reconciles, what does not, what cannot be checked, and how long it waits."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click
import pytest

from etlwatch.analysis.completed import CHECKS
from etlwatch.cli.prove import Proof, prove_run
from etlwatch.cli.root import etlwatch as root
from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock
from tracking_core import SimpleETLTracker
from tracking_core.identity import format_run_id
from tracking_core.store import open_store

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def completed(stock: Stock, began: datetime, *, contacts: int = 1_000, fetched: int = 1_000) -> int:
    """Record a run that counted, fetched and loaded contacts."""
    run_id = stock.start(began, job="crm")
    stock.source_count(run_id, "contacts", contacts, began)
    stock.requests(run_id, [(began, "/contacts", 200, fetched // 10, 100)] * 10)
    counters = {"contacts": {"processed": fetched, "total": fetched}}
    stock.phase(run_id, "load", began, status="completed", counters=counters)
    stock.ledger(run_id, emitted=10)
    stock.end(run_id, began + 10 * MINUTE)
    return run_id


def verdicts(program: Program, dsn: str, *words: str) -> dict[str, str]:
    answer = program("prove", *words, "--dsn", dsn, "--format", "json")
    return {check["check"]: check["verdict"] for check in answer.data["checks"]}


def test_a_run_whose_numbers_agree_is_proven_line_by_line(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    run_id = completed(stock, NOW - 20 * MINUTE)
    answer = etlwatch("prove", str(run_id), "--dsn", store_dsn)
    assert (answer.status, answer.err) == (0, "")
    head, *lines = answer.out.splitlines()
    assert head.startswith(f"proven  crm  {format_run_id(run_id)}  completed ")
    assert lines == [
        "ok           delivery  10 events emitted, none missing",
        "not checked  pages",
        "not checked  cursors",
        "ok           fetched   1,000 of 1,000 contacts that the source counted were fetched",
        "not checked  loaded",
        "ok           phases    1,000 of 1,000 contacts were processed when phase load completed",
        "not checked  amounts",
    ]


def test_what_does_not_reconcile_is_named_and_the_status_is_1(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    run_id = completed(stock, NOW - 20 * MINUTE, fetched=500)
    stock.ledger(run_id, emitted=14)
    answer = etlwatch("prove", str(run_id), "--dsn", store_dsn)
    assert answer.status == 1
    assert answer.out.startswith("not proven  crm")
    failed = [line.split(maxsplit=2)[1:] for line in answer.out.splitlines() if line.startswith("failed")]
    assert failed == [
        ["delivery", "4 events that the job emitted are neither stored nor counted as dropped"],
        ["fetched", "500 of 1,000 contacts that the source counted were fetched: 50%"],
    ]


@pytest.mark.parametrize(("skipped", "verdict"), [((), "ok"), ((300,), "failed")])
def test_pages_are_checked_whether_or_not_one_is_missing(
    etlwatch: Program, store_dsn: str, skipped: tuple[int, ...], verdict: str
) -> None:
    tracker = SimpleETLTracker(store_dsn)
    run_id = tracker.start_run(job="crm")
    for offset in range(0, 1_000, 100):
        if offset not in skipped:
            tracker.log_request(run_id, "/contacts", offset, 100, 200, 100, 5)
    tracker.end_run(run_id, success=True)
    tracker.close()
    found = verdicts(etlwatch, store_dsn, str(run_id))
    assert (found["pages"], found["delivery"]) == (verdict, "ok")


def test_what_a_job_usually_loads_and_its_amounts_are_checked_once_it_has_a_past(
    etlwatch: Program, stock: Stock, store_dsn: str
) -> None:
    for day in range(30, 0, -1):
        completed(stock, NOW - day * DAY)
    usual = completed(stock, NOW - 20 * MINUTE)
    few = completed(stock, NOW - 15 * MINUTE, contacts=200, fetched=200)
    found = verdicts(etlwatch, store_dsn, str(usual))
    assert (found["loaded"], found["amounts"]) == ("ok", "ok")
    answer = etlwatch("prove", str(few), "--dsn", store_dsn)
    assert answer.status == 1
    assert "200 contacts; the last " in answer.out.partition("failed       amounts ")[2]


def test_a_required_check_without_data_fails(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    run_id = completed(stock, NOW - 20 * MINUTE)
    assert etlwatch("prove", str(run_id), "--require", "fetched", "--dsn", store_dsn).status == 0
    answer = etlwatch("prove", str(run_id), "--require", "fetched", "--require", "pages", "--dsn", store_dsn)
    assert answer.status == 1
    assert "not checked  pages     required, and nothing is stored to compare" in answer.out
    assert etlwatch("prove", str(run_id), "--require", "all", "--dsn", store_dsn).status == 1
    assert etlwatch("prove", str(run_id), "--require", "everything", "--dsn", store_dsn).status == 2


@pytest.mark.parametrize("status", ["failed", "terminated", "abandoned"])
def test_a_run_that_did_not_complete_is_not_proven(
    etlwatch: Program, stock: Stock, store_dsn: str, status: str
) -> None:
    run_id = stock.start(NOW - 9 * MINUTE, job="crm", notes="disk \x1b[31mfull")
    stock.end(run_id, NOW - 8 * MINUTE, status=status)
    answer = etlwatch("prove", str(run_id), "--dsn", store_dsn)
    assert answer.status == 1
    assert answer.out.rstrip().endswith(f"it ended as {status}: disk ␛[31mfull")


def test_a_living_and_a_lost_run_are_not_proven(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    alive = stock.start(NOW - MINUTE, job="crm")
    lost = stock.start(NOW - 90 * MINUTE, job="ads", heartbeat_interval_s=0.1)
    time.sleep(0.5)
    for run_id, text in ((alive, "it is running"), (lost, "it is lost: ")):
        answer = etlwatch("prove", str(run_id), "--dsn", store_dsn, "--format", "json")
        assert answer.status == 1
        assert answer.data["because"].startswith(text)
        assert not answer.data["proven"]


# -- jobs


def test_the_last_run_of_a_job_must_be_the_one_that_was_due(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    due = NOW - 90 * MINUTE
    for day in range(20, 0, -1):
        completed(stock, due - day * DAY)
    answer = etlwatch("prove", "crm@latest", "--dsn", store_dsn)
    assert answer.status == 1
    assert "and none has begun since " in answer.out
    assert etlwatch("prove", "crm", "--since", "3d", "--dsn", store_dsn).status == 0
    assert etlwatch("prove", "crm@-1", "--dsn", store_dsn).status == 0, "a run is named, not a job"
    completed(stock, due)
    assert etlwatch("prove", "crm", "--dsn", store_dsn).status == 0


def test_a_job_without_a_rhythm_needs_a_moment(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    completed(stock, NOW - 20 * MINUTE)
    answer = etlwatch("prove", "crm@latest", "--dsn", store_dsn)
    assert answer.status == 2
    assert "crm has no rhythm: --since MOMENT tells from when on its run must have begun" in answer.complaint
    assert etlwatch("prove", "crm@latest", "--since", "1h", "--dsn", store_dsn).status == 0
    assert etlwatch("prove", "crm@latest", "--since", "soon", "--dsn", store_dsn).status == 2
    assert etlwatch("prove", "cmr@latest", "--since", "1h", "--dsn", store_dsn).status == 1


def waited(dsn: str, steps: Iterator[object], *, since: str | None = "now") -> tuple[Proof, float]:
    """Return what is proven within 30 minutes in which a step is done at each wait, and how long that was."""
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        next(steps, None)

    prove = root.get_command(click.Context(root), "prove")
    assert prove is not None
    with click.Context(prove), open_store(dsn).reader(5.0) as reader:
        proof = prove_run(
            reader, "crm", since=since, wait=30 * MINUTE, required=CHECKS[:1], monotonic=lambda: clock[0], sleep=sleep
        )
    return proof, clock[0]


def test_it_waits_for_begin_and_end(stock: Stock, store_dsn: str) -> None:
    completed(stock, NOW - 60 * MINUTE)

    def steps() -> Iterator[object]:
        yield None
        run_id = stock.start(datetime.now(UTC) + MINUTE, job="crm")
        yield run_id
        # A later run is not what was waited for.
        stock.start(datetime.now(UTC) + 2 * MINUTE, job="crm")
        stock.ledger(run_id, emitted=0)
        yield stock.end(run_id, datetime.now(UTC) + 3 * MINUTE)

    proof, seconds = waited(store_dsn, steps())
    assert proof.run.status == "completed"
    assert not proof.obstacle
    assert seconds == 15


def test_it_waits_no_longer_than_asked_and_not_for_what_has_failed(stock: Stock, store_dsn: str) -> None:
    completed(stock, NOW - 60 * MINUTE)
    proof, seconds = waited(store_dsn, iter(()))
    assert not proof.proven
    assert "none has begun since" in proof.obstacle
    assert seconds == 30 * 60
    stock.end(stock.start(NOW - MINUTE, job="crm"), NOW, status="failed")
    proof, seconds = waited(store_dsn, iter(()), since="5m")
    assert proof.obstacle == "it ended as failed"
    assert seconds == 0


def test_csv_has_a_line_for_each_check(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    run_id = completed(stock, NOW - 20 * MINUTE)
    out = etlwatch("prove", str(run_id), "--dsn", store_dsn, "--format", "csv").out
    assert [row["check"] for row in csv.DictReader(io.StringIO(out))] == [*CHECKS]


def test_a_store_that_cannot_answer_is_status_3(etlwatch: Program) -> None:
    assert etlwatch("prove", "crm", "--dsn", "sqlite:////nowhere/at/all.db").status == 3
