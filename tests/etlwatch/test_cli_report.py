"""`report` on both stores: an incident as Markdown, on stdout or in a new file."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock
from tracking_core import SimpleETLTracker
from tracking_core.identity import format_run_id
from tracking_core.store import open_store

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
SECTIONS = ["Findings", "Timeline", "Compared with the last success", "Errors", "Who did what", "Open"]


def success(stock: Stock, began: datetime) -> int:
    run_id = stock.start(began, job="crm|sync")
    stock.requests(run_id, [(began + n * MINUTE / 10, "/contacts", 200, 10, 100) for n in range(100)])
    stock.end(run_id, began + 10 * MINUTE)
    return run_id


@pytest.fixture
def failed(stock: Stock, store_dsn: str) -> int:
    """A success, and a run that failed an hour later."""
    success(stock, NOW - 180 * MINUTE)
    began = NOW - 120 * MINUTE
    run_id = stock.start(began, job="crm|sync", notes="# [not](a link)")
    stock.requests(run_id, [(began + n * MINUTE / 10, "/contacts", 429, 0, 900) for n in range(300)])
    stock.phase(run_id, "load", began + 2 * MINUTE, status="failed")
    stock.error(run_id, "bad <b>date</b> \x1b[31m*now*", began + 3 * MINUTE)
    stock.ledger(run_id, emitted=305)
    stock.end(run_id, began + 30 * MINUTE, status="failed")
    return run_id


def sections(text: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in re.split(r"^## ", text, flags=re.M)}


def test_an_incident_has_its_sections(etlwatch: Program, failed: int, store_dsn: str) -> None:
    answer = etlwatch("report", str(failed), "--dsn", store_dsn)
    assert (answer.status, answer.err) == (0, "")
    found = sections(answer.out)
    assert [*found][1:] == SECTIONS
    assert answer.out.startswith(f"# crm\\|sync {format_run_id(failed)}: failed\n")
    assert "- evidence: ValueError in load: bad" in answer.out
    assert "300 of 300 requests throttled" in found["Timeline"]
    assert "| phase | load begins |" in found["Timeline"]
    assert "30m 00s against 10m 00s" in found["Compared with the last success"]
    assert "| --- | --- |" in found["Compared with the last success"]
    assert "  ```text\n  Traceback …\n  ```" in found["Errors"]
    assert found["Who did what"] == "None."
    assert "- crm\\|sync has not completed since" in found["Open"]
    assert "- 4 events of it are missing" in found["Open"]


def test_nothing_from_the_store_is_markdown_or_reaches_a_terminal(
    etlwatch: Program, failed: int, store_dsn: str
) -> None:
    out = etlwatch("report", str(failed), "--dsn", store_dsn).out
    assert "\x1b" not in out
    assert "bad \\<b\\>date\\</b\\> ␛\\[31m\\*now\\*" in out
    assert "- notes: \\# \\[not\\](a link)" in out
    for line in out.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_a_later_success_closes_it(etlwatch: Program, failed: int, stock: Stock, store_dsn: str) -> None:
    success(stock, NOW - 60 * MINUTE)
    assert "has not completed" not in sections(etlwatch("report", str(failed), "--dsn", store_dsn).out)["Open"]


def test_a_fence_is_longer_than_those_in_a_traceback(etlwatch: Program, store_dsn: str) -> None:
    tracker = SimpleETLTracker(store_dsn)
    run_id = tracker.start_run(job="crm")
    try:
        raise ValueError("\n````\n# out of the fence")
    except ValueError as error:
        tracker.log_error(run_id, error)
    tracker.end_run(run_id, success=False)
    tracker.close()
    errors = sections(etlwatch("report", "crm", "--dsn", store_dsn).out)["Errors"]
    fences = [line.strip() for line in errors.splitlines() if line.strip().startswith("`````")]
    assert fences == ["`````text", "`````"]
    assert "\n  # out of the fence\n" in errors


def test_what_people_did_and_a_run_that_goes_on(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    run_id = stock.start(NOW - 5 * MINUTE, job="crm")
    other = stock.start(NOW - 9 * MINUTE, job="1. nightly")
    stock.end(other, NOW - 8 * MINUTE, status="failed")
    assert "- 1\\. nightly has not completed since" in etlwatch("report", str(other), "--dsn", store_dsn).out
    with open_store(store_dsn).administration(30.0) as administration:
        administration.set_switch(enabled=False, job="crm", actor="ana@etl-01", reason="night *work*")
        administration.set_switch(enabled=False, job="ads", actor="bo@etl-02", reason="other")
    found = sections(etlwatch("report", str(run_id), "--dsn", store_dsn).out)
    assert "ana@etl-01: tracking off for crm: night \\*work\\*" in found["Who did what"]
    assert "bo@etl-02" not in found["Who did what"]
    assert found["Open"].startswith("- it has not ended: running")
    assert found["Compared with the last success"] == "None."


def test_it_is_written_into_a_new_file_and_into_no_other(
    etlwatch: Program, failed: int, store_dsn: str, tmp_path: Path
) -> None:
    file = tmp_path / "incident.md"
    answer = etlwatch("report", str(failed), str(file), "--dsn", store_dsn)
    assert (answer.status, answer.out) == (0, "")
    assert [*sections(file.read_text(encoding="utf-8"))][1:] == SECTIONS
    file.write_text("mine")
    answer = etlwatch("report", str(failed), str(file), "--dsn", store_dsn)
    assert answer.status == 1
    assert "is there already, nothing was written" in answer.complaint
    assert file.read_text() == "mine"
    assert etlwatch("report", str(failed), str(tmp_path / "no" / "x.md"), "--dsn", store_dsn).status == 1
    assert etlwatch("report", "nothing", "--dsn", store_dsn).status == 1
