"""A command's stdout and stderr on their way through: passed on as they come, the last of each kept.

Each goes through a terminal of its own where ours is one, so that buffering and colours stay, else through a pipe. The
bytes are not changed. What is kept is for a person to read: escape sequences, overwritten lines and passwords are left
out. Where both of ours are one file or pipe, both of the command's are one as well, so that their order stays.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import sys
import termios
import threading
import tty
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal

from tracking_core.redaction import without_secrets

CHUNK = 65_536
AFTER_DEATH_S = 0.5
"""How long the last words of a dead command are waited for."""

MOST_LEFT = 1024 * 1024
"""Bytes that are passed on after its death: what a pipe holds at most. Others may go on writing into it."""

NAMES: Final = {1: "stdout", 2: "stderr"}
Tail = Literal["stderr", "stdout", "both"]

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_()][0-9A-B]?)")


class Stream:
    """What one command writes to its stdout, its stderr, or both."""

    def __init__(self, keep: int, numbers: Sequence[int]) -> None:
        """Prepare to pass on what is written to the descriptors `numbers`, keeping the last `keep` bytes."""
        self.numbers = numbers
        self._name = " and ".join(NAMES[number] for number in numbers)
        self._keep = keep
        out = numbers[0]
        self._out: int | None = out
        self._kept = b""
        self._left_out = False
        self._is_terminal = os.isatty(out)
        self._source, self.for_child = self._open()
        self._wake_read, self._wake = os.pipe()
        self._left: int | None = None
        """Bytes that are still passed on; None while the command lives."""

        self._thread = threading.Thread(target=self._pass_on, name=f"etlwatch {self._name}", daemon=True)

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

    def ended(self) -> None:
        """Stop once what the dead command has left behind is passed on."""
        self._left = MOST_LEFT
        os.write(self._wake, b"x")

    def last_words(self) -> str:
        """Return the last that the dead command wrote, with a heading, without waiting for a slow reader."""
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
            self._left_out |= len(self._kept) + len(chunk) > self._keep
            self._kept = (self._kept + chunk)[-self._keep :]
            if not self._write(chunk):
                return

    def _write(self, chunk: bytes) -> bool:
        """Pass a chunk on; False where the command has to be told that nobody reads its stdout any more."""
        view = memoryview(chunk)
        while view and self._out is not None:
            try:
                view = view[os.write(self._out, view) :]
            except BlockingIOError:
                select.select([], [self._out], [])
            except OSError:
                # Nobody reads it any more. Of stderr the command need not know; of stdout it is told as it would have
                # been without us: its next write fails.
                self._out = None
                if 1 in self.numbers:
                    os.dup2(self._wake_read, self._source, inheritable=False)
                    return False
        return True

    def _words(self) -> str:
        # Of a secret that was cut in two the end would not be recognised: what is kept begins with a whole word.
        cut = re.match(rb"[^\s]{0,1024}\s", self._kept) if self._left_out else None
        text = readable(self._kept[cut.end() :] if cut else self._kept)
        if not text:
            return ""
        heading = f"the last {self._keep // 1024} KiB of {self._name}:" if self._left_out else f"{self._name}:"
        return f"{heading}\n{text}"


def streams(tail: Tail | None, keep: int) -> list[Stream]:
    """Return the streams of which the last `keep` bytes each are kept; the command gets the others as they are.

    By default both, but of one terminal only stderr: a program that draws on it needs the terminal itself.
    """
    # Where we were started without one, its number may be anything by now; the command finds none either.
    ours = {number: stream is not None for number, stream in ((1, sys.stdout), (2, sys.stderr))}
    try:
        one = all(ours.values()) and _identity(1) == _identity(2)
        tail = tail or ("stderr" if one and os.isatty(2) else "both")
        wanted = [number for number, name in NAMES.items() if tail in (name, "both") and ours[number]]
        groups = [wanted] if one and len(wanted) == 2 else [[number] for number in wanted]
    except OSError:
        return []
    made: list[Stream] = []
    for numbers in groups if keep > 0 else ():
        # Where no descriptor is left, the command gets ours as it is.
        with suppress(OSError):
            made.append(Stream(keep, numbers))
    return made


def _identity(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino


def readable(output: bytes) -> str:
    """Return what a program said as text: without escape sequences, overwritten lines and passwords."""
    text = _SEQUENCES.sub("", output.decode("utf-8", "replace"))
    lines = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return without_secrets("\n".join(lines).strip("\n"))
