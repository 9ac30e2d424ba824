"""Every command that answers with data does so in the same four formats, on stdout, and talks on stderr."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import click
import pytest

from etlwatch.cli.root import COMMANDS
from etlwatch.cli.root import etlwatch as root
from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock

NOW = datetime.now(UTC).replace(microsecond=0)
ANSWERS = [
    ("runs",),
    ("show", "crm@latest"),
    ("errors",),
    ("errors", "--group"),
    ("jobs",),
    ("compare", "crm@latest"),
    ("stats",),
    ("prove", "crm@latest", "--since", "1h"),
    ("tracking",),
    ("tracking", "off", "--all", "--reason", "night work"),
    ("cleanup", "--older-than", "0d", "--dry-run"),
    ("cleanup", "--older-than", "0d", "--yes"),
    ("spool",),
    ("spool", "replay"),
    ("config",),
    ("doctor", "--read-only"),
]
RUN = (
    "run_id id job notes status state started_at ended_at duration_s requests items failed_requests throttled_requests "
    "errors state_since evidence duration_ms heartbeat_at heartbeat_interval_s progress_at emitted dropped host pid "
    "boot_id username command code_version tracker_version parent_run_id ended_by clock_offset_ms tags"
)
ERROR = "run_id id job writer_id seq at phase error_type message traceback fingerprint"
KIND = (
    "fingerprint error_type message phase job errors first_at last_at seen_errors seen_runs seen_since more new mended "
    "succeeded_at run_id id"
)
JOB = (
    "job trouble completed counted success usual_s p95_s past_runs trend last_run_id last_began last_state "
    "next_expected overdue_s rhythm_hits rhythm_of rhythm_tolerance_s rhythm_every_s given_up_since last_runs"
)
DIFFERENCE = "kind what measure unit before after difference relative share changed note before_run_id after_run_id"
CHECK = "run_id check verdict required evidence"
TRAFFIC = "requests items failed throttled server_errors requests_per_s items_per_s p50_ms p95_ms p99_ms"
ENDPOINT = (
    "run_id endpoint requests failed throttled items duration_ms max_ms p50_ms p95_ms p99_ms status_2xx status_3xx "
    "status_4xx status_5xx status_other histogram"
)
PHASE = "run_id phase position status started_at ended_at counters memory_mb peak_memory_mb memory_limit_mb"
LEDGER = "run_id writer_id emitted stored dropped missing overhead"
CLEANUP = (
    "cutoff days runs requests errors kept_running keep_last_success last_successes dropped_weeks dropped_bytes "
    "cut_weeks waiting_requests removed jobs"
)
COLUMNS: dict[tuple[str, ...], str] = {
    ("runs",): RUN,
    ("show", "crm@latest"): RUN,
    ("errors",): ERROR,
    ("errors", "--group"): KIND,
    ("jobs",): JOB,
    ("compare", "crm@latest"): DIFFERENCE,
    ("stats",): f"begin seconds {TRAFFIC}",
    ("prove", "crm@latest", "--since", "1h"): CHECK,
    ("stats", "--by", "job"): f"job began completed runs_failed terminated living lost median_s {TRAFFIC}",
    ("tracking",): "scope job enabled changed_at changed_by reason",
    ("cleanup", "--older-than", "0d", "--dry-run"): "job runs requests errors oldest",
    ("spool",): "file store batches bytes age_s in_use rejected fault",
    ("spool", "replay"): "batches sent lost rejected blocked expired left refused error",
    ("config",): "key value layer place",
    ("doctor", "--read-only"): "check promise verdict figure value unit detail",
}
"""The columns of CSV in their order, on which scripts rely: new ones are added at the end."""

OBJECTS: dict[tuple[str, ...], dict[str, str]] = {
    ("show", "crm@latest"): {
        "": "run findings phases endpoints source_counts errors ledger",
        "run": f"{RUN} p50_ms p95_ms p99_ms",
        "phases": PHASE,
        "endpoints": ENDPOINT,
        "source_counts": "run_id entity items at",
        "errors": ERROR,
        "ledger": LEDGER,
    },
    ("compare", "crm@latest"): {
        "": "after before difference_s so_far differences", "after": RUN, "before": RUN, "differences": DIFFERENCE,
    },
    ("prove", "crm@latest", "--since", "1h"): {
        "": "run_id id job status proven because since checks", "checks": CHECK,
    },
    ("stats",): {
        "": "since until interval_s total intervals jobs",
        "total": TRAFFIC,
        "intervals": f"begin seconds {TRAFFIC}",
        "jobs": f"job began completed runs_failed terminated living lost median_s {TRAFFIC}",
    },
    ("cleanup", "--older-than", "0d", "--dry-run"): {"": CLEANUP, "jobs": "job runs requests errors oldest"},
}  # fmt: skip
"""The keys of JSON where an answer is an object, by the key of the part."""

SAY_NOTHING = {"init", "report", "bundle", "open", "close", "exec", "check", "demo"}
"""What they do is not a question: they do it, or answer a monitor, or open a screen."""


@pytest.fixture
def dsn(store_dsn: str) -> str:
    stock = Stock(store_dsn)
    for minutes in (30, 20, 10):
        run_id = stock.start(NOW - timedelta(minutes=minutes), job="crm", notes="a, b\n\x1b[31m日本")
        stock.requests(run_id, [(NOW - timedelta(minutes=minutes), "/a", 200, 1, 5)] * 3)
        stock.phase(run_id, "load", NOW, position=1)
        stock.source_count(run_id, "contacts", 5, NOW)
        stock.error(run_id, 'quoted "message", with a comma', NOW)
        stock.end(run_id, NOW)
    stock.close()
    return store_dsn


@pytest.mark.parametrize(
    ("store_dsn", "words"),
    [(("sqlite", "postgres")[number % 2], words) for number, words in enumerate(ANSWERS)],
    indirect=["store_dsn"],
)
def test_data_stands_on_stdout_in_the_format_that_was_asked_for(
    etlwatch: Program, dsn: str, words: tuple[str, ...]
) -> None:
    def ask(form: str) -> str:
        answer = etlwatch(*words, "--format", form, "--dsn", dsn)
        # What the doctor finds depends on how busy the machine is.
        assert answer.status == 0 or words[0] == "doctor", answer.err
        assert "\x1b" not in answer.out + answer.err
        return answer.out

    as_csv = list(csv.reader(io.StringIO(ask("csv"))))
    assert len({len(row) for row in as_csv}) == 1
    assert all(name.isidentifier() for name in as_csv[0])
    for line in ask("jsonl").splitlines():
        assert isinstance(json.loads(line), dict)
    answer = json.loads(ask("json"))
    assert isinstance(answer, list | dict)
    ask("table")


@pytest.mark.parametrize(
    ("store_dsn", "words"),
    [(("sqlite", "postgres")[number % 2], words) for number, words in enumerate(COLUMNS)],
    indirect=["store_dsn"],
)
def test_columns_and_keys_stay_as_they_are(etlwatch: Program, dsn: str, words: tuple[str, ...]) -> None:
    as_csv = etlwatch(*words, "--format", "csv", "--dsn", dsn).out
    assert as_csv.splitlines()[0].split(",") == COLUMNS[words].split()
    for line in etlwatch(*words, "--format", "jsonl", "--dsn", dsn).out.splitlines() if words not in OBJECTS else ():
        assert list(json.loads(line)) == COLUMNS[words].split()


@pytest.mark.parametrize(
    ("store_dsn", "words"),
    [(("sqlite", "postgres")[number % 2], words) for number, words in enumerate(OBJECTS)],
    indirect=["store_dsn"],
)
def test_keys_of_objects_stay_as_they_are(etlwatch: Program, dsn: str, words: tuple[str, ...]) -> None:
    answer = etlwatch(*words, "--format", "json", "--dsn", dsn).data
    for part, keys in OBJECTS[words].items():
        found = answer[part] if part else answer
        assert found, part
        assert list(found[0] if isinstance(found, list) else found) == keys.split(), part


def test_every_command_is_a_question_of_these_or_none() -> None:
    assert {words[0] for words in ANSWERS} | SAY_NOTHING == set(COMMANDS)
    for name in SAY_NOTHING:
        command = root.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert not [each for each in command.params if "--format" in each.opts], name


@pytest.mark.parametrize(
    "words", [("--format", "json", "status"), ("status", "--format", "json"), ("--format", "json")]
)
def test_a_format_may_stand_before_the_last_word(etlwatch: Program, dsn: str, words: tuple[str, ...]) -> None:
    assert json.loads(etlwatch("tracking", *words, "--dsn", dsn).out)[0]["scope"] == "global"


LIMITED: dict[str, list[tuple[str, ...]]] = {
    "runs": [
        (),
        ("--job", "crm"),
        ("--state", "failed"),
        ("--state", "running,stalled,lost"),
        ("state:failed,running,stalled,lost", "--since", "3h"),
    ],
    "errors": [(), ("--job", "crm"), ("crm",), ("--group",), ("--group", "--job", "*")],
}
"""Every command with a limit, and the ways in which its list comes about."""


def test_every_list_that_is_cut_tells_how_many_there_are(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    context = click.Context(root)
    commands = [root.get_command(context, name) for name in COMMANDS]
    limited = {command.name for command in commands if command and "limit" in {each.name for each in command.params}}
    assert limited == {*LIMITED}
    for number, job in enumerate(("crm", "crm", "crm", "ads")):
        run_id = stock.start(NOW - timedelta(hours=2, minutes=number), job=job, heartbeat_interval_s=1.0)
        for text in ("one", "other", "third"):
            stock.error(run_id, f"{text} of {job}", NOW - timedelta(hours=1))
        if number < 2:
            stock.end(run_id, NOW - timedelta(minutes=1), status="failed")
    there_are = {
        "runs": [4, 3, 2, 2, 4],
        "errors": [12, 9, 3, 2, 2],
    }
    for name, ways in LIMITED.items():
        for way, number in zip(ways, there_are[name], strict=True):
            for form in ("table", "json", "jsonl", "csv"):
                asked = (name, *way, "--dsn", store_dsn, "--format", form)
                cut, whole = etlwatch(*asked, "--limit", "1"), etlwatch(*asked, "--limit", str(number))
                assert f"the newest 1 of {number} are listed; --limit lists more" in cut.err, (asked, cut.err)
                assert "are listed" not in whole.err, asked
    shown = etlwatch("show", "crm", "--dsn", store_dsn, "--format", "json")
    assert "are listed" not in shown.err
