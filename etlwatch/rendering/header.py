"""The right side of line 1: tracking, age of the data, cost of a poll, clock; and the store's name at the left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from etlwatch.rendering.lines import Part
from etlwatch.text.numbers import behind, clock, duration, duration_ms, stamp
from etlwatch.text.safe import clip, safe
from tracking_core.dataclass import dataclass

if TYPE_CHECKING:
    from tracking_core.records import Switch

LABEL_CELLS = 28
NAME_ROLES = {"red": "red bold", "amber": "amber bold", "blue": "blue", "none": "blue"}
"""The role of the store's name for its target's colour."""


def name_parts(label: str, colour: str, *, brief: bool) -> list[Part]:
    """Return the program's name, unless the line is short, and the store's."""
    name = (clip(safe(label), LABEL_CELLS), NAME_ROLES[colour])
    return [Part((name,), 0, 1)] if brief else [Part((("etlwatch", "text bold"),), 3), Part((name,), 0, 1)]


def short_label(label: str) -> str:
    """Return the short name of a store: a file's name, or a database and its host."""
    if label.startswith("/"):
        return label.rsplit("/", 1)[-1]
    address, _, database = label.partition(" as ")[0].removeprefix("postgresql://").partition("/")
    host = address.partition(":")[0] if not address.startswith("[") else address
    return f"{database}@{host}" if database and host else database or host or label


def tracking_part(switches: Sequence[Switch], *, brief: bool) -> Part:
    """Return whether tracking is on, and by whom it was switched off; never dropped while it is off."""
    for switch in switches:
        if switch.scope == "global" and not switch.enabled:
            by = f" by {safe(switch.changed_by)}" if switch.changed_by and not brief else ""
            return Part(((f"tracking off{by}", "amber bold"),), 0, 3)
    off = [switch for switch in switches if switch.scope == "job" and not switch.enabled]
    if off:
        which = safe(off[0].job) if len(off) == 1 and not brief else f"{len(off)} job{'s' if len(off) > 1 else ''}"
        return Part(((f"tracking off for {which}", "amber"),), 0, 3)
    return Part((("tracking on", "dim"),), 4, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old what is shown is, and what it cost."""

    age_s: float | None
    """Seconds since it was read; None before the first answer."""

    interval_s: float
    poll_ms: float = 0.0
    bytes_per_s: float | None = None
    as_of: datetime | None = None
    """The store's clock of the data shown."""

    behind_s: float | None = None
    """How many seconds the data was behind the store's clock, on a standby."""

    connected: bool = True
    paused: bool = False


def freshness_parts(fresh: Freshness, *, clock_now: datetime, zone: tzinfo | None, width: int) -> list[Part]:
    """Return data age, poll cost, bytes a second and the clock with its zone; amber and fixed without a connection."""
    seconds = width >= 100
    clock_now += timedelta(seconds=fresh.behind_s or 0.0)
    time_now = Part(((clock(clock_now, zone, seconds=seconds, name=True), "dim"),), 0, 3 if width >= 100 else 2)
    if fresh.age_s is None:
        return [Part((("connecting", "dim"),), 3, 3), time_now]
    as_of = Part(((f"as of {clock(fresh.as_of, zone, seconds=True, name=True)}", "amber"),), 0, 2)
    if not fresh.connected:
        return [Part(((f"data {duration(max(fresh.age_s, 1))} old", "amber"),), 0, 3), as_of]
    if fresh.paused:
        return [Part((("paused", "blue bold"),), 0, 3), Part(as_of.spans, 0, 2)]
    facts = [_age(fresh), duration_ms(fresh.poll_ms)]
    if fresh.bytes_per_s is not None and width >= 140:
        # Of one width, so that the cells to its left do not move.
        facts.append(f"{_bytes(fresh.bytes_per_s):>4}/s")
    word = "data " if width >= 140 else ""
    space = 3 if width >= 100 else 2
    late = behind(fresh.behind_s)
    standby = [Part(((late, "amber"),), 0, space)] if late else []
    return [*standby, Part(((word + " · ".join(facts), "dim"),), 3, space), time_now]


def looking_back_parts(moment: datetime, shown: datetime | None, zone: tzinfo | None, width: int) -> list[Part]:
    """Return which past moment is on screen, or is being read, and how to come back; in blue, as the cursor is."""
    read = shown == moment
    word = "as of" if read else "reading"
    at = stamp(moment, zone) if width >= 100 else clock(moment, zone, seconds=True, name=True)
    return [
        Part((("esc now", "dim"),), 3, 3),
        Part(((f"{word} {at}", "blue bold"),), 0, 2),
    ]


def bundle_parts(made_at: datetime, zone: tzinfo | None) -> list[Part]:
    """Return when the bundle on screen was made, in blue as every moment that is not now."""
    return [Part((("bundle", "dim"),), 3, 3), Part(((f"as of {stamp(made_at, zone)}", "blue bold"),), 0, 2)]


def _age(fresh: Freshness) -> str:
    """Write the age of data that keeps coming as the interval, so that it does not flicker between two polls."""
    age = fresh.age_s or 0.0
    steady = max(fresh.interval_s, 1.0)
    return duration(steady) if age <= 2 * steady + 1 else duration(age)


def _bytes(value: float) -> str:
    """Write bytes per second with two digits, so that it changes rarely: each change is sent."""
    if value >= 10:
        digits = 10 ** (int(math.log10(value)) - 1)
        value = round(value / digits) * digits
    if value < 1_000:
        return f"{value:.0f}B"
    return f"{value / 1_000:.1f}kB" if value < 10_000 else f"{value / 1_000:.0f}kB"
