"""How the values of a run are written in tables: times in one zone, named once; numbers; states.

Pure: the moment of reading is an argument, and so is the zone, None for the process's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo

from etlwatch.cli.terminal import Look, Tone
from etlwatch.text.numbers import UNKNOWN

_TONES: dict[str, Tone] = {
    "failed": "red",
    "lost": "red",
    "stalled": "amber",
    "throttled": "amber",
    "slow": "amber",
    "completed": "dim",
    "skipped": "dim",
}


def state_tone(state: str) -> Tone:
    """Return the tone of a state: red what is dead, amber what is behind, dim what is well."""
    return _TONES.get(state, "")


def state_word(state: str, look: Look) -> str:
    """Return a state as its word, behind its glyph on a terminal: in a pipe one word is easier to cut out."""
    return f"{look.glyphs.state(state)} {state}" if look.is_terminal else state


def local_time(when: datetime | None, zone: tzinfo | None) -> str:
    """Return a moment to the second in a zone, which `zone_of` names."""
    return UNKNOWN if when is None else f"{when.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def zone_of(moments: Iterable[datetime | None], zone: tzinfo | None) -> str:
    """Return the name of a zone at these moments: both names where a clock was changed between them."""
    names = {when.astimezone(zone).tzname() or "" for when in moments if when is not None}
    return "/".join(sorted(names))


def exact(number: int | None) -> str:
    """Return a number of things with every digit."""
    return UNKNOWN if number is None else f"{number:,}"
