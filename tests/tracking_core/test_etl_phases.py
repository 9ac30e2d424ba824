"""Names of phases and units, and the counts given for them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tracking_core.etl.progress import UnitNames, bind_counts, checked_count, checked_phases, checked_units


class Seven:
    """An integer of another library, as far as Python can tell."""

    def __index__(self) -> int:
        return 7


def test_a_unit_gives_its_attributes_and_keys() -> None:
    assert UnitNames.of("messages") == UnitNames(
        unit="messages",
        total="total_messages",
        processed="processed_messages",
        percent="message_percent",
        rate="messages_per_second",
        processed_in_all="messages_processed",
    )


@pytest.mark.parametrize(("unit", "percent"), [("rows", "row_percent"), ("data", "data_percent"), ("ss", "s_percent")])
def test_the_percent_key_drops_one_trailing_s(unit: str, percent: str) -> None:
    assert UnitNames.of(unit).percent == percent


@pytest.mark.parametrize("check", [checked_phases, checked_units])
@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        ("extract", TypeError, "not the string 'extract'"),
        (["rows", 7], TypeError, "must be strings, not int"),
        (["rows", ""], ValueError, "empty name"),
        (["rows", "files", "rows"], ValueError, "'rows' is there more than once"),
    ],
)
def test_names_that_are_none_are_refused(check: Any, names: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check(names)


def test_a_context_needs_a_phase() -> None:
    with pytest.raises(ValueError, match="at least one phase"):
        checked_phases([])


def test_a_job_may_count_nothing() -> None:
    assert checked_units([]) == ()


@pytest.mark.parametrize("unit", ["two words", "a-b", "1.5"])
def test_a_unit_must_fit_into_a_parameter_name(unit: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a parameter's name"):
        checked_units([unit])


def test_units_that_would_share_a_key_are_refused() -> None:
    with pytest.raises(ValueError, match="'rows' and 'row' would share the statistics key 'row_percent'"):
        checked_units(["rows", "row"])


@pytest.mark.parametrize(
    ("positional", "named", "bound"),
    [
        ((), {}, {"a": 0, "b": 0}),
        ((1, 2), {}, {"a": 1, "b": 2}),
        ((1,), {"b": 5}, {"a": 1, "b": 5}),
        ((), {"b": 5}, {"a": 0, "b": 5}),
        ((Seven(),), {}, {"a": 7, "b": 0}),
    ],
)
def test_counts_bind_as_python_binds_parameters(positional: Any, named: Any, bound: dict[str, int]) -> None:
    assert bind_counts(("a", "b"), positional, named) == bound


@pytest.mark.parametrize(
    ("positional", "named", "words"),
    [
        ((1, 2, 3), {}, "3 counts were given; accepted: a, b"),
        ((), {"c": 1, "d": 1}, "unknown count 'c', 'd'; accepted: a, b"),
        ((1,), {"a": 2}, "count 'a' was given twice"),
    ],
)
def test_counts_that_bind_to_nothing_name_what_was_given_and_what_is_accepted(
    positional: Any, named: Any, words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        bind_counts(("a", "b"), positional, named)


@pytest.mark.parametrize("value", [True, False, "7", [1]])
def test_a_count_is_a_whole_number_and_no_bool(value: Any) -> None:
    with pytest.raises(TypeError, match=f"rows must be a whole number, not {type(value).__name__}"):
        checked_count("rows", value)


@pytest.mark.parametrize("value", [3, 3.0, Decimal(3), Fraction(6, 2), Seven(), None])
def test_a_count_may_be_any_kind_of_whole_number(value: Any) -> None:
    count = checked_count("rows", value)
    assert type(count) is int
    assert count == {Seven: 7, type(None): 0}.get(type(value), 3)


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), Decimal("0.1"), Decimal("sNaN"), Fraction(-1, 2)])
def test_a_count_has_no_fraction(value: Any) -> None:
    with pytest.raises(ValueError, match="rows must be a whole number, not "):
        checked_count("rows", value)


def test_a_count_is_never_negative() -> None:
    with pytest.raises(ValueError, match="rows must not be negative: -1"):
        checked_count("rows", -1)
