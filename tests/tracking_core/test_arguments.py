"""Programming errors raise before any I/O; odd but honest types become plain ones (CONTRACT 2)."""

import math
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from types import SimpleNamespace

import pytest

from tests.support.fake_store import FakeStore
from tracking_core import SimpleETLTracker, arguments


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
    assert arguments.error_text_of(None) is None


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
def test_a_programming_error_raises_before_any_io(
    fake_store: FakeStore, kind: type[Exception], message: str, call: object, enabled: bool
) -> None:
    tracker = SimpleETLTracker("sqlite:////nowhere.db")
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
