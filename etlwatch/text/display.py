"""What every displayed text depends on besides its facts, and how a state is displayed: its glyph and its colour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final, Literal, TypeAlias

from etlwatch.text.glyphs import UNICODE, Glyphs
from tracking_core.dataclass import dataclass

__all__ = ["STATE_TONES", "DisplayContext", "Tone", "state_text", "state_tone"]

Tone: TypeAlias = Literal["", "red", "amber", "dim", "bold"]
"""The colour of a command's text."""

STATE_TONES: Final[Mapping[str, Tone]] = {
    "lost": "red", "failed": "red", "stalled": "amber", "throttled": "amber", "slow": "amber",
}  # fmt: skip
"""The colour of each state that needs somebody: red for dead, amber for behind."""


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


def state_tone(state: str) -> Tone:
    """Return the colour of a state in a command: red what is dead, amber what is behind, dim what is well."""
    return "dim" if state in ("completed", "skipped") else STATE_TONES.get(state, "")
