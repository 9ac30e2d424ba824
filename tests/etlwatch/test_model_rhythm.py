"""When a job is expected again: times of the day, weekdays, intervals, changes of clocks, and no rhythm at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from etlwatch.analysis.schedule import Expected, last_turn, next_after, rhythm_of

PARIS = ZoneInfo("Europe/Paris")
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def paris(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS)


def nights(first: str, count: int, *, at: str = "02:00", jitter: tuple[int, ...] = (4, 20, 61, 9)) -> list[datetime]:
    """Return a beginning a night at a local time, a few seconds late."""
    day = datetime.fromisoformat(f"{first}T{at}")
    return [
        (day + number * DAY).replace(tzinfo=PARIS) + timedelta(seconds=jitter[number % len(jitter)])
        for number in range(count)
    ]


def expected(starts: list[datetime], zone: ZoneInfo = PARIS) -> Expected:
    rhythm = rhythm_of(starts, zone)
    assert rhythm is not None
    return next_after(rhythm, max(starts), zone)


def shown(moment: datetime) -> str:
    return f"{moment.astimezone(PARIS):%a %Y-%m-%d %H:%M %Z}"


def test_a_nightly_job_is_expected_the_next_night_at_its_time() -> None:
    found = expected(nights("2026-09-20", 30))
    assert shown(found.at) == "Tue 2026-10-20 02:00 CEST"
    assert (found.hits, found.of, found.tolerance_s, found.daily) == (30, 30, 180, True)
    assert found.late_from == found.at + 6 * MINUTE


def test_two_nights_off_its_time_are_told_and_do_not_matter() -> None:
    starts = nights("2026-09-20", 30)
    starts[4] += timedelta(minutes=50)
    starts[9] += timedelta(hours=3)
    found = expected(starts)
    assert shown(found.at) == "Tue 2026-10-20 02:00 CEST"
    assert (found.hits, found.of) == (28, 30)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_than_five_beginnings_are_no_rhythm(count: int) -> None:
    assert rhythm_of(nights("2026-09-20", count), PARIS) is None


def test_beginnings_without_a_pattern_are_no_rhythm() -> None:
    base = paris("2026-09-20T00:00")
    hours = (0, 7, 31, 49, 50, 90, 101, 140, 144, 201, 230, 231, 300)
    assert rhythm_of([base + timedelta(hours=each, minutes=each * 7 % 60) for each in hours], PARIS) is None


def test_on_a_job_of_working_days_nobody_waits_at_the_weekend() -> None:
    starts = [start for start in nights("2026-09-07", 40) if start.weekday() < 5]
    friday = [start for start in starts if start <= paris("2026-10-10T00:00")]
    assert shown(expected(friday).at) == "Mon 2026-10-12 02:00 CEST"
    assert not expected(friday).daily


def test_a_weekly_job_is_expected_a_week_later() -> None:
    starts = [paris("2026-08-02T06:30") + 7 * DAY * week for week in range(8)]
    assert shown(expected(starts).at) == "Sun 2026-09-27 06:30 CEST"


def test_a_weekday_that_has_not_come_by_is_taken_to_be_like_the_others_of_its_kind() -> None:
    assert shown(expected(nights("2026-10-14", 5)).at).startswith("Mon 2026-10-19"), "Wed to Sun: every day"
    assert shown(expected(nights("2026-10-12", 5)).at).startswith("Mon 2026-10-19"), "Mon to Fri: no Saturday is seen"


def test_several_times_a_day_are_several_expectations() -> None:
    starts = [*nights("2026-09-20", 12), *nights("2026-09-20", 12, at="14:30")]
    assert shown(expected(starts).at) == "Fri 2026-10-02 02:00 CEST"
    assert shown(expected(starts[:-1]).at) == "Thu 2026-10-01 14:30 CEST"
    assert expected(starts).of == 12


def test_a_job_around_midnight_has_one_time() -> None:
    starts = nights("2026-09-20", 20, at="00:00", jitter=(-40, 30, -20, 5))
    found = expected(starts)
    assert shown(found.at) == "Sat 2026-10-10 00:00 CEST"
    assert found.tolerance_s == 60


def test_a_monthly_job_follows_an_interval_and_is_not_expected_daily() -> None:
    starts = [datetime(2026, month, 1, 3, 0, tzinfo=PARIS) for month in range(1, 9)]
    found = expected(starts)
    assert found.every_s is not None
    assert paris("2026-08-31T00:00") <= found.at <= paris("2026-09-02T00:00")


def test_a_job_every_hour_follows_its_last_beginning() -> None:
    base = paris("2026-10-01T00:00")
    starts = [base + timedelta(hours=hour, seconds=hour * 13 % 40) for hour in range(30)]
    found = expected(starts)
    assert found.every_s == pytest.approx(3_600, abs=20)
    assert (found.hits, found.of) == (29, 29)
    assert found.at == max(starts) + timedelta(seconds=found.every_s or 0)
    assert found.late_from - found.at >= MINUTE


# -- changes of clocks


def test_a_local_time_stays_when_the_clock_is_set_back() -> None:
    found = expected(nights("2026-10-10", 15))
    assert shown(found.at) == "Sun 2026-10-25 02:00 CEST"
    assert found.late_from == found.at + timedelta(hours=1) + 6 * MINUTE, "02:00 comes twice in that night"
    after = expected(nights("2026-10-10", 16))
    assert shown(after.at) == "Mon 2026-10-26 02:00 CET"
    assert after.late_from - after.at == 6 * MINUTE


def test_a_time_that_the_clock_skips_is_expected_when_it_would_have_been() -> None:
    found = expected(nights("2026-03-09", 20, at="02:30"))
    assert shown(found.at) == "Sun 2026-03-29 03:30 CEST"
    assert found.late_from - found.at == 6 * MINUTE


def test_a_job_that_keeps_utc_is_expected_an_hour_earlier_on_the_local_clock() -> None:
    starts = [datetime(2026, 10, 15, 1, 0, 10, tzinfo=UTC) + number * DAY for number in range(20)]
    rhythm = rhythm_of(starts, PARIS)
    assert rhythm is not None
    assert rhythm.in_utc
    assert shown(expected(starts).at) == "Wed 2026-11-04 02:00 CET"
    assert rhythm_of(nights("2026-10-15", 20, at="03:00"), PARIS).in_utc is False  # type: ignore[union-attr]


def test_a_job_that_was_moved_is_expected_at_its_new_time_alone() -> None:
    starts = [*nights("2026-09-01", 24), *nights("2026-09-25", 6, at="04:00")]
    found = expected(starts)
    assert shown(found.at) == "Thu 2026-10-01 04:00 CEST"
    assert (found.hits, found.of) == (6, 6)


def test_a_beginning_a_little_early_is_the_one_that_was_expected() -> None:
    starts = nights("2026-09-20", 30)
    starts.append(paris("2026-10-20T01:58"))
    assert shown(expected(starts).at) == "Wed 2026-10-21 02:00 CEST"


def test_what_was_missed_first_is_what_is_expected() -> None:
    starts = nights("2026-09-20", 30)
    rhythm = rhythm_of(starts, PARIS)
    assert rhythm is not None
    assert shown(next_after(rhythm, starts[-1], PARIS).at) == "Tue 2026-10-20 02:00 CEST"


@pytest.mark.parametrize(
    ("now", "turn"),
    [("2026-10-20T01:59", "Mon 2026-10-19 01:54 CEST"), ("2026-10-20T02:00", "Tue 2026-10-20 01:54 CEST"),
     ("2026-10-25T23:00", "Sun 2026-10-25 01:54 CEST"), ("2026-10-26T02:30", "Mon 2026-10-26 01:54 CET")],
)  # fmt: skip
def test_the_last_turn_of_a_nightly_job_is_the_last_night(now: str, turn: str) -> None:
    starts = nights("2026-09-20", 30)
    rhythm = rhythm_of(starts, PARIS)
    assert rhythm is not None
    assert shown(last_turn(rhythm, max(starts), paris(now), PARIS)) == turn


def test_the_last_turn_of_an_interval_is_its_last_beginning_until_the_next_is_due() -> None:
    starts = [paris("2026-10-19T00:00") + number * 20 * MINUTE for number in range(30)]
    rhythm, last = rhythm_of(starts, PARIS), max(starts)
    assert rhythm is not None
    assert last_turn(rhythm, last, last + 19 * MINUTE, PARIS) == last
    assert last_turn(rhythm, last, last + 45 * MINUTE, PARIS) == last + 39 * MINUTE
