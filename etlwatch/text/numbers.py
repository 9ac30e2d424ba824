"""How every number and time is written, on every screen and in every command.

Few characters, one decimal at most, the same word for the same size everywhere. All functions are total: None, NaN,
infinities, huge and negative numbers give a short text (`–` where nothing is known), never an
exception.

    count(48213) 48.2k    rate(12.41) 12.4      percent(.74) 74%     share(.062) 6.2%    change(.18) +18%
    duration(6120) 1h 42m span(3060) 51m        duration_ms(2900) 2.9s                   ratio(1.79) 1.8×
    bytes_(870) 870B      ago(1860) 31m ago     clock(t, zone) 03:12 moment(t, now, zone) Tue 02:10
    stamp(t, zone) 2026-10-24 03:12:44 CET      started(t, now, zone), at most five cells
"""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Final, SupportsFloat, TypeAlias

Number: TypeAlias = SupportsFloat | None

UNKNOWN: Final = "–"
MINUS: Final = "−"

BEHIND_SHOWN_S: Final = 2.0
"""A standby that is less behind its primary is not reported."""

_HUGE: Final = 1e300
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


def _known(value: Number) -> float | None:
    """Return `value` as a finite float, or None where it is no number that means something."""
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        return -_HUGE if value < 0 else _HUGE  # type: ignore[operator]
    except (TypeError, ValueError):
        return None
    # Held within `_HUGE` so that a percentage of it is still finite.
    return max(-_HUGE, min(_HUGE, number)) if math.isfinite(number) else None


def _compact(number: float, step: float, units: str) -> str:
    """Write a number of at least `step` with a unit letter; beyond the last one as a power of ten."""
    scaled = number
    for unit in units:
        scaled /= step
        if round(scaled, 1) < 100:
            return f"{scaled:.1f}{unit}"
        if round(scaled) < step:
            return f"{scaled:.0f}{unit}"
    return f"{number:.0e}".replace("e+", "e")


def _plain(number: float) -> str:
    """Write a non-negative number without decimals: commas for thousands, a letter from 10,000 on."""
    whole = math.floor(number + 0.5) if number < 1e15 else number
    return f"{whole:,.0f}" if whole < 10_000 else _compact(number, 1_000, "kMGTPE")


def _with_sign(number: float, text: str) -> str:
    return MINUS + text if number < 0 and any(digit in "123456789" for digit in text) else text


def count(value: Number, *, blank_zero: bool = False) -> str:
    """Write a number of things: `311`, `8,120`, `48.2k`, `413k`, `1.2M`; at most five cells, `–` when unknown."""
    number = _known(value)
    if number is None:
        return UNKNOWN
    text = _plain(abs(number))
    return "" if blank_zero and text == "0" else _with_sign(number, text)


def exact(number: int | None) -> str:
    """Write a number of things with every digit: `48,213`."""
    return UNKNOWN if number is None else f"{number:,}"


def number_of(number: int, thing: str, written: str = "") -> str:
    """Write how many things there are: `1 run`, `48,213 runs`, `2 batches`.

    `written` is the number as it is to stand there, with a `+` at its end where there are more.
    """
    ending = "es" if thing.endswith("ch") else "s"
    return f"{written or exact(number)} {thing}{'' if number == 1 and not written.endswith('+') else ending}"


def rate(value: Number) -> str:
    """Write a rate a second: `12.4`, from 100 on whole (`262`); below 0.1 a minute or an hour: `3/min`, `12/h`."""
    number = _known(value)
    if number is None:
        return UNKNOWN
    size = abs(number)
    if 0 < size < 0.1:
        slow = f"{size * 60:.0f}/min" if round(size * 60) else f"{size * 3600:.0f}/h"
        return _with_sign(number, slow if round(size * 3600) else "<1/h")
    return _with_sign(number, f"{size:.1f}" if round(size, 1) < 100 else _plain(size))


def per_second(value: Number, things: str = "") -> str:
    """Write a rate with its unit: `12.4/s`, `12.4 requests/s`, `3/min`, `3 requests/min`."""
    number, _, unit = rate(value).partition("/")
    if number == UNKNOWN:
        return UNKNOWN
    return f"{number}{' ' if things else ''}{things}/{unit or 's'}"


def _percent_of(size: float, decimals: int) -> str:
    """Write a non-negative share, never rounding something to nothing or nearly all to all."""
    hundredths = size * 100
    least: float = 10**-decimals
    if 0 < hundredths < least / 2:
        return f"<{least:g}%"
    if hundredths < 100 <= round(hundredths, decimals):
        return "99%"
    return f"{hundredths:.{decimals}f}%" if hundredths < 10_000 else f"{_plain(hundredths)}%"


def percent(value: Number) -> str:
    """Write a share (1.0 is all) in whole per cent: `74%`; `99%` until it is done, `<1%` for a trace; not clamped."""
    number = _known(value)
    return UNKNOWN if number is None else _with_sign(number, _percent_of(abs(number), 0))


def share(value: Number) -> str:
    """Write a share (1.0 is all) that is often small: `0.4%`, `6.2%`, and from ten per cent on whole, `31%`."""
    number = _known(value)
    if number is None:
        return UNKNOWN
    size = abs(number)
    return _with_sign(number, _percent_of(size, 1 if round(size * 100, 1) < 10 else 0))


def change(value: Number) -> str:
    """Write a relative change (0.18 is eighteen per cent more): `+18%`, `−1%`, `0%`."""
    number = _known(value)
    return UNKNOWN if number is None else signed(number, percent(abs(number)))


def signed(value: Number, text: str) -> str:
    """Put the sign of `value` before `text`, the written size: `+46m`, `−1m 40s`; none for zero or unknown."""
    number = _known(value)
    if not number or not any(digit in "123456789" for digit in text):
        return text
    return (MINUS if number < 0 else "+") + text


def ratio(value: Number, *, only_above: bool = False) -> str:
    """Write a multiple of the usual in at most four cells: `1.8×`, `12×`; with `only_above` blank up to `1.0×`."""
    number = _known(value)
    if number is None or number < 0:
        return "" if only_above else UNKNOWN
    tenths = round(number, 1)
    if only_above and tenths <= 1.0:
        return ""
    if tenths < 10:
        return f"{abs(number):.1f}×"  # a zero may come with a sign
    return f"{number:.0f}×" if number < 999.5 else ">1k×"


def duration_ms(value: Number, *, seconds_from: float = 1_000) -> str:
    """Write a time in milliseconds in at most six cells: `0.4ms`, `840ms`, `2.9s`, `90s`, `17m`, `1h 42m`.

    From `seconds_from` milliseconds on it is written in seconds, so that `0.8s` and `2.9s` have one unit.
    """
    number = _known(value)
    if number is None:
        return UNKNOWN
    size = abs(number)
    if size == 0:
        text = "0ms"
    elif size < 0.05:
        text = "<0.1ms"
    elif round(size, 1) < 10 and size < seconds_from:
        text = f"{size:.1f}ms"
    elif round(size) < 1_000 and size < seconds_from:
        text = f"{size:.0f}ms"
    elif round(size / 1_000, 1) < 60:
        text = f"{size / 1_000:.1f}s"
    elif round(size / 1_000) < 1_000:
        text = f"{size / 1_000:.0f}s"
    else:
        text = span(size / 1_000)
    return _with_sign(number, text)


def duration(value: Number) -> str:
    """Write seconds in at most seven cells, two units: `42s`, `58m 12s`, `1h 42m`, `1d 02h`, `128d`. Rounds down."""
    number = _known(value)
    if number is None:
        return UNKNOWN
    size = abs(number)
    if 0 < size < 1:
        return _with_sign(number, "<1s")
    if _MINUTE <= size < _HOUR:
        whole = int(size)
        return _with_sign(number, f"{whole // _MINUTE}m {whole % _MINUTE:02}s")
    return _with_sign(number, _coarse(size))


def span(value: Number) -> str:
    """Write seconds coarsely, for usual times and ages: `31s`, `51m`, `1h 42m`, `1d 02h`. Rounds to the nearest."""
    number = _known(value)
    if number is None:
        return UNKNOWN
    size = abs(number)
    unit = 1 if size < _MINUTE - 0.5 else _MINUTE if size < _DAY - _MINUTE / 2 else _HOUR
    rounded = math.floor(size / unit + 0.5) * unit if size < 1e15 else size
    return _with_sign(number, _coarse(rounded))


def _coarse(size: float) -> str:
    """Write non-negative seconds by their largest unit, with the next one from an hour on. Rounds down."""
    if size < _MINUTE:
        return f"{int(size)}s"
    if size < _HOUR:
        return f"{int(size // _MINUTE)}m"
    if size < _DAY:
        return f"{int(size // _HOUR)}h {int(size % _HOUR // _MINUTE):02}m"
    days = size // _DAY
    return f"{int(days)}d {int(size % _DAY // _HOUR):02}h" if days < 100 else f"{_plain(days)}d"


def ago(seconds: Number) -> str:
    """Write an age in seconds: `31m ago`; `in 5m` for what lies ahead. Rounds down.

    Under a minute in tens, and `just now`: a text that changes each second would be sent each second.
    """
    number = _known(seconds)
    if number is None:
        return UNKNOWN
    if abs(number) < _MINUTE:
        number = number - number % 10 if number > 0 else number
    if abs(number) < 1:
        return "just now"
    return f"{_coarse(number)} ago" if number > 0 else f"in {_coarse(-number)}"


def bytes_(value: Number) -> str:
    """Write a size in bytes in at most five cells, units of 1,024: `870B`, `5.6K`, `412M`, `2G`, `2.1G`."""
    number = _known(value)
    if number is None:
        return UNKNOWN
    scaled = abs(number)
    for unit in "BKMGTPE":
        rounded = round(scaled, 1)
        if rounded < 10 and unit != "B" and rounded != int(rounded):
            return _with_sign(number, f"{rounded:.1f}{unit}")
        if round(scaled) < 1_024:
            return _with_sign(number, f"{scaled:.0f}{unit}")
        scaled /= 1_024
    return _with_sign(number, f"{abs(number):.0e}B".replace("e+", "e"))


def _at(when: datetime | None, zone: tzinfo | None) -> datetime | None:
    """Return `when` in `zone` (None: the local one), or None where it has no zone or is out of range."""
    if when is None or when.tzinfo is None:
        return None
    try:
        return when.astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return None


def clock(when: datetime | None, zone: tzinfo | None = None, *, seconds: bool = False, name: bool = False) -> str:
    """Write a time of day in `zone` (None: local): `03:12`, `03:12:44`, with the zone's name `03:12:44 CET`.

    A naive datetime has no zone: it is `–`, like None.
    """
    local = _at(when, zone)
    if local is None:
        return UNKNOWN
    text = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    return f"{text} {local.tzname()}" if name else text


def stamp(when: datetime | None, zone: tzinfo | None = None) -> str:
    """Write a moment in full: `2026-10-24 03:12:44 CET`."""
    local = _at(when, zone)
    return UNKNOWN if local is None else f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def local_time(when: datetime | None, zone: tzinfo | None = None) -> str:
    """Write a moment to the second without its zone, which `zone_names` returns."""
    return UNKNOWN if when is None else f"{when.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def zone_names(moments: Iterable[datetime | None], zone: tzinfo | None = None) -> str:
    """Return the name of a zone at these moments: both names where a clock was changed between them."""
    return "/".join(sorted({when.astimezone(zone).tzname() or "" for when in moments if when is not None}))


def behind(seconds: float | None) -> str:
    """Return how far a standby is behind; "" if it is not, or only little."""
    return f"standby {duration(seconds)} behind" if seconds is not None and seconds >= BEHIND_SHOWN_S else ""


def late_by(seconds: float) -> str:
    """Write how late something is, in whole minutes that have passed."""
    return span(seconds // 60 * 60 if seconds >= 60 else seconds)


def moment(when: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """Write a moment as briefly as `now` allows: `02:10` today, `Tue 02:10` this week, `Feb 02`, `2024-02-02`."""
    local, here = _at(when, zone), _at(now, zone)
    if local is None or here is None:
        return UNKNOWN
    if local.date() == here.date():
        return f"{local:%H:%M}"
    if abs(here - local) < timedelta(days=7):
        return f"{_DAYS[local.weekday()]} {local:%H:%M}"
    if abs(here - local) < timedelta(days=330):
        return f"{_MONTHS[local.month - 1]} {local:%d}"
    return f"{local:%Y-%m-%d}"


def dated(when: datetime | None, zone: tzinfo | None = None) -> str:
    """Write a moment with weekday and date, in sixteen cells: `Tue 03 Nov 02:10`."""
    local = _at(when, zone)
    if local is None:
        return UNKNOWN
    return f"{_DAYS[local.weekday()]} {local:%d} {_MONTHS[local.month - 1]} {local:%H:%M}"


def started(when: datetime | None, now: datetime, zone: tzinfo | None = None) -> str:
    """Write when a run began in at most five cells: `02:10`, `Tue02` (day and hour), `10-24`, `2024`."""
    local, here = _at(when, zone), _at(now, zone)
    if local is None or here is None:
        return UNKNOWN
    age = abs(here - local)
    if local.date() == here.date() or age < timedelta(hours=12):
        return f"{local:%H:%M}"
    if age < timedelta(days=6):
        return f"{_DAYS[local.weekday()]}{local:%H}"
    return f"{local:%m-%d}" if age < timedelta(days=330) else f"{local:%Y}"


# Written here: `%a` and `%b` would follow the job host's locale, whose words may be wide or long.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def short_id(run_id_text: str) -> str:
    """Return the short form of an id of 13 characters: the last four."""
    return run_id_text[-4:]
