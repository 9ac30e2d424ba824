"""What the other end of a stream can show: width, colour, letters.

Contains the one place where stdout and stderr are asked what they are. Everything else is handed a Look, so that
tables are tested without a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TextIO

from etlwatch.text.display import UNICODE, DisplayContext, Glyphs, Tone, glyphs_for, state_text
from etlwatch.text.safe import safe
from tracking_core.dataclass import dataclass

_SGR: Mapping[Tone, str] = {"red": "91", "amber": "33", "dim": "2", "bold": "1"}
MIN_WIDTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How text may look on one stream."""

    width: int | None = None
    """Cells of a line; None for a pipe or a file, where nothing is cut unless $COLUMNS asks for it."""

    piped: bool = False
    """Whether a pipe or a file takes it, of whatever width."""

    colour: bool = False
    glyphs: Glyphs = UNICODE
    zone: tzinfo | None = None
    """In which times are written; None is the process's own."""

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it as it comes."""
        return self.width is not None and not self.piped

    def state(self, state: str) -> str:
        """Return a state as its word, behind its glyph on a terminal."""
        return state_text(state, self.glyphs, piped=not self.is_terminal)

    def context(self, now: datetime) -> DisplayContext:
        """Return what texts displayed here depend on; `now` is the store's clock."""
        return DisplayContext(now, self.zone, self.glyphs, piped=not self.is_terminal)

    def shown(self, text: object, *, newline: bool = False) -> str:
        """Return any text of a database or a user as it may be shown here."""
        return self.glyphs.text(safe(text, newline=newline))

    def paint(self, text: str, tone: Tone) -> str:
        """Return text that is safe already in a tone, where colours are wanted."""
        code = _SGR.get(tone)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text


def look_of(stream: TextIO, environ: Mapping[str, str] | None = None) -> Look:
    """Return how text may look on a stream; colours are left out for $NO_COLOR, a dumb terminal and anything else."""
    environ = os.environ if environ is None else environ
    glyphs = glyphs_for(ascii_only=not is_unicode(stream))
    if not is_terminal(stream):
        return Look(width=_columns(environ), piped=True, glyphs=glyphs)
    # Not loaded for the first frame: it brings three compressors.
    import shutil

    width = max(shutil.get_terminal_size((80, 24)).columns, MIN_WIDTH)
    colour = not environ.get("NO_COLOR") and environ.get("TERM", "") not in ("", "dumb")
    return Look(width=width, colour=colour, glyphs=glyphs)


def _columns(environ: Mapping[str, str]) -> int | None:
    given = environ.get("COLUMNS", "")
    return max(int(given), MIN_WIDTH) if given.isascii() and given.isdigit() and 0 < int(given) < 10_000 else None


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; one that is missing or closed is none."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def is_dumb(environ: Mapping[str, str]) -> bool:
    """Return whether the terminal only prints lines, as those of editors and of some screen readers do."""
    return environ.get("TERM", "").strip().lower() in ("dumb", "unknown")


def has_screen() -> bool:
    """Return whether the dashboard can be shown: stdin and stdout are a terminal that moves its cursor."""
    return is_terminal(sys.stdin) and is_terminal(sys.stdout) and not is_dumb(os.environ)


def is_unicode(stream: TextIO) -> bool:
    """Return whether every character can be written to a stream."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def report(text: str) -> None:
    """Tell a person something on stderr, made safe; lines stay lines. A stderr that is gone is no reason to stop."""
    stream = sys.stderr
    if stream is None:
        return
    look = look_of(stream)
    try:
        stream.write(look.shown(text, newline=True) + "\n")
        stream.flush()
    except (OSError, ValueError):
        return
