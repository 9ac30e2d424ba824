"""`--at`: what commands tell of a past moment, and what they leave out because nobody knows it."""

from datetime import UTC, datetime, timedelta

import pytest

from etlwatch.reading import runs
from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock

NOW = datetime.now(UTC).replace(microsecond=0)
THEN = NOW - timedelta(hours=1)
MINUTE = timedelta(minutes=1)
AT = ("--at", THEN.isoformat())


@pytest.fixture
def dsn(store_dsn: str) -> str:
    """A store with a run that was over then, one that lived, and one that had not begun."""
    stock = Stock(store_dsn)
    over = stock.start(THEN - 90 * MINUTE, job="over")
    stock.requests(over, [(THEN - 85 * MINUTE, "/a", 200, 1, 5)] * 3)
    stock.end(over, THEN - 80 * MINUTE)
    alive = stock.start(THEN - 30 * MINUTE, job="alive", notes="then")
    stock.requests(alive, [(THEN - 20 * MINUTE, "/a", 200, 1, 5), (THEN + 20 * MINUTE, "/a", 200, 1, 5)])
    stock.error(alive, "before", THEN - 10 * MINUTE)
    stock.error(alive, "after", THEN + 10 * MINUTE)
    stock.end(alive, NOW - MINUTE, status="failed")
    later = stock.start(THEN + 10 * MINUTE, job="later")
    stock.end(later, THEN + 20 * MINUTE)
    stock.close()
    return store_dsn


def test_runs_are_listed_as_they_stood(etlwatch: Program, dsn: str) -> None:
    rows = etlwatch("runs", *AT, "--format", "json", "--dsn", dsn).data
    assert [(row["job"], row["state"], row["requests"], row["errors"]) for row in rows] == [
        ("alive", "running", 1, 1),
        ("over", "completed", 3, 0),
    ]


@pytest.mark.parametrize(
    "words", [("state:running",), ("--job", "al*"), ("--state", "running"), ("endpoint:/a", "alive")]
)
def test_runs_are_filtered_by_what_they_were(etlwatch: Program, dsn: str, words: tuple[str, ...]) -> None:
    rows = etlwatch("runs", *words, *AT, "--format", "json", "--dsn", dsn).data
    assert [row["job"] for row in rows] == ["alive"]


def test_a_run_is_found_however_many_had_begun_since(
    etlwatch: Program, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = Stock(dsn, writer_id=99)
    for number in range(5):
        stock.end(stock.start(THEN - (40 - number) * MINUTE, job="newer"), NOW - MINUTE)
    long_ago = stock.start(THEN - timedelta(days=30), job="daemon")
    stock.close()
    monkeypatch.setattr(runs, "PAGE", 2)
    asked = ("runs", *AT, "--format", "json", "--dsn", dsn)
    assert [row["job"] for row in etlwatch(*asked, "--job", "over").data] == ["over"]
    assert [row["job"] for row in etlwatch(*asked, "state:completed").data] == ["over"]
    living = etlwatch(*asked, "--state", "running,stalled,lost").data
    assert [row["job"] for row in living] == ["alive", *["newer"] * 5, "daemon"]
    assert living[-1]["run_id"] == str(long_ago)


def test_a_run_is_shown_as_it_stood_and_what_is_not_known_is_said(etlwatch: Program, dsn: str) -> None:
    answer = etlwatch("show", "alive@latest", *AT, "--dsn", dsn)
    assert answer.status == 0
    assert answer.out.startswith("running  alive")
    assert "before" in answer.out
    assert "after" not in answer.out.replace("after <", "")
    assert "left out" in answer.err
    told = etlwatch("show", "over@latest", *AT, "--format", "json", "--dsn", dsn)
    assert (told.data["run"]["status"], told.data["endpoints"][0]["requests"], told.err) == ("completed", 3, "")


def test_a_run_that_had_not_begun_is_not_there(etlwatch: Program, dsn: str) -> None:
    answer = etlwatch("show", "later@latest", *AT, "--dsn", dsn)
    assert answer.status == 1
    assert ", after " in answer.complaint


@pytest.mark.parametrize("words", [("errors",), ("errors", "alive@latest"), ("errors", "--job", "alive")])
def test_errors_are_those_that_were_there(etlwatch: Program, dsn: str, words: tuple[str, ...]) -> None:
    rows = etlwatch(*words, *AT, "--format", "json", "--dsn", dsn).data
    assert [row["message"] for row in rows] == ["before"]


@pytest.mark.parametrize("words", [("errors", "--group"), ("errors", "--group", "alive@latest")])
def test_kinds_of_errors_are_counted_as_they_were(etlwatch: Program, dsn: str, words: tuple[str, ...]) -> None:
    (kind,) = etlwatch(*words, *AT, "--format", "json", "--dsn", dsn).data
    assert (kind["message"], kind["errors"], kind["seen_errors"]) == ("before", 1, 1)


def test_jobs_stand_as_they_stood(etlwatch: Program, dsn: str) -> None:
    rows = etlwatch("jobs", *AT, "--format", "json", "--dsn", dsn).data
    assert {row["job"]: row["last_state"] for row in rows} == {"alive": "running", "over": "completed"}


def test_runs_are_compared_as_they_stood(etlwatch: Program, dsn: str) -> None:
    answer = etlwatch("compare", "alive@latest", "over@latest", *AT, "--format", "json", "--dsn", dsn)
    assert (answer.data["after"]["status"], answer.data["before"]["status"]) == ("running", "completed")
    assert etlwatch("compare", "later@latest", "over@latest", *AT, "--dsn", dsn).status == 1
    assert "no run of 'alive' completed" in etlwatch("compare", "alive@latest", *AT, "--dsn", dsn).complaint


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("runs", "--at", "banana"), "02:41"),
        (("show", "over@latest", "--at", "2999-01-01"), "in the future"),
        (("runs", "--at", "-1h", "--follow"), "not both"),
        (("errors", "--at", "-1h", "--follow"), "not both"),
    ],
)
def test_what_is_no_past_moment_is_wrong_usage(etlwatch: Program, dsn: str, words: tuple[str, ...], told: str) -> None:
    answer = etlwatch(*words, "--dsn", dsn)
    assert answer.status == 2
    assert told in answer.complaint


def test_a_source_count_that_was_renewed_later_is_named(etlwatch: Program, dsn: str) -> None:
    stock = Stock(dsn, writer_id=99)
    run_id = stock.start(THEN - 30 * MINUTE, job="counting")
    stock.source_count(run_id, "contacts", 5, THEN - 20 * MINUTE)
    stock.source_count(run_id, "deals", 7, THEN - 20 * MINUTE)
    stock.source_count(run_id, "deals", 9, THEN + 20 * MINUTE)
    stock.close()
    answer = etlwatch("show", "counting", *AT, "--format", "json", "--dsn", dsn)
    assert [(count["entity"], count["items"]) for count in answer.data["source_counts"]] == [("contacts", 5)]
    assert "source counts not known for then: counted later, or again: deals" in answer.err
    assert "source counts" not in etlwatch("show", "counting", "--dsn", dsn).err
