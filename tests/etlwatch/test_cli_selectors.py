"""What may be typed for a span, a number of days, a set of states."""

from datetime import timedelta

import pytest

from etlwatch.cli.cleanup import parse_days
from etlwatch.cli.runs import parse_states
from etlwatch.text.moments import parse_span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        (" 2W ", timedelta(weeks=2)),
        ("0d", timedelta(0)),
        ("1.5h", timedelta(minutes=90)),
        ("1d 2h", timedelta(hours=26)),
    ],
)
def test_a_span_is_numbers_with_units(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["banana", "", "30", "d", "-1d", "1y", "٣d", "999999999w", "1d 2"])
def test_anything_else_is_refused_with_the_units_named(text: str) -> None:
    with pytest.raises(ValueError, match="s, m, h, d, w"):
        parse_span(text)


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("2w", 14), ("48h", 2), ("0d", 0)])
def test_days_come_from_any_span_of_whole_days(text: str, days: int) -> None:
    assert parse_days(text) == days


def test_a_part_of_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="whole days"):
        parse_days("36h")


def test_states_are_words_with_commas_between() -> None:
    assert parse_states("failed, Lost") == {"failed", "lost"}


@pytest.mark.parametrize("text", ["", ",", "broken", "failed,broken"])
def test_an_unknown_state_is_refused_with_all_states_named(text: str) -> None:
    with pytest.raises(ValueError, match="running, completed, failed"):
        parse_states(text)
