"""`runs`, `show` and `errors` on both stores: what they list, how a run is named, what they refuse to send."""

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etlwatch.cli import errors as errors_command
from tests.etlwatch.cli_program import Program, command
from tests.store.stocking import Stock
from tracking_core.identity import format_run_id
from tracking_core.store import queries

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
PROMISED = {
    "run_id", "id", "job", "notes", "status", "state", "started_at", "ended_at", "duration_s", "requests", "items",
    "failed_requests", "errors",
}  # fmt: skip
RUN_COLUMNS = {
    "run_id", "job", "notes", "tags", "status", "started_at", "ended_at", "duration_ms", "heartbeat_at",
    "heartbeat_interval_s", "progress_at", "requests", "items", "failed_requests", "throttled_requests", "errors",
    "emitted", "dropped", "host", "pid", "boot_id", "username", "command", "code_version", "tracker_version",
    "parent_run_id", "ended_by",
}  # fmt: skip
HOSTILE = "[/foo] [@click=app.quit] \x1b]0;owned\x07\x1b[2J\x9b31m\u202edrow\u202c\u200b\x7f"
RAW = "\x1b\x07\x9b\u202e\u202c\u200b\x7f"


@pytest.fixture
def sync(stock: Stock) -> int:
    """A completed run of crm-sync with requests, phases, a count and an error."""
    began = NOW - 2 * HOUR
    run_id = stock.start(began, job="crm-sync", notes="nightly\nsecond line", tags={"env": "test"})
    stock.phase(
        run_id, "extract", began, position=1, status="completed", counters={"contacts": {"total": 50, "processed": 25}}
    )
    stock.requests(
        run_id,
        [
            (began, "/contacts", 200, 100, 120),
            (began + SECOND, "/contacts", 200, 50, 180),
            (began + SECOND, "/contacts", 429, 0, 5),
            (began + 2 * SECOND, "/companies", 500, 0, 900),
        ],
    )
    stock.source_count(run_id, "contacts", 150, began)
    stock.error(run_id, "time data '0000-00-00' does not match", began + 3 * SECOND)
    stock.ledger(run_id, emitted=5)
    stock.end(run_id, began + 90 * SECOND)
    return run_id


@pytest.fixture
def local_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the local zone be one that is not UTC, here and in the system's own clock functions."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_runs_as_json_hold_what_is_promised(etlwatch: Program, store_dsn: str, sync: int) -> None:
    answer = etlwatch("runs", "--dsn", store_dsn, "--format", "json")
    assert (answer.status, answer.err) == (0, "")
    (run,) = answer.data
    assert set(run) >= PROMISED | RUN_COLUMNS
    assert run["run_id"] == str(sync)
    assert run["id"] == format_run_id(sync)
    assert (run["job"], run["notes"]) == ("crm-sync", "nightly\nsecond line")
    assert (run["status"], run["state"]) == ("completed", "incomplete")
    assert (run["requests"], run["items"], run["failed_requests"], run["throttled_requests"]) == (4, 150, 1, 1)
    assert run["errors"] == 1
    assert run["duration_s"] == 90
    assert datetime.fromisoformat(run["started_at"]) == NOW - 2 * HOUR
    assert run["ended_at"].endswith("+00:00")
    assert run["tags"] == {"env": "test"}


def test_runs_come_newest_first_in_every_format(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    made = [stock.finished(NOW - hours * HOUR, NOW - hours * HOUR + MINUTE) for hours in (5, 1, 3)]
    newest_first = [format_run_id(made[index]) for index in (1, 2, 0)]
    ask = ["--dsn", store_dsn, "runs", "--format"]
    assert [run["id"] for run in etlwatch(*ask, "json").data] == newest_first
    assert [json.loads(line)["id"] for line in etlwatch(*ask, "jsonl").out.splitlines()] == newest_first
    assert [run["id"] for run in csv.DictReader(io.StringIO(etlwatch(*ask, "csv").out))] == newest_first
    assert [line.split()[0] for line in etlwatch(*ask, "table").out.splitlines()[1:]] == newest_first


def test_limit_job_state_and_since_narrow_the_list(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    old = stock.finished(NOW - 50 * HOUR, NOW - 49 * HOUR, job="sync-a")
    recent = stock.finished(NOW - 2 * HOUR, NOW - HOUR, job="sync-b")
    live = stock.start(NOW - MINUTE, job="import")
    failed = stock.start(NOW - 3 * HOUR, job="[/foo]")
    stock.end(failed, NOW - 2 * HOUR, status="failed")

    def ids(*options: str) -> list[int]:
        return [int(run["run_id"]) for run in etlwatch("runs", "--dsn", store_dsn, "--format", "json", *options).data]

    assert ids() == [live, recent, failed, old]
    assert ids("--limit", "2") == [live, recent]
    assert ids("--job", "sync-a") == [old]
    assert ids("--job", "sync*") == [recent, old]
    assert ids("--job", "[/foo]") == [failed]
    assert ids("--job", "import", "--job", "sync-b") == [live, recent]
    assert ids("--state", "running") == [live]
    assert ids("--state", "failed,running") == [live, failed]
    assert ids("--since", "24h") == [live, recent, failed]
    assert ids("--since", "24h", "--state", "completed", "--limit", "1") == [recent]
    assert ids("--job", "nobody") == []


def test_the_dashboards_filter_narrows_the_list(etlwatch: Program, store_dsn: str, stock: Stock, sync: int) -> None:
    other = stock.start(NOW - MINUTE, job="ads-pull")

    def listed(*words: str) -> list[str]:
        answer = etlwatch("runs", "--dsn", store_dsn, *words, "--format", "json")
        assert answer.status == 0
        return [run["run_id"] for run in answer.data]

    assert listed() == [str(other), str(sync)]
    assert listed("state:completed") == [], "it processed 25 of 50"
    assert listed("status:completed") == listed("state:incomplete") == [str(sync)]
    assert listed("status:completed", "job:ads*") == []
    assert listed("job:ads*,crm*", "since:1h") == [str(other)]
    assert listed("!ads") == [str(sync)]
    assert listed("second line") == [str(sync)]
    refused = etlwatch("runs", "--dsn", store_dsn, "stat:failed")
    assert refused.status == 2
    assert "did you mean state?" in refused.complaint


def test_a_list_goes_on_beyond_one_page(
    etlwatch: Program, store_dsn: str, stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etlwatch.reading.runs.PAGE", 3)
    wanted = [
        stock.finished(NOW - minute * MINUTE, NOW, job="rare" if minute % 4 == 0 else "often")
        for minute in range(1, 21)
    ]
    listed = etlwatch("runs", "--dsn", store_dsn, "--format", "json", "--limit", "100").data
    assert [int(run["run_id"]) for run in listed] == wanted
    rare = etlwatch("runs", "--dsn", store_dsn, "--format", "json", "--job", "rare", "--limit", "4").data
    assert [int(run["run_id"]) for run in rare] == wanted[3:16:4]
    both = etlwatch("runs", "--dsn", store_dsn, "--format", "json", "--job", "[ro]*", "--limit", "100").data
    assert both == listed
    failed = etlwatch("runs", "--dsn", store_dsn, "--state", "failed", "--job", "often", "--format", "json").data
    assert failed == []


def test_runs_of_a_job_that_began_in_the_same_moment_are_all_listed(
    etlwatch: Program, store_dsn: str, stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etlwatch.reading.runs.PAGE", 3)
    wanted = {stock.finished(NOW - HOUR, NOW, job="sync") for _ in range(4)}
    wanted |= {stock.finished(NOW - 2 * HOUR, NOW, job="sync") for _ in range(2)}
    listed = etlwatch("runs", "--dsn", store_dsn, "--format", "json", "--job", "sync", "--limit", "50").data
    assert {int(run["run_id"]) for run in listed} == wanted
    assert len(listed) == len(wanted)


def test_a_silent_run_is_listed_as_lost_with_its_evidence_and_not_as_running(
    etlwatch: Program, store_dsn: str, stock: Stock
) -> None:
    stock.start(NOW - HOUR, job="import", heartbeat_interval_s=1e-6)
    (run,) = etlwatch("runs", "--dsn", store_dsn, "--format", "json", "--state", "lost").data
    assert (run["status"], run["state"]) == ("running", "lost")
    assert "heartbeat" in run["evidence"]
    assert run["state_since"] is not None
    assert run["ended_at"] is None
    assert etlwatch("runs", "--dsn", store_dsn, "--state", "running", "--format", "json").data == []


def test_the_store_is_taken_before_the_command_after_it_and_from_the_environment(
    etlwatch: Program, store_dsn: str, sync: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = etlwatch("--dsn", store_dsn, "runs", "--format", "json").data
    assert before == etlwatch("runs", "--format", "json", "--dsn", store_dsn).data
    elsewhere = f"sqlite:///{tmp_path / 'nowhere.db'}"
    assert before == etlwatch("--dsn", elsewhere, "runs", "--dsn", store_dsn, "--format", "json").data
    monkeypatch.setenv("TRACKING_DSN", store_dsn)
    assert before == etlwatch("runs", "--format", "json").data
    assert etlwatch("--dsn", elsewhere, "runs").status == 3


def test_without_a_command_and_without_a_terminal_the_runs_are_printed(
    etlwatch: Program, store_dsn: str, sync: int
) -> None:
    answer = etlwatch("--dsn", store_dsn)
    assert answer.status == 0
    assert answer.out == etlwatch("runs", "--dsn", store_dsn).out
    assert format_run_id(sync) in answer.out


def test_a_table_names_the_zone_of_its_times_once(
    etlwatch: Program, store_dsn: str, sync: int, local_zone: None
) -> None:
    heading, row = etlwatch("runs", "--dsn", store_dsn).out.splitlines()
    began = (NOW - 2 * HOUR).astimezone()
    assert heading.count("CET") + heading.count("CEST") == 1
    assert f"{began:%Y-%m-%d %H:%M:%S}" in row
    assert "nightly␤second line" in row


def test_no_runs_are_said_to_be_none_and_are_valid_data(etlwatch: Program, store_dsn: str) -> None:
    answer = etlwatch("runs", "--dsn", store_dsn)
    assert (answer.status, answer.out) == (0, "")
    assert "no runs" in answer.err
    answer = etlwatch("runs", "--dsn", store_dsn, "--format", "json")
    assert (answer.status, answer.data, answer.err) == (0, [], "")


def test_show_as_json_is_one_object_with_the_columns_of_the_tables(
    etlwatch: Program, store_dsn: str, sync: int
) -> None:
    answer = etlwatch("show", str(sync), "--dsn", store_dsn, "--format", "json")
    assert (answer.status, answer.err) == (0, "")
    shown = answer.data
    assert set(shown) == {"run", "findings", "phases", "endpoints", "source_counts", "errors", "ledger"}
    assert set(shown["run"]) >= RUN_COLUMNS
    assert shown["run"]["username"] == "etl"
    (phase,) = shown["phases"]
    assert (phase["phase"], phase["position"], phase["status"]) == ("extract", 1, "completed")
    assert phase["counters"] == {"contacts": {"total": 50, "processed": 25}}
    contacts, companies = shown["endpoints"]
    assert (contacts["endpoint"], contacts["requests"], contacts["throttled"], contacts["items"]) == (
        "/contacts",
        3,
        1,
        150,
    )
    assert (companies["endpoint"], companies["failed"], companies["status_5xx"]) == ("/companies", 1, 1)
    assert contacts["p50_ms"] == pytest.approx(120, rel=0.05)
    assert companies["p99_ms"] == pytest.approx(900, rel=0.05)
    assert [(count["entity"], count["items"]) for count in shown["source_counts"]] == [("contacts", 150)]
    (error,) = shown["errors"]
    assert {"at", "phase", "error_type", "message", "traceback", "fingerprint", "seq"} <= set(error)
    assert error["run_id"] == str(sync)
    assert isinstance(error["writer_id"], str)
    assert [(entry["emitted"], entry["stored"]) for entry in shown["ledger"]] == [(5, 5)]


def test_show_in_one_line_and_as_csv(etlwatch: Program, store_dsn: str, sync: int) -> None:
    line = etlwatch("show", str(sync), "--dsn", store_dsn, "--format", "jsonl").out
    assert line.count("\n") == 1
    assert json.loads(line) == etlwatch("show", str(sync), "--dsn", store_dsn, "--format", "json").data
    (row,) = csv.DictReader(io.StringIO(etlwatch("show", str(sync), "--dsn", store_dsn, "--format", "csv").out))
    assert row["run_id"] == str(sync)


def test_show_tells_a_person_everything(etlwatch: Program, store_dsn: str, sync: int) -> None:
    text = etlwatch("show", "crm-sync@latest", "--dsn", store_dsn).out
    assert text.startswith(f"incomplete  crm-sync  {format_run_id(sync)}\n")
    for part in (
        "nightly\n            second line", "etl@worker-3, pid 4711", "python sync.py", "env=test", "1m 30s",
        "4, 1 failed, 1 throttled", "25 of 50 contacts 50%", "/companies", "150", "ValueError", "Traceback …",
    ):  # fmt: skip
        assert part in text


def test_a_run_is_its_number_its_characters_their_end_or_its_jobs_latest(
    etlwatch: Program, store_dsn: str, stock: Stock, sync: int
) -> None:
    stock.finished(NOW - 3 * HOUR, NOW - 2 * HOUR, job="crm-sync")
    characters = format_run_id(sync)
    words = [str(sync), characters, characters.lower(), characters[-4:], characters[-8:].lower(), "crm-sync@latest"]
    for word in words:
        answer = etlwatch("show", word, "--dsn", store_dsn, "--format", "json")
        assert answer.status == 0, word
        assert answer.data["run"]["run_id"] == str(sync), word


UNKNOWN = ("0", "12345", "ZZZZ", "ZZZZZZZZZZZZZ", "7KQ", "nobody@latest", "@latest", "what is this?", "9" * 40, "ïd")


@pytest.mark.parametrize("name", ["show", "errors", "close"])
def test_an_unknown_run_is_one_line_and_exit_1(etlwatch: Program, store_dsn: str, sync: int, name: str) -> None:
    for word in UNKNOWN:
        answer = etlwatch(name, word, "--dsn", store_dsn)
        assert answer.status == 1, word
        assert answer.complaint.startswith("etlwatch: no run"), word


def test_an_end_that_two_runs_share_is_refused_with_their_ids(etlwatch: Program, store_dsn: str, stock: Stock) -> None:
    one, other = (1 << 40) + 5, (1 << 41) + 5
    for run_id in (one, other):
        stock.start(NOW, run_id=run_id)
    answer = etlwatch("show", "00005", "--dsn", store_dsn)
    assert answer.status == 1
    assert format_run_id(one) in answer.complaint
    assert format_run_id(other) in answer.complaint


def test_errors_of_all_of_one_run_and_of_a_job(etlwatch: Program, store_dsn: str, stock: Stock, sync: int) -> None:
    other = stock.start(NOW - HOUR, job="import")
    for minute in range(3):
        stock.error(other, f"row {minute}", NOW - HOUR + minute * MINUTE)

    def messages(*words: str) -> list[str]:
        return [error["message"] for error in etlwatch("errors", *words, "--dsn", store_dsn, "--format", "json").data]

    assert messages() == ["row 2", "row 1", "row 0", "time data '0000-00-00' does not match"]
    assert messages("--limit", "2") == ["row 2", "row 1"]
    assert messages(str(sync)) == ["time data '0000-00-00' does not match"]
    assert messages("--job", "imp*", "--limit", "2") == ["row 2", "row 1"]
    first = etlwatch("errors", "--dsn", store_dsn, "--format", "json").data[0]
    assert (first["job"], first["id"]) == ("import", format_run_id(other))


def test_errors_as_a_table_with_tracebacks_on_request(etlwatch: Program, store_dsn: str, sync: int) -> None:
    heading, row = etlwatch("errors", "--dsn", store_dsn).out.splitlines()
    assert heading.split()[2:] == ["run", "job", "phase", "error", "message"]
    assert "crm-sync" in row
    lines = etlwatch("errors", str(sync), "--tracebacks", "--dsn", store_dsn).out.splitlines()
    assert lines[2] == "    Traceback …"
    assert "crm-sync" not in lines[1]


def test_no_errors_are_no_failure(etlwatch: Program, store_dsn: str) -> None:
    answer = etlwatch("errors", "--dsn", store_dsn)
    assert (answer.status, answer.out) == (0, "")
    assert "no errors" in answer.err


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_hostile_text_reaches_no_terminal_raw(etlwatch: Program, store_dsn: str, stock: Stock, form: str) -> None:
    run_id = stock.start(NOW - MINUTE, job=HOSTILE, notes=f"first {HOSTILE}\nsecond", tags={HOSTILE: HOSTILE})
    stock.phase(run_id, HOSTILE, NOW - MINUTE, counters={HOSTILE: {"processed": 1}})
    stock.requests(run_id, [(NOW, HOSTILE, 200, 1, 1)])
    stock.source_count(run_id, HOSTILE, 1, NOW)
    stock.error(run_id, HOSTILE, NOW)
    for words in (["runs"], ["show", str(run_id)], ["errors"], ["errors", str(run_id), "--tracebacks"]):
        answer = etlwatch(*words, "--dsn", store_dsn, "--format", form)
        assert answer.status == 0
        assert not any(character in answer.out + answer.err for character in RAW), words
        assert "[/foo] [@click=app.quit]" in answer.out, words
    if form == "json":
        assert etlwatch("runs", "--dsn", store_dsn, "--format", form).data[0]["job"] == HOSTILE


def test_a_locale_without_our_letters_gets_ascii_and_no_error(sqlite_store_dsn: str) -> None:
    stock = Stock(sqlite_store_dsn)
    run_id = stock.start(NOW, job="日本 – Überträge", notes="ein … Wort 🎉")
    stock.close()
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for form in ("table", "json", "jsonl", "csv"):
        for words in (["runs"], ["show", str(run_id)]):
            done = command(*words, "--dsn", sqlite_store_dsn, "--format", form, environment=ascii_only)
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout.isascii()
            if form.startswith("json"):
                run = json.loads(done.stdout)
                run = run[0] if isinstance(run, list) else run.get("run", run)
                assert run["job"] == "日本 – Überträge"
    done = command("runs", "--dsn", "sqlite:///ü – 日本/x.db", environment=ascii_only)
    assert done.returncode == 3
    assert done.stderr.isascii()
    assert b"Traceback" not in done.stderr


def past_of_crm(stock: Stock) -> None:
    """Six nights of a job that takes ten minutes."""
    for night in range(1, 7):
        began = NOW - night * 24 * HOUR
        stock.finished(began, began + 10 * MINUTE, job="crm")


def test_a_run_beyond_its_jobs_p95_is_slow_in_every_command(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    past_of_crm(stock)
    # Not NOW, which is when the file was imported: a suite takes minutes.
    run_id = stock.start(datetime.now(UTC) - 30 * MINUTE, job="crm")
    stock.requests(run_id, [(NOW, "/contacts", 200, 1, 10)])
    (listed,) = etlwatch("runs", "--dsn", store_dsn, "--state", "slow", "--format", "json").data
    assert (listed["state"], listed["status"]) == ("slow", "running")
    assert "95 % of comparable runs took less than 10m" in listed["evidence"]
    newest = etlwatch("runs", "--dsn", store_dsn, "--limit", "1", "--format", "json").data
    assert [run["state"] for run in newest] == ["slow"]
    assert etlwatch("runs", "--dsn", store_dsn, "--state", "running", "--format", "json").data == []
    shown = etlwatch("show", "crm@latest", "--dsn", store_dsn, "--format", "json").data
    assert shown["run"]["state"] == "slow"
    assert [finding["state"] for finding in shown["findings"]] == ["slow"]
    table = etlwatch("show", "crm@latest", "--dsn", store_dsn).out
    assert "; usually 10m, p95 10m (6 runs)" in table
    assert "because   running for 30m; 95 % of comparable runs took less than 10m; no phase stands out (since " in table


def test_an_ended_run_is_shown_beside_what_was_usual_when_it_began(
    etlwatch: Program, stock: Stock, store_dsn: str
) -> None:
    past_of_crm(stock)
    stock.finished(NOW - HOUR, NOW, job="crm")
    assert "usually   10m, p95 10m (6 runs)" in etlwatch("show", "crm@latest", "--dsn", store_dsn).out


def test_errors_by_kind_say_how_often_in_how_many_runs_and_whether_they_are_new(
    etlwatch: Program, stock: Stock, store_dsn: str
) -> None:
    first = stock.start(NOW - 3 * HOUR, job="crm")
    stock.error(first, "old", NOW - 3 * HOUR)
    stock.end(first, NOW - 2 * HOUR, status="failed")
    second = stock.start(NOW - HOUR, job="crm")
    stock.error(second, "new", NOW - HOUR + MINUTE)
    stock.error(second, "newer", NOW - HOUR + 2 * MINUTE)
    (kind,) = etlwatch("errors", "--group", "--dsn", store_dsn, "--format", "json").data
    assert (kind["errors"], kind["seen_errors"], kind["seen_runs"], kind["new"]) == (3, 3, 2, False)
    assert (kind["message"], kind["job"], kind["run_id"], kind["mended"]) == ("newer", "crm", str(second), False)
    (recent,) = etlwatch("errors", "--group", "--since", "90m", "--dsn", store_dsn, "--format", "json").data
    assert (recent["errors"], recent["seen_errors"]) == (2, 3)
    (own,) = etlwatch("errors", format_run_id(first), "--group", "--dsn", store_dsn, "--format", "json").data
    assert (own["errors"], own["new"]) == (1, True), "no run before it had this kind"
    table = etlwatch("errors", "--group", "--dsn", store_dsn).out
    assert "known: 3× in 2 runs since" in table
    assert "the job has not completed in its last runs" in table
    assert etlwatch("errors", "--group", "--job", "ads*", "--dsn", store_dsn, "--format", "json").data == []


def test_kinds_of_errors_that_are_not_listed_or_counted_are_told_of(
    etlwatch: Program, stock: Stock, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in ("crm", "ads", "crm-sync"):
        run_id = stock.start(NOW - HOUR, job=job)
        for minutes in (1, 2):
            stock.error(run_id, f"of {job}", NOW - HOUR + minutes * MINUTE)
    all_kinds = ("errors", "--group", "--dsn", store_dsn)
    assert etlwatch(*all_kinds).err == etlwatch(*all_kinds, "--limit", "3", "--job", "*").err == ""
    cut = etlwatch(*all_kinds, "--limit", "2")
    assert "the newest 2 of 3 are listed" in cut.err
    assert len(cut.out.splitlines()) == 3
    (oldest,) = etlwatch(*all_kinds, "--limit", "1", "--job", "crm", "--format", "json").data
    assert oldest["job"] == "crm"
    monkeypatch.setattr(errors_command, "ERRORS_OF_RUN", 1)
    own = etlwatch("errors", "ads@latest", "--group", "--dsn", store_dsn)
    assert "of 2 errors the newest 1 were counted" in own.err
    monkeypatch.setattr(queries, "ERRORS_COUNTED", 5)
    assert "the newest were counted" in etlwatch(*all_kinds).err


@pytest.mark.parametrize(
    "words", [["--since", "24h"], ["--group", "--tracebacks"], ["crm@latest", "--group", "--since", "24h"]]
)
def test_options_that_say_nothing_together_are_wrong_usage(etlwatch: Program, store_dsn: str, words: list[str]) -> None:
    assert etlwatch("errors", *words, "--dsn", store_dsn).status == 2
