"""What of a command line is recorded: names alone, or words with their secrets masked."""

import pickle
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.job import run_job
from tracking_core import SimpleETLTracker
from tracking_core.identity import OMITTED, command_line, process_words

NAMES = {
    "python job.py --since 2024-01-01 -v contacts.csv": "python job.py --since … -v …",
    "/usr/bin/python3.11 -u -W ignore -Xdev -m pkg.job --limit=5": "python3.11 -m pkg.job --limit=…",
    "python -c 'secret()' x": "python -c … …",
    "python -um job x": "python -m job …",
    "pypy3 'my job.py'": "pypy3 'my job.py'",
    "./sync --password -hunter2 --all": "./sync --password … --all",
    "./sync --password=hunter2": "./sync --password=…",
    "mysql -phunter2 -u root": "mysql -p… -u …",
    "psql -- hunter2": "psql -- …",
    "bash load.sh a b": "bash load.sh …",
    "bash -c 'load hunter2'": "bash -c …",
    "tool -5 --2x --": "tool … --",
    "": "",
}


@pytest.mark.parametrize("line", NAMES)
def test_by_default_only_names_are_recorded(line: str) -> None:
    assert command_line(shlex.split(line), "names") == NAMES[line]


SECRETS = [
    "--password -hunter2",
    "--password --hunter2",
    "--pwd=hunter2",
    "-phunter2",
    "-p hunter2",
    "--auth u:hunter2",
    "-u user:hunter2",
    "-uuser:hunter2",
    "--user=ana:hunter2",
    "--bearer hunter2",
    "--cookie=hunter2",
    "--api-key hunter2",
    "--dsn hunter2",
    "--conn-str hunter2",
    "DB_PASS=hunter2",
    "postgresql://ana:hunter2@db/x",
    "sh -c 'mysql -phunter2 db'",
    "sh -lc 'export PGPASSWORD=hunter2; psql'",
    "sh -c 'unbalanced \" hunter2'",
    "-H 'Authorization: Bearer hunter2'",
    "-Dpassword=hunter2",
]


@pytest.mark.parametrize("record", ["names", "full"])
@pytest.mark.parametrize("words", SECRETS)
def test_no_option_s_secret_is_recorded(words: str, record: str) -> None:
    assert "hunter2" not in command_line(["tool", *shlex.split(words, posix=True)], record)


@pytest.mark.parametrize(
    "words", ["--since 2024-01-01", "-x 5", "-u ana", "--user ana", "load contacts.csv", "-c 'a b'"]
)
def test_words_without_secrets_are_recorded_in_full_on_request(words: str) -> None:
    given = ["tool", *shlex.split(words)]
    assert shlex.split(command_line(given, "full")) == given


@given(st.lists(st.text(max_size=30), max_size=20), st.sampled_from(["names", "full"]))
def test_any_words_give_one_line_for_a_shell(words: list[str], record: str) -> None:
    told = command_line(words, record)
    assert len(shlex.split(told)) <= len(words) + 2
    if record == "names":
        positional = [word for word in words[2:] if not word.startswith("-") and len(word) > 3]
        assert all(OMITTED in told or not positional for _ in positional)


def test_a_process_is_recorded_by_its_interpreter_and_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-m", "pkg.job", "--all"])
    monkeypatch.setattr(sys, "argv", ["/site/pkg/job.py", "--all"])
    assert process_words() == ["python3", "-m", "pkg.job", "--all"]
    # A process that multiprocessing has spawned.
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-c", "spawn_main()", "--multiprocessing-fork"])
    assert process_words() == ["/site/pkg/job.py", "--all"]


JOB = "from tracking_core import SimpleETLTracker\nt = SimpleETLTracker({})\nt.end_run(t.start_run('x'), True)"


@pytest.mark.parametrize(
    ("keyword", "environ", "record"),
    [
        ("", {}, "names"),
        ("record_command='full'", {}, "full"),
        ("", {"TRACKING_COMMAND": "full"}, "full"),
        ("record_command='full'", {"TRACKING_COMMAND": "names"}, "names"),
    ],
)
def test_a_job_s_command_is_recorded_as_it_was_asked_for(
    sqlite_store_dsn: str, keyword: str, environ: dict[str, str], record: str
) -> None:
    assert run_job(JOB.format(f"DSN, {keyword}"), sqlite_store_dsn, **environ).returncode == 0
    (run,) = SimpleETLTracker(sqlite_store_dsn).get_recent_runs()
    assert "python" in run.command
    assert ("SimpleETLTracker" in run.command) == (record == "full")


def test_another_process_s_tracker_records_what_the_first_one_does(tmp_path: Path) -> None:
    tracker = SimpleETLTracker(f"sqlite:///{tmp_path}/t.db", record_command="full")
    tracker.start_run("first")
    again = pickle.loads(pickle.dumps(tracker))
    again.start_run("second")
    first, second = again.get_recent_runs()
    assert first.command == second.command
    assert OMITTED not in first.command
