"""Moments as people type them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from etlwatch.text.moments import MomentError, parse_moment, stepped

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 10, 26, 3, 12, 44, tzinfo=PARIS)  # a Monday, the night after the clocks went back


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        ("02:41", datetime(2026, 10, 26, 2, 41, tzinfo=PARIS)),
        ("3:12:44", NOW),
        ("23:59", datetime(2026, 10, 25, 23, 59, tzinfo=PARIS)),
        ("yesterday 03:30", datetime(2026, 10, 25, 3, 30, tzinfo=PARIS)),
        ("today 00:00", datetime(2026, 10, 26, 0, 0, tzinfo=PARIS)),
        ("Tue 02:10", datetime(2026, 10, 20, 2, 10, tzinfo=PARIS)),
        ("monday 02:10", datetime(2026, 10, 26, 2, 10, tzinfo=PARIS)),
        ("Mon 04:00", datetime(2026, 10, 19, 4, 0, tzinfo=PARIS)),
        ("-1h30m", NOW - timedelta(minutes=90)),
        ("90m ago", NOW - timedelta(minutes=90)),
        ("2d", NOW.astimezone(UTC) - timedelta(hours=48)),
        ("24h", NOW.astimezone(UTC) - timedelta(hours=24)),
        ("yesterday", datetime(2026, 10, 25, tzinfo=PARIS)),
        ("2026-10-24 03:12", datetime(2026, 10, 24, 3, 12, tzinfo=PARIS)),
        ("2026-10-24T01:12:00Z", datetime(2026, 10, 24, 1, 12, tzinfo=UTC)),
        (" 2026-10-24 ", datetime(2026, 10, 24, tzinfo=PARIS)),
    ],
)
def test_a_moment_is_what_a_person_means(text: str, meant: datetime) -> None:
    assert parse_moment(text, now=NOW.astimezone(UTC), zone=PARIS) == meant


@pytest.mark.parametrize("text", ["", "banana", "25:00", "Foo 02:00", "12", "2026-13-01", "9999999999999w"])
def test_what_is_no_moment_says_what_is(text: str) -> None:
    with pytest.raises(MomentError, match="no moment; try 02:41"):
        parse_moment(text, now=NOW, zone=PARIS)


@pytest.mark.parametrize("text", ["2026-10-26 03:13", "today 23:00"])
def test_the_future_cannot_be_looked_at(text: str) -> None:
    with pytest.raises(MomentError, match="future"):
        parse_moment(text, now=NOW, zone=PARIS)


def test_steps_go_from_multiple_to_multiple_and_a_moment_between_to_the_next() -> None:
    whole = NOW.astimezone(UTC).replace(minute=12, second=0, microsecond=0)
    between = whole + timedelta(seconds=24)
    assert stepped(whole, -1, step_s=60) == whole - timedelta(minutes=1)
    assert stepped(whole, 2, step_s=60) == whole + timedelta(minutes=2)
    assert stepped(between, -1, step_s=60) == whole
    assert stepped(between, 1, step_s=60) == whole + timedelta(minutes=1)
