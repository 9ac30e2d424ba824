"""Copying to the clipboard of the terminal: OSC 52, wrapped where a multiplexer needs it, with its limits."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast, runtime_checkable

from textual.app import App

from etlwatch.text.safe import clip, safe
from tracking_core.config import home_directory

MOST_BYTES: Final = 74_994
"""Bytes of text that fit the 100,000 characters of base64 which xterm, tmux and others take."""


def clipboard_part(text: str, *, from_end: bool = False) -> tuple[str, bool]:
    """Return the part of `text` that fits, and whether it was cut; with `from_end` the last whole lines."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MOST_BYTES:
        return text, False
    if from_end:
        last = raw[-MOST_BYTES:].decode("utf-8", "ignore")
        _, newline, whole = last.partition("\n")
        return (whole if newline and whole else last), True
    return raw[:MOST_BYTES].decode("utf-8", "ignore"), True


def clipboard_sequence(text: str, environ: Mapping[str, str]) -> str:
    """Return the sequence that copies `text` to the clipboard, through tmux or screen if `environ` names them.

    It holds the text as base64 only, so that no sequence in the text can act.
    """
    payload = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    sequence = f"\x1b]52;c;{payload}\x07"
    if environ.get("TMUX"):
        # With `set-clipboard on` tmux takes the plain form. It passes on the wrapped one, every escape doubled:
        # always before 3.3, since then with `allow-passthrough on`.
        return f"{sequence}\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"
    if environ.get("STY") or environ.get("TERM", "").startswith("screen"):
        # GNU screen passes on at most 768 bytes a time.
        pieces = [sequence[start : start + 700] for start in range(0, len(sequence), 700)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return sequence


WORDS_CELLS = 60


@runtime_checkable
class Selection(Protocol):
    """A screen with text to copy."""

    def copy_text(self) -> str:
        """Return the selected text; '' for nothing."""

    def command_line(self) -> str:
        """Return the command that answers what the screen answers."""


def copied_file() -> Path:
    """Return the file, in the user's state directory, for text that is too long for a clipboard."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else home_directory(os.environ) / ".local" / "state"
    return base / "etlwatch" / "copied.txt"


def _keep(text: str) -> Path | None:
    """Write `text` to the file, readable by its owner only; None where that fails."""
    path = copied_file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Created anew, so that no other user's file of that name is written to.
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        return path
    return None


def _tmux_note() -> str:
    return "; tmux needs `set -g set-clipboard on`" if os.environ.get("TMUX") else ""


class Copying(App[Any]):
    """Mix-in for an app whose screens have text to copy."""

    def action_copy(self) -> None:
        """Copy the selection to the terminal's clipboard."""
        if isinstance(self.screen, Selection):
            self.copy(self.screen.copy_text(), from_end=getattr(self.screen, "copies_end", False))

    def action_copy_command(self) -> None:
        """Copy the screen's command line to the terminal's clipboard."""
        if isinstance(self.screen, Selection):
            line = self.screen.command_line()
            self.copy(line)
            if getattr(self, "moment", None) is not None and " --at " not in line:
                self.show_message("this command shows the present, not the moment on screen", severity="warning")

    def copy(self, text: str, *, from_end: bool = False) -> None:
        """Send `text` to the terminal and report that it was sent; whether it was stored is not known."""
        if not text:
            self.show_message("nothing to copy here", severity="warning")
            return
        given, cut = clipboard_part(text, from_end=from_end)
        self.copy_to_clipboard(given)
        if cut:
            path = _keep(text)
            rest = f"; all of it is in {path}" if path else ""
            part = f"its last {len(given.splitlines()):,} lines were" if from_end else "its beginning was"
            self.show_message(f"too long: {part} sent to terminal{rest}{_tmux_note()}", severity="warning")
            return
        first, *more = given.splitlines() or [""]
        lines = f" and {len(more)} more lines" if more else ""
        self.show_message(f"sent to terminal: {clip(safe(first), WORDS_CELLS)}{lines}{_tmux_note()}")

    def copy_to_clipboard(self, text: str) -> None:
        """Write OSC 52, wrapped for the multiplexer in between if there is one."""
        self._clipboard = text
        if self._driver is not None:
            cast(Any, self._driver).write(clipboard_sequence(text, os.environ))

    def show_message(self, text: str, *, severity: Literal["information", "warning", "error"] = "information") -> None:
        """Show a toast of plain text."""
        self.notify(safe(text), severity=severity, markup=False)
