"""How a run or a job is named on a command line, on both stores, and the answer to a name that nothing has."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock
from tracking_core.identity import format_run_id

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def ended(stock: Stock, job: str, hours_ago: int) -> str:
    return format_run_id(stock.finished(NOW - hours_ago * HOUR, NOW - hours_ago * HOUR + HOUR / 2, job=job))


def test_a_job_names_its_latest_run_and_numbers_count_back_from_it(
    etlwatch: Program, store_dsn: str, stock: Stock
) -> None:
    oldest, before, latest = (ended(stock, "crm-sync", hours) for hours in (9, 6, 3))
    ended(stock, "other", 1)

    def shown(word: str) -> str:
        answer = etlwatch("show", word, "--dsn", store_dsn, "--format", "json")
        assert answer.status == 0, answer.err
        return str(answer.data["run"]["id"])

    assert [shown(word) for word in ("crm-sync", "crm-sync@latest", "crm-sync@-0")] == [latest] * 3
    assert [shown("crm-sync@-1"), shown("crm-sync@-2")] == [before, oldest]
    refused = etlwatch("show", "crm-sync@-3", "--dsn", store_dsn)
    assert refused.status == 1
    assert "has only 3 runs: the oldest is 'crm-sync@-2'" in refused.complaint


def test_a_jobs_name_wins_over_the_end_of_an_id_and_a_whole_id_over_a_jobs_name(
    etlwatch: Program, store_dsn: str, stock: Stock
) -> None:
    first = ended(stock, "import", 9)
    named_like_the_end = ended(stock, first[-5:], 6)
    ended(stock, first, 3)
    ended(stock, "odd@-1", 2)
    ended(stock, "odd", 1)

    def shown(word: str) -> tuple[str, str]:
        run = etlwatch("show", word, "--dsn", store_dsn, "--format", "json").data["run"]
        return run["job"], run["id"]

    assert shown(first[-5:]) == (first[-5:], named_like_the_end)
    assert shown(first[-6:]) == ("import", first)
    assert shown(first) == ("import", first)
    assert shown("odd@-1")[0] == "odd@-1"


MISTYPED = (
    "show crm-synk", "show CRM-SYNC@-1", "errors crmsync", "close crm_sync", "compare crm-snc", "runs crm-synk",
    "runs crm-synk,ads-pull", "runs job:crm-synk", "runs --job crm-synk", "errors --job crm-snyc",
    "errors --group --job crm-snyc",
)  # fmt: skip


def test_a_name_that_nothing_has_exits_1_with_the_closest_job(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    ended(stock, "crm-sync", 2)
    ended(stock, "ads-pull", 1)
    for line in MISTYPED:
        answer = etlwatch(*line.split(), "--dsn", store_dsn)
        assert answer.status == 1, line
        (complaint,) = answer.err.splitlines()
        assert complaint.endswith("; did you mean 'crm-sync'?"), line


def test_a_name_unlike_any_other_gets_no_advice(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    ended(stock, "crm-sync", 2)
    answer = etlwatch("runs", "--job", "zzz*", "--dsn", store_dsn, "--format", "json")
    assert (answer.status, answer.data) == (1, [])
    assert answer.err == "etlwatch: no job 'zzz*'\n"
    assert "a run is its number" in etlwatch("show", "!!", "--dsn", store_dsn).complaint


def test_jobs_with_commas_between_are_listed_as_job_does(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    for number, job in enumerate(("crm-sync", "ads-pull", "import"), 1):
        ended(stock, job, number)
    stock.end(stock.start(NOW - HOUR / 2, job="import", notes="crm-sync,ads-pull"), NOW)

    def listed(*words: str) -> list[str]:
        answer = etlwatch("runs", *words, "--dsn", store_dsn, "--format", "json")
        assert answer.status == 0, answer.err
        return [run["job"] for run in answer.data]

    assert listed("crm-sync,ads-pull") == listed("job:crm-sync,ads-pull") == ["crm-sync", "ads-pull"]
    assert listed("!crm-sync,ads-pull") == ["import", "import"]
    assert listed('"crm-sync,ads-pull"') == ["import"]
    assert listed("crm-sync,ads-pull", "state:failed") == []


def test_the_first_failure_of_a_job_is_new_although_another_job_fails_alike(
    etlwatch: Program, store_dsn: str, stock: Stock
) -> None:
    for job, hours in (("old", 9), ("old", 6), ("young", 3)):
        run_id = stock.start(NOW - hours * HOUR, job=job)
        stock.error(run_id, "exit status 3", NOW - hours * HOUR)
        stock.end(run_id, NOW - hours * HOUR, status="failed")
    kinds = etlwatch("errors", "--group", "--dsn", store_dsn, "--format", "json").data
    assert {kind["job"]: (kind["new"], kind["errors"], kind["seen_runs"]) for kind in kinds} == {
        "young": (True, 1, 1),
        "old": (False, 2, 2),
    }
    (kind,) = etlwatch("errors", "young", "--group", "--dsn", store_dsn, "--format", "json").data
    assert kind["new"]


def test_a_filter_that_only_leaves_nothing_is_no_mistake(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    ended(stock, "crm-sync", 2)
    for words in (("state:failed",), ("job:crm*", "state:failed"), ("--job", "crm-sync", "--state", "failed")):
        answer = etlwatch("runs", *words, "--dsn", store_dsn)
        assert (answer.status, answer.err) == (0, "no run fits\n")


@pytest.mark.parametrize(("words", "says"), [("state:", "there are lost, failed"), ("job:", "write job:VALUE")])
def test_a_field_without_a_value_is_wrong_usage(etlwatch: Program, store_dsn: str, words: str, says: str) -> None:
    answer = etlwatch("runs", words, "--dsn", store_dsn)
    assert answer.status == 2
    assert says in answer.complaint
    assert etlwatch("jobs", words, "--dsn", store_dsn).status == 2


def test_a_delivery_without_gaps_is_one_line(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    whole, cut = (stock.start(NOW - HOUR, job=job) for job in ("whole", "cut"))
    stock.requests(whole, [(NOW - HOUR, "/a", 200, 1, 10)] * 7)
    stock.ledger(whole, emitted=7)
    stock.ledger(cut, emitted=9, dropped=4)
    assert "delivery\n  all of 7 events stored\n" in etlwatch("show", "whole", "--dsn", store_dsn).out + "\n"
    assert "dropped" in etlwatch("show", "cut", "--dsn", store_dsn).out


def test_a_narrow_pipe_keeps_note_and_items_longer_than_requests(
    etlwatch: Program, store_dsn: str, stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = stock.start(NOW - HOUR, job="crm_contacts_sync_of_some_length", notes="nightly, contacts and companies")
    stock.requests(run_id, [(NOW - HOUR, "/contacts", 429, 12, 120), (NOW - HOUR, "/contacts", 500, 12, 120)])
    wide = etlwatch("runs", "--dsn", store_dsn).out.splitlines()
    assert len(wide) == 2
    monkeypatch.setenv("COLUMNS", "84")
    heading, _row, omitted = etlwatch("runs", "--dsn", store_dsn).out.splitlines()
    assert {"items", "note"} <= set(heading.split())
    assert omitted.startswith("no room for: req, failed, 429")
