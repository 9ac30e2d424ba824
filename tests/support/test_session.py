"""A test session's processes share what is made once, and nothing outlives the session."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.session import SharedSession
from tests.support.terminal import Terminal
from tests.support.unprivileged import alive
from tests.support.waiting import wait_until

DOOMED_SESSION = """
import os, time
from tests.support.postgres import OwnPostgres
import pytest

from tests.support.session import SharedSession
session = SharedSession.begin()
print(session.directory, session.data, OwnPostgres.create(session, "postgres").pid, flush=True)
time.sleep(600)
"""


WAITING_TEST = """
import os, time
from pathlib import Path
def test_waits(postgres_server, shared_session):
    Path({note!r}).write_text(f"{{shared_session.directory}} {{shared_session.data}} {{postgres_server.pid}}")
    time.sleep(600)
"""


def test_things_are_made_once_however_many_ask(shared_session: SharedSession) -> None:
    made = []

    def make() -> str:
        made.append(1)
        return "value"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shared_session.once("test-once", make), range(8)))

    assert answers == ["value"] * 8
    assert len(made) == 1


def test_names_are_unique_and_fit_postgres(shared_session: SharedSession) -> None:
    names = {shared_session.unique("db") for _ in range(100)}
    assert len(names) == 100
    assert all(len(name) < 63 and name.startswith(shared_session.name) for name in names)


def test_killed_session_leaves_no_server_and_no_directory_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", DOOMED_SESSION], stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout is not None
        directory, data, pid = doomed.stdout.readline().split()
        assert Path(directory).is_dir()
        assert alive(int(pid))
        os.kill(doomed.pid, signal.SIGKILL)
    wait_until(lambda: not alive(int(pid)), "the guard has stopped the server")
    wait_until(lambda: not Path(directory).exists(), "the guard has removed the directory")
    wait_until(lambda: not Path(data).exists(), "the guard has removed the data")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_ctrl_c_stops_the_server_with_the_session(workers: str, tmp_path: Path) -> None:
    root, note, test = Path(__file__).parents[2], tmp_path / "note", tmp_path / "test_waits.py"
    test.write_text(WAITING_TEST.format(note=str(note)))
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-n", workers, "-p", "tests.conftest"]
    command += ["-c", root / "pyproject.toml", test]

    with Terminal(command, directory=root, columns=200) as terminal:
        wait_until(lambda: note.exists() and note.read_text(), "the test has its server")
        directory, data, pid = note.read_text().split()
        assert alive(int(pid))
        terminal.press("ctrl+c")
        terminal.wait_for_exit()

    assert not alive(int(pid))
    assert not Path(directory).exists()
    assert not Path(data).exists()
