"""The dashboard in a real terminal, on both stores: a walk, hostile text, ctrl+z, signals, a hang-up, no colour."""

from __future__ import annotations

import base64
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.stock import Fleet
from tests.benchmarks.stock import stock as fill
from tests.etlwatch.cli_program import MAIN, PROJECT, python
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker

HOSTILE = (
    "[/foo] [@click=app.quit]x[/] \x1b]0;owned\x07 \x1b[2J\x1b[31m \x9b5n \u202egnp.exe\u202c z\u200bw \x1bPq\x1b\\"
)
"""Markup, a title, a clear, a colour, a C1 query, a right-to-left override, a zero-width space, device control."""

Open = Callable[..., AbstractContextManager[Terminal]]


@pytest.fixture
def opened() -> Open:
    """Return an opener of the dashboard in a terminal."""

    @contextmanager
    def open_terminal(*arguments: str, columns: int = 80, lines: int = 24, **environment: str) -> Iterator[Terminal]:
        with Terminal(
            [sys.executable, "-c", MAIN, *arguments],
            columns=columns,
            lines=lines,
            environment={"PYTHONPATH": str(PROJECT), **environment},
        ) as terminal:
            yield terminal

    return open_terminal


def stock(dsn: str) -> None:
    """Record a completed, a failed and a running run through the public API."""
    tracker = SimpleETLTracker(dsn)
    done = tracker.start_run("nightly invoices", job="invoices_export")
    for page in range(30):
        tracker.log_request(done, "/invoices", page * 100, 100, 200, 100, 120 + page)
    tracker.log_source_count(done, "invoices", 3_000)
    tracker.end_run(done, success=True)
    failed = tracker.start_run(job="ads_metrics_pull")
    tracker.log_phase(failed, "load", "running", totals={"rows": 100}, processed={"rows": 12})
    tracker.log_request(failed, "/ads", None, None, 500, 0, 2_000, error="boom")
    try:
        raise ValueError("time data '0000-00-00' does not match")
    except ValueError as error:
        tracker.log_error(failed, error, phase="load")
    tracker.end_run(failed, success=False, notes="time data is bad")
    running = tracker.start_run(job="crm_contacts_sync")
    tracker.log_phase(running, "fetch", "running", totals={"contacts": 200}, processed={"contacts": 74})
    tracker.log_request(running, "/contacts", 0, 100, 200, 100, 310)


@pytest.mark.parametrize(("store_dsn", "size"), [("sqlite", (80, 24)), ("postgres", (160, 40))], indirect=["store_dsn"])
def test_a_walk_through_every_screen_ends_with_status_nought(
    store_dsn: str, opened: Open, size: tuple[int, int]
) -> None:
    stock(store_dsn)
    with opened("--dsn", store_dsn, columns=size[0], lines=size[1]) as terminal:
        terminal.wait_for(re.compile(r"▌ × failed +ads_metrics_pull"))
        terminal.wait_for(re.compile(r"● running +crm_contacts_sync .*1/1 fetch"))
        terminal.wait_for(re.compile(r"✓ completed +invoices_export"))
        terminal.press("j", "k", "enter")
        terminal.wait_for("× failed at ")
        terminal.wait_for("[overview]")
        for tab in ("phases", "requests", "errors 1", "source", "delivery"):
            terminal.press("]")
            terminal.wait_for(f"[{tab}]")
        terminal.press("e")
        terminal.wait_for("ValueError: time data '0000-00-00' does not match")
        terminal.press("escape")
        terminal.wait_for("state ↓")
        terminal.press("?")
        terminal.wait_for("open the run: everything about it")
        terminal.press("escape")
        terminal.wait_for_no("Keys ─")
        terminal.press("/", *"state:completed", "enter")
        terminal.wait_for(re.compile(r"/state:completed  1 of 3"))
        terminal.press("q")
        assert terminal.wait_for_exit() == 0


def test_a_run_begun_while_looking_appears_by_itself(sqlite_store_dsn: str, opened: Open) -> None:
    with opened("--dsn", sqlite_store_dsn, "--interval", "0.2") as terminal:
        terminal.wait_for("No runs yet.")
        stock(sqlite_store_dsn)
        terminal.wait_for(re.compile(r"● running +crm_contacts_sync"))
        terminal.press("q")
        assert terminal.wait_for_exit() == 0


def test_a_file_that_is_renamed_away_is_a_banner_until_it_is_back(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    path = Path(sqlite_store_dsn.removeprefix("sqlite:///"))
    with opened("--dsn", sqlite_store_dsn, "--interval", "0.2", columns=120) as terminal:
        terminal.wait_for("invoices_export")
        path.rename(path.with_name("aside.db"))
        terminal.wait_for(re.compile(r"! no (connection|tables): .*Retry "))
        assert "invoices_export" in terminal.text
        path.with_name("aside.db").rename(path)
        terminal.press("r")
        terminal.wait_for_no("Retry ")


def test_nothing_in_the_store_acts_on_the_terminal(sqlite_store_dsn: str, opened: Open) -> None:
    tracker = SimpleETLTracker(sqlite_store_dsn)
    run = tracker.start_run(HOSTILE, job=HOSTILE, tags={"t": HOSTILE})
    tracker.log_phase(run, HOSTILE, "running", totals={HOSTILE: 10}, processed={HOSTILE: 5})
    tracker.log_request(run, HOSTILE, 0, 100, 500, 1, 100, error=HOSTILE)
    tracker.log_source_count(run, HOSTILE, 10)
    try:
        raise RuntimeError(HOSTILE)
    except RuntimeError as error:
        tracker.log_error(run, error, phase=HOSTILE)
    tracker.end_run(run, success=False, notes=HOSTILE)
    with opened("--dsn", sqlite_store_dsn, columns=160, lines=40) as terminal:
        terminal.wait_for(re.compile(r"× failed +\[/foo\]"))
        terminal.press("enter")
        terminal.wait_for("[overview]")
        for tab in ("phases", "requests", "errors 1", "source", "delivery"):
            terminal.press("]")
            terminal.wait_for(f"[{tab}]")
        terminal.press("e", "enter", "G", "y", "Y", "escape", "escape")
        terminal.wait_for("state ↓")
        terminal.press("/", *"[/foo] [@click", "enter")
        terminal.wait_for("/[/foo] [@click")
        terminal.press("q")
        assert terminal.wait_for_exit() == 0
        sent = terminal.output
    for raw in (b"owned\x07", b"\x1b]0;owned", b"\x1b[2J\x1b[31m ", b"\xc2\x9b", "\u202e".encode(), "\u200b".encode()):
        assert raw not in sent, raw
    assert "␛]0;owned".encode() in sent
    assert "‹U+202E›".encode() in sent


def test_a_closed_terminal_ends_the_process(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn) as terminal:
        terminal.wait_for("invoices_export")
        terminal.hang_up()
        assert terminal.wait_for_exit() != 0


def test_a_closed_terminal_ends_the_process_also_where_hang_ups_are_ignored(
    sqlite_store_dsn: str, tmp_path: Path
) -> None:
    stock(sqlite_store_dsn)
    # Ignored for good, as under a shell that was told so: only the terminal itself can tell.
    deaf = (
        "import signal, sys, etlwatch.tui.app as app; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "app.EtlwatchApp.handle_signals = lambda self: None; from etlwatch.__main__ import main; sys.exit(main())"
    )
    with Terminal(
        [sys.executable, "-c", deaf, "--dsn", sqlite_store_dsn], environment={"PYTHONPATH": str(PROJECT)}
    ) as terminal:
        terminal.wait_for("invoices_export")
        terminal.hang_up()
        assert terminal.wait_for_exit() == 129


def test_a_terminal_closed_before_the_app_listens_ends_the_process(sqlite_store_dsn: str) -> None:
    stock(sqlite_store_dsn)
    late = (
        "import select, signal, sys, etlwatch.tui.app as app; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "app.EtlwatchApp.handle_signals = lambda self: None; start = app.TerminalDriver.start_application_mode\n"
        "def start_and_wait(driver):\n"
        "    start(driver)\n"
        "    driver.write('\\x1b[Hstarted')\n"
        "    lost = select.poll()\n"
        "    lost.register(driver.fileno, 0)\n"
        "    lost.poll()\n"
        "app.TerminalDriver.start_application_mode = start_and_wait\n"
        "from etlwatch.__main__ import main; sys.exit(main())"
    )
    with Terminal(
        [sys.executable, "-c", late, "--dsn", sqlite_store_dsn], environment={"PYTHONPATH": str(PROJECT)}
    ) as terminal:
        terminal.wait_for("started")
        terminal.hang_up()
        assert terminal.wait_for_exit() == 129


def test_sigterm_gives_the_terminal_back(sqlite_store_dsn: str, opened: Open) -> None:
    with opened("--dsn", sqlite_store_dsn) as terminal:
        terminal.wait_for("No runs yet.")
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.wait_for_exit() == 143
        assert b"\x1b[?1049l" in terminal.output
        assert b"\x1b[?25h" in terminal.output


def test_ctrl_z_stops_it_and_coming_back_draws_everything(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn) as terminal:
        terminal.wait_for("invoices_export")
        terminal.press("ctrl+z")
        state = Path(f"/proc/{terminal.pid}/stat")
        if state.exists():
            wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "the process has stopped")
        else:
            time.sleep(0.5)
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.wait_for(re.compile(r"▌ × failed +ads_metrics_pull"))
        terminal.press("q")
        assert terminal.wait_for_exit() == 0


def test_ctrl_c_leaves_in_order(sqlite_store_dsn: str, opened: Open) -> None:
    with opened("--dsn", sqlite_store_dsn) as terminal:
        terminal.wait_for("No runs yet.")
        terminal.press("ctrl+c")
        assert terminal.wait_for_exit() == 0
        assert b"Traceback" not in terminal.output


def test_without_colour_nothing_coloured_is_sent(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, NO_COLOR="1") as terminal:
        terminal.wait_for("ads_metrics_pull")
        terminal.press("enter")
        terminal.wait_for("[overview]")
        terminal.press("?")
        terminal.wait_for(" Keys ")
        terminal.press("escape", "Q")
        assert terminal.wait_for_exit() == 0
        codes = {
            code
            for match in re.finditer(rb"\x1b\[([0-9;]*)m", terminal.output)
            for code in match[1].decode().split(";")
            if code
        }
    assert codes <= {"0", "1", "2", "3", "4", "7"}, codes


def test_sixteen_colours_send_no_others(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, "--theme", "ansi") as terminal:
        terminal.wait_for("ads_metrics_pull")
        terminal.press("enter")
        terminal.wait_for("[overview]")
        terminal.press("escape", "q")
        assert terminal.wait_for_exit() == 0
        assert b"38;2;" not in terminal.output
        assert b"48;2;" not in terminal.output


def test_in_ascii_only_ascii_is_sent(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, "--ascii") as terminal:
        terminal.wait_for(re.compile(r"> x failed +ads_metrics_pull"))
        terminal.press("enter")
        terminal.wait_for("[overview]")
        for tab in ("phases", "requests", "errors 1", "source", "delivery"):
            terminal.press("]")
            terminal.wait_for(f"[{tab}]")
        terminal.press("escape", "?")
        terminal.wait_for("esc closes")
        terminal.press("escape", "q")
        assert terminal.wait_for_exit() == 0
        assert terminal.output.isascii()


def test_without_the_mouse_none_is_asked_for(sqlite_store_dsn: str, opened: Open) -> None:
    with opened("--dsn", sqlite_store_dsn, "--no-mouse") as terminal:
        terminal.wait_for("No runs yet.")
        terminal.press("q")
        assert terminal.wait_for_exit() == 0
        assert b"\x1b[?1000h" not in terminal.output
        assert b"\x1b[?1003h" not in terminal.output


def test_a_store_that_refuses_from_the_start_ends_it_with_one_line(tmp_path: Path, opened: Open) -> None:
    with opened("--dsn", f"sqlite:///{tmp_path}/none.db") as terminal:
        assert terminal.wait_for_exit() == 3
        last = [line for line in terminal.lines if line.strip()][-1]
        assert "none.db" in "".join(terminal.lines)
        assert last
        assert b"Traceback" not in terminal.output


def test_a_closed_port_is_a_banner_without_the_password(opened: Open) -> None:
    with opened("--dsn", "postgresql://etl:hunter2@127.0.0.1:1/nowhere") as terminal:
        terminal.wait_for(re.compile(r"! no connection: .*Retry \d+ "))
        terminal.press("Y")
        terminal.wait_for("sent to terminal")
        terminal.press("q")
        assert terminal.wait_for_exit() == 0
        assert b"hunter2" not in terminal.output
        copied = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07", terminal.output)
    assert [base64.b64decode(payload).decode() for payload in copied] == [
        "etlwatch runs --dsn 'user=etl host=127.0.0.1 port=1 dbname=nowhere'"
    ]


def test_a_slow_link_is_sent_little(sqlite_store_dsn: str, opened: Open) -> None:
    fill(sqlite_store_dsn, Fleet(runs=100, requests=100, alive=8, jobs=20))
    steps = (("?", "here", 3_000), ("escape", "job-10", 3_000), ("j", "job-", 900), ("j", "job-", 900))
    steps += (("enter", "[overview]", 5_000),)
    # The interval keeps polls, which send something as well, out of the figures.
    with opened("--dsn", sqlite_store_dsn, "--interval", "60") as terminal:
        terminal.wait_for("job-10")
        terminal.wait_until_quiet(1.2)
        for key, shown, most in steps:
            before = len(terminal.output)
            terminal.press(key)
            terminal.wait_for(shown)
            terminal.wait_until_quiet(0.4)
            assert 100 < len(terminal.output) - before <= most, key


def test_low_bandwidth_has_charts_only_when_they_are_asked_for(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, "--low-bandwidth") as terminal:
        terminal.wait_for(re.compile(r"tracking on +5s"))
        assert "throughput" not in terminal.wait_for("ads_metrics_pull")
        terminal.press("z")
        terminal.wait_for("throughput")
        terminal.press("escape")
        terminal.wait_for_no("throughput")


def test_a_dumb_terminal_gets_the_runs_and_the_command_that_follows_them(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, columns=120, TERM="dumb") as terminal:
        assert terminal.wait_for_exit() == 0
        assert "ads_metrics_pull" in terminal.text
        assert "TERM=dumb cannot show the dashboard; `etlwatch runs --follow` prints a line a change" in terminal.text
        assert b"\x1b" not in terminal.output


def test_followed_runs_come_with_the_counts_of_states_on_a_terminal(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, "runs", "--follow", columns=160, TERM="dumb") as terminal:
        terminal.wait_for("tracking.db: 1 failed, 1 running, 1 done in 1h")
        SimpleETLTracker(sqlite_store_dsn).start_run(job="another")
        terminal.wait_for("tracking.db: 1 failed, 2 running, 1 done in 1h")
        made_good = SimpleETLTracker(sqlite_store_dsn).start_run(job="ads_metrics_pull")
        SimpleETLTracker(sqlite_store_dsn).end_run(made_good, success=True)
        terminal.wait_for("tracking.db: 2 running, 2 done in 1h")
        assert sum("another" in line for line in terminal.lines) == 1
        terminal.press("ctrl+c")
        assert terminal.wait_for_exit() == 130
        assert b"\x1b" not in terminal.output


def test_the_interval_of_a_wrong_kind_is_refused(opened: Open, sqlite_store_dsn: str) -> None:
    with opened("--dsn", sqlite_store_dsn, "--interval", "0") as terminal:
        assert terminal.wait_for_exit() == 2


def test_resizing_down_to_almost_nothing_and_back_goes_on(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, columns=160, lines=40) as terminal:
        terminal.wait_for("ads_metrics_pull")
        for columns, lines in ((20, 5), (80, 24), (5, 2), (120, 30)):
            terminal.resize(columns, lines)
            terminal.wait_until_quiet(0.2)
        terminal.wait_for(re.compile(r"▌ × failed +ads_metrics_pull"))
        terminal.press("q")
        assert terminal.wait_for_exit() == 0


def test_ctrl_l_draws_the_whole_screen_again(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn) as terminal:
        terminal.wait_for("ads_metrics_pull")
        for keys, wanted in (((), "≡"), (("?",), "Keys ─"), (("escape", "/"), "of 3")):
            terminal.press(*keys)
            if keys:
                terminal.wait_for(wanted)
            terminal.wait_until_quiet()
            before = terminal.lines
            # What another program has written over it.
            terminal.screen.feed("".join(f"\x1b[{line};1H\x1b[0;7m{'#' * 80}" for line in range(1, 25)).encode())
            terminal.press("ctrl+l")
            terminal.wait_for_no("###")
            assert [terminal.lines[place] for place in (1, 5, -1)] == [before[place] for place in (1, 5, -1)]
        terminal.press("Q")
        terminal.wait_for("/  Q ")
        terminal.press("escape", "enter", "Q")
        assert terminal.wait_for_exit() == 0


def test_keys_and_clicks_of_a_real_terminal_follow_the_conventions(sqlite_store_dsn: str, opened: Open) -> None:
    stock(sqlite_store_dsn)
    with opened("--dsn", sqlite_store_dsn, columns=120, lines=35) as terminal:
        terminal.wait_for("1 failed")
        terminal.wait_until(lambda _: b"\x1b[?1006h" in terminal.output, "clicks are reported")
        terminal.wait_until_quiet()
        column = terminal.lines[0].index("1 failed") + 1
        terminal.send(f"\x1b[<0;{column};1M\x1b[<0;{column};1m")
        terminal.wait_for("/state:failed  1 of 3")
        terminal.press("d")
        terminal.wait_for("[overview]")
        terminal.press("right")
        terminal.wait_for("[phases]")
        terminal.press("l")
        terminal.wait_for("ValueError: time data '0000-00-00' does not match")
        terminal.press("5", "left", "q", "escape", "space", "escape")
        terminal.wait_for("state ↓")
        terminal.wait_for_no("state:failed")
        terminal.send("\x1b[<0;20;6M\x1b[<0;20;6m")
        terminal.wait_for("z next chart")
        terminal.press("q", "q")
        assert terminal.wait_for_exit() == 0


def test_a_crash_is_reported_without_the_values_of_variables(sqlite_store_dsn: str) -> None:
    broken = (
        "import sys; from etlwatch.tui.screens.home import HomeScreen\n"
        "def show(self, snapshot):\n    password = 'hunter' + '2'\n    raise RuntimeError('broken on purpose')\n"
        "HomeScreen.show_snapshot = show\n"
        f"{MAIN}"
    )
    with Terminal(
        [sys.executable, "-c", broken, "--dsn", sqlite_store_dsn],
        columns=200,
        lines=60,
        environment={"PYTHONPATH": str(PROJECT)},
    ) as terminal:
        assert terminal.wait_for_exit() == 1
        assert b"broken on purpose" in terminal.output
        assert b"hunter2" not in terminal.output
        assert terminal.output.rfind(b"\x1b[?1049l") < terminal.output.rfind(b"broken on purpose"), "on the main screen"


@pytest.mark.parametrize("debug", ["", "1"])
def test_an_error_of_a_screen_that_is_gone_is_written_at_the_end_for_debugging(
    sqlite_store_dsn: str, debug: str
) -> None:
    broken = (
        "import sys; from etlwatch.tui.app import EtlwatchApp\n"
        "from etlwatch.tui.dialogs.commands import HelpScreen\n"
        "from textual._context import active_message_pump\n"
        "def fail(self):\n"
        "    token = active_message_pump.set(HelpScreen(()))\n"
        "    self._handle_exception(RuntimeError('broken on purpose'))\n"
        "    active_message_pump.reset(token)\n"
        "EtlwatchApp.action_pause = fail\n"
        f"{MAIN}"
    )
    with Terminal(
        [sys.executable, "-c", broken, "--dsn", sqlite_store_dsn],
        environment={"PYTHONPATH": str(PROJECT), "ETLWATCH_DEBUG": debug},
    ) as terminal:
        terminal.wait_for("No runs yet")
        terminal.send("pq")
        assert terminal.wait_for_exit() == 0
        assert (b"dropped: RuntimeError: broken on purpose" in terminal.output) == bool(debug)


def test_drivers_and_the_chart_library_are_left_for_later() -> None:
    done = python(
        "import sys, etlwatch.tui.app; print([name for name in ('psycopg', 'sqlite3', 'plotext', 'psutil', "
        "'etlwatch.tui.screens.run', 'etlwatch.tui.widgets.plot') if name in sys.modules])"
    )
    assert done.stdout.decode().strip() == "[]", done.stderr.decode()
