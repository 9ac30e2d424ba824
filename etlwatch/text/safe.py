"""Text from a database made safe for a terminal: visible, measured in cells, cut to fit.

Nothing that `safe` returns can move the cursor, begin a sequence, reorder a line or be invisible.

    safe(text, newline=False)   what may be shown of any object, on one line unless newline is kept
    cell_width(text)            cells the terminal gives it
    clip(text, width)           at most that many cells, `…` where something was cut
    pad(text, width, align)     exactly that many cells, clipped or filled

Widths come from `rich.cells`, because Textual's compositor measures with it: with two widths of one emoji a
table would not align. It costs 12 ms once and loads nothing of Textual, so headless commands share it.
"""

import re
import unicodedata
from functools import cache
from types import ModuleType
from typing import Final, Literal

Align = Literal["left", "right", "center"]

ELLIPSIS: Final = "…"

# Letters and marks that draw nothing, beside the category Cf: Hangul and Khmer fillers, the grapheme joiner,
# variation selectors, the blank braille cell. Printable to Python, invisible to a reader.
_BLANK: Final = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"

# Whatever `str.isprintable` lets through and a line of a table still cannot hold as it is.
_SUSPECT: Final = re.compile(f"[{_BLANK}]")

# Marks on one letter beyond this many climb over the lines above and below.
_MARKS_KEPT: Final = 3

_DOTTED_CIRCLE: Final = "\u25cc"


def safe(text: object, *, newline: bool = False) -> str:
    """Return what a terminal may be shown of `text`, every hidden character made visible.

    Control characters become their pictures (`␛`), C1 controls `\\x9b`, format characters `‹U+202E›`, bytes that
    were no text `\\xff`, lone surrogates `�`; None is the empty text. A line feed is kept with `newline`, else
    `␤`; CR LF counts as one. Idempotent. Measures nothing and cuts nothing: see `clip`.
    """
    shown = _as_text(text)
    if shown.isascii():
        if shown.isprintable():
            return shown
    elif shown.isprintable() and not _SUSPECT.search(shown) and not _has_marks(shown):
        return shown
    return "".join(_visible(shown.replace("\r\n", "\n"), newline=newline))


def _as_text(text: object) -> str:
    """Turn any object into text; bytes keep what is UTF-8 and show the rest as `\\xff`."""
    if isinstance(text, str):
        return text
    if text is None:
        return ""
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text).decode("utf-8", "backslashreplace")
    return str(text)


def _has_marks(text: str) -> bool:
    return any(unicodedata.combining(character) or unicodedata.category(character)[0] == "M" for character in text)


def _visible(text: str, *, newline: bool) -> list[str]:
    """Rewrite `text` character by character; the slow path, for text that holds something suspect."""
    out: list[str] = []
    base = ""  # the last letter shown that a mark may sit on
    marks = 0
    for character in text:
        if character == "\n":
            out.append("\n" if newline else "␤")
            base = ""
            continue
        category = unicodedata.category(character)
        if category in ("Mn", "Mc", "Me") and not _SUSPECT.match(character):
            if not base:
                out.append(_DOTTED_CIRCLE)
                base, marks = _DOTTED_CIRCLE, 0
            marks += 1
            out.append(character if marks <= _MARKS_KEPT else _escape(character))
            continue
        shown = _shown(character, category, base)
        out.append(shown)
        if shown:
            base, marks = (character, 0) if shown == character else ("", 0)
    return out


def _shown(character: str, category: str, base: str) -> str:
    """Return the visible form of a character that is neither a mark nor a line feed."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if 0x80 <= code < 0xA0:
        return f"\\x{code:02x}"
    if category == "Cs":
        # Python's stand-in for a byte that was not UTF-8; any other surrogate is invalid.
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "\ufffd"
    if code in (0xFE0E, 0xFE0F) and base and unicodedata.category(base)[0] == "S":
        # Chooses how an emoji is drawn, and terminals disagree on the width that follows: the base alone is certain.
        return ""
    if category in ("Cf", "Zl", "Zp") or _SUSPECT.match(character):
        return _escape(character)
    return character


def _escape(character: str) -> str:
    return f"‹U+{ord(character):04X}›"


def cell_width(text: str) -> int:
    """Return the terminal cells that `text` takes, wide characters counted twice. Expects `safe` text."""
    return len(text) if text.isascii() else int(_cells().cell_len(text))


@cache
def _cells() -> ModuleType:
    """Load the widths of characters when there is one that is not ASCII."""
    from rich import cells

    return cells


def clip(text: str, width: int, *, ellipsis: str = ELLIPSIS) -> str:
    """Return `text` cut to at most `width` cells, the last ones `ellipsis` where something was cut.

    A wide character is never halved and a mark never parted from its letter, so that the result may be a cell
    short. `ellipsis` is `…`, or `~` where only ASCII is wanted; where not even that fits, nothing does.
    """
    if width <= 0:
        return ""
    if cell_width(text) <= width:
        return text
    room = width - cell_width(ellipsis)
    if room < 0:
        return ""
    if text.isascii():
        return text[:room] + ellipsis
    spans, _ = _cells().split_graphemes(text)
    end = used = 0
    for _start, stop, cells in spans:
        if used + cells > room:
            break
        used += cells
        end = stop
    return text[:end] + ellipsis


def clip_middle(text: str, width: int, *, ellipsis: str = ELLIPSIS) -> str:
    """Return `text` cut to at most `width` cells as `clip` does, but in its middle; below 8 cells at its end."""
    if cell_width(text) <= width or width < 8:
        return clip(text, width, ellipsis=ellipsis)
    head = clip(text, (width + 1) // 2, ellipsis=ellipsis)
    spans, _ = _cells().split_graphemes(text)
    start, left = len(text), width - cell_width(head)
    for begin, _stop, cells in reversed(spans):
        if cells > left:
            break
        start, left = begin, left - cells
    return head + text[start:]


def pad(text: str, width: int, align: Align = "left", *, ellipsis: str = ELLIPSIS) -> str:
    """Return `text` in exactly `width` cells: clipped where it is longer, filled with spaces where it is shorter."""
    shown = clip(text, width, ellipsis=ellipsis)
    room = max(0, width) - cell_width(shown)
    if room <= 0:
        return shown
    if align == "right":
        return " " * room + shown
    if align == "center":
        return " " * (room // 2) + shown + " " * (room - room // 2)
    return shown + " " * room
