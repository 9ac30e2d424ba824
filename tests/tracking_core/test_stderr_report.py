"""What is told on stderr where a job has not configured logging: one line when delivery first fails, one at exit."""

import fcntl
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.job import PREAMBLE, ROOT, run_job
from tests.support.ports import free_port
from tracking_core.delivery import health_log as told
from tracking_core.delivery.health_log import StderrReport

JOB = """
tracker = SimpleETLTracker(DSN, delivery=os.environ.get("JOB_DELIVERY", "immediate"), deadline=30)
run = tracker.start_run("night")
for page in range(5):
    tracker.log_request(run, "/x", page, 10, 200, 1, 5.0)
tracker.end_run(run, True)
"""


@pytest.fixture
def refusing() -> str:
    return f"postgresql://job:geheim-7@127.0.0.1:{free_port()}/x"


def lines_of(source: str, dsn: str, **environ: str) -> list[str]:
    job = run_job(source, dsn, **{"TRACKING_QUIET": "", **environ})
    assert (job.returncode, job.stdout) == (0, "")
    return job.stderr.splitlines()


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_a_job_without_logging_is_told_once_and_at_exit(refusing: str, delivery: str, tmp_path: Path) -> None:
    first, last = lines_of(JOB, refusing, JOB_DELIVERY=delivery)
    assert first.startswith(f"tracking_core: what is recorded waits in {tmp_path}/xdg_state_home/etlwatch/spool/")
    assert "etlwatch spool status" in first
    assert "127.0.0.1" in first
    assert "geheim-7" not in first + last
    assert last.startswith("tracking_core: 7 events wait in ")
    assert "etlwatch spool replay" in last


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_a_job_that_can_keep_nothing_is_told_that_it_is_lost(refusing: str, delivery: str) -> None:
    first, last = lines_of(JOB, refusing, JOB_DELIVERY=delivery, TRACKING_SPOOL_DIR="/proc/nowhere/")
    assert "in memory" in first if delivery == "buffered" else "is lost" in first
    assert last == "tracking_core: 7 events were dropped"


@pytest.mark.parametrize(
    "configuration",
    [
        "import logging; logging.basicConfig(level=logging.ERROR)",
        "import logging; logging.getLogger('tracking_core').addHandler(logging.NullHandler())",
        "os.environ['TRACKING_QUIET'] = '1'",
        "os.close(2); sys.stderr = None",
        "sys.stderr.close()",
    ],
)
def test_a_job_that_has_configured_logging_or_wants_silence_is_told_nothing(refusing: str, configuration: str) -> None:
    assert lines_of(configuration + "\n" + textwrap.dedent(JOB), refusing) == []


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_job_whose_store_works_is_told_nothing(store: str, request: pytest.FixtureRequest) -> None:
    dsn = request.getfixturevalue(f"{store}_store_dsn")
    assert lines_of(JOB, dsn) == []
    # Flushed, since a busy machine may need longer than the process has for leaving.
    assert lines_of(f"{JOB}tracker.flush()", dsn, JOB_DELIVERY="buffered") == []


def test_tracking_that_is_off_is_no_loss(sqlite_store_dsn: str) -> None:
    from tracking_core.store import open_store

    with open_store(sqlite_store_dsn).administration(5.0) as admin:
        admin.set_switch(enabled=False, job=None, actor="ana", reason="")
    for delivery in ("immediate", "buffered"):
        assert lines_of(JOB, sqlite_store_dsn, JOB_DELIVERY=delivery) == []


def test_a_store_that_comes_back_leaves_nothing_to_tell_at_exit(sqlite_dsn: str) -> None:
    source = """
    import sqlite3
    from tracking_core.store import open_store
    open_store(DSN).initialize()
    lock = sqlite3.connect(DSN.removeprefix("sqlite:///"), isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    tracker = SimpleETLTracker(DSN, deadline=0.1)
    run = tracker.start_run("night")
    lock.close()
    while tracker.flush(1).spooled:
        time.sleep(0.1)
    tracker.end_run(run, True)
    """
    (only,) = lines_of(source, sqlite_dsn)
    assert "waits in" in only


def test_forked_children_repeat_nothing(refusing: str) -> None:
    source = """
    tracker = SimpleETLTracker(DSN, deadline=1)
    run = tracker.start_run("night")
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            tracker.log_request(run, "/x", 0, 10, 200, 1, 5.0)
            tracker.close()
            sys.exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    tracker.end_run(run, True)
    """
    assert len(lines_of(source, refusing)) == 2


@pytest.mark.parametrize("end", ["full", "closed"])
@pytest.mark.parametrize("signal", ["", "signal.signal(signal.SIGPIPE, signal.SIG_DFL)"])
def test_a_pipe_that_is_full_or_closed_holds_up_nobody(refusing: str, end: str, signal: str) -> None:
    reading, writing = os.pipe()
    if end == "closed":
        os.close(reading)
    else:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writing, b"x" * 4096)
    job = subprocess.run(
        [sys.executable, "-c", PREAMBLE + signal + "\n" + textwrap.dedent(JOB)],
        stderr=writing,
        cwd=ROOT,
        env={**os.environ, "JOB_DSN": refusing},
        timeout=20,
        check=False,
    )
    assert job.returncode == 0
    os.close(writing)
    if end == "full":
        os.close(reading)


def test_nothing_can_act_on_a_terminal_and_a_line_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(StderrReport, "look", lambda _self: None)
    stderr_report = StderrReport()
    stderr_report.place = "/a\x1b[31m\n/b\u202e"
    stderr_report.undelivered("no\r\x07answer" + "x" * 5000, "spooled")
    (line,) = stream.getvalue().splitlines()
    assert line.isprintable()
    assert len(line) <= told.LONGEST + 20


def test_a_stream_that_raises_is_no_fault_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    monkeypatch.setattr(sys, "stderr", Broken())
    monkeypatch.setattr(StderrReport, "look", lambda _self: None)
    StderrReport().undelivered("", "dropped")
    StderrReport().exiting(1, 1)


def test_nowhere_else_is_anything_written_to_stderr_or_stdout() -> None:
    sources = [path for path in (ROOT / "tracking_core").rglob("*.py") if path.name != "health_log.py"]
    assert len(sources) > 40
    for path in sources:
        text = path.read_text()
        assert not [
            word for word in ("sys.stderr.write", "sys.stdout.write", "os.write(2", "print(") if word in text
        ], path


def test_a_read_only_root_without_a_temporary_directory_raises_nothing(refusing: str) -> None:
    source = """
    import tempfile
    tempfile._candidate_tempdir_list = lambda: []
    def read_only(*_arguments, **_keywords):
        raise OSError(30, "Read-only file system")
    os.mkdir = read_only
    """
    job = textwrap.dedent(source) + textwrap.dedent(JOB)
    for delivery in ("immediate", "buffered"):
        lines = lines_of(job, refusing, JOB_DELIVERY=delivery, HOME="/proc/nowhere", XDG_STATE_HOME="/proc/nowhere")
        assert lines[-1] == "tracking_core: 7 events were dropped"
