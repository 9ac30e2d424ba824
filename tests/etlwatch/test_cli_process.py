"""The command line as a process: what it loads, pipes that close, full disks, terminals of any width."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from etlwatch.text.safe import cell_width
from tests.etlwatch.cli_program import MAIN, PROJECT, python
from tests.store.stocking import Stock
from tests.support.terminal import Terminal

NOW = datetime.now(UTC).replace(microsecond=0)
HEADLESS = [["runs"], ["show", "crm@latest", "--format", "json"], ["errors"], ["tracking"], ["--help"], ["--version"]]


@pytest.fixture
def dsn(sqlite_store_dsn: str) -> Iterator[str]:
    """A store with a few runs whose names and notes are long."""
    stock = Stock(sqlite_store_dsn)
    for number in range(3):
        began = NOW - timedelta(days=400 * number, minutes=5)
        run_id = stock.start(began, job=f"crm-contacts-and-companies-sync-日本-{number}", notes="a long note " * 30)
        stock.requests(run_id, [(began, "/a/rather/long/endpoint/of/an/api" * 3, 200, 123, 45)] * 3)
        stock.error(run_id, "a message that is longer than any terminal is wide " * 6, began)
        stock.end(run_id, began + timedelta(minutes=1), status="failed" if number else "completed")
    stock.start(NOW, job="crm")
    stock.close()
    return sqlite_store_dsn


def etlwatch(*arguments: str) -> list[str]:
    return [sys.executable, "-c", MAIN, *arguments]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), **changes}


@pytest.mark.parametrize("words", HEADLESS, ids=" ".join)
def test_a_headless_command_loads_no_screen_and_no_driver_it_does_not_need(dsn: str, words: list[str]) -> None:
    code = """
import sys
from etlwatch.__main__ import main
status = main()
unwanted = {"textual", "plotext", "psycopg", "psutil", "asyncio"} & set(sys.modules)
sys.exit(f"loaded {unwanted}" if unwanted else status)
"""
    done = python(code, arguments=["--dsn", dsn, *words])
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_leaves_early_is_no_error(dsn: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        etlwatch("runs", "--dsn", dsn), stdout=writer, stderr=subprocess.PIPE, env=environment(), check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout_is_said_and_not_taken_for_success(dsn: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            etlwatch("runs", "--dsn", dsn), stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"No space left" in done.stderr


def test_a_closed_stdout_is_said_and_not_taken_for_success(dsn: str) -> None:
    closed = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *etlwatch("runs", "--dsn", dsn)]
    done = subprocess.run(closed, stderr=subprocess.PIPE, env=environment(), check=False)
    assert done.returncode == 1
    assert b"stdout" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_closed_stderr_does_not_keep_the_answer_back(dsn: str) -> None:
    closed = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *etlwatch("runs", "--dsn", dsn, "--limit", "1")]
    done = subprocess.run(closed, stdout=subprocess.PIPE, env=environment(), check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


@pytest.mark.parametrize("columns", [20, 100, 300])
@pytest.mark.parametrize("words", [["runs"], ["errors"]], ids=" ".join)
def test_a_table_fits_the_terminal_it_is_printed_on(dsn: str, words: list[str], columns: int) -> None:
    here = environment(NO_COLOR="1")
    with Terminal(etlwatch(*words, "--dsn", dsn), columns=columns, environment=here) as terminal:
        assert terminal.wait_for_exit() == 0
        lines = terminal.output.decode().replace("\r\n", "\n").splitlines()
    assert len(lines) >= 4
    assert all(cell_width(line) <= columns for line in lines)
    assert all("\x1b" not in line for line in lines)


def test_states_are_coloured_on_a_terminal_only_and_never_where_nobody_wants_it(dsn: str) -> None:
    def printed(**changes: str) -> bytes:
        with Terminal(etlwatch("runs", "--dsn", dsn), columns=120, environment=environment(**changes)) as terminal:
            assert terminal.wait_for_exit() == 0
            return terminal.output

    assert "\x1b[91m× failed".encode() in printed()
    assert b"\x1b" not in printed(NO_COLOR="1")
    assert b"\x1b" not in printed(TERM="dumb")
    done = python(MAIN, arguments=["runs", "--dsn", dsn])
    assert b"\x1b" not in done.stdout
    assert "×".encode() not in done.stdout


def test_ctrl_c_while_a_store_is_silent_exits_130_at_once() -> None:
    code = """
import socket, sys, threading, os, signal, time
silent = socket.create_server(("127.0.0.1", 0))
def interrupt():
    connection, _ = silent.accept()
    connection.recv(1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
from etlwatch.__main__ import main
sys.exit(main(["runs", "--dsn", f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=etl user=ana"]))
"""
    done = python(code)
    assert done.returncode == 130
    assert b"Traceback" not in done.stderr


def test_a_store_that_accepts_and_says_nothing_is_given_up_within_the_deadline() -> None:
    code = """
import socket, sys
silent = socket.create_server(("127.0.0.1", 0))
from etlwatch.__main__ import main
from etlwatch.cli import connect
connect.READ_SECONDS = 0.3
sys.exit(main(["runs", "--dsn", f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=etl user=ana password=hunter2"]))
"""
    done = python(code)
    assert done.returncode == 3
    assert b"no answer" in done.stderr
    assert b"hunter2" not in done.stderr


def test_without_a_command_the_dashboard_opens_on_a_terminal_and_q_leaves_with_0(dsn: str) -> None:
    with Terminal(etlwatch("--dsn", dsn), columns=120, environment=environment()) as terminal:
        terminal.wait_for("crm-contacts-and")
        terminal.press("q")
        assert terminal.wait_for_exit() == 0


def test_a_dashboard_on_a_store_that_refuses_ends_with_one_line_and_3(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path / 'missing.db'}"
    with Terminal(etlwatch("--dsn", missing), columns=200, environment=environment()) as terminal:
        assert terminal.wait_for_exit() == 3
        # The path stands in it twice, and breaks the line where the system's temporary directory has a long name.
        assert "missing.db does not exist" in terminal.text.replace("\n", "")
        assert "Traceback" not in terminal.text


def test_the_demo_on_a_terminal_shows_its_jobs_live_and_leaves_nothing_running() -> None:
    with Terminal(etlwatch("demo", "--theme", "light"), columns=160, lines=40, environment=environment()) as terminal:
        terminal.wait_for("crm-sync", timeout=30)
        children = psutil.Process(terminal.pid).children(recursive=True)
        terminal.press("q")
        assert terminal.wait_for_exit(timeout=20) == 0
        assert "look again: etlwatch --dsn sqlite:////" in terminal.text
    assert children
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_a_command_does_not_look_through_its_modules_for_garbage(store_dsn: str) -> None:
    code = """
import gc, sys
from etlwatch.__main__ import main
looks = []
gc.callbacks.append(lambda phase, info: looks.append(phase))
status = main()
sys.exit(f"{status} {len(looks)} {gc.get_freeze_count() > 1000}")
"""
    done = python(code, arguments=["runs", "--dsn", store_dsn])
    assert done.stderr.splitlines()[-1] == b"0 0 True"
