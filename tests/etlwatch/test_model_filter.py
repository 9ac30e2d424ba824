"""The filter language: what each term takes, how terms combine, and the words for what it cannot understand."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from etlwatch.analysis.filter import Filter, FilterError, parse_duration
from etlwatch.analysis.run_rows import RunRow
from etlwatch.fields.errors import KINDS
from etlwatch.fields.field import FieldList
from etlwatch.fields.jobs import JOBS
from etlwatch.fields.runs import RUNS, row_of, run_passes
from etlwatch.text.moments import parse_moment
from tests.etlwatch.fleet import NOW, make_run
from tests.etlwatch.job_night import night_jobs
from tracking_core.records import Run

PARIS = ZoneInfo("Europe/Paris")

LOST = make_run("crm_sync", minutes_ago=58, state="lost", requests=48_200, notes="nightly, contacts")
FAILED = make_run("ads_pull", minutes_ago=62, lasted_s=1_503, status="failed", errors=3, failed_requests=204)
RUNNING = make_run("invoices_export", minutes_ago=12, host="etl-07", tags={"team": "finance"})
DONE = make_run("invoices_export", minutes_ago=3_000, lasted_s=1_541, items=188_000, user="ana")
ALL = [LOST, FAILED, RUNNING, DONE]


def passes(
    wanted: Filter[RunRow],
    run: Run,
    *,
    now: datetime = NOW,
    endpoints: Collection[str] | None = None,
    perhaps_fewer: bool = False,
) -> bool:
    return run_passes(wanted, row_of(run), now, endpoints, perhaps_fewer=perhaps_fewer)


def taken(text: str) -> list[str]:
    wanted = RUNS.filter(text, PARIS)
    names = {id(LOST): "lost", id(FAILED): "failed", id(RUNNING): "running", id(DONE): "done"}
    return [names[id(run)] for run in ALL if passes(wanted, run)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["lost", "failed", "running", "done"]),
        ("state:failed", ["failed"]),
        ("state:failed,lost", ["lost", "failed"]),
        ("state:fail", ["failed"]),
        ("STATE:Lost", ["lost"]),
        ("state:running", ["running"]),
        ("!state:completed", ["lost", "failed", "running"]),
        ("job:invoices*", ["running", "done"]),
        ("job:*sync", ["lost"]),
        ("job:voices", ["running", "done"]),
        ("job:crm*,ads*", ["lost", "failed"]),
        ("since:24h", ["lost", "failed", "running"]),
        ("since:1h", ["lost", "running"]),
        ("until:24h", ["done"]),
        ("since:today", ["lost", "failed", "running"]),
        ("since:2026-10-26T03:00", ["running"]),
        ("dur>30m", ["lost"]),
        ("dur>=1503s", ["lost", "failed", "done"]),
        ("dur<15m", ["running"]),
        ("dur>24m dur<26m", ["failed", "done"]),
        ("req>10k", ["lost"]),
        ("items>=188,000", ["done"]),
        ("err>0", ["failed"]),
        ("host:etl-07", ["running"]),
        ("user:ana", ["done"]),
        ("tag:team=finance", ["running"]),
        ("notes:contacts", ["lost"]),
        ('notes:"nightly, contacts"', ["lost"]),
        ('"nightly, contacts"', ["lost"]),
        ("finance", ["running"]),
        ("invoices !state:completed", ["running"]),
        ("!invoices", ["lost", "failed"]),
        ("-invoices", ["lost", "failed"]),
        ("crm_sync", ["lost"]),
        ("c?m_*", ["lost"]),
        ("[lost", []),
    ],
)
def test_a_filter_takes_the_runs_it_names(text: str, expected: list[str]) -> None:
    assert taken(text) == expected


def test_a_run_is_found_by_a_piece_of_its_id() -> None:
    assert passes(RUNS.filter(RUNNING.id[-5:]), RUNNING)
    assert passes(RUNS.filter(f"id:{RUNNING.run_id}"), RUNNING)


def test_a_run_shown_as_slow_is_running_all_the_same() -> None:
    assert passes(RUNS.filter("state:running"), replace(RUNNING, state="slow"))
    assert passes(RUNS.filter("state:slow"), replace(RUNNING, state="slow"))
    assert not passes(RUNS.filter("state:slow"), RUNNING)


@pytest.mark.parametrize("text", ["!", '"', '""', "state:failed !"])
def test_a_word_that_is_not_there_yet_filters_nothing(text: str) -> None:
    wanted = RUNS.filter(text)
    assert passes(wanted, FAILED)


@pytest.mark.parametrize("text", ["state:", "state:,", "job: ", "dur>", "since:", "state:failed job:", "endpoint:"])
def test_a_field_without_a_value_is_an_error(text: str) -> None:
    with pytest.raises(FilterError, match="has no value"):
        RUNS.filter(text)


def test_a_word_with_commas_names_jobs_as_job_does() -> None:
    assert taken("crm_sync,ads*") == taken("job:crm_sync,ads*") == ["lost", "failed"]
    assert taken("!crm_sync,ads*") == ["running", "done"]
    assert RUNS.filter("crm_sync,ads* job:x !job:y").jobs == ("crm_sync", "ads*", "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stat:failed", "did you mean state?"),
        ("stat:", "did you mean state?"),
        ("state:", "there are lost, failed, stalled"),
        ("banana:x", "no field 'banana'"),
        ("state:faild", "did you mean failed?"),
        ("dur>soon", "'soon' is no duration"),
        ("since:banana", "'banana' is no time"),
        ("since:25:00", "is no time"),
        ("since:2026-13-01", "is no time"),
        ("req>many", "'many' is no number"),
        ("job>x", "job holds text"),
        ("since>1h", "since takes one time"),
    ],
)
def test_what_is_not_understood_is_named_with_its_mend(text: str, says: str) -> None:
    with pytest.raises(FilterError, match=says.replace("?", r"\?")):
        RUNS.filter(text)


def test_the_empty_filter_is_falsy_and_keeps_no_text() -> None:
    assert not RUNS.filter("   ")
    assert RUNS.filter("  state:lost ").text == "state:lost"
    assert passes(Filter(), DONE)


def test_since_moves_with_the_clock() -> None:
    wanted = RUNS.filter("since:1h")
    assert passes(wanted, LOST)
    assert not passes(wanted, LOST, now=NOW + timedelta(minutes=5))


def test_a_filter_says_how_far_back_it_has_to_be_looked_for() -> None:
    assert RUNS.filter("since:1h job:x").oldest(NOW) == NOW - timedelta(hours=1)
    assert RUNS.filter("since:2h since:1h").oldest(NOW) == NOW - timedelta(hours=1)
    assert RUNS.filter("!since:1h").oldest(NOW) is None
    assert RUNS.filter("job:x").oldest(NOW) is None
    assert Filter().oldest(NOW) is None


def test_every_field_is_understood() -> None:
    samples = {"state": "lost", "since": "1h", "until": "1h", "dur": "1m", "req": "1", "items": "1", "err": "1"}
    for field in RUNS.grammar.names:
        RUNS.filter(f"{field}:{samples.get(field, '1')}")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("1.5h", 5400)]
)
def test_durations_are_read_as_they_are_written(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "10x", "1h30", "-5m", "ten"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02:10", datetime(2026, 10, 26, 1, 10, tzinfo=UTC)),
        ("23:50", datetime(2026, 10, 25, 22, 50, tzinfo=UTC)),
        ("today", datetime(2026, 10, 25, 23, 0, tzinfo=UTC)),
        ("2026-10-20", datetime(2026, 10, 19, 22, 0, tzinfo=UTC)),
        ("2026-10-20T10:00Z", datetime(2026, 10, 20, 10, 0, tzinfo=UTC)),
        ("30m", NOW - timedelta(minutes=30)),
    ],
)
def test_times_without_a_zone_are_read_in_the_readers_zone(text: str, expected: datetime) -> None:
    assert parse_moment(text, now=NOW, zone=PARIS) == expected


def test_a_run_is_found_by_an_endpoint_that_it_asked() -> None:
    run, quiet = make_run("sync", requests=9), make_run("quiet")
    named = RUNS.filter("endpoint:/contacts")
    assert passes(named, run, endpoints={"/v2/contacts", "/companies"})
    assert not passes(named, run, endpoints={"/companies"})
    assert not passes(named, quiet)
    turned = RUNS.filter("!endpoint:/v2/*,/companies")
    assert not passes(turned, run, endpoints={"/v2/contacts"})
    assert passes(turned, run, endpoints={"/orders"})
    assert passes(turned, quiet)


def test_a_run_whose_endpoints_are_unknown_passes_no_filter_that_names_any() -> None:
    run = make_run("sync", requests=9)
    assert not passes(RUNS.filter("endpoint:/contacts"), run)
    assert not passes(RUNS.filter("!endpoint:/contacts"), run)


def test_a_run_passes_that_may_have_asked_an_endpoint_by_then() -> None:
    run = make_run("sync", requests=9)
    for text in ("endpoint:/contacts", "!endpoint:/contacts"):
        assert passes(RUNS.filter(text), run, endpoints={"/contacts"}, perhaps_fewer=True)
    assert not passes(RUNS.filter("endpoint:/orders"), run, endpoints={"/contacts"}, perhaps_fewer=True)


def test_an_endpoint_is_text() -> None:
    with pytest.raises(FilterError, match="endpoint holds text"):
        RUNS.filter("endpoint>5")


@pytest.mark.parametrize("fields", [RUNS, JOBS, KINDS], ids=["runs", "jobs", "errors"])
def test_every_list_has_the_same_language(fields: FieldList[Any]) -> None:
    for text, says in {
        "colour:red": "no field 'colour'",
        "state:nonsense": "no state 'nonsense'",
        "state:": "state has no value",
        "job>5": "job holds text",
    }.items():
        with pytest.raises(FilterError, match=says):
            fields.filter(text)
    assert len(fields.filter('"two words" !job:a*,b -x').terms) == 3
    assert fields.filter("job:a,b*").jobs == ("a", "b*")


def test_a_word_that_is_a_state_means_that_state_alone() -> None:
    late = next(row for row in night_jobs() if row.overdue_s is not None)
    assert not JOBS.filter("state:over").matches(late, NOW)
    assert JOBS.filter("state:overd").matches(late, NOW)
    assert JOBS.filter("state:over").matches(replace(late, overdue_s=None, runs=(), given_up_since=NOW), NOW)
