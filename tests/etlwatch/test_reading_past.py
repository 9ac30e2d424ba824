"""What a look at a past moment says is what was said then, wherever what is stored can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from etlwatch.analysis.snapshot import Snapshot
from etlwatch.reading.gatherer import AskedErrors, AskedJobs, Gatherer, Watch
from tests.etlwatch.looking_back import read_as_of
from tests.etlwatch.scripted_night import BEGIN, END, MINUTE, SECOND, ScriptedNight, scripted_night
from tracking_core.store import open_store

BEHIND = ("stalled", "throttled", "slow")


@dataclass
class Told:
    """What was said at a moment, and what is said of it later."""

    then: Snapshot
    later: Snapshot


def looked_at(night: ScriptedNight, moments: list[datetime]) -> list[Told]:
    watch = Watch(board=AskedJobs())
    then: list[Snapshot] = []
    with night.stock.store.reader(30.0) as connection:
        reader: Any = connection
        for moment in moments:
            night.until(moment)
            reader.at = moment
            then.append(Gatherer(monotonic=lambda: 0.0).read(reader, watch))
        night.until(END)
        reader.at = END + MINUTE
        return [Told(snapshot, read_as_of(reader, watch, snapshot.at, monotonic=lambda: 0.0)) for snapshot in then]


@pytest.fixture(scope="module", params=["between cells", "where cells close"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Told]]:
    dsn = f"sqlite:///{tmp_path_factory.mktemp('night') / 'night.db'}"
    open_store(dsn).initialize()
    night = scripted_night(dsn)
    if request.param == "where cells close":
        moments = [BEGIN + n * MINUTE for n in range(2, 100, 2)]
    else:
        moments = sorted(BEGIN + night.draw.uniform(60, 99 * 60) * SECOND for _ in range(40))
    yield looked_at(night, moments)
    night.stock.close()


def test_a_past_moment_is_judged_as_it_was_judged_then(told: list[Told], request: pytest.FixtureRequest) -> None:
    seen: set[str] = set()
    unsure: set[str] = set()
    doubted = departed = 0
    for each in told:
        assert [run.run_id for run in each.later.runs] == [run.run_id for run in each.then.runs]
        for then, later in zip(each.then.runs, each.later.runs, strict=True):
            said = f"{then.job} at {(each.then.at - BEGIN) / MINUTE:.2f}"
            live = {finding.kind for finding in each.then.findings.get(then.run_id, ())}
            held = {finding.kind for finding in each.later.findings.get(then.run_id, ())}
            doubts = {doubt.kind for doubt in each.later.doubts.get(then.run_id, ())}
            assert held <= live <= held | doubts, said
            if not doubts:
                assert later.state == then.state, said
            assert (later.status, later.errors, later.duration_s) == (then.status, then.errors, then.duration_s), said
            doubted += len(doubts)
            unsure |= doubts
            seen |= live
            passed = later.started_at.timestamp() + (each.later.baselines[later.job].duration_s.p95 or 0.0)
            slow = [one.since for one in each.later.findings.get(then.run_id, ()) if one.kind == "slow"]
            departed += sum(since.timestamp() < passed - 1 for since in slow)
            _same_since(each, then.run_id, said)
    assert seen == {"lost", *BEHIND}, "the night shows each of them"
    assert departed, "one was slow since its latency rose"
    if "where cells close" in request.node.name:
        assert unsure <= {"stalled"}, "where no cell is open, only when in its last cell a run moved is open"
    assert doubted < 40, "what cannot be told is the exception"


def _same_since(each: Told, run_id: int, said: str) -> None:
    then = {finding.kind: finding.since for finding in each.then.findings.get(run_id, ())}
    later = {finding.kind: finding.since for finding in each.later.findings.get(run_id, ())}
    for state, since in later.items():
        apart = abs((since - then[state]).total_seconds())
        assert apart <= (60 if state in ("stalled", "throttled") else 0), f"{said}: {state}"


def test_a_past_moment_knows_the_pasts_phases_and_errors_of_then(told: list[Told]) -> None:
    for each in told:
        living = {run.job for run in each.then.runs if run.status == "running" and run.state != "lost"}
        for job in living:
            assert each.later.baselines[job] == each.then.baselines[job]
        assert each.later.last_errors == each.then.last_errors
        for run_id, phases in each.then.phases.items():
            later = each.later.phases[run_id]
            assert [(one.phase, one.status, one.started_at, one.ended_at) for one in later] == [
                (one.phase, one.status, one.started_at, one.ended_at) for one in phases
            ]
            for old, new in zip(later, phases, strict=True):
                done = [one.counters.get("rows", {}).get("processed", 0) for one in (old, new)]
                assert done[0] <= done[1], "never more than had been done"


def test_a_past_moment_shows_the_jobs_of_then(told: list[Told]) -> None:
    for each in told:
        then, later = ({history.job: history for history in one.board.histories} for one in (each.then, each.later))  # type: ignore[union-attr]
        assert later.keys() == then.keys()
        for job, history in then.items():
            assert [(run.run_id, run.status, run.ended_at) for run in later[job].runs] == [
                (run.run_id, run.status, run.ended_at) for run in history.runs
            ]
            assert (later[job].baseline.duration_s, later[job].rhythm) == (history.baseline.duration_s, history.rhythm)


def test_every_store_shows_of_a_past_moment_what_it_showed_then(store_dsn: str) -> None:
    night = scripted_night(store_dsn)
    asked: list[tuple[Watch, Snapshot]] = []
    with night.stock.store.reader(30.0) as connection:
        reader: Any = connection
        for minute in (3, 5.2, 12, 21.7, 36.9, 50, 66, 80.4, 92.2):
            night.until(BEGIN + minute * MINUTE)
            reader.at = BEGIN + minute * MINUTE
            watches = [Watch(open_run=run.run_id) for run in reader.live_runs()]
            for watch in (Watch(board=AskedErrors(window_s=3_600)), *watches):
                asked.append((watch, Gatherer().read(reader, watch)))
        night.until(END)
        reader.at = END
        for watch, then in asked:
            later = read_as_of(reader, watch, then.at)
            for was, now in zip(then.runs, later.runs, strict=True):
                assert was.state == now.state or later.doubts[was.run_id]
            if watch.open_run is None:
                _same_kinds(then, later)
            else:
                _same_details(then, later)
    night.stock.close()


def _same_kinds(then: Snapshot, later: Snapshot) -> None:
    was, now = ([replace(kind, run=None) for kind in one.board.kinds] for one in (then, later))  # type: ignore[union-attr]
    assert now == was


def _same_details(then: Snapshot, later: Snapshot) -> None:
    was, now = then.details, later.details
    assert was is not None
    assert now is not None
    assert now.run is not None
    assert was.run is not None
    assert (now.errors, now.source_counts) == (was.errors, was.source_counts)
    assert [replace(kind, run=None) for kind in now.kinds] == [replace(kind, run=None) for kind in was.kinds]
    assert [(one.status, one.started_at, one.ended_at) for one in now.phases] == [
        (one.status, one.started_at, one.ended_at) for one in was.phases
    ]
    closed = tuple(cell for cell in was.series if cell.bucket + cell.width <= (now.series_until or 0))
    assert now.series == closed
    assert now.run.requests == sum(cell.requests for cell in closed) <= was.run.requests
    assert {sample.at for sample in now.samples} <= {sample.at for sample in was.samples}
    assert (now.endpoints, now.ledger, now.coverage) == ((), (), ()), "of whole runs only"
    assert now.unknown
    assert now.reference == was.reference
