"""What every displayed text depends on besides its facts: moment, zone and glyphs; and a state's glyph and colour.

The unicode glyphs are in the common terminal fonts (docs/screens.md); the ASCII ones have the same widths, so that
layouts hold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final, Literal, TypeAlias

from tracking_core.dataclass import dataclass

# Our own punctuation and pictures in ASCII, each one cell for one cell.
_ASCII_TEXT: Final = str.maketrans(
    {
        "–": "-", "—": "-", "−": "-", "‹": "<", "›": ">", "»": ">", "×": "x", "·": ".", "…": "~", "→": ">", "↓": "v",
        "↑": "^", "▌": ">", "▸": ">", "●": "*", "▲": "!", "║": "=", "■": "#", "□": "o", "✓": "+", "━": "=", "╸": "-",
        "╋": "+", "│": "|", "─": "-", "░": ":", "▒": "%", "█": "#", "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+",
        "▆": "*", "▇": "#", "┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+",
        "←": "<", "♪": "b", "“": '"', "”": '"', "’": "'",
        "␛": "^", "␤": "|", "␉": ">",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """One set of drawing characters, each a single cell wide."""

    name: str
    """`unicode` or `ascii`."""
    states: Mapping[str, str]
    """State word to glyph: the run states, and `pending` for a phase that has not begun."""
    cursor: str
    """Gutter mark of the cursor's row."""
    mark: str
    """Gutter mark of a row marked for comparison."""
    bell: str
    """Gutter mark of a run whose next change of state rings."""
    done: str
    half: str
    passed: str
    """`╋`, drawn where a bar passes its mark."""
    line: str
    """`│`, the p95 mark and every vertical line."""
    usual: str
    """`─`, what is usual or remains, and rules."""
    beyond: str
    """`»`, a bar that leaves its cells."""
    expected: str
    """`░`, the expected end."""
    blocks: str
    """Nine heights of a cell, from nothing to full."""
    patterns: tuple[str, str, str]
    """Fills of p99, p95 and p50 where there are no shades of a colour."""
    usual_level: str
    """The dot at the usual level of a chart."""
    cross: str
    """`×`, a 5xx or an error on a chart."""
    ellipsis: str
    descending: str
    ascending: str
    back: str
    """`‹`, before where `esc` leads."""
    separator: str
    """`·`, between short facts on one line."""

    def state(self, word: str) -> str:
        """Return the glyph of a state; `?` for an unknown one."""
        return self.states.get(word, "?")

    def text(self, text: str) -> str:
        """Return `text` in this set: unchanged, or with every character that ASCII lacks replaced."""
        if self.name != "ascii" or text.isascii():
            return text
        return "".join(
            character if character.isascii() else _ascii_letter(character) for character in text.translate(_ASCII_TEXT)
        )


def _ascii_letter(character: str) -> str:
    """Return the letter under a letter with marks, else `?`, twice for a wide one so that columns hold."""
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if len(plain) == 1:
        return plain
    if unicodedata.combining(character):
        return ""
    return "??" if unicodedata.east_asian_width(character) in ("W", "F") else "?"


_STATES: Final = (
    "running", "slow", "throttled", "stalled", "lost", "failed", "terminated", "abandoned", "completed", "pending",
    "skipped", "overdue", "incomplete", "unusual",
)  # fmt: skip

UNICODE: Final = Glyphs(
    name="unicode",
    states=dict(zip(_STATES, "●▲▲║?×■□✓·–!◐≠", strict=True)),
    cursor="▌",
    mark="▸",
    bell="♪",
    done="━",
    half="╸",
    passed="╋",
    line="│",
    usual="─",
    beyond="»",
    expected="░",
    blocks=" ▁▂▃▄▅▆▇█",
    patterns=("░", "▒", "█"),
    usual_level="·",
    cross="×",
    ellipsis="…",
    descending="↓",
    ascending="↑",
    back="‹",
    separator="·",
)

ASCII: Final = Glyphs(
    name="ascii",
    states=dict(zip(_STATES, "*!!=?x#o+.-!%~", strict=True)),
    cursor=">",
    mark="-",
    bell="b",
    done="=",
    half="-",
    passed="+",
    line="|",
    usual="-",
    beyond=">",
    expected=":",
    blocks=" _.-=+*##",
    patterns=(":", "%", "#"),
    usual_level=".",
    cross="x",
    ellipsis="~",
    descending="v",
    ascending="^",
    back="<",
    separator=".",
)


def glyphs_for(*, ascii_only: bool) -> Glyphs:
    """Return the ASCII set, or the drawn one."""
    return ASCII if ascii_only else UNICODE


Tone: TypeAlias = Literal["", "red", "amber", "dim", "bold"]
"""The colour of a command's text."""

_ROLES: Final[Mapping[str, str]] = {
    "lost": "red", "failed": "red", "stalled": "amber", "throttled": "amber", "slow": "amber", "overdue": "amber",
    "incomplete": "amber", "unusual": "amber",
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
