"""Copying to the clipboard of the terminal at the other end of the line: OSC 52, wrapped where a multiplexer needs it.

Owns the escape sequence and its limits. Refuses to own a local clipboard: over SSH there is none, and what a terminal
does with the sequence cannot be known, so nothing here claims that anything was copied.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

__all__ = ["MOST_BYTES", "clipboard_sequence", "clipped_for_clipboard"]

MOST_BYTES: Final = 74_994
"""Bytes of text that fit the 100,000 characters of base64 which xterm, tmux and others take."""


def clipped_for_clipboard(text: str, *, the_end: bool = False) -> tuple[str, bool]:
    """Return what of `text` fits, and whether something was cut off: of `the_end` the last whole lines."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MOST_BYTES:
        return text, False
    if the_end:
        last = raw[-MOST_BYTES:].decode("utf-8", "ignore")
        _, newline, whole = last.partition("\n")
        return (whole if newline and whole else last), True
    return raw[:MOST_BYTES].decode("utf-8", "ignore"), True


def clipboard_sequence(text: str, environ: Mapping[str, str]) -> str:
    """Return the sequence that hands `text` to the terminal; `environ` tells whether tmux or screen is in between.

    Only base64 of the text is in it, so that nothing in the text can act as a sequence of its own.
    """
    payload = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    sequence = f"\x1b]52;c;{payload}\x07"
    if environ.get("TMUX"):
        # With `set-clipboard on` tmux takes the plain form. What is wrapped, every escape doubled, it passes on:
        # before 3.3 always, since then where `allow-passthrough` is on.
        return f"{sequence}\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"
    if environ.get("STY") or environ.get("TERM", "").startswith("screen"):
        # GNU screen passes on at most 768 bytes a time.
        pieces = [sequence[start : start + 700] for start in range(0, len(sequence), 700)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return sequence
