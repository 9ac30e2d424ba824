"""Wrong usage, help and version: one clear line, no store asked, no password shown."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from etlwatch.cli.root import COMMANDS
from etlwatch.config.settings import Settings
from tests.etlwatch.cli_program import Program
from tracking_core.config import StoreLocation
from tracking_core.identity import VERSION

COMMAND_LINES = [[], *([name] for name in COMMANDS), ["tracking", "status"], ["tracking", "on"], ["tracking", "off"]]


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_every_command_explains_itself_and_takes_a_dsn(etlwatch: Program, words: list[str], flag: str) -> None:
    answer = etlwatch(*words, flag)
    assert answer.status == (3 if words == ["check"] else 0), "of a monitoring plugin help is UNKNOWN"
    assert answer.out.startswith("Usage: etlwatch")
    # The file that `open` names is the store.
    assert ("--dsn DSN" in answer.out) == (words != ["open"])
    assert "…" not in answer.out


def test_help_lists_every_command_with_a_whole_sentence(etlwatch: Program) -> None:
    text = etlwatch("--help").out
    for name in COMMANDS:
        line = next(line for line in text.splitlines() if line.strip().startswith(name + " "))
        assert line.endswith(".")
        assert not line.endswith("...")


def test_the_version_is_one_line(etlwatch: Program) -> None:
    answer = etlwatch("--version")
    assert answer.status == 0
    assert answer.out == f"etlwatch {VERSION}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "runs, show, errors"),
        (["--nonsense"], "--nonsense"),
        (["runs", "--nonsense"], "--nonsense"),
        (["runs", "--limit", "0"], "--limit"),
        (["runs", "--limit", "many"], "--limit"),
        (["runs", "--format", "xml"], "jsonl"),
        (["runs", "--since", "banana"], "30d"),
        (["runs", "--state", "broken"], "terminated"),
        (["show"], "RUN"),
        (["close"], "RUN"),
        (["tracking", "maybe"], "maybe"),
        (["tracking", "off", "--job", " "], "--job"),
        (["errors", "7KQX", "--job", "sync"], "--job"),
        (["cleanup"], "--older-than"),
        (["cleanup", "--older-than", "banana", "--yes"], "30d"),
        (["cleanup", "--older-than", "36h", "--yes"], "whole days"),
        (["cleanup", "--older-than", "-1d", "--yes"], "30d"),
        (["cleanup", "--older-than", "30d", "--yes", "--dry-run"], "--dry-run"),
        (["runs", "--dsn"], "--dsn"),
        (["runs", "--dsn", "mysql://host/db"], "postgresql://"),
        (["runs", "--dsn", ""], "empty"),
        (["runs", "--dsn", "tracking.db"], "sqlite:///"),
        (["--dsn", "sqlite://tracking.db", "runs"], "three slashes"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_mend_and_exits_2(
    etlwatch: Program, words: list[str], said: str
) -> None:
    answer = etlwatch(*words)
    assert answer.status == 2
    assert answer.complaint.startswith("etlwatch")
    assert said in answer.complaint


def test_cleanup_without_a_terminal_to_ask_on_says_what_to_add(etlwatch: Program) -> None:
    answer = etlwatch("cleanup", "--older-than", "30d")
    assert answer.status == 2
    assert "--dry-run" in answer.complaint
    assert "--yes" in answer.complaint


@pytest.mark.parametrize(
    "words",
    [
        ["postgresql://ana:hunter2@db/etl"],
        ["host=db password=hunter2"],
        ["runs", "postgresql://ana:hunter2@db/etl"],
        ["runs", "password=hunter2"],
        ["--dsn", "mysql://ana:hunter2@db/etl", "runs"],
        ["--dsn", "postgresql://ana:hunter2@db:99999/etl", "runs"],
        ["--dsn", "host=db password='hunter2", "runs"],
        ["--dsn", "host=db hunter2", "runs"],
        ["--dsn", "host=db password=x hunter2=y", "runs"],
    ],
)
def test_a_mistyped_dsn_never_shows_its_password(etlwatch: Program, words: list[str]) -> None:
    answer = etlwatch(*words)
    assert answer.status == 2
    assert "hunter2" not in answer.complaint


def test_a_dsn_in_the_place_of_a_command_is_told_where_it_belongs(etlwatch: Program) -> None:
    assert "--dsn" in etlwatch("sqlite:///tracking.db").complaint


def test_typed_control_characters_do_not_come_back_raw(etlwatch: Program) -> None:
    answer = etlwatch("runs", "--since", "\x1b]0;owned\x07\u202e")
    assert answer.status == 2
    assert not any(character in answer.complaint for character in "\x1b\x07\u202e")


def test_a_wrong_environment_variable_is_named(etlwatch: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKING_DSN", "mysql://ana:hunter2@db/etl")
    answer = etlwatch("runs")
    assert answer.status == 2
    assert "$TRACKING_DSN" in answer.complaint
    assert "hunter2" not in answer.complaint


def test_an_unexpected_error_is_one_line_and_its_traceback_is_there_on_request(
    etlwatch: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("the moon fell down, password=hunter2")

    monkeypatch.setattr("etlwatch.config.settings.resolve", broken)
    answer = etlwatch("runs")
    assert answer.status == 1
    assert "RuntimeError: the moon fell down" in answer.complaint
    assert "ETLWATCH_DEBUG=1" in answer.complaint
    monkeypatch.setenv("ETLWATCH_DEBUG", "1")
    told = etlwatch("runs").err
    assert "Traceback (most recent call last)" in told
    assert "hunter2" not in answer.err + told


def test_the_dashboard_is_opened_as_the_options_say_wherever_they_stand(
    etlwatch: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[tuple[str, Settings]] = []

    def run_dashboard(place: StoreLocation, settings: Settings, _opening: object) -> int:
        opened.append((place.label, settings))
        return 3

    monkeypatch.setitem(sys.modules, "etlwatch.tui.start", SimpleNamespace(run_dashboard=run_dashboard))
    monkeypatch.setattr("etlwatch.cli.root.has_screen", lambda: True)
    dsn = f"sqlite:///{tmp_path / 'x.db'}"
    assert etlwatch("--dsn", dsn).status == 3
    assert etlwatch("--dsn", dsn, "-i", "2.5", "--theme", "light", "--ascii", "--no-mouse", "--write").status == 3
    (place, plain), (_, given) = opened
    assert place == str(tmp_path / "x.db")
    assert (plain.interval, plain.theme, plain.ascii_only, plain.mouse, plain.may_write) == (
        1,
        "auto",
        False,
        True,
        False,
    )
    assert (given.interval, given.theme, given.ascii_only, given.mouse, given.may_write) == (
        2.5, "light", True, False, True,
    )  # fmt: skip
    for words in (["--interval", "0"], ["--interval", "often"], ["--theme", "pink"]):
        assert etlwatch(*words).status == 2


@pytest.mark.parametrize(
    "line",
    ["-t a -t b", "runs -t a --target b", "runs --dsn a --dsn=b", "runs -n 3 -n 4", "check -t 3 -t 4",
     "tracking off --reason a -r b --all", "exec -j a --job b -- true", "--theme dark --theme light"],
)  # fmt: skip
def test_an_option_for_one_value_is_given_once(etlwatch: Program, line: str) -> None:
    answer = etlwatch(*line.split())
    assert answer.status == (3 if line.startswith("check") else 2)
    assert "is given twice" in answer.err + answer.out
