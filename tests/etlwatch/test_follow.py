"""`--follow`: news is told once, as it comes; a store that goes away is waited for, a reader that leaves is not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from etlwatch.cli.connect import go_on
from etlwatch.reading import runs as following
from etlwatch.reading.poller import Backoff
from etlwatch.reading.runs import ErrorFollower, RunFollower
from tests.etlwatch.cli_program import MAIN, PROJECT, Program, command
from tests.store.stocking import Stock
from tests.support.proxy import PostgresProxy
from tracking_core.errors import StoreUnavailable
from tracking_core.store.base import Store
from tracking_core.store.queries import Reader

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def reader(stock: Stock) -> Iterator[Reader]:
    with stock.store.reader(5.0) as connection:
        yield connection


def states(follower: RunFollower, reader: Reader) -> dict[int, str]:
    told = {run.run_id: str(run.state) for run in follower.changed(reader)}
    follower.mark_seen()
    return told


# -- runs


def test_a_run_is_told_when_it_is_new_and_when_its_state_changes(stock: Stock, reader: Reader) -> None:
    before = stock.start(NOW - MINUTE, job="crm")
    follower = RunFollower()
    assert states(follower, reader) == {before: "running"}
    assert states(follower, reader) == {}
    later = stock.start(NOW, job="crm")
    assert states(follower, reader) == {later: "running"}
    stock.end(before, NOW)
    assert states(follower, reader) == {before: "completed"}
    assert states(follower, reader) == {}


def test_a_derived_state_is_news_as_a_stored_one_is(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW - MINUTE, job="crm", heartbeat_interval_s=30)
    stock.beat(run_id)
    follower = RunFollower()
    assert states(follower, reader) == {run_id: "running"}
    reader.at = NOW + timedelta(hours=1)  # type: ignore[attr-defined]
    assert states(follower, reader) == {run_id: "lost"}
    reader.at = None  # type: ignore[attr-defined]
    assert states(follower, reader) == {run_id: "running"}


def test_a_run_that_ends_long_after_it_began_is_told(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NEW_RUNS_PAGE", 2)
    oldest = stock.start(NOW - 90 * MINUTE)
    for minutes in (5, 4, 3):
        stock.finished(NOW - minutes * MINUTE, NOW)
    follower = RunFollower()
    assert states(follower, reader)[oldest] == "running"
    stock.end(oldest, NOW)
    assert states(follower, reader) == {oldest: "completed"}
    assert states(follower, reader) == {}


def test_no_run_is_passed_over_when_many_begin_between_two_looks(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NEW_RUNS_PAGE", 2)
    stock.finished(NOW - 9 * MINUTE, NOW)
    follower = RunFollower()
    states(follower, reader)
    begun = [stock.finished(NOW - minutes * MINUTE, NOW) for minutes in (7, 6, 5, 4, 3)]
    assert list(states(follower, reader)) == begun


def test_what_was_not_told_is_told_again(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW)
    follower = RunFollower()
    assert [run.run_id for run in follower.changed(reader)] == [run_id]
    assert [run.run_id for run in follower.changed(reader)] == [run_id]


# -- errors


def messages(follower: ErrorFollower, reader: Reader) -> list[str]:
    told = [error.message for error in follower.added(reader)]
    follower.mark_seen()
    return told


def test_an_error_is_told_once_also_when_it_comes_late(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW - 9 * MINUTE)
    stock.error(run_id, "first", NOW - MINUTE)
    follower = ErrorFollower()
    assert messages(follower, reader) == ["first"]
    assert messages(follower, reader) == []
    stock.error(run_id, "third", NOW)
    stock.error(run_id, "late", NOW - 5 * MINUTE)
    assert messages(follower, reader) == ["late", "third"]
    assert messages(follower, reader) == []


def test_no_error_is_passed_over_in_a_storm(stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "NEW_RUNS_PAGE", 3)
    run_id = stock.start(NOW - 9 * MINUTE)
    stock.error(run_id, "before", NOW - MINUTE)
    follower = ErrorFollower()
    messages(follower, reader)
    storm = [f"error {n}" for n in range(20)]
    for n, message in enumerate(storm):
        stock.error(run_id, message, NOW + timedelta(milliseconds=n))
    assert messages(follower, reader) == storm
    assert not follower.cut
    assert messages(follower, reader) == []


def test_errors_that_a_look_passes_over_are_told_of(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NEW_RUNS_PAGE", 3)
    monkeypatch.setattr(following, "MOST_ERRORS", 6)
    run_id = stock.start(NOW - 9 * MINUTE)
    follower = ErrorFollower()
    messages(follower, reader)
    for n in range(8):
        stock.error(run_id, f"error {n}", NOW + timedelta(milliseconds=n))
    assert messages(follower, reader) == [f"error {n}" for n in range(2, 8)]
    assert follower.cut
    assert messages(follower, reader) == []
    assert not follower.cut


def test_errors_of_one_run_are_followed_alone(stock: Stock, reader: Reader) -> None:
    one, other = stock.start(NOW - MINUTE), stock.start(NOW)
    follower = ErrorFollower(one)
    assert messages(follower, reader) == []
    stock.error(other, "not asked for", NOW)
    stock.error(one, "asked for", NOW)
    assert messages(follower, reader) == ["asked for"]


# -- the loop, by a clock of the test's


class Enough(Exception):
    """Ends a loop that has no end."""


class Flaky:
    """A store whose readers are opened and closed; looking fails where a test says so."""

    label = "the store"

    def __init__(self, failing: list[bool]) -> None:
        self.failing = failing
        self.opened = self.closed = 0

    def reader(self, deadline: float) -> Any:
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def look(self, reader: object) -> None:
        if not self.failing:
            raise Enough
        if self.failing.pop(0):
            raise StoreUnavailable("the store: connection refused")


def loop(store: Flaky) -> list[float]:
    """Run the loop until it is through, and return how long it waited each time."""
    waited: list[float] = []
    clock = [0.0]

    def wait(seconds: float) -> None:
        waited.append(seconds)
        clock[0] += seconds

    with pytest.raises((Enough, StoreUnavailable)):
        go_on(
            cast(Store, store),
            store.look,
            interval=5.0,
            wait=wait,
            backoff=Backoff(draw=lambda: 1.0),
            monotonic=lambda: clock[0],
        )
    assert store.opened == store.closed
    return waited


def test_a_store_that_goes_away_is_tried_again_and_that_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    store = Flaky([False, False, True, True, True, False, False])
    assert loop(store) == [5.0, 5.0, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert store.opened == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "no connection: the store: connection refused; trying again",
        "the store answers again, after 12s",
    ]


def test_a_store_that_does_not_answer_at_first_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    store = Flaky([True])
    assert loop(store) == []
    assert capsys.readouterr().err == ""


# -- as commands


@contextmanager
def following_command(*words: str, dsn: str) -> Iterator["subprocess.Popen[str]"]:
    often = () if "--interval" in words else ("--interval", "0.1")
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, words[0], "--follow", *often, "--dsn", dsn, *words[1:]],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_runs_come_as_json_lines_and_ctrl_c_ends_it(stock: Stock, store_dsn: str) -> None:
    first = stock.start(NOW - MINUTE, job="crm")
    stock.start(NOW, job="ads")
    with following_command("runs", "job:crm", "--format", "jsonl", dsn=store_dsn) as process:
        told = json.loads(line_of(process))
        assert (told["run_id"], told["state"]) == (str(first), "running")
        stock.end(first, NOW)
        assert json.loads(line_of(process))["state"] == "completed"
        stock.finished(NOW, NOW, job="ads")
        later = stock.finished(NOW, NOW, job="crm")
        assert json.loads(line_of(process))["run_id"] == str(later)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    # The line that ctrl-c stands in is ended.
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_errors_come_as_they_are_recorded_below_one_heading(stock: Stock, store_dsn: str) -> None:
    run_id = stock.start(NOW - MINUTE, job="crm")
    stock.error(run_id, "first", NOW)
    with following_command("errors", "crm@latest", "--format", "csv", dsn=store_dsn) as process:
        assert line_of(process).startswith("run_id,id,job,")
        assert ",first," in line_of(process)
        stock.error(run_id, "second", NOW)
        assert ",second," in line_of(process)


def test_a_table_is_a_line_for_each_change(stock: Stock, store_dsn: str) -> None:
    run_id = stock.start(NOW - MINUTE, job="crm", notes="tonight")
    with following_command("runs", dsn=store_dsn) as process:
        assert line_of(process).split()[2:] == ["running", _id(run_id), "crm", "tonight"]
        stock.end(run_id, NOW, status="failed")
        assert line_of(process).split()[2:] == ["failed", _id(run_id), "crm", "tonight"]


def _id(run_id: int) -> str:
    from tracking_core.identity import format_run_id

    return format_run_id(run_id)


def test_a_reader_that_leaves_ends_it_at_once_and_quietly(stock: Stock, store_dsn: str) -> None:
    stock.start(NOW)
    with following_command("runs", "--interval", "60", dsn=store_dsn) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line_of(process)
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_a_stream_goes_on_when_its_store_comes_back(
    postgres_store_dsn: str, postgres_proxy: Callable[[str], PostgresProxy]
) -> None:
    proxy = postgres_proxy(postgres_store_dsn)
    stock = Stock(postgres_store_dsn)
    stock.start(NOW - MINUTE)
    with following_command("runs", "--format", "jsonl", dsn=proxy.dsn) as process:
        assert process.stderr is not None
        line_of(process)
        proxy.refuse()
        proxy.cut()
        assert process.stderr.readline().rstrip().endswith("; trying again")
        later = stock.start(NOW)
        proxy.resume()
        assert json.loads(line_of(process))["run_id"] == str(later)
        assert " answers again, after " in process.stderr.readline()
    stock.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("runs", "--follow", "--format", "json"), "--format jsonl"),
        (("errors", "--follow", "--format", "json"), "--format jsonl"),
        (("errors", "--follow", "--group"), "not both"),
    ],
)
def test_what_has_no_end_is_not_written_as_what_has_one(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    answer = Program(capsys)(*words)
    assert answer.status == 2
    assert told in answer.complaint


def test_a_store_that_is_not_there_is_a_fault_at_once() -> None:
    done = command("runs", "--follow", "--dsn", "sqlite:////no/such/file.db")
    assert done.returncode == 3
