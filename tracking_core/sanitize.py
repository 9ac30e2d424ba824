"""Values made safe, so that no store rejects a row for its content, and no secret is stored.

What is changed is marked; nothing here raises. Mistakes in a program (a missing argument) are arguments.py's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from tracking_core.redaction import MASK, without_secrets

TEXT_BYTES = 64 * 1024
"""The longest text field, in bytes of UTF-8; of a longer one head and tail are kept."""

ADJUSTED = "[adjusted] "
"""Begins the mark that a request carries in `error` when a number of it was out of range; alone it is no failure."""

KEY_BYTES = 1024
"""The longest text that is part of a key (endpoint, phase, entity, unit, job): an index entry must fit a page."""

MAX_ITEMS = 2**40
"""The most items of one request or source count: above what any page holds, and sums of it still fit 64 bits."""

MAX_DURATION_MS = 2**31
"""The longest request in milliseconds, 24 days: where the latency histogram ends."""

MAX_INTEGER = 2**63 - 1
MAX_STATUS = 2**31 - 1

REPLACEMENT = "\ufffd"
"""What stands for a character that no database takes."""


def clean_text(text: str, limit: int = TEXT_BYTES) -> str:
    """Return text without secrets, NUL and lone surrogates, at most `limit` bytes of UTF-8 long.

    `***` stands for a secret, U+FFFD for each such character. Of longer text head and tail stay around a mark with the
    number of bytes left out.
    """
    if len(text) > TEXT_BYTES:
        # Before secrets are looked for: what that costs is bounded too.
        text = keep_ends(text, TEXT_BYTES)
    text = without_secrets(text)
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    if text.isascii():
        return text if len(text) <= limit else keep_ends(text, limit)
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        # The way through UTF-16 joins surrogates that make a pair; those that are left alone are replaced.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        size = len(text.encode("utf-8"))
    return text if size <= limit else keep_ends(text, limit)


def keep_ends(text: str, limit_bytes: int) -> str:
    """Return `text`, or its head and tail around a mark with the number of bytes left out.

    The result has at most `limit_bytes` bytes of UTF-8 (100 or more); no character is cut in two.
    """
    # Four bytes is the longest character: short text is known to fit without encoding it.
    if len(text) * 4 <= limit_bytes:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= limit_bytes:
        return text
    widest_mark = f"\n[... {len(encoded)} bytes left out ...]\n"
    kept = limit_bytes - len(widest_mark)
    head_end = _character_start(encoded, kept // 2)
    # Rounded up: a character that straddles the cut belongs to what is left out.
    tail_start = _character_start(encoded, len(encoded) - (kept - kept // 2) + 3)
    # Of a secret that is cut in two its end would not be found any more: the tail begins with a whole word or line.
    whole = re.compile(rb"[^\s]{0,1024}\s").match(encoded, tail_start)
    tail_start = whole.end() if whole else tail_start
    mark = f"\n[... {tail_start - head_end} bytes left out ...]\n"
    head = encoded[:head_end].decode("utf-8", "surrogatepass")
    return head + mark + encoded[tail_start:].decode("utf-8", "surrogatepass")


def _character_start(encoded: bytes, position: int) -> int:
    """Return the start of the UTF-8 character that holds `position`."""
    while 0 < position < len(encoded) and encoded[position] & 0xC0 == 0x80:
        position -= 1
    return position


def clean_key(text: str) -> str:
    """Return text that may be part of a key: clean, and at most `KEY_BYTES` long."""
    return clean_text(text, KEY_BYTES)


def clean_optional(text: str | None) -> str | None:
    """Return clean text, or None for None."""
    return None if text is None else clean_text(text)


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return clean names and values; the name also shows whether a value is a secret."""
    clean = {}
    for name, value in tags.items():
        name, value = clean_key(name), clean_text(value)
        clean[name] = MASK if without_secrets(f"{name}={value}").startswith(f"{name}={MASK}") else value
    return clean


def whole_number(value: float, low: int, high: int) -> tuple[int, str]:
    """Return a number rounded and brought into [low, high], and what was changed: '' when nothing was.

    Rounding alone is no change. NaN becomes the bound nearest to 0.
    """
    if type(value) is int:
        if low <= value <= high:
            return value, ""
    elif math.isfinite(value):
        rounded = round(value)
        if low <= rounded <= high:
            return rounded, ""
    stored = max(low, min(0, high)) if value != value else low if value < low else high
    # A number of a thousand digits would make the mark longer than what it marks.
    return stored, f"was {float_text(value)}, stored as {stored}"


def float_text(value: float) -> str:
    """Return a number in a few characters, however great it is."""
    try:
        return f"{float(value):.6g}"
    except OverflowError:
        return "-inf" if value < 0 else "inf"
