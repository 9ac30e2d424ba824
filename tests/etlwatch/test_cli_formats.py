"""Every command that answers with data does so in the same four formats, on stdout, and talks on stderr."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

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
    ("tracking",),
    ("tracking", "off", "--all", "--reason", "night work"),
    ("cleanup", "--older-than", "0d", "--dry-run"),
    ("cleanup", "--older-than", "0d", "--yes"),
    ("spool",),
    ("spool", "replay"),
    ("config",),
    ("doctor", "--read-only"),
]
SAY_NOTHING = {"init", "bundle", "open", "close", "exec", "check", "demo"}
"""What they do is not a question: they do it, or answer a monitor, or open a screen."""


@pytest.fixture
def dsn(store_dsn: str) -> str:
    stock = Stock(store_dsn)
    for minutes in (30, 20, 10):
        run_id = stock.start(NOW - timedelta(minutes=minutes), job="crm", notes="a, b\n\x1b[31m日本")
        stock.requests(run_id, [(NOW - timedelta(minutes=minutes), "/a", 200, 1, 5)] * 3)
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
        assert answer.status == 0, answer.err
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
