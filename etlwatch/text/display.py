"""What every displayed text depends on besides its facts, and how a state is displayed: its glyph and its colour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final, Literal, TypeAlias

from etlwatch.text.glyphs import UNICODE, Glyphs
from tracking_core.dataclass import dataclass

Tone: TypeAlias = Literal["", "red", "amber", "dim", "bold"]
"""The colour of a command's text."""

_ROLES: Final[Mapping[str, str]] = {
    "lost": "red", "failed": "red", "stalled": "amber", "throttled": "amber", "slow": "amber", "overdue": "amber",
    "completed": "dim", "skipped": "dim", "pending": "dim",
}  # fmt: skip
"""The one map from the states of runs, phases and jobs to colours."""


@dataclass(frozen=True, slots=True)
class DisplayContext:
    """The moment, the zone and the glyphs of a displayed text."""

    now: datetime
    """The store's clock."""

    zone: tzinfo | None = None
    """None: the local one."""

    glyphs: Glyphs = UNICODE
    piped: bool = False
    """Whether a program may read the text: states are plain words then, without a glyph."""


def state_text(state: str, glyphs: Glyphs, *, piped: bool) -> str:
    """Return a state as its word, behind its glyph unless a program may read it."""
    return state if piped else f"{glyphs.state(state)} {state}"


def role_of(state: str) -> str:
    """Return the role of a state: `red` is dead, `amber` behind, `dim` over or not begun, `plain` as it should be."""
    return _ROLES.get(state, "plain")


def urgent_role_of(state: str) -> str:
    """Return the role of a state with a problem, `text` of any other: nothing is dimmed."""
    role = role_of(state)
    return role if role in ("red", "amber") else "text"


def state_tone(state: str) -> Tone:
    """Return the colour of a state in a command."""
    tones: Mapping[str, Tone] = {"red": "red", "amber": "amber", "dim": "dim"}
    return tones.get(role_of(state), "")
