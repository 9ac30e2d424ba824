"""A context tied to a real run of a real tracker, as both kinds of store hold it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.tracking_core.etl_doubles import set_memory
from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker
from tracking_core.records import ErrorRecord, Phase, Run
from tracking_core.store import open_store


def stored(dsn: str, run_id: int | None) -> tuple[Run, dict[str, Phase], list[ErrorRecord]]:
    """Return the run, its phases by name, and its errors."""
    assert run_id is not None
    reader = open_store(dsn).reader(5.0)
    try:
        run = reader.run(run_id)
        assert run is not None
        return run, {phase.phase: phase for phase in reader.phases([run_id])}, reader.errors(run_id)
    finally:
        reader.close()


def run_and_pair(run: ETLRunContext) -> dict[str, Any]:
    return {"run": run, "pair": (run.tracker, run.run_id)}


@pytest.mark.parametrize("form", ["run", "pair"])
def test_phases_progress_and_memory_reach_the_store(store_dsn: str, form: str) -> None:
    with ETLRunContext(SimpleETLTracker(store_dsn), "import") as run:
        context = ETLContext(run=run_and_pair(run)[form])
        set_memory(context.memory_monitor, 100, 900, 300)
        with context.phase("extract", total_conversations=2, total_messages=10) as phase:
            phase.update(1, 4)
            phase.update(1, 4)
        context.start_phase("transform")
    _, phases, errors = stored(store_dsn, run.run_id)
    assert {name: (phase.position, phase.status) for name, phase in phases.items()} == {
        "extract": (1, "completed"),
        "transform": (2, "running"),
        "load": (3, "pending"),
    }
    extract = phases["extract"]
    assert extract.counters == {
        "conversations": {"total": 2, "processed": 2},
        "messages": {"total": 10, "processed": 8},
    }
    assert extract.peak_memory_mb == 900
    assert extract.started_at is not None
    assert extract.ended_at is not None
    assert phases["load"].started_at is None
    assert errors == []


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
@pytest.mark.parametrize("form", ["run", "pair"])
def test_the_memory_limit_is_stored_with_the_phases_that_had_it(store_dsn: str, form: str, delivery: Any) -> None:
    tracker = SimpleETLTracker(store_dsn, delivery=delivery)
    with ETLRunContext(tracker, "import") as run:
        context = ETLContext(run=run_and_pair(run)[form], memory_limit_mb=100_000)
        with context.phase("extract"):
            context.update_progress(1)
    tracker.close()
    phases = stored(store_dsn, run.run_id)[1]
    assert {name: phase.memory_limit_mb for name, phase in phases.items()} == {
        "extract": 100_000,
        "transform": None,
        "load": None,
    }


def test_an_error_of_a_phase_reaches_the_store_once(store_dsn: str) -> None:
    def work() -> None:
        with ETLRunContext(SimpleETLTracker(store_dsn), "import") as run:
            seen.append(run)
            with ETLContext(run=run).phase("extract") as phase:
                phase.update(messages=3)
                raise ValueError("row 7 is short")

    seen: list[ETLRunContext] = []
    with pytest.raises(ValueError, match="row 7"):
        work()
    run, phases, errors = stored(store_dsn, seen[0].run_id)
    (error,) = errors
    assert (error.error_type, error.message, error.phase) == ("ValueError", "row 7 is short", "extract")
    assert "in work\n" in error.traceback
    assert (run.status, run.errors) == ("failed", 1)
    assert (phases["extract"].status, phases["extract"].counters["messages"]["processed"]) == ("failed", 3)


def test_a_phase_run_again_and_mended_is_completed_in_the_store(store_dsn: str) -> None:
    with ETLRunContext(SimpleETLTracker(store_dsn), "import") as run:
        context = ETLContext(run=run)
        context.start_phase("extract")
        context.record_error("extract", "source was locked")
        context.end_phase()
        context.start_phase("extract")
        context.update_progress(messages=5)
        context.end_phase()
    _, phases, errors = stored(store_dsn, run.run_id)
    assert phases["extract"].status == "completed"
    assert [error.error_type for error in errors] == ["message"]


def nothing_recorded(make: Callable[[], SimpleETLTracker]) -> ETLContext:
    with ETLRunContext(make(), "import") as run:
        context = ETLContext(run=run)
        with context.phase("extract", 1, 2) as phase:
            phase.update(1, 2)
        context.record_error("load", "kept")
    return context


def test_tracking_switched_off_costs_the_context_nothing(
    sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_ENABLED", "off")
    context = nothing_recorded(lambda: SimpleETLTracker(sqlite_store_dsn))
    assert context.statistics["total"]["messages_processed"] == 2
    assert context.statistics["errors"][0]["error_message"] == "kept"


def test_an_unreachable_store_costs_the_context_nothing() -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere"
    context = nothing_recorded(lambda: SimpleETLTracker(dsn, deadline=1.0))
    assert context.statistics["total"]["messages_processed"] == 2
    assert context.phase_status["extract"] == "completed"
