"""No value of an argument raises, except in a strict tracker, and there before any I/O."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from itertools import count
from types import SimpleNamespace
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_store import FakeStore
from tracking_core import ConfigurationError, ETLRunContext, SimpleETLTracker, arguments, identity
from tracking_core.events import PhaseStatus


class IntLike:
    """An integer as numpy has them: no int, but with an index."""

    def __index__(self) -> int:
        return 7


class FloatLike:
    """A real number as numpy has them."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        return self._value


class Unprintable:
    """An object whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (5, 5),
        (5.5, 5.5),
        (IntLike(), 7),
        (FloatLike(2.5), 2.5),
        (Decimal("2.5"), 2.5),
        (Decimal(10**17 + 1), 10**17 + 1),
        (Fraction(1, 4), 0.25),
        (HTTPStatus.NOT_FOUND, 404),
        (2**70, 2**70),
        (Decimal("1e400"), math.inf),
    ],
)
def test_any_kind_of_number_becomes_a_plain_one(value: object, plain: float) -> None:
    number = arguments.number_of("count", value)
    assert number == plain
    assert type(number) in (int, float)


@pytest.mark.parametrize("value", [Decimal("sNaN"), Decimal("NaN"), FloatLike(math.nan), math.nan])
def test_what_is_not_a_number_by_its_own_word_is_nan_and_no_error(value: object) -> None:
    assert math.isnan(arguments.number_of("count", value))


def test_text_comes_from_any_object() -> None:
    assert arguments.text_of(b"caf\xc3\xa9 \xff") == "café \\xff"
    assert arguments.text_of(Unprintable()) == "<unprintable Unprintable>"
    assert arguments.text_of(12) == "12"


def test_a_request_s_error_names_the_exception_s_class() -> None:
    assert arguments.error_text_of(TimeoutError("30 s")) == "TimeoutError: 30 s"
    assert arguments.error_text_of(TimeoutError()) == "TimeoutError"
    assert arguments.error_text_of("") == ""


def request(tracker: SimpleETLTracker, **changes: object) -> bool:
    given = {"endpoint": "/a", "offset": 0, "limit": 10, "status": 200, "count": 1, "duration": 5, "run_id": 1}
    return tracker.log_request(**(given | changes))  # type: ignore[arg-type]


WRONG_CALLS = {
    "a bool for a run id": (TypeError, "run_id is of type bool", lambda t: request(t, run_id=True)),
    "text for a run id": (TypeError, "run_id is of type str", lambda t: request(t, run_id="1")),
    "a float for a run id": (TypeError, "run_id is of type float", lambda t: t.end_run(1.0, True)),
    "a missing argument": (TypeError, "missing", lambda t: t.log_request(1, "/a")),
    "a negative count": (ValueError, "count is -1", lambda t: request(t, count=-1)),
    "a negative float count": (ValueError, "count is -0.5", lambda t: request(t, count=-0.5)),
    "no count": (TypeError, "count is of type NoneType", lambda t: request(t, count=None)),
    "text for a count": (TypeError, "count is of type str", lambda t: request(t, count="1")),
    "a bool for a count": (TypeError, "count is of type bool", lambda t: request(t, count=True)),
    "text for an offset": (TypeError, "offset is of type str", lambda t: request(t, offset="abc")),
    "text for a status": (TypeError, "status is of type str", lambda t: request(t, status="200")),
    "no duration": (TypeError, "duration is of type NoneType", lambda t: request(t, duration=None)),
    "no endpoint": (TypeError, "endpoint is None", lambda t: request(t, endpoint=None)),
    "a negative source count": (ValueError, "count is -5", lambda t: t.log_source_count(1, "contacts", -5)),
    "no entity": (TypeError, "entity is None", lambda t: t.log_source_count(1, None, 5)),
    "an unknown phase status": (
        ValueError,
        "'done'; accepted: pending, running",
        lambda t: t.log_phase(1, "e", "done"),
    ),
    "totals that are no mapping": (TypeError, "totals", lambda t: t.log_phase(1, "e", "running", totals=[1])),
    "a negative total": (ValueError, "totals", lambda t: t.log_phase(1, "e", "running", totals={"a": -1})),
    "an error that is none": (TypeError, "error is of type int", lambda t: t.log_error(1, 5)),
    "text for a time": (TypeError, "a datetime is needed", lambda t: t.log_phase(1, "e", "running", started_at="x")),
    "a job that is no text": (TypeError, "job is of type int", lambda t: t.start_run("n", job=5)),
    "tags that are no mapping": (TypeError, "tags is of type list", lambda t: t.start_run("n", tags=["a"])),
    "a negative limit": (ValueError, "limit is -1", lambda t: t.get_recent_runs(-1)),
    "a bool for a limit": (TypeError, "limit is of type bool", lambda t: t.get_recent_runs(True)),
    "negative days": (ValueError, "days is -1", lambda t: t.cleanup_old_runs(-1)),
    "a bool for days": (ValueError, "days is True", lambda t: t.cleanup_old_runs(True)),
    "a float for days": (ValueError, "days is of type float", lambda t: t.cleanup_old_runs(1.0)),
    "text for days": (ValueError, "days is of type str", lambda t: t.cleanup_old_runs("30")),
    "a negative timeout": (ValueError, "timeout is -1", lambda t: t.flush(-1)),
    "attaching to a bool": (TypeError, "run_id is of type bool", lambda t: t.attach(True)),
    "metrics of text": (TypeError, "run_id is of type str", lambda t: t.get_run_metrics("1")),
}


@pytest.mark.parametrize(("kind", "message", "call"), WRONG_CALLS.values(), ids=WRONG_CALLS.keys())
@pytest.mark.parametrize("enabled", [True, False], ids=["on", "off"])
def test_a_wrong_argument_of_a_strict_tracker_raises_before_any_io(
    fake_store: FakeStore, kind: type[Exception], message: str, call: object, enabled: bool
) -> None:
    tracker = SimpleETLTracker("sqlite:////nowhere.db", strict=True)
    if not enabled:
        tracker.disable()
    with pytest.raises(kind, match=message):
        call(tracker)  # type: ignore[operator]
    assert fake_store.calls == []


@pytest.mark.parametrize("run_id", [0, -1, 2**63, 2**200])
def test_a_number_that_no_run_has_is_refused_without_asking(fake_store: FakeStore, run_id: int) -> None:
    tracker = SimpleETLTracker("sqlite:////nowhere.db")
    assert not request(tracker, run_id=run_id)
    assert not tracker.end_run(run_id, True)
    assert tracker.get_run_metrics(run_id) is None
    assert fake_store.calls == []


def test_odd_types_reach_the_store_as_plain_ones(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker("sqlite:////nowhere.db")
    run_id = tracker.start_run("odd types")
    odd = SimpleNamespace(url="/contacts")
    assert request(
        tracker,
        run_id=run_id,
        endpoint=odd,
        offset=IntLike(),
        limit=Decimal(100),
        status=HTTPStatus.OK,
        count=FloatLike(5.0),
        duration=Decimal("12.6"),
        throttled=0,
    )
    row = fake_store.events("requests")[0]
    assert row[3:] == (str(odd), 7, 100, 200, 5, 13, False, None)
    assert [type(value) for value in row[4:9]] == [int] * 5


def tracked(**keywords: object) -> SimpleETLTracker:
    return SimpleETLTracker("sqlite:////nowhere.db", **keywords)  # type: ignore[arg-type]


def test_what_can_be_read_is_read_and_marked(fake_store: FakeStore) -> None:
    tracker = tracked()
    run_id = tracker.start_run("odd values", job=5, tags=[("team", "crm")])  # type: ignore[arg-type]
    assert run_id is not None
    words = {"status": "200", "count": b" 12 ", "duration": "2.6", "offset": "7", "limit": True}
    assert request(tracker, run_id=str(run_id), **words)
    assert request(tracker, run_id=identity.format_run_id(run_id), count=None, duration="soon", endpoint=None)
    assert request(tracker, run_id=run_id, count=-1, error="boom")
    first, second, third = fake_store.events("requests")
    assert first[3:9] == ("/a", 7, 1, 200, 12, 3)
    assert first.error.startswith("[adjusted] offset of type str was read as 7; limit of type bool was read as 1")
    assert second[3:9] == ("", 0, 10, 200, 0, 0)
    assert "duration of type str could not be read and is 0" in second.error
    assert (third.items, third.error) == (0, "boom\n[adjusted] count was -1, stored as 0")
    (start,) = {(start.job, tuple(start.tags.items())) for start in fake_store.events("starts")}
    assert start == ("5", (("team", "crm"),))


def test_a_mark_makes_no_failed_request(fake_store: FakeStore) -> None:
    tracker = tracked()
    assert request(tracker, run_id=tracker.start_run("marked"), status="200")
    (cell,) = fake_store.batches[-1].cells.values()
    assert (cell.requests, cell.failed) == (1, 0)


def test_an_unusable_run_id_records_nothing(fake_store: FakeStore) -> None:
    tracker = tracked()
    for run_id in (True, "soon", 1.5, object(), b"", [1], "0" * 13):
        assert not request(tracker, run_id=run_id)
        assert not tracker.end_run(run_id, True)  # type: ignore[arg-type]
        assert tracker.get_run_metrics(run_id) is None  # type: ignore[arg-type]
        with tracker.attach(run_id) as run:  # type: ignore[arg-type]
            assert not run.log_error("nobody hears it")
    assert fake_store.batches == []


def test_an_unreadable_phase_status_is_the_one_before(fake_store: FakeStore) -> None:
    tracker = tracked()
    run_id = tracker.start_run("phases")
    for status in ("done", "RUNNING ", 7, PhaseStatus.COMPLETED):
        assert tracker.log_phase(run_id, "load", status)  # type: ignore[arg-type]
    states = [change.status for change in fake_store.events("phases")]
    assert states == ["pending", "running", "running", "completed"]


def test_times_of_a_phase_are_read_from_datetimes_dates_text_and_seconds(fake_store: FakeStore) -> None:
    tracker = tracked()
    run_id = tracker.start_run("times")
    noon = datetime(2026, 11, 30, 12, tzinfo=UTC)
    for began in (noon, "2026-11-30T12:00:00+00:00", noon.timestamp(), noon.astimezone().replace(tzinfo=None)):
        tracker.log_phase(run_id, "load", "completed", started_at=began, ended_at=noon)  # type: ignore[arg-type]
    for change in fake_store.events("phases"):
        assert (change.started_us, change.ended_us) == (noon.timestamp() * 1e6, noon.timestamp() * 1e6)
    assert tracker.log_phase(run_id, "load", "running", started_at="some day")  # type: ignore[arg-type]


def test_one_warning_for_each_kind_of_mistake(fake_store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    tracker = tracked()
    run_id = tracker.start_run("warned")
    for _ in range(3):
        request(tracker, run_id=run_id, count="12", duration="soon")
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [message.split()[0] for message in warned if message.split()[1] == "of"] == ["count", "duration"]


def test_the_environment_makes_a_tracker_strict(fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKING_STRICT", "1")
    with pytest.raises(TypeError, match="count is of type str"):
        request(tracked(), count="12")
    monkeypatch.setenv("TRACKING_STRICT", "0")
    assert request(tracked(strict=True), count="12") is False
    monkeypatch.setenv("TRACKING_STRICT", "perhaps")
    with pytest.raises(ConfigurationError, match="TRACKING_STRICT"):
        tracked()


class Hostile:
    """An object that raises whenever it is looked at."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)

    def _raise(self, *_given: object) -> NoReturn:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __bool__ = __int__ = __float__ = __index__ = __len__ = __iter__ = __hash__ = _raise  # type: ignore[assignment]
    __eq__ = __lt__ = __add__ = __call__ = __getitem__ = _raise  # type: ignore[assignment]


class Endless(dict[str, int]):
    """A mapping without an end."""

    def items(self) -> Iterator[tuple[str, int]]:  # type: ignore[override]
        return ((str(number), number) for number in count())


class Deep:
    """An object whose text calls itself."""

    def __str__(self) -> str:
        return str(self)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(), st.fractions(),
    st.datetimes(), st.dates(), st.uuids(), st.sampled_from([HTTPStatus.OK, PhaseStatus.FAILED]),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(), st.integers(), max_size=3),
    st.builds(Hostile), st.builds(Endless), st.builds(Deep), st.builds(Unprintable),
    st.just(SimpleNamespace(value=object())),
    st.builds(ValueError, st.text()), st.builds(lambda: ExceptionGroup("x", [KeyError(Hostile())])),
)  # fmt: skip


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
@pytest.mark.parametrize("strict", [False, True])
@given(values=st.lists(VALUES, min_size=8, max_size=8))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_raises_anything_but_what_a_strict_tracker_may(
    fake_store: FakeStore, delivery: str, strict: bool, values: list[object]
) -> None:
    tracker = tracked(strict=strict, delivery=delivery)
    run_id = tracker.start_run("any")
    a, b, c, d, e, f, g, h = values
    run = ETLRunContext(tracker)
    calls: list[Callable[[], object]] = [
        lambda: tracker.start_run(a, job=b, tags=c),  # type: ignore[arg-type]
        lambda: tracker.attach(a),  # type: ignore[arg-type]
        lambda: tracker.log_request(run_id, a, b, c, d, e, f, throttled=g, error=h),  # type: ignore[arg-type]
        lambda: tracker.log_request(a, "/a", 0, 1, 200, 1, 1.0),  # type: ignore[arg-type]
        lambda: tracker.log_source_count(run_id, a, b),  # type: ignore[arg-type]
        lambda: tracker.log_phase(
            run_id,
            a,
            b,
            totals=c,
            processed=d,
            memory_mb=e,
            started_at=f,
            ended_at=g,  # type: ignore[arg-type]
        ),
        lambda: tracker.log_error(run_id, a, phase=b),  # type: ignore[arg-type]
        lambda: run.phase("p", rows=a).update(rows=b),  # type: ignore[arg-type]
        lambda: tracker.get_run_metrics(a),  # type: ignore[arg-type]
        lambda: tracker.get_recent_runs(a),  # type: ignore[arg-type]
        lambda: tracker.end_run(a, b, c),  # type: ignore[arg-type]
        lambda: tracker.end_run(run_id, a, b),  # type: ignore[arg-type]
    ]
    for call in calls:
        with suppress(TypeError, ValueError) if strict else nullcontext():
            call()
    tracker.close()
