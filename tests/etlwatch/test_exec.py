"""`etlwatch exec` with real commands: their streams, signals and exit, and what is recorded of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.etlwatch.cli_program import MAIN, PROJECT, command
from tests.support.peek import peek
from tests.support.proxy import PostgresProxy
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker
from tracking_core.records import ErrorRecord, Run
from tracking_core.store import open_store

SPEAKING = "echo begun >&2; "


def words(*arguments: str, dsn: str | None = None, options: tuple[str, ...] = ()) -> list[str]:
    named = [] if dsn is None else ["--dsn", dsn]
    return [sys.executable, "-c", MAIN, "exec", *named, "--job", "nightly", *options, "--", *arguments]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), **changes}


def run_command(
    *arguments: str, dsn: str | None = None, options: tuple[str, ...] = (), given: bytes = b"", **changes: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        words(*arguments, dsn=dsn, options=options),
        input=given,
        env=environment(**changes),
        capture_output=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(*arguments: str, dsn: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that goes on beside the block; it has begun once it has said so on stderr."""
    process = subprocess.Popen(
        words(*arguments, dsn=dsn),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        assert process.stderr.readline() == b"begun\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def only_run(dsn: str) -> Run:
    (run,) = SimpleETLTracker(dsn).get_recent_runs()
    return run


def only_error(dsn: str) -> ErrorRecord:
    with open_store(dsn).reader(5) as reader:
        (error,) = reader.errors()
    return error


def test_a_command_that_ends_well_completes_its_run(store_dsn: str) -> None:
    done = run_command("true", dsn=store_dsn, options=("--notes", "of Tuesday"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    run = only_run(store_dsn)
    assert (run.job, run.status, run.ended_by, run.errors) == ("nightly", "completed", "job", 0)
    assert (run.notes or "").startswith("of Tuesday\nexit status 0, peak memory ")
    assert run.command == "true"
    assert run.heartbeat_interval_s == 10


def test_the_streams_of_a_command_pass_through_untouched() -> None:
    every_byte = bytes(range(256)) * 300
    done = run_command("sh", "-c", "cat; printf '\\033[31mred\\033[0m \\377' >&2", given=every_byte)
    assert (done.returncode, done.stdout, done.stderr) == (0, every_byte, b"\x1b[31mred\x1b[0m \xff")


def test_an_exit_status_is_ours_and_is_recorded_with_the_end_of_the_output(sqlite_store_dsn: str) -> None:
    done = run_command("sh", "-c", "echo 'cannot reach postgresql://ana:secret@db' >&2; exit 3", dsn=sqlite_store_dsn)
    assert done.returncode == 3
    run, error = only_run(sqlite_store_dsn), only_error(sqlite_store_dsn)
    assert (run.status, run.ended_by, run.errors) == ("failed", "job", 1)
    assert (error.error_type, error.message, error.phase) == ("ExitStatus", "exit status 3", "command")
    first, figures, heading, last = error.traceback.splitlines()
    assert first == "ExitStatus: exit status 3"
    assert figures.startswith("peak memory ")
    assert (heading, last) == ("stderr:", "cannot reach postgresql://ana:***@db")


def test_the_end_of_the_output_is_kept_and_no_more_than_requested(sqlite_store_dsn: str) -> None:
    many = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1"
    done = run_command("sh", "-c", many, dsn=sqlite_store_dsn, options=("--stderr", "1"))
    assert done.stderr.count(b"\n") == 3000
    told = only_error(sqlite_store_dsn).traceback
    assert "the last 1 KiB of stderr:" in told
    assert told.endswith("line 2999\n")
    assert "line 100\n" not in told


@pytest.mark.parametrize(
    ("tail", "told"),
    [
        ((), ["stdout:", "Failure in model orders", "stderr:", "warning"]),
        (("--tail", "stdout"), ["stdout:", "Failure in model orders"]),
        (("--tail", "stderr"), ["stderr:", "warning"]),
        (("--stderr", "0"), []),
    ],
)
def test_the_end_of_stdout_is_kept_too(sqlite_store_dsn: str, tail: tuple[str, ...], told: list[str]) -> None:
    script = "echo 'Failure in model orders'; echo warning >&2; exit 2"
    done = run_command("sh", "-c", script, dsn=sqlite_store_dsn, options=tail)
    assert (done.returncode, done.stdout, done.stderr) == (2, b"Failure in model orders\n", b"warning\n")
    assert only_error(sqlite_store_dsn).traceback.splitlines()[2:] == told


def test_streams_that_are_one_stay_in_their_order(sqlite_store_dsn: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "for n in 1 2 3 4 5 6 7 8 9; do echo out $n; echo err $n >&2; done; exit 1"
    with log.open("wb") as file:
        done = subprocess.run(
            words("sh", "-c", script, dsn=sqlite_store_dsn), env=environment(), stdout=file, stderr=file, check=False
        )
    assert done.returncode == 1
    wanted = "".join(f"out {number}\nerr {number}\n" for number in range(1, 10))
    assert log.read_text() == wanted
    assert only_error(sqlite_store_dsn).traceback.endswith(f"stdout and stderr:\n{wanted}")


def test_a_command_whose_reader_goes_ends_as_it_would_alone(sqlite_store_dsn: str) -> None:
    process = subprocess.Popen(
        words("yes", dsn=sqlite_store_dsn), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.read(2) == b"y\n"
    process.stdout.close()
    assert process.wait(30) == 128 + signal.SIGPIPE
    assert only_run(sqlite_store_dsn).ended_by == "signal SIGPIPE"


def test_a_command_that_closes_its_stdout_goes_on(sqlite_store_dsn: str) -> None:
    done = run_command("sh", "-c", "echo first; exec >&-; sleep 0.2; echo last >&2; exit 4", dsn=sqlite_store_dsn)
    assert (done.returncode, done.stdout, done.stderr) == (4, b"first\n", b"last\n")
    assert only_error(sqlite_store_dsn).traceback.endswith("stdout:\nfirst\nstderr:\nlast\n")


def test_both_streams_full_at_once_do_not_stop_a_command(sqlite_store_dsn: str) -> None:
    both = "import os\nfor n in range(40):\n os.write(1, bytes(70_000)); os.write(2, bytes(70_000))"
    done = run_command(sys.executable, "-c", both, dsn=sqlite_store_dsn)
    assert (done.returncode, len(done.stdout), len(done.stderr)) == (0, 2_800_000, 2_800_000)


def test_a_command_that_is_killed_has_its_signal_in_the_error(postgres_store_dsn: str) -> None:
    done = run_command("sh", "-c", "echo going on >&2; kill -KILL $$", dsn=postgres_store_dsn)
    assert done.returncode == 128 + signal.SIGKILL
    run, error = only_run(postgres_store_dsn), only_error(postgres_store_dsn)
    assert (run.status, run.ended_by) == ("failed", "signal SIGKILL")
    assert error.error_type == "KilledBySignal"
    assert error.message.startswith("killed by SIGKILL (9)")
    assert error.traceback.endswith("stderr:\ngoing on\n")


def test_peak_memory_is_that_of_the_command(sqlite_store_dsn: str) -> None:
    done = run_command(sys.executable, "-c", "held = b'x' * 150_000_000", dsn=sqlite_store_dsn)
    assert done.returncode == 0
    with open_store(sqlite_store_dsn).reader(5) as reader:
        (phase,) = reader.phases([only_run(sqlite_store_dsn).run_id])
    assert (phase.phase, phase.status) == ("command", "completed")
    assert 143 < (phase.peak_memory_mb or 0) < 300


@pytest.mark.parametrize(
    ("store_dsn", "stop"),
    [("sqlite", signal.SIGTERM), ("postgres", signal.SIGINT), ("sqlite", signal.SIGHUP), ("postgres", signal.SIGQUIT)],
    indirect=["store_dsn"],
)
def test_a_signal_to_us_alone_reaches_the_command(store_dsn: str, stop: signal.Signals) -> None:
    with running("sh", "-c", SPEAKING + "ulimit -c 0; exec sleep 60", dsn=store_dsn) as process:
        process.send_signal(stop)
        assert process.wait(30) == 128 + stop
    run = only_run(store_dsn)
    assert (run.status, run.ended_by, run.errors) == ("terminated", f"signal {stop.name}", 0)


def test_a_command_that_minds_a_signal_ends_in_its_own_way(sqlite_store_dsn: str) -> None:
    minding = "trap 'echo tidied; exit 7' TERM; echo begun >&2; while :; do sleep 0.05; done"
    with running("sh", "-c", minding, dsn=sqlite_store_dsn) as process:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (7, b"tidied\n")
    run = only_run(sqlite_store_dsn)
    assert (run.status, run.ended_by) == ("terminated", "signal SIGTERM")
    assert "exit status 7" in (run.notes or "")


@pytest.mark.parametrize(
    ("store_dsn", "name", "status", "told"),
    [
        ("sqlite", "no-such-command", 127, "No such file or directory"),
        ("postgres", os.devnull, 126, "Permission denied"),
    ],
    indirect=["store_dsn"],
)
def test_a_command_that_cannot_be_started_is_reported_and_recorded(
    store_dsn: str, name: str, status: int, told: str
) -> None:
    done = run_command(name, "with", "arguments", dsn=store_dsn)
    assert (done.returncode, done.stderr.decode()) == (status, f"etlwatch exec: {name}: {told}\n")
    run, error = only_run(store_dsn), only_error(store_dsn)
    assert (run.status, error.error_type, error.message) == ("failed", "NotStarted", f"{name}: {told}")


def test_what_the_command_records_goes_into_its_run(store_dsn: str) -> None:
    job = """
from tracking_core import ETLRunContext, SimpleETLTracker
with ETLRunContext(SimpleETLTracker(), "its own words", job="its own name") as run:
    run.log_request("/contacts", 0, 100, 200, 100, 12.5)
own = SimpleETLTracker()
own.end_run(own.start_run("another"), True)
"""
    done = run_command(sys.executable, "-c", job, dsn=store_dsn)
    assert (done.returncode, done.stderr) == (0, b"")
    another, run = SimpleETLTracker(store_dsn).get_recent_runs()
    assert (run.job, run.status, run.requests, run.items) == ("nightly", "completed", 1, 100)
    assert (another.job, another.parent_run_id) == ("another", run.run_id)


def test_a_success_that_the_command_recorded_does_not_count_when_it_is_killed_afterwards(sqlite_store_dsn: str) -> None:
    job = """
import sys
from tracking_core import SimpleETLTracker
tracker = SimpleETLTracker()
assert tracker.end_run(tracker.start_run(), True)
sys.exit(9)
"""
    assert run_command(sys.executable, "-c", job, dsn=sqlite_store_dsn).returncode == 9
    assert (only_run(sqlite_store_dsn).status, only_run(sqlite_store_dsn).errors) == ("failed", 1)


def test_a_failure_that_the_command_recorded_stands_although_it_exits_with_0(postgres_store_dsn: str) -> None:
    job = """
from tracking_core import SimpleETLTracker
tracker = SimpleETLTracker()
tracker.end_run(tracker.start_run(), False, "half of it is missing")
"""
    assert run_command(sys.executable, "-c", job, dsn=postgres_store_dsn).returncode == 0
    assert (only_run(postgres_store_dsn).status, only_run(postgres_store_dsn).notes) == (
        "failed",
        "half of it is missing",
    )


def test_a_command_in_a_command_has_a_run_of_its_own_below_it(sqlite_store_dsn: str) -> None:
    inner = [sys.executable, "-c", MAIN, "exec", "--job", "inner", "--", "false"]
    assert run_command(*inner, dsn=sqlite_store_dsn).returncode == 1
    below, above = SimpleETLTracker(sqlite_store_dsn).get_recent_runs()
    assert (below.job, below.parent_run_id, below.status) == ("inner", above.run_id, "failed")
    assert (above.job, above.status) == ("nightly", "failed")


def test_a_store_that_refuses_changes_nothing_for_the_command_and_receives_the_run_later(
    postgres_store_dsn: str, postgres_proxy: Callable[[str], PostgresProxy]
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    proxy.refuse()
    done = run_command("sh", "-c", "cat; exit 5", dsn=proxy.dsn, given=b"input")
    assert (done.returncode, done.stdout) == (5, b"input")
    assert SimpleETLTracker(postgres_store_dsn).get_recent_runs() == []
    proxy.resume()
    assert command("spool", "replay", "--dsn", proxy.dsn).returncode == 0
    run = only_run(postgres_store_dsn)
    assert (run.job, run.status, run.errors) == ("nightly", "failed", 1)


def test_a_store_that_falls_silent_changes_nothing_for_the_command(
    postgres_store_dsn: str, postgres_proxy: Callable[[str], PostgresProxy]
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    proxy.freeze()
    done = run_command("sh", "-c", "cat; exit 5", dsn=proxy.dsn, given=b"input", TRACKING_DEADLINE="0.5")
    assert (done.returncode, done.stdout) == (5, b"input")


def test_a_store_that_cannot_be_meant_does_not_keep_a_command_from_running() -> None:
    done = run_command("sh", "-c", "echo done; exit 4", dsn="mysql://db/etl")
    assert (done.returncode, done.stdout) == (4, b"done\n")
    assert done.stderr.startswith(b"etlwatch exec: not tracked: ")


def test_a_store_that_cannot_be_made_does_not_keep_a_command_from_running() -> None:
    done = run_command("sh", "-c", "echo done; exit 4", dsn="sqlite:////no/such/directory/tracking.db")
    assert (done.returncode, done.stdout) == (4, b"done\n")


def test_with_tracking_off_a_command_runs_and_nothing_is_recorded(sqlite_store_dsn: str) -> None:
    done = run_command("sh", "-c", "exit 4", dsn=sqlite_store_dsn, TRACKING_ENABLED="off")
    assert (done.returncode, done.stderr) == (4, b"")
    assert peek(sqlite_store_dsn, "SELECT count(*) FROM tracking.runs") == [(0,)]


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_stay_closed(sqlite_store_dsn: str, closed: str) -> None:
    inner = "(true >&2) && exit 1; exit 8"
    line = (
        f"""exec {sys.executable} -c '{MAIN}' exec --dsn {sqlite_store_dsn} --job nightly -- sh -c '{inner}' {closed}"""
    )
    done = subprocess.run(["sh", "-c", line], env=environment(), timeout=60, check=False)
    assert done.returncode == 8
    assert only_run(sqlite_store_dsn).status == "failed"


def test_an_exit_is_recorded_before_the_output_has_been_read(sqlite_store_dsn: str) -> None:
    saying = "import sys; sys.stderr.write('word ' * 24_000); sys.exit(3)"
    process = subprocess.Popen(
        words(sys.executable, "-c", saying, dsn=sqlite_store_dsn), env=environment(), stderr=subprocess.PIPE
    )
    try:
        wait_until(
            lambda: peek(sqlite_store_dsn, "SELECT status FROM tracking.runs") == [("failed",)], "it is recorded"
        )
        assert process.poll() is None
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, told) == (3, b"word " * 24_000)


def test_what_a_command_leaves_behind_does_not_hold_us(sqlite_store_dsn: str) -> None:
    process = subprocess.Popen(
        words("sh", "-c", "sleep 60 & echo $!; echo last >&2; exit 1", dsn=sqlite_store_dsn),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    left = int(process.stdout.readline())
    try:
        assert process.wait(30) == 1
        assert only_error(sqlite_store_dsn).traceback.endswith("last\n")
    finally:
        os.kill(left, signal.SIGKILL)
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves a process the orphans of others on request")
def test_orphans_that_become_our_children_are_reaped(sqlite_store_dsn: str) -> None:
    # What a container's first process is by nature, any process can ask to be.
    reaper = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1); os.execv(sys.executable, sys.argv[1:])"
    job = """
import os, subprocess, time
subprocess.run(["sh", "-c", "true & sleep 0.1 &"])
def children():
    found = subprocess.run(["ps", "-o", "stat=,comm=", "--ppid", str(os.getppid())], capture_output=True, text=True)
    return [line for line in found.stdout.splitlines() if "sleep" in line or line.startswith("Z")]
until = time.monotonic() + 20
while children() and time.monotonic() < until:
    time.sleep(0.05)
raise SystemExit(1 if children() else 0)
"""
    line = [sys.executable, "-c", reaper, *words(sys.executable, "-c", job, dsn=sqlite_store_dsn)]
    assert subprocess.run(line, env=environment(), timeout=60, check=False).returncode == 0


SECRETIVE = (
    "env",
    "PGPASSWORD=hunter2",
    "true",
    "--password=hunter2",
    "--token",
    "-hunter2",
    "-phunter2",
    "postgresql://a:hunter2@b/c",
    "daily",
)


def test_a_secret_that_is_cut_in_two_is_not_kept(sqlite_store_dsn: str) -> None:
    script = "printf 'password='; printf 'hunter2%.0s' $(seq 50); printf ' '; printf 'x%.0s' $(seq 1000); exit 1"
    run_command("sh", "-c", f"({script}) >&2; exit 1", dsn=sqlite_store_dsn, options=("--stderr", "1"))
    assert "hunter2" not in only_error(sqlite_store_dsn).traceback


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "env … --password=… --token … -p… …"),
        (
            ("--record-command", "full"),
            "env 'PGPASSWORD=***' true '--password=***' --token '***' '-p***' 'postgresql://a:***@b/c' daily",
        ),
    ],
)
def test_no_secret_of_a_command_line_is_recorded(sqlite_store_dsn: str, options: tuple[str, ...], told: str) -> None:
    assert run_command(*SECRETIVE, dsn=sqlite_store_dsn, options=options).returncode == 0
    assert only_run(sqlite_store_dsn).command == told


def test_a_command_without_a_name_for_its_job_is_wrong_usage() -> None:
    done = command("exec", "--", "true")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--job" in done.stderr


# -- at a terminal


def at_terminal(tmp_path: Path, line: str) -> Terminal:
    script = tmp_path / "line.sh"
    script.write_text(line)
    return Terminal(["sh", script], environment={"PYTHONPATH": str(PROJECT)})


def exec_line(script: str) -> str:
    return f"""{sys.executable} -c '{MAIN}' exec --job nightly -- sh -c '{script}'"""


def test_a_command_finds_a_terminal_of_our_size_on_stderr(tmp_path: Path) -> None:
    line = exec_line("test -t 2 && stty size <&2 >&2; exit 6") + "; echo status $?"
    with at_terminal(tmp_path, line) as terminal:
        terminal.wait_for("status 6")
        assert "24 80" in terminal.text


@pytest.mark.parametrize(
    ("tail", "redirected", "told"),
    [("", "", "tty tty"), ("--tail both", "", "tty tty"), ("", "2>log", "tty pipe"), ("", ">log", "pipe tty")],
)
def test_a_stream_is_a_terminal_where_ours_is(tmp_path: Path, tail: str, redirected: str, told: str) -> None:
    kinds = "test -t 1 && a=tty || a=pipe; test -t 2 && b=tty || b=pipe; echo $a $b >kinds; exit 6"
    line = exec_line(kinds).replace("--job", f"{tail} --job") + f" {redirected}; echo status $?"
    with at_terminal(tmp_path, f"cd {tmp_path}\n{line}") as terminal:
        terminal.wait_for("status 6")
    assert (tmp_path / "kinds").read_text().split() == told.split()


def test_ctrl_c_reaches_a_command_once_and_we_end_as_it_does(tmp_path: Path) -> None:
    script = (
        'trap "n=\\$((n+1)); echo told \\$n times; sleep 0.3; exit 5" INT; echo begun; while :; do sleep 0.05; done'
    )
    with at_terminal(tmp_path, "trap : INT\n" + exec_line(script) + "; echo status $?") as terminal:
        terminal.wait_for("begun")
        terminal.press("ctrl+c")
        terminal.wait_for("status 5")
        assert "told 1 times" in terminal.text
        assert "told 2 times" not in terminal.text


def test_ctrl_z_stops_both_and_fg_goes_on(tmp_path: Path) -> None:
    # In two parts: the line that is typed is on screen too, and may break behind any word of it.
    script = 'trap "echo resumed" CONT; echo be""gun; while ! read line; do :; done; echo got $line'
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, environment={"PYTHONPATH": str(PROJECT), "PS1": "> "}) as terminal:
        terminal.send(exec_line(script) + "\r")
        terminal.wait_for("begun\n")
        terminal.press("ctrl+z")
        terminal.wait_for("Stopped")
        terminal.send("fg; echo status $?\r")
        terminal.wait_for("resumed\n")
        terminal.send("this\r")
        terminal.wait_for("got this\n")
        terminal.wait_for("status 0\n")


def test_a_command_starts_with_the_default_signal_actions(sqlite_store_dsn: str) -> None:
    code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    assert run_command(sys.executable, "-c", code, dsn=sqlite_store_dsn).stdout == b"set()\n"
    # Python ignores it, and what we start would inherit that: `yes | head` would not end.
    assert run_command("sh", "-c", "kill -PIPE $$", dsn=sqlite_store_dsn).returncode == 128 + signal.SIGPIPE
