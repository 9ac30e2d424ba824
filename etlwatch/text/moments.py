"""Times as a person types them: spans such as `90s`, `24h`, `1h30m`, and moments such as `02:41` or `yesterday 03:00`.

A moment is `now`, a span before now (`24h`, `-1h30m`, `90m ago`), a time of day (`02:41`, `yesterday 03:00`, `Tue
02:10`; the latest one that is not in the future), `today`, `yesterday`, or a date (`2026-10-24 03:12`). Without a
zone it is read in the one on screen.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

ACCEPTED: Final = "02:41, yesterday 03:00, Tue 02:10, -1h30m, 2026-10-24 03:12, now"
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PART: Final = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|[wdhms])"
_TIME: Final = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?"
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_LONGEST_S: Final = 36_500 * 86_400


class MomentError(ValueError):
    """The text is no moment; the message names what is accepted."""


def parse_seconds(text: str) -> float:
    """Return the seconds of a span: `250ms`, `90s`, `1.5h`, `1h30m`, `2d`; ValueError for anything else."""
    words = text.strip().lower()
    if not re.fullmatch(rf"(?:{_PART}\s*)+", words):
        raise ValueError(f"{text!r} is no span of time: write numbers with s, m, h, d, w, such as 90s, 1h30m or 30d")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, words))
    if seconds > _LONGEST_S:
        raise ValueError(f"{text!r} is too long a span of time: write numbers with s, m, h, d, w, up to 36500d")
    return seconds


def parse_span(text: str) -> timedelta:
    """Return the same as a timedelta."""
    return timedelta(seconds=parse_seconds(text))


def parse_moment(text: str, *, now: datetime, zone: tzinfo | None = None, coming: bool = False) -> datetime:
    """Return the moment that a text means, never after `now` unless it may be `coming`; MomentError when it means none.

    `now` is aware; `zone` is that of the screen, None the local one.
    """
    words = text.strip().lower()
    here = now.astimezone(zone)
    found = _relative(words, here) or _time_of_day(words, here) or _absolute(text.strip(), zone)
    if found is None:
        raise MomentError(f"{text.strip()!r} is no moment; try {ACCEPTED}")
    if found > now and not coming:
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
    if words in ("today", "yesterday"):
        return _days_before(_wall(here, 0, 0, 0), int(words == "yesterday"))
    try:
        # Elapsed time, whatever clock changes were in it.
        return here.astimezone(UTC) - parse_span(words.removeprefix("-").removesuffix("ago"))
    except (ValueError, OverflowError):
        return None


def _time_of_day(words: str, here: datetime) -> datetime | None:
    day, _, clock = words.rpartition(" ")
    match = re.fullmatch(_TIME, clock)
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


def _absolute(text: str, zone: tzinfo | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is not None:
        return found
    # A naive datetime's own `astimezone` reads it as local, daylight saving of that day included.
    return found.replace(tzinfo=zone) if zone else found.astimezone()


def _wall(here: datetime, hour: int, minute: int, second: int) -> datetime:
    return here.replace(hour=hour, minute=minute, second=second, microsecond=0)


def _days_before(at: datetime, days: int) -> datetime:
    # By the calendar, not by 24 hours: on the day of a clock change 03:00 stays 03:00.
    return at - timedelta(days=days)
