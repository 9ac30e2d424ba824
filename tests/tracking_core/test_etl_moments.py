"""A context's times: aware, and naive local times can be subtracted from them."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tracking_core import ETLContext, ProgressTracker
from tracking_core.etl.values import Moment, moment_of

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MOMENT = moment_of(round(NOON.timestamp()) * 1_000_000)


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make New York's time the local time."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("new_york")
def test_naive_local_times_can_be_subtracted_both_ways() -> None:
    naive = datetime(2026, 7, 1, 8, 0, 5)
    assert naive - MOMENT == timedelta(seconds=5)
    assert MOMENT - naive == timedelta(seconds=-5)


def test_aware_times_moments_and_durations_subtract_as_ever() -> None:
    later = (NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    assert later - MOMENT == timedelta(hours=1)
    assert MOMENT - later == timedelta(hours=-1)
    assert timedelta(0) == MOMENT - MOMENT
    assert MOMENT - timedelta(hours=1) == NOON - timedelta(hours=1)
    naive = MOMENT.replace(tzinfo=None)
    assert naive - NOON.replace(tzinfo=None) == NOON.replace(tzinfo=None) - naive == timedelta(0)
    for other in (7, None):
        with pytest.raises(TypeError):
            other - MOMENT  # type: ignore[operator]
        with pytest.raises(TypeError):
            MOMENT - other


@pytest.mark.parametrize(
    "made", [lambda moment: moment, copy.deepcopy, lambda moment: pickle.loads(pickle.dumps(moment))]
)
def test_in_all_else_it_is_a_datetime(made: Any) -> None:
    moment = made(MOMENT)
    assert moment == NOON
    assert hash(moment) == hash(NOON)
    assert moment < NOON + timedelta(seconds=1)
    assert (repr(moment), str(moment), f"{moment:%H:%M}", moment.isoformat()) == (
        repr(NOON),
        str(NOON),
        "12:00",
        NOON.isoformat(),
    )
    assert moment.tzinfo is UTC


def test_a_store_takes_it_as_a_datetime(postgres_dsn: str) -> None:
    import sqlite3

    import psycopg

    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT %s::timestamptz = %s", (MOMENT, NOON)).fetchone() == (True,)
    with sqlite3.connect(":memory:") as memory:
        assert memory.execute("SELECT ?", (MOMENT,)).fetchone() == (NOON.isoformat(" "),)


def test_every_time_of_a_context_is_one() -> None:
    context = ETLContext()
    context.start_phase("extract")
    context.end_phase()
    context.finalize()
    tracker: ProgressTracker = context.progress_tracker
    total = context.statistics["total"]
    for moment in (total["start_time"], total["end_time"], tracker.start_time, tracker.end_time):
        assert isinstance(moment, Moment)
        assert abs((datetime.now() - moment).total_seconds()) < 600
