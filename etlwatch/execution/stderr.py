"""A command's standard error on its way through: passed on as it comes, the last of it kept.

Owns the way: a terminal of its own where ours is one, so that the command finds what it would have found, else a pipe.
Whatever becomes of our own standard error, the command is never made to wait for it longer than it would have been, and
what is kept is for a person to read: escape sequences, overwritten lines and passwords are left out.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import termios
import threading
import tty
from contextlib import suppress

from tracking_core.redaction import without_secrets

CHUNK = 65_536
AFTER_DEATH_S = 0.5
"""How long the last words of a dead command are waited for."""

MOST_LEFT = 1024 * 1024
"""Bytes that are passed on after its death: what a pipe holds at most. Others may go on writing into it."""

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_()][0-9A-B]?)")


class Stderr:
    """The standard error of one command."""

    def __init__(self, keep: int, out: int = 2) -> None:
        """Prepare to pass on to the descriptor `out`, keeping the last `keep` bytes."""
        self._keep = keep
        self._out: int | None = out
        self._kept = bytearray()
        self._left_out = False
        self._is_terminal = os.isatty(out)
        self._source, self.for_child = self._open()
        self._wake_read, self._wake = os.pipe()
        self._left: int | None = None
        """Bytes that are still passed on; None while the command lives."""

        self._thread = threading.Thread(target=self._pass_on, name="etlwatch stderr", daemon=True)

    def _open(self) -> tuple[int, int]:
        if self._is_terminal:
            with suppress(OSError):
                source, for_child = pty.openpty()
                # What the command writes is not to be changed twice: the terminal behind us does that.
                tty.setraw(for_child)
                self._source = source
                self.resized()
                return source, for_child
        return os.pipe()

    def started(self) -> None:
        """Begin to pass on, once the command has its end."""
        os.close(self.for_child)
        self._thread.start()

    def resized(self) -> None:
        """Give the command's terminal the size of ours."""
        if self._is_terminal and self._out is not None:
            with suppress(OSError):
                fcntl.ioctl(self._source, termios.TIOCSWINSZ, fcntl.ioctl(self._out, termios.TIOCGWINSZ, bytes(8)))

    def last_words(self) -> str:
        """Return the last that the dead command said, with a heading, without waiting for a slow reader."""
        self._left = MOST_LEFT
        os.write(self._wake, b"x")
        self._thread.join(AFTER_DEATH_S)
        return self._words()

    def close(self) -> None:
        """Pass on what the dead command has left behind, as fast as it is read, and let go of it."""
        if self._thread.ident is not None:
            self._thread.join()
        else:
            os.close(self.for_child)
        for descriptor in (self._source, self._wake_read, self._wake):
            os.close(descriptor)

    def _pass_on(self) -> None:
        waiting = select.poll()
        waiting.register(self._source, select.POLLIN)
        waiting.register(self._wake_read, select.POLLIN)
        while self._left is None or self._left > 0:
            ready = {descriptor for descriptor, _ in waiting.poll()}
            if self._source not in ready:
                return
            try:
                chunk = os.read(self._source, CHUNK)
            except OSError:
                # A terminal whose last user has gone says so by an error.
                return
            if not chunk:
                return
            if self._left is not None:
                self._left -= len(chunk)
            self._kept += chunk
            if len(self._kept) > 2 * self._keep + CHUNK:
                self._left_out = True
                del self._kept[: -self._keep]
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view and self._out is not None:
            try:
                view = view[os.write(self._out, view) :]
            except BlockingIOError:
                select.select([], [self._out], [])
            except OSError:
                # Nobody reads it any more: the command need not know.
                self._out = None

    def _words(self) -> str:
        self._left_out |= len(self._kept) > self._keep
        text = readable(bytes(self._kept[-self._keep :]) if self._keep else b"")
        if not text:
            return ""
        heading = f"the last {self._keep // 1024} KiB of stderr:" if self._left_out else "stderr:"
        return f"{heading}\n{text}"


def readable(output: bytes) -> str:
    """Return what a program said as text: without escape sequences, overwritten lines and passwords."""
    text = _SEQUENCES.sub("", output.decode("utf-8", "replace"))
    lines = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return without_secrets("\n".join(lines).strip("\n"))
