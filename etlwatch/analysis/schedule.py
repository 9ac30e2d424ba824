"""When a job is expected to begin again and whether it is late, from when it began: at times of day or an interval.

Zones and changes of clocks are taken into account. A job may keep to local time or to UTC; whichever fits closer is
taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from etlwatch.analysis.baseline import MINIMUM_RUNS
from tracking_core.dataclass import dataclass

LOOKED_AT: Final = 30
"""Beginnings that a rhythm is found in, the newest ones."""

_DAY: Final = 86_400
_OFTEN_S: Final = 3 * 3_600
"""A job that begins at least this often keeps an interval, not times of the day."""

_MOST_SLOTS: Final = 4
_APART_S: Final = 2_700
"""Times of day closer together than this are one."""

_TOLERANCES_S: Final = (60.0, 180.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0)
_TOLERANCE_SHARES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
_ENOUGH: Final = 0.8
"""Of the beginnings, how many must fit."""

_USUALLY: Final = 0.6
"""Of its Tuesdays, on how many a job must have begun to be expected on Tuesdays."""

_TURNS_MISSED: Final = 3
"""A time of day that was passed over so often, while the job began at others, is its time no longer."""

_LEAST_GRACE_S: Final = 60.0

GIVEN_UP_AFTER: Final = timedelta(days=7)
"""A job that has missed its turn this long, and ten turns at least, is taken to be over and done with."""

_TURNS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A time of day at which a job begins."""

    second: int
    """Of the day, in the rhythm's frame."""

    weekdays: frozenset[int]
    """On which it begins then: 0 is Monday."""

    tolerance_s: float
    hits: int
    """How many of its last beginnings were at most `tolerance_s` away."""

    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Either slots or an interval."""

    slots: tuple[Slot, ...] = ()
    in_utc: bool = False
    """Whether the slots are times of UTC, which a change of the local clock does not move."""

    every_s: float | None = None
    tolerance_s: float = 0.0
    hits: int = 0
    of: int = 0

    @property
    def period_s(self) -> float:
        """The mean time between two beginnings."""
        if self.every_s is not None:
            return self.every_s
        return 7 * _DAY / max(1, sum(len(slot.weekdays) for slot in self.slots))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The next beginning of a job, and what it is derived from."""

    at: datetime
    late_from: datetime
    """Before this moment it is not late: earlier ones were no more punctual, or the clock struck this hour twice."""

    hits: int
    of: int
    tolerance_s: float
    every_s: float | None = None
    """The interval it follows from; None for a time of day."""

    daily: bool = False
    """Whether it begins at one time on every day of the week."""

    period_s: float = _DAY


def rhythm_of(starts: Iterable[datetime], zone: tzinfo | None = None) -> Rhythm | None:
    """Return the rhythm of a job's beginnings; None where there is none. `zone` None is the local one."""
    newest = sorted(set(starts))[-LOOKED_AT:]
    if len(newest) < MINIMUM_RUNS:
        return None
    intervals = sorted((after - before).total_seconds() for before, after in pairwise(newest))
    median = intervals[len(intervals) // 2]
    regular = _interval_rhythm(intervals, median)
    if median < _OFTEN_S:
        return regular
    return _slot_rhythm(newest, zone) or regular


def _interval_rhythm(intervals: Sequence[float], median: float) -> Rhythm | None:
    for share in _TOLERANCE_SHARES:
        tolerance = max(share * median, 5.0)
        hits = sum(abs(interval - median) <= tolerance for interval in intervals)
        if hits >= _ENOUGH * len(intervals) and tolerance < median:
            return Rhythm(every_s=median, tolerance_s=tolerance, hits=hits, of=len(intervals))
    return None


def _slot_rhythm(starts: Sequence[datetime], zone: tzinfo | None) -> Rhythm | None:
    """Return the slots in local time or in UTC, whichever its beginnings keep to more closely."""
    local, utc = (
        _slots([start.astimezone(zone) for start in starts]),
        _slots([start.astimezone(UTC) for start in starts]),
    )
    if utc and (not local or _closeness(utc) > _closeness(local)):
        return Rhythm(slots=utc, in_utc=True)
    return Rhythm(slots=local) if local else None


def _closeness(slots: Sequence[Slot]) -> tuple[int, float]:
    """Return how many beginnings slots explain, then how closely: the greater the better."""
    return sum(slot.hits for slot in slots), -max(slot.tolerance_s for slot in slots)


def _slots(local: Sequence[datetime]) -> tuple[Slot, ...]:
    """Return the times of day around which beginnings gather; none where too many of them lie elsewhere."""
    groups = _gathered(local)
    kept = [group for group in groups if len(group) >= max(3, len(local) // 10)]
    if len(kept) > _MOST_SLOTS or sum(map(len, kept)) < _ENOUGH * len(local):
        return ()
    last = max(local)
    alive = [group for group in kept if not _given_up(group, last)]
    # With one time a day, beginnings at other times count against it; with several it is unknown against which.
    own = [sum(start.date() >= min(group)[0] for start in local) if len(alive) == 1 else len(group) for group in alive]
    slots = [_slot(group, last, of=of) for group, of in zip(alive, own, strict=True)]
    return tuple(slot for slot in slots if slot is not None) if all(slots) else ()


def _given_up(group: Sequence[tuple[date, float]], last: datetime) -> bool:
    """Return whether a time of day was given up for another: the last begin there is several of its turns ago."""
    days = sorted({day for day, _ in group})
    turns = [(after - before).days for before, after in pairwise(days)]
    usual = sorted(turns)[len(turns) // 2] if turns else 1
    return (last.date() - days[-1]).days > _TURNS_MISSED * usual


def _gathered(local: Sequence[datetime]) -> list[list[tuple[date, float]]]:
    """Return the beginnings in groups by time of day, each as (day, second of it); the seconds may pass midnight."""
    times = sorted((_second_of(start), start.date()) for start in local)
    gaps = [(after[0] - before[0], index + 1) for index, (before, after) in enumerate(pairwise(times))]
    gaps.append((times[0][0] + _DAY - times[-1][0], 0))
    cut = max(gaps)[1]
    # The day is a ring: it is cut where nothing begins for longest, and what comes before the cut is of the day before.
    ring = [(second, day) for second, day in times[cut:]]
    ring += [(second + _DAY, day - timedelta(days=1)) for second, day in times[:cut]]
    groups: list[list[tuple[date, float]]] = []
    last = -_DAY * 1.0
    for second, day in ring:
        if second - last > _APART_S:
            groups.append([])
        groups[-1].append((day, second))
        last = second
    return groups


def _second_of(start: datetime) -> float:
    return start.hour * 3_600 + start.minute * 60 + start.second + start.microsecond / 1e6


def _slot(group: Sequence[tuple[date, float]], last: datetime, *, of: int) -> Slot | None:
    """Return the time and the days on which a group of beginnings lies; None where they show neither."""
    seconds = sorted(second for _, second in group)
    middle = seconds[len(seconds) // 2]
    centre = _round_time(middle)
    tolerance = next(
        (each for each in _TOLERANCES_S if sum(abs(one - centre) <= each for one in seconds) >= 0.9 * len(seconds)),
        None,
    )
    # Its turn on the day of the last beginning may not have come yet.
    until = (last - timedelta(seconds=centre)).date()
    weekdays = _weekdays({day for day, _ in group}, until)
    if tolerance is None or not weekdays:
        return None
    hits = sum(abs(one - centre) <= tolerance for one in seconds)
    days_on = frozenset((day + centre // _DAY) % 7 for day in weekdays)
    return Slot(second=centre % _DAY, weekdays=days_on, tolerance_s=tolerance, hits=hits, of=of)


def _round_time(second: float) -> int:
    """Return the time that a schedule means: five whole minutes just before, else the minute.

    Nothing begins before its time but by a clock that is a few seconds ahead.
    """
    ahead = second + 5
    five = ahead // 300 * 300
    return int(five if ahead - five <= 95 else ahead // 60 * 60)


def _weekdays(days: set[date], until: date) -> frozenset[int]:
    """Return the days of the week on which it usually begins, as of a day; none where that explains too little.

    A weekday that has not come by yet is taken to be like the others of its kind: Monday to Friday, or the weekend.
    """
    first, last = min(days), max(until, *days)
    span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    could = [sum(day.weekday() == weekday for day in span) for weekday in range(7)]
    did = [sum(day.weekday() == weekday for day in days) for weekday in range(7)]
    on = {weekday for weekday in range(7) if could[weekday] and did[weekday] >= _USUALLY * could[weekday]}
    for kind in (range(5), range(5, 7)):
        seen = [weekday for weekday in kind if could[weekday]]
        if seen and all(weekday in on for weekday in seen):
            on.update(weekday for weekday in kind if not could[weekday])
    expected = sum(could[weekday] for weekday in on)
    explained = sum(did[weekday] for weekday in on)
    if explained < _ENOUGH * expected or explained < _ENOUGH * len(days):
        return frozenset()
    return frozenset(on)


def next_after(rhythm: Rhythm, last: datetime, zone: tzinfo | None = None) -> Expected:
    """Return the first beginning that a rhythm lets expect after the last one."""
    if rhythm.every_s is not None:
        at = last + timedelta(seconds=rhythm.every_s)
        grace = max(2 * rhythm.tolerance_s, _LEAST_GRACE_S)
        return Expected(
            at=at,
            late_from=at + timedelta(seconds=grace),
            hits=rhythm.hits,
            of=rhythm.of,
            tolerance_s=rhythm.tolerance_s,
            every_s=rhythm.every_s,
            period_s=rhythm.every_s,
        )
    frame = UTC if rhythm.in_utc else zone
    slot, earliest, latest = min(
        (found for slot in rhythm.slots if (found := _next_in(slot, last, frame)) is not None),
        key=lambda found: found[1],
    )
    return Expected(
        at=earliest,
        late_from=latest + timedelta(seconds=_grace_of(slot)),
        hits=slot.hits,
        of=slot.of,
        tolerance_s=slot.tolerance_s,
        daily=len(rhythm.slots) == 1 and len(slot.weekdays) == 7,
        period_s=rhythm.period_s,
    )


def last_turn(rhythm: Rhythm, last: datetime, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return from when on a run is the one that a rhythm last let expect up to now: it may begin a little early.

    `last` is when the job last began.
    """
    if rhythm.every_s is not None:
        turns = (now - last).total_seconds() // rhythm.every_s
        grace = max(2 * rhythm.tolerance_s, _LEAST_GRACE_S)
        return last + timedelta(seconds=turns * rhythm.every_s - grace) if turns > 0 else last
    frame, turns_of_slots = UTC if rhythm.in_utc else zone, []
    for slot in rhythm.slots:
        at = now - timedelta(days=8)
        while (found := _next_in(slot, at, frame)) is not None and found[1] <= now:
            at = found[1]
        turns_of_slots.append((at, at - timedelta(seconds=_grace_of(slot))))
    return max(turns_of_slots)[1]


def _grace_of(slot: Slot) -> float:
    return max(2 * slot.tolerance_s, _LEAST_GRACE_S)


def _next_in(slot: Slot, last: datetime, frame: tzinfo | None) -> tuple[Slot, datetime, datetime] | None:
    """Return the slot with its first moment that the last beginning was not, twice: an hour may come twice."""
    day = last.astimezone(frame).date() - timedelta(days=1)
    moment = time(slot.second // 3_600, slot.second % 3_600 // 60, slot.second % 60)
    for number in range(16):
        on = day + timedelta(days=number)
        if on.weekday() not in slot.weekdays:
            continue
        naive = datetime.combine(on, moment)
        earliest = _from(frame, naive)
        # Where the clock skips this moment the second reading lies before the first.
        latest = max(earliest, _from(frame, naive.replace(fold=1)))
        # Begun a little early it has begun.
        if earliest - timedelta(seconds=_grace_of(slot)) > last:
            return slot, earliest, latest
    return None


def _from(zone: tzinfo | None, naive: datetime) -> datetime:
    """Return the moment at which a clock in `zone` shows this; one that it skips counts by the clock before it."""
    return (naive if zone is None else naive.replace(tzinfo=zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When a job is next, and whether it is late."""

    expected: Expected | None = None
    """When it is next by its rhythm; None without one, or once it has been given up."""

    overdue_s: float | None = None
    """How late it is to begin; None when it is not late."""

    given_up_since: datetime | None = None
    """The turn that it missed first, when it has missed so many that nobody waits for it."""


def turn_of(
    rhythm: Rhythm | None, starts: Sequence[datetime], *, alive: bool, now: datetime, zone: tzinfo | None
) -> Turn:
    """Return when a job is next; `starts` are its beginnings, ascending, and one that is `alive` has a living run."""
    if rhythm is None:
        return Turn()
    expected = next_after(rhythm, starts[-1], zone)
    if now <= expected.late_from or alive:
        return Turn(expected=expected)
    if now - expected.at > max(_TURNS * timedelta(seconds=expected.period_s), GIVEN_UP_AFTER):
        return Turn(given_up_since=expected.at)
    if expected.every_s is not None and _pauses_now(starts, expected.at, expected.every_s, now):
        return Turn(expected=expected)
    return Turn(expected=expected, overdue_s=(now - expected.at).total_seconds())


def _pauses_now(starts: Sequence[datetime], at: datetime, every_s: float, now: datetime) -> bool:
    """Return whether a job that keeps an interval began at these hours neither today nor a day or a week ago."""
    half = timedelta(seconds=every_s / 2)
    for back in (timedelta(days=1), timedelta(days=7)):
        if starts[0] <= at - back and not any(at - back - half <= start <= now - back for start in starts):
            return True
    return False
