"""The demo's jobs record into the given store, end when the demo is left, end with their parent, and keep a pace."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from etlwatch.demo import jobs, runner
from etlwatch.demo.jobs import Pacer
from etlwatch.demo.runner import Job, JobCall, Jobs, job_environment
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]

# A program for the children of these tests: it says that it began, does what it is told, and says how it left.
PROGRAM = """
import pathlib, signal, sys, time
def main(arguments):
    place, manner = pathlib.Path(arguments[0]), arguments[1]
    if manner == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        # Inside: the signal may come as soon as the file is there.
        (place / "began").write_text("")
        if manner == "speak":
            print("first line", file=sys.stderr); print("last line", file=sys.stderr)
            sys.exit(3)
        while True:
            # A signal that comes just before a sleep is seen only after it.
            time.sleep(0.2)
    finally:
        (place / "left").write_text("")
        if manner == "slow":
            time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "program_under_test.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "program_under_test"


@pytest.fixture
def demo(program: str) -> Iterator[Jobs]:
    with contextlib.closing(Jobs("sqlite:///anything.db")) as made:
        yield made


def start(demo: Jobs, program: str, place: Path, manner: str, *, expected_status: int = 0) -> Job:
    job = demo.start(JobCall(module=program, arguments=(str(place), manner), expected_status=expected_status))
    assert job is not None
    return job


def has_ended(pid: int) -> bool:
    try:
        # A container without an init leaves a dead process as a zombie.
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_stopping_lets_a_child_end_what_it_began(demo: Jobs, program: str, tmp_path: Path) -> None:
    job = start(demo, program, tmp_path, "wait")
    wait_until((tmp_path / "began").exists, "the child has begun")
    demo.close()
    assert job.process.returncode == 130
    assert (tmp_path / "left").exists()


def test_a_child_that_does_not_listen_is_killed_after_the_grace(
    demo: Jobs, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GRACE_S", 0.1)
    job = start(demo, program, tmp_path, "deaf")
    wait_until((tmp_path / "began").exists, "the child has begun")
    demo.close()
    assert job.process.returncode == -signal.SIGKILL


def test_a_second_signal_ends_a_child_at_once(demo: Jobs, program: str, tmp_path: Path) -> None:
    job = start(demo, program, tmp_path, "slow")
    wait_until((tmp_path / "began").exists, "the child has begun")
    job.process.terminate()
    wait_until((tmp_path / "left").exists, "the child is leaving")
    job.process.terminate()
    assert job.process.wait(20) == -signal.SIGTERM


def test_nothing_is_started_once_the_demo_is_being_left(demo: Jobs, program: str, tmp_path: Path) -> None:
    demo.close()
    assert demo.start(JobCall(module=program, arguments=(str(tmp_path), "wait"))) is None


def test_a_childs_output_goes_to_a_file_and_its_last_line_is_returned(
    demo: Jobs, program: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = start(demo, program, tmp_path, "speak")
    assert job.process.wait(20) == 3
    assert job.end() == "program_under_test ended with status 3 instead of 0: last line"
    job = start(demo, program, tmp_path, "speak", expected_status=3)
    assert job.process.wait(20) == 3
    assert job.end() == ""
    assert capfd.readouterr() == ("", "")


def test_children_end_when_their_parent_is_killed(program: str, tmp_path: Path) -> None:
    parent_code = (
        "import pathlib, sys, time\n"
        "from etlwatch.demo.runner import JobCall, Jobs\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "jobs = Jobs('sqlite:///anything.db')\n"
        "job = jobs.start(JobCall(module='program_under_test', arguments=(str(place), 'wait')))\n"
        "(place / 'pid.new').write_text(str(job.process.pid))\n"
        "(place / 'pid.new').rename(place / 'pid')\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", parent_code, str(tmp_path)], cwd=REPOSITORY, env=environment)
    try:
        wait_until((tmp_path / "began").exists, "the child has begun")
        wait_until((tmp_path / "pid").exists, "the parent has named its child")
        pid = int((tmp_path / "pid").read_text())
    finally:
        parent.kill()
        parent.wait()
    wait_until((tmp_path / "left").exists, "the child has ended what it began")
    wait_until(lambda: has_ended(pid), "the child has ended")


def test_a_childs_environment_names_the_store_and_switches_nothing_off() -> None:
    given = {"TRACKING_DSN": "sqlite:///users.db", "TRACKING_ENABLED": "0", "TRACKING_JOB": "x", "PATH": "/bin"}
    environment = job_environment(given, "postgresql://me:secret@db/tracking")
    assert environment["TRACKING_DSN"] == "postgresql://me:secret@db/tracking"
    assert environment["PATH"] == "/bin"
    assert environment.keys().isdisjoint({"TRACKING_ENABLED", "TRACKING_JOB"})


def test_no_command_line_shows_the_dsn(program: str, tmp_path: Path) -> None:
    with contextlib.closing(Jobs("postgresql://me:secret@db/tracking")) as demo:
        job = start(demo, program, tmp_path, "wait")
        assert "secret" not in " ".join(psutil.Process(job.process.pid).cmdline())


def test_a_module_of_the_users_directory_does_not_stand_in_for_the_standard_library(
    demo: Jobs, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    users.mkdir()
    (users / "signal.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(users)
    job = start(demo, program, tmp_path, "speak")
    assert job.process.wait(20) == 3


def test_leaving_while_the_parent_already_went_does_not_hang(program: str, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "etlwatch.demo.jobs", program, str(tmp_path), "wait"],
        stdin=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{tmp_path}"},
    )
    assert child.wait(20) == 130


class Hands:
    """A clock that only sleeping and working move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        monkeypatch.setattr(jobs.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(jobs.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("seconds", "work", "slept"),
    [
        # The second step comes too late to rest, and by the last one the time is made up.
        (10.0, (0.5, 6.0, 0.5, 0.5), [2.0, 0.0, 0.0, 0.5]),
        (1.0, (2.0, 2.0, 2.0), [0.0, 0.0, 0.0]),
        (0.0, (1.0,), []),
    ],
)
def test_a_paced_job_takes_the_given_time_although_its_steps_differ(
    seconds: float, work: tuple[float, ...], slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands(monkeypatch)
    pacer = Pacer(seconds, len(work))
    for each in work:
        hands.now += each
        pacer.rest()
    assert hands.slept == slept
