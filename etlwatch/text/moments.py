"""A moment as a person types it: `02:41`, `yesterday 03:00`, `Tue 02:10`, `-1h30m`, `2026-10-24 03:12`.

Contains the words for past moments. A time of day is the latest one that is not in the future; a zone is the one on
screen.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

__all__ = ["ACCEPTED", "MomentError", "parse_moment", "stepped"]

ACCEPTED: Final = "02:41, yesterday 03:00, Tue 02:10, -1h30m, 2026-10-24 03:12, now"
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = re.compile(r"^-?\s*((?:\d+(?:\.\d+)?\s*[wdhms]\s*)+)(?:ago)?$", re.IGNORECASE)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])", re.IGNORECASE)
_TIME: Final = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?$")
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


class MomentError(ValueError):
    """What was typed is no moment; says what is accepted."""


def parse_moment(text: str, *, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the moment that a text means, never after `now`; MomentError when it means none.

    `now` is aware; `zone` is that of the screen, None the local one.
    """
    words = text.strip().lower()
    here = now.astimezone(zone)
    found = _relative(words, here) or _time_of_day(words, here) or _absolute(text.strip(), here)
    if found is None:
        raise MomentError(f"{text.strip()!r} is no moment; try {ACCEPTED}")
    if found > now:
        raise MomentError(f"{text.strip()!r} is in the future; only what has been can be looked at")
    return found


def stepped(moment: datetime, steps: int, *, step_s: int) -> datetime:
    """Return the moment some steps later, or earlier where negative, on multiples of a step: there cells close.

    A moment between two multiples goes to the next one first.
    """
    place = moment.timestamp() / step_s
    return datetime.fromtimestamp((math.floor(place) if steps > 0 else math.ceil(place)) * step_s + steps * step_s, UTC)


def _relative(words: str, here: datetime) -> datetime | None:
    if words == "now":
        return here
    match = _SPAN.match(words)
    if match is None:
        return None
    seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in _PART.findall(match[1]))
    try:
        return here - timedelta(seconds=seconds)
    except OverflowError:
        return None


def _time_of_day(words: str, here: datetime) -> datetime | None:
    day, _, clock = words.rpartition(" ")
    match = _TIME.match(clock)
    if match is None:
        return None
    try:
        at = _wall(here, int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError:
        return None
    if not day:
        return at if at <= here else _days_before(at, 1)
    if day in ("today", "yesterday"):
        return _days_before(at, int(day == "yesterday"))
    if day[:3] not in _DAYS:
        return None
    back = (here.weekday() - _DAYS.index(day[:3])) % 7
    found = _days_before(at, back)
    return found if found <= here else _days_before(at, back + 7)


def _absolute(text: str, here: datetime) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=here.tzinfo) if found.tzinfo is None else found


def _wall(here: datetime, hour: int, minute: int, second: int) -> datetime:
    return here.replace(hour=hour, minute=minute, second=second, microsecond=0)


def _days_before(at: datetime, days: int) -> datetime:
    # By the calendar, not by 24 hours: on the day of a clock change 03:00 stays 03:00.
    return at - timedelta(days=days)
