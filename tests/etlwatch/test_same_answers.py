"""A command and a screen give one answer: each command beside what the dashboard shows of the same store and moment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import pytest

from etlwatch.analysis.compare import compare_runs
from etlwatch.analysis.jobs import build_job
from etlwatch.analysis.run_rows import build_rows
from etlwatch.analysis.series import window_called
from etlwatch.analysis.snapshot import ErrorsBoard, JobsBoard, RunsBoard, Snapshot
from etlwatch.cli import compare, show
from etlwatch.fields.errors import ERRORS, KINDS, ErrorRow
from etlwatch.fields.jobs import JOBS
from etlwatch.fields.runs import RUNS, run_data, run_passes
from etlwatch.reading.details import RunReport
from etlwatch.reading.gatherer import AskedErrors, AskedJobs, AskedRuns, Gatherer, Watch
from etlwatch.reading.past import reader_as_of
from etlwatch.reading.runs import RunFollower, RunQuery, find_runs
from tests.etlwatch.cli_program import Program
from tests.etlwatch.fleet import FakeStore, make_run
from tests.etlwatch.scripted_night import BEGIN, END, MINUTE, scripted_night
from tests.support.databases import Databases
from tracking_core.records import Run
from tracking_core.store import open_store

PAST = BEGIN + 36.9 * MINUTE
LATELY = 36 * 3_600
"""A window that begins where nothing runs."""


@dataclass
class Night:
    """A store, the moment that is asked for, and what takes commands."""

    dsn: str
    moment: datetime | None
    program: Program

    def told(self, *words: str) -> Any:
        """Return what a command says as data."""
        at = [] if self.moment is None else ["--at", self.moment.isoformat()]
        answer = self.program(*words, *at, "--format", "json", "--dsn", self.dsn)
        assert answer.status == 0, answer.err
        return answer.data

    def shown(self, **watched: Any) -> Snapshot:
        """Return what a screen shows."""
        with open_store(self.dsn).reader(30.0) as reader:
            then = reader if self.moment is None else reader_as_of(reader, self.moment)
            return Gatherer(at_once=True).read(then, Watch(**watched))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def dsn(
    request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "postgres":
            place = stack.enter_context(databases.fresh())
        else:
            place = f"sqlite:///{tmp_path_factory.mktemp('night') / 'night.db'}"
        open_store(place).initialize()
        night = scripted_night(place, every_beat=False)
        night.until(END)
        yield place
        night.stock.close()


@pytest.fixture(params=["now", "then"])
def night(dsn: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Night:
    return Night(dsn, None if request.param == "now" else PAST, Program(capsys))


def brief(row: Any) -> tuple[object, ...]:
    return tuple(row[key] for key in ("run_id", "state", "state_since", "requests", "items", "errors"))


def briefly(runs: Iterable[Run]) -> list[tuple[object, ...]]:
    return [brief(run_data(run)) for run in runs]


def test_runs_lists_what_home_lists(night: Night) -> None:
    rows = night.told("runs", "--limit", "1000")
    shown = night.shown().runs
    assert [brief(row) for row in rows] == briefly(shown)
    assert {"lost", "failed"} & {run.state for run in shown}


@pytest.mark.parametrize(
    "words", ["state:lost,stalled,slow", "state:failed", "job:crm since:2d", "endpoint:/ads", "req>50 !steady"]
)
def test_a_filter_takes_the_same_runs_in_both(night: Night, words: str) -> None:
    shown = night.shown(endpoints=True)
    wanted = RUNS.filter(words)
    rows = [row for row in build_rows(shown) if run_passes(wanted, row, shown.at, asked_by(shown, row.run))]
    told = night.told("runs", words, "--limit", "1000")
    assert [brief(row) for row in told] == briefly(row.run for row in rows)


def asked_by(shown: Snapshot, run: Run) -> frozenset[str]:
    return shown.endpoints.get(run.run_id, frozenset())


@pytest.mark.parametrize(
    ("words", "reads"), [("state:failed", 0), ("state:failed,slow", 1), ("!state:failed", 1), ("", 1)]
)
def test_a_filter_that_no_living_run_passes_reads_none(words: str, reads: int) -> None:
    store = FakeStore(runs=[make_run("a"), make_run("b", lasted_s=60, status="failed", number=2)])
    reader: Any = store.reader(1.0)
    found = list(find_runs(reader, RunQuery(filter=RUNS.filter(words))))
    assert store.asked["live_runs"] == reads
    assert any(run.status == "failed" for run in found) == (not words.startswith("!"))


def test_show_says_what_the_run_screen_says(night: Night) -> None:
    for run in night.shown().runs[:8]:
        shown = night.shown(open_run=run.run_id)
        details = shown.details
        assert details is not None
        assert details.run is not None
        parts = {field.name: getattr(details, field.name) for field in fields(details)}
        on_screen = RunReport(
            **parts,
            at=shown.at,
            findings=shown.findings.get(run.run_id, ()),
            baseline=shown.baselines[run.job],
            histogram={},
        )
        told, expected = night.told("show", str(run.run_id)), json.loads(json.dumps(show.detail_data(on_screen)))
        assert brief(told["run"]) == brief(expected["run"])
        for finding in (*told["findings"], *expected["findings"]):
            del finding["because"], finding["value"]
        for part in ("findings", "phases", "endpoints", "source_counts", "errors", "ledger"):
            assert told[part] == expected[part], part


def test_jobs_lists_what_the_jobs_screen_lists(night: Night) -> None:
    shown = night.shown(board=AskedJobs())
    assert isinstance(shown.board, JobsBoard)
    living = {run.run_id: run for run in shown.runs}
    rows = {each.job: build_job(each, now=shown.at, living=living) for each in shown.board.histories}
    told = {row["job"]: row for row in night.told("jobs")}
    assert told.keys() == rows.keys()
    for job, row in rows.items():
        expected = JOBS.data(row)
        for key in ("trouble", "completed", "counted", "usual_s", "p95_s", "trend", "last_state", "next_expected"):
            assert told[job][key] == expected[key], (job, key)
        assert [run["state"] for run in told[job]["last_runs"]] == [run.state for run in row.runs]


def test_errors_lists_what_the_errors_tab_lists(night: Night) -> None:
    failed = [run for run in night.shown().runs if run.errors]
    assert failed
    for run in failed:
        details = night.shown(open_run=run.run_id).details
        assert details is not None
        told = night.told("errors", str(run.run_id), "--limit", "200")
        assert told == [ERRORS.data(ErrorRow(each, run.job)) for each in details.errors]


def test_errors_are_grouped_as_the_errors_screen_groups_them(night: Night) -> None:
    board = night.shown(board=AskedErrors(window_s=7 * 86_400)).board
    assert isinstance(board, ErrorsBoard)
    assert board.kinds
    assert night.told("errors", "--group") == [KINDS.data(kind) for kind in board.kinds]


def test_errors_of_a_run_are_grouped_as_its_screen_groups_them(night: Night) -> None:
    run = next(run for run in night.shown().runs if run.errors)
    details = night.shown(open_run=run.run_id).details
    assert details is not None
    assert night.told("errors", "--group", str(run.run_id)) == [KINDS.data(each) for each in details.kinds]


def test_compare_finds_the_differences_that_the_screen_shows(night: Night) -> None:
    shown = night.shown()
    run = next(
        run for run in shown.runs if run.job == "crm" and run.status == ("completed", "running")[bool(night.moment)]
    )
    screen = night.shown(board=AskedRuns(after=run.run_id))
    assert isinstance(screen.board, RunsBoard)
    assert screen.board.before is not None
    found = compare_runs(screen.board.after, screen.board.before, now=screen.at)
    assert night.told("compare", str(run.run_id)) == json.loads(json.dumps(compare.comparison_data(found)))


def test_stats_add_up_what_the_chart_shows(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = Program(capsys)("stats", "--window", "36h", "--format", "json", "--dsn", dsn).data
    with open_store(dsn).reader(30.0) as reader:
        shown = Gatherer().read(reader, Watch(window=window_called("7d")))
    cells = [cell for cell in shown.fleet.cells if cell.bucket >= shown.at.timestamp() - LATELY]
    for key in ("requests", "items", "failed", "throttled"):
        assert told["total"][key] == sum(getattr(cell, key) for cell in cells)
    assert told["total"]["requests"] > 1_000


def test_check_counts_what_home_shows(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store(dsn).reader(30.0) as reader:
        shown = Gatherer().read(reader, Watch())
    told = Program(capsys)("check", "-v", "--dsn", dsn).out.replace("\n", " ")
    found = [finding.kind for findings in shown.findings.values() for finding in findings]
    assert {"lost", "slow"} <= set(found)
    for state in ("lost", "stalled", "throttled", "slow"):
        assert f" {state}={found.count(state)};" in told


def test_follow_begins_with_the_states_that_home_shows(dsn: str) -> None:
    with open_store(dsn).reader(30.0) as reader:
        followed = RunFollower().changed(reader)
        shown = Gatherer().read(reader, Watch()).runs
    assert briefly(reversed(followed)) == briefly(shown)
    assert any(run.state == "lost" for run in followed)


def test_a_look_back_to_now_answers_as_the_store_does(dsn: str) -> None:
    """Of what has ended, every question has the same answer."""
    with open_store(dsn).reader(30.0) as reader:
        now = reader.now()
        past = reader_as_of(reader, now)
        over = [run for run in reader.recent_runs(100) if run.ended_at is not None]
        ids = [run.run_id for run in over]
        hour, since = timedelta(hours=1), int((BEGIN - timedelta(days=3)).timestamp())
        jobs_there = reader.job_names()
        for ask in (
            lambda r: [run for run in r.recent_runs(100) if run.ended_at is not None],
            lambda r: r.runs_in_status(["failed", "completed"], 7),
            lambda r: r.run(ids[0]),
            lambda r: r.run_ids_ending_in(over[0].id[-5:]),
            lambda r: r.latest_run_id("crm"),
            lambda r: r.job_names(2),
            lambda r: r.runs_of_job("crm", 3, before=now - hour),
            lambda r: r.runs_of_jobs(jobs_there, 4, completed=True),
            lambda r: r.outlines_of_jobs(jobs_there, 4),
            lambda r: r.outlines_since(BEGIN),
            lambda r: r.count_live(),
            lambda r: [r.count_runs(), r.count_runs(jobs=["crm"], statuses=["failed", "running"], since=BEGIN)],
            lambda r: [r.count_errors(), r.count_errors(jobs=["crm"])],
            lambda r: r.phases(ids),
            lambda r: r.phase_samples(ids[0]),
            lambda r: r.endpoints(ids[0]),
            lambda r: r.endpoints_of_runs(ids),
            lambda r: r.endpoint_names(ids),
            lambda r: r.latencies(ids),
            lambda r: r.series(ids[0]),
            lambda r: r.series_of_runs(ids, since),
            lambda r: r.series_of_jobs({"crm": ids}, since, since + 86_400, step=60),
            lambda r: r.pauses_of_runs(ids),
            lambda r: r.recent_traffic(ids, since),
            lambda r: r.throughput(since, since + 86_400, 600),
            lambda r: r.runs_alive_at(BEGIN + hour, BEGIN) and r.count_alive_at(BEGIN + hour, BEGIN),
            lambda r: r.traffic_until(ids, since + 4 * 86_400),
            lambda r: r.samples_until(ids, since + 4 * 86_400),
            lambda r: r.errors_until(ids, now),
            lambda r: r.pages(ids[0]),
            lambda r: r.requests(ids[0], 10),
            lambda r: r.source_counts(ids),
            lambda r: r.ledger(ids[0]),
            lambda r: r.errors(None, 10),
            lambda r: r.errors_of_jobs(["crm", "ads"], 3),
            lambda r: r.errors_named([each.fingerprint for each in r.errors(None, 5)]),
            lambda r: r.error_groups(BEGIN),
            lambda r: r.error_groups_named([group.key for group in r.error_groups(BEGIN)]),
            lambda r: r.audit(),
        ):
            assert ask(past) == ask(reader)
