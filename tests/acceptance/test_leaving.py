"""P8 and P9: how a run ends whose process leaves without ending it, by whatever door, in real processes.

Bounds on time only tell what waits for the store from what does not; the promises' own figures are measured by
`python -m tests.benchmarks promises`.
"""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import TypeAlias

import pytest

from tests.acceptance.ledger import replay_spool
from tests.acceptance.once import BOTH_ONCE
from tests.support.job import PREAMBLE, ROOT, job_process, run_job
from tests.support.peek import peek
from tests.support.proxy import PostgresProxy
from tests.support.waiting import wait_until
from tracking_core import Run, SimpleETLTracker

Proxies: TypeAlias = Callable[[str], PostgresProxy]


def only_run(dsn: str) -> Run:
    (run,) = SimpleETLTracker(dsn).get_recent_runs()
    return run


def errors_of(dsn: str) -> list[tuple[object, ...]]:
    return peek(dsn, "SELECT error_type, message FROM tracking.errors")


def until_it_says(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


@BOTH_ONCE
def test_an_exit_without_an_end_abandons_the_run_and_brings_its_tail_away(store_dsn: str, delivery: str) -> None:
    job = """
    SimpleETLTracker(DSN).start_run("first")
    tracker = SimpleETLTracker(DSN)
    run_id = tracker.start_run("second")
    for page in range(20):
        tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
    """
    result = run_job(job, store_dsn, TRACKING_DELIVERY=delivery)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    runs = SimpleETLTracker(store_dsn).get_recent_runs()
    assert [(run.status, run.ended_by, run.requests) for run in runs] == [
        ("abandoned", "exit", 20),
        ("abandoned", "exit", 0),
    ]


@BOTH_ONCE
def test_an_unhandled_exception_fails_the_run_with_its_traceback(store_dsn: str, delivery: str) -> None:
    job = """
    tracker = SimpleETLTracker(DSN)
    tracker.start_run("explicit")
    def extract():
        raise ValueError("page 7 is empty")
    extract()
    """
    result = run_job(job, store_dsn, TRACKING_DELIVERY=delivery)
    assert result.returncode == 1
    assert result.stderr.endswith("ValueError: page 7 is empty\n")
    run = only_run(store_dsn)
    assert (run.status, run.notes, run.errors, run.ended_by) == (
        "failed",
        "explicit\npage 7 is empty",
        1,
        "exit",
    )
    assert "in extract" in peek(store_dsn, "SELECT traceback FROM tracking.errors")[0][0]


def test_a_job_s_own_excepthook_stands_and_the_run_fails_all_the_same(store_dsn: str) -> None:
    job = """
    SimpleETLTracker(DSN).start_run("hooked")
    sys.excepthook = lambda kind, error, trace: print("mine:", error)
    raise ValueError("x")
    """
    assert run_job(job, store_dsn).stdout == "mine: x\n"
    assert (only_run(store_dsn).status, errors_of(store_dsn)) == ("failed", [("ValueError", "x")])


def test_an_exception_that_was_there_before_the_run_is_not_the_run_s(store_dsn: str) -> None:
    job = """
    try:
        raise ValueError("old news")
    except ValueError as error:
        sys.last_value = error
    SimpleETLTracker(DSN).start_run("later")
    """
    run_job(job, store_dsn)
    assert only_run(store_dsn).status == "abandoned"


@BOTH_ONCE
def test_sys_exit_inside_the_block_is_what_its_status_says(store_dsn: str, delivery: str) -> None:
    job = """
    with ETLRunContext(SimpleETLTracker(DSN), "leaving"):
        sys.exit(0)
    """
    assert run_job(job, store_dsn, TRACKING_DELIVERY=delivery).returncode == 0
    assert only_run(store_dsn).status == "completed"


def test_ctrl_c_that_nobody_catches_terminates_the_run(store_dsn: str) -> None:
    job = """
    SimpleETLTracker(DSN).start_run("interrupted")
    signal.raise_signal(signal.SIGINT)
    """
    untracked = run_job("signal.raise_signal(signal.SIGINT)", store_dsn)
    off = run_job(job, store_dsn, TRACKING_ENABLED="off")
    tracked = run_job(job, store_dsn)
    assert tracked.returncode == off.returncode == untracked.returncode
    assert tracked.stderr == off.stderr
    assert (only_run(store_dsn).status, only_run(store_dsn).ended_by) == ("terminated", "signal SIGINT")


def test_a_thread_that_dies_fails_the_run_it_began_and_no_other(store_dsn: str) -> None:
    job = """
    tracker = SimpleETLTracker(DSN)
    main = tracker.start_run("of the main thread")
    def work():
        tracker.start_run("of the worker")
        raise ValueError("in a thread")
    before = threading.excepthook
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    tracker.end_run(main, True)
    """
    result = run_job(job, store_dsn)
    assert "ValueError: in a thread" in result.stderr
    assert [(run.job, run.status) for run in SimpleETLTracker(store_dsn).get_recent_runs()] == [
        ("of the worker", "failed"),
        ("of the main thread", "completed"),
    ]
    assert errors_of(store_dsn) == [("ValueError", "in a thread")]


@BOTH_ONCE
def test_a_run_that_a_job_ends_in_its_own_exit_hook_keeps_that_end(store_dsn: str, delivery: str) -> None:
    job = """
    tracker = SimpleETLTracker(DSN)
    atexit.register(lambda: tracker.end_run(run_id, True, "in a hook"))
    run_id = tracker.start_run("hooked")
    """
    run_job(job, store_dsn, TRACKING_DELIVERY=delivery)
    assert (only_run(store_dsn).status, only_run(store_dsn).notes) == ("completed", "hooked\nin a hook")


@BOTH_ONCE
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("block", [False, True], ids=["explicit", "with"])
def test_a_signal_terminates_the_run_brings_its_tail_away_and_then_does_what_it_always_did(
    store_dsn: str, delivery: str, name: str, block: bool
) -> None:
    begin = (
        'run = ETLRunContext(tracker, "signalled").__enter__(); run_id = run.run_id'
        if block
        else 'run_id = tracker.start_run("signalled")'
    )
    job = f"""
    tracker = SimpleETLTracker(DSN)
    {begin}
    for page in range(20):
        tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
    print("ready", flush=True)
    time.sleep(60)
    """
    with job_process(job, store_dsn, TRACKING_DELIVERY=delivery) as process:
        until_it_says(process, "ready")
        number = getattr(signal, name)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (-number, "", "")
        run = only_run(store_dsn)
        assert (run.status, run.ended_by, run.requests) == ("terminated", f"signal {name}", 20)


@BOTH_ONCE
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_first_process_of_a_container_too(store_dsn: str, delivery: str, name: str) -> None:
    # There Linux ignores the default action, so the job would go on after its run was recorded as terminated.
    job = f"""
    import subprocess
    assert os.getpid() == 1
    tracker = SimpleETLTracker(DSN)
    run_id = tracker.start_run("first process")
    tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    print("buffered", end="")
    subprocess.run(["sh", "-c", "kill -{name[3:]} 1"])
    time.sleep(20)
    print("went on", flush=True)
    """
    isolated = ("unshare", "--pid", "--fork", "--mount-proc")
    if shutil.which("unshare") is None or subprocess.run([*isolated, "true"], capture_output=True).returncode:
        pytest.skip("no process namespace can be made here")
    result = run_job(job, store_dsn, prefix=isolated, TRACKING_DELIVERY=delivery)
    assert (result.returncode, result.stdout, result.stderr) == (128 + getattr(signal, name), "buffered", "")
    run = only_run(store_dsn)
    assert (run.status, run.ended_by, run.requests) == ("terminated", f"signal {name}", 1)


@BOTH_ONCE
def test_a_signal_that_comes_while_the_tracker_is_at_work_does_no_harm(store_dsn: str, delivery: str) -> None:
    job = """
    tracker = SimpleETLTracker(DSN)
    run_id = tracker.start_run("busy")
    print("ready", flush=True)
    page = 0
    while True:
        tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
        page += 1
    """
    with job_process(job, store_dsn, TRACKING_DELIVERY=delivery) as process:
        until_it_says(process, "ready")
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == -signal.SIGTERM
        run = only_run(store_dsn)
        assert run.status == "terminated"
        assert peek(store_dsn, "SELECT count(*) FROM tracking.requests")[0][0] <= run.requests


def test_a_second_signal_ends_the_job_at_once(postgres_store_dsn: str, postgres_proxy: Proxies) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    job = """
    tracker = SimpleETLTracker(DSN)
    run_id = tracker.start_run("impatient")
    print("ready", flush=True)
    time.sleep(60)
    """
    with job_process(job, proxy.dsn) as process:
        until_it_says(process, "ready")
        proxy.freeze()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        # The first one is given four seconds.
        assert time.monotonic() - sent < 3
        assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("way", "fault"),
    [("exit", "refuse"), ("exit", "freeze"), ("exit", "silence"), ("exception", "freeze"), ("SIGTERM", "silence"),
     ("close", "freeze"), ("close", "refuse")],
)  # fmt: skip
def test_leaving_gives_up_on_a_store_that_hangs_and_loses_nothing(
    postgres_store_dsn: str, postgres_proxy: Proxies, delivery: str, way: str, fault: str
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    # One way waits as long as a job does; the others wait in the same place.
    budget_s = 4.0 if way == "exit" else 1.0
    job = f"""
    import tracking_core.process.exit
    tracking_core.process.exit.STORE_BUDGET_S = {budget_s}
    trackers = [SimpleETLTracker(DSN) for _ in range(3)]
    runs = [tracker.start_run("leaving") for tracker in trackers]
    for tracker in trackers:
        tracker.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    for tracker, run_id in zip(trackers, runs):
        if {delivery == "buffered"}:
            tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    started = threading.Thread.start
    def start(thread):
        print("started", thread.name, file=sys.stderr, flush=True)
        started(thread)
    threading.Thread.start = start
    print("leaving", flush=True)
    if {way!r} == "close":
        for tracker in trackers:
            tracker.close()
    if {way!r} == "exception":
        raise SystemError("x")
    if {way!r} == "SIGTERM":
        time.sleep(60)
    """
    with job_process(job, proxy.dsn, TRACKING_DELIVERY=delivery) as process:
        until_it_says(process, "ready")
        getattr(proxy, fault)()
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
        until_it_says(process, "leaving")
        left = time.monotonic()
        if way == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        # Three trackers, one after the other, would have fifteen.
        assert time.monotonic() - left < 10
        # While the interpreter lives a warning may still be logged on a thread of its own.
        assert "started" not in err.replace("started tracking_core log", "" if way == "close" else "started")
        proxy.resume()
        replay_spool(proxy.dsn)
        status = {"exit": "abandoned", "exception": "failed", "SIGTERM": "terminated", "close": "abandoned"}[way]
        runs = SimpleETLTracker(postgres_store_dsn).get_recent_runs()
        assert [(run.status, run.requests) for run in runs] == [(status, int(delivery == "buffered"))] * 3


def test_ctrl_c_ends_a_job_that_waits_for_a_silent_store_before_its_deadline(
    postgres_store_dsn: str, postgres_proxy: Proxies
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    job = """
    tracker = SimpleETLTracker(DSN)
    run_id = tracker.start_run("waiting")
    print("ready", flush=True)
    sys.stdin.readline()
    print("waiting", flush=True)
    tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    print("not reached")
    """
    with job_process(job, proxy.dsn) as process:
        until_it_says(process, "ready")
        proxy.silence()
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
        until_it_says(process, "waiting")
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        # The call's own deadline is five seconds.
        assert time.monotonic() - sent < 4
        assert out == ""
        assert process.returncode != 0


def test_a_job_s_own_signal_handler_is_respected(store_dsn: str) -> None:
    job = """
    def mine(number, frame):
        print("mine", flush=True)
        tracker.end_run(run_id, False, "asked to stop")
        sys.exit(7)
    signal.signal(signal.SIGTERM, mine)
    tracker = SimpleETLTracker(DSN)
    run_id = tracker.start_run("handled")
    assert signal.getsignal(signal.SIGTERM) is mine
    signal.raise_signal(signal.SIGTERM)
    """
    result = run_job(job, store_dsn)
    assert (result.returncode, result.stdout) == (7, "mine\n")
    assert (only_run(store_dsn).status, only_run(store_dsn).notes) == ("failed", "handled\nasked to stop")


def test_an_ignored_signal_stays_ignored_and_other_threads_set_no_handlers(store_dsn: str) -> None:
    job = """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    tracker = SimpleETLTracker(DSN)
    thread = threading.Thread(target=lambda: tracker.end_run(tracker.start_run("worker"), True))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    tracker.end_run(tracker.start_run("main"), True)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    """
    result = run_job(job, store_dsn)
    assert (result.returncode, result.stderr) == (0, "")


@BOTH_ONCE
@pytest.mark.parametrize("way", ["SIGKILL", "os._exit"])
def test_a_process_that_is_gone_without_a_word_leaves_a_run_that_is_lost_within_three_heartbeats(
    store_dsn: str, delivery: str, way: str
) -> None:
    job = """
    tracker = SimpleETLTracker(DSN, heartbeat_interval=0.2)
    run_id = tracker.start_run("killed")
    tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    tracker.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    os._exit(0)
    """
    with job_process(job, store_dsn, TRACKING_DELIVERY=delivery) as process:
        until_it_says(process, "ready")
        # Longer than it takes a run to look lost that does not beat.
        time.sleep(1.0)
        assert (only_run(store_dsn).state, only_run(store_dsn).heartbeat_interval_s) == ("running", pytest.approx(0.2))
        if way == "SIGKILL":
            process.kill()
        process.communicate("go on\n")
        wait_until(lambda: only_run(store_dsn).state == "lost", "the run is lost")
        run = only_run(store_dsn)
        assert (run.status, run.requests) == ("running", 1)
        assert run.state_since is not None
        assert run.heartbeat_at is not None
        assert (run.state_since - run.heartbeat_at).total_seconds() == pytest.approx(3 * 0.2, abs=0.01)
        assert "no heartbeat" in run.evidence


@BOTH_ONCE
@pytest.mark.parametrize("flags", [("-i", "-q"), ()])
def test_an_exception_at_a_prompt_fails_no_open_run(store_dsn: str, delivery: str, flags: tuple[str, ...]) -> None:
    source = """
    tracker = SimpleETLTracker(DSN)
    run_id = tracker.start_run("interactive")
    1 / 0
    tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    """
    # Without -i a console that a script opens: what is raised there does not end the script either.
    console = "" if flags else "import code; code.interact(local=globals(), banner='', exitmsg='')"
    command = [sys.executable, *flags, "-c", PREAMBLE + console]
    environ = {**os.environ, "JOB_DSN": store_dsn, "TRACKING_DELIVERY": delivery, "TRACKING_QUIET": "1"}
    done = subprocess.run(
        command,
        input=textwrap.dedent(source) + "\n",
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "ZeroDivisionError" in done.stderr, done.stderr
    run = only_run(store_dsn)
    assert (run.status, run.ended_by, run.requests) == ("abandoned", "exit", 1)
    assert errors_of(store_dsn) == []


@BOTH_ONCE
def test_a_run_is_recorded_in_a_sub_interpreter(store_dsn: str, delivery: str) -> None:
    job = """
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        import _interpreters as interpreters
    inner = '''
    import os, sys
    from tracking_core import SimpleETLTracker
    tracker = SimpleETLTracker(os.environ["JOB_DSN"])
    run_id = tracker.start_run("inner")
    assert tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert tracker.end_run(run_id, True)
    tracker.close()
    '''
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, f"import sys; sys.path[:0] = {sys.path!r}" + inner.replace("\\n    ", "\\n"))
    interpreters.destroy(interpreter)
    """
    result = run_job(job, store_dsn, TRACKING_DELIVERY=delivery)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    run = only_run(store_dsn)
    assert (run.status, run.requests) == ("completed", 1)
