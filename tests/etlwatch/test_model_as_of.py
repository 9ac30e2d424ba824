"""A past moment: what is stored of it, and nothing that is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from etlwatch.analysis.as_of import Stored, phases_as_of, run_as_of
from etlwatch.reading.gatherer import Watch
from tests.etlwatch.looking_back import read_as_of
from tests.etlwatch.test_model_late import done, phase_of, run_of
from tests.store.stocking import Stock
from tracking_core.records import PhaseSample, Traffic

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def test_a_run_that_ended_later_was_running_then() -> None:
    run = done(1, 60, requests=500, items=900, errors=3, ended_by="job", notes="sync\nall done")
    then = run.started_at + 20 * MINUTE
    seen = run_as_of(run, then, Stored(traffic=Traffic(requests=40, items=80, failed=2, throttled=1), errors=1))
    assert (seen.status, seen.state, seen.ended_at, seen.ended_by) == ("running", "running", None, None)
    assert (seen.requests, seen.items, seen.failed_requests, seen.throttled_requests, seen.errors) == (40, 80, 2, 1, 1)
    assert seen.duration_s == 20 * 60
    assert seen.notes == "sync"


def test_a_run_that_had_ended_is_as_it_is() -> None:
    run = done(1, 60, requests=500)
    assert run.ended_at is not None
    assert run_as_of(run, run.ended_at) is run


def test_a_run_that_had_not_begun_has_no_past_state() -> None:
    run = run_of()
    with pytest.raises(ValueError, match="after"):
        run_as_of(run, run.started_at - MINUTE)


def test_silence_is_known_backwards_only_from_the_last_heartbeat() -> None:
    beat = run_of().started_at + 10 * MINUTE
    run = run_of(state="lost", heartbeat_at=beat, heartbeat_interval_s=10.0)
    assert run_as_of(run, beat + MINUTE).state == "lost"
    assert run_as_of(run, beat - MINUTE).state == "running"


def test_phases_show_the_last_sample_and_leave_the_rest_unknown() -> None:
    began = NOW - HOUR
    counters = {"rows": {"total": 100, "processed": 100}}
    phases = [
        phase_of("list", 1, began, began + 10 * MINUTE, counters=counters),
        phase_of("load", 2, began + 10 * MINUTE, began + 50 * MINUTE, counters=counters, peak_memory_mb=300.0),
        phase_of("verify", 3, began + 50 * MINUTE, NOW, counters=counters),
    ]
    sample = PhaseSample(
        run_id=1, phase="load", bucket=0, at=began + 20 * MINUTE, processed={"rows": 40}, memory_mb=120.0
    )
    done_one, current, coming = phases_as_of(phases, [sample], began + 30 * MINUTE)
    assert done_one is phases[0]
    assert (current.status, current.counters, current.memory_mb) == (
        "running",
        {"rows": {"total": 100, "processed": 40}},
        120.0,
    )
    assert current.peak_memory_mb is None
    assert (coming.status, coming.started_at, coming.counters) == ("pending", None, {})
    unsampled = phases_as_of(phases, [], began + 30 * MINUTE)[1]
    assert unsampled.counters == {"rows": {"total": 100}}


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    yield stock
    stock.close()


def test_a_look_back_shows_the_store_as_it_stood(stock: Stock) -> None:
    then = NOW - HOUR
    over = stock.finished(then - 2 * HOUR, then - MINUTE, requests=3)
    alive = stock.start(then - 30 * MINUTE, job="crm")
    stock.requests(alive, [(then - 20 * MINUTE, "/a", 200, 5, 10), (then + 5 * MINUTE, "/a", 200, 7, 10)])
    stock.phase(alive, "load", then - 20 * MINUTE, counters={"items": {"total": 50, "processed": 5}})
    stock.phase(alive, "load", then + 20 * MINUTE, counters={"items": {"total": 50, "processed": 50}})
    stock.error(alive, "later", then + MINUTE)
    stock.end(alive, NOW)
    stock.start(then + MINUTE, job="not yet")
    with stock.store.reader(5.0) as reader:
        seen = read_as_of(reader, Watch(open_run=alive), then)
    assert seen.at == then
    assert {run.run_id: (run.status, run.requests) for run in seen.runs} == {
        over: ("completed", 3),
        alive: ("running", 1),
    }
    assert seen.phases[alive][0].counters == {"items": {"total": 50, "processed": 5}}
    assert sum(cell.requests for cell in seen.fleet.cells) == 1
    assert seen.details is not None
    assert seen.details.run is not None
    assert (seen.details.run.requests, seen.details.errors, seen.details.endpoints) == (1, (), ())
    assert [cell.requests for cell in seen.details.series] == [1]
