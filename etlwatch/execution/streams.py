"""A command's stdout and stderr: passed on unchanged as they come, with the last bytes of each kept.

Each goes through a terminal of its own where ours is one, so that buffering and colours stay, else through a pipe.
Where both of ours are one file or pipe, the command gets one as well, so that the order stays. In the kept text escape
sequences and overwritten lines are removed and passwords masked.
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
AFTER_EXIT_S = 0.5
"""How long to wait for the rest of the output after the command's exit."""

MOST_LEFT = 1024 * 1024
"""Bytes passed on after its exit, the capacity of a pipe: other processes may still write into it."""

NAMES: Final = {1: "stdout", 2: "stderr"}
Tail = Literal["stderr", "stdout", "both"]

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_()][0-9A-B]?)")


class Stream:
    """The output of one command to its stdout, its stderr, or both."""

    def __init__(self, keep: int, numbers: Sequence[int]) -> None:
        """Prepare to pass on the output to the descriptors `numbers`, keeping the last `keep` bytes."""
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
        """Bytes that are still passed on; None while the command runs."""

        self._thread = threading.Thread(target=self._pass_on, name=f"etlwatch {self._name}", daemon=True)

    def _open(self) -> tuple[int, int]:
        if self._is_terminal:
            with suppress(OSError):
                source, for_child = pty.openpty()
                # Raw: our own terminal does the output processing.
                tty.setraw(for_child)
                self._source = source
                self.resized()
                return source, for_child
        return os.pipe()

    def started(self) -> None:
        """Start passing on, once the command has its descriptor."""
        os.close(self.for_child)
        self._thread.start()

    def resized(self) -> None:
        """Set the size of the command's terminal to ours."""
        if self._is_terminal and self._out is not None:
            with suppress(OSError):
                fcntl.ioctl(self._source, termios.TIOCSWINSZ, fcntl.ioctl(self._out, termios.TIOCGWINSZ, bytes(8)))

    def ended(self) -> None:
        """Stop once the rest of the output is passed on, after the command's exit."""
        self._left = MOST_LEFT
        os.write(self._wake, b"x")

    def tail_text(self) -> str:
        """Return the end of the output with a heading, without waiting for a slow reader."""
        self._thread.join(AFTER_EXIT_S)
        return self._tail_text()

    def close(self) -> None:
        """Pass on the rest of the output, as fast as it is read, and close the descriptors."""
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
                # EIO: the last user of the terminal has closed it.
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
        """Pass a chunk on; False where the command must see that its stdout has no reader any more."""
        view = memoryview(chunk)
        while view and self._out is not None:
            try:
                view = view[os.write(self._out, view) :]
            except BlockingIOError:
                select.select([], [self._out], [])
            except OSError:
                # No reader any more. For stdout, the command's next write must fail as it would without us; a lost
                # stderr is ignored.
                self._out = None
                if 1 in self.numbers:
                    os.dup2(self._wake_read, self._source, inheritable=False)
                    return False
        return True

    def _tail_text(self) -> str:
        # The rest of a secret that was cut in two would not be masked: the text begins with a whole word.
        cut = re.match(rb"[^\s]{0,1024}\s", self._kept) if self._left_out else None
        text = readable(self._kept[cut.end() :] if cut else self._kept)
        if not text:
            return ""
        heading = f"the last {self._keep // 1024} KiB of {self._name}:" if self._left_out else f"{self._name}:"
        return f"{heading}\n{text}"


def kept_streams(tail: Tail | None, keep: int) -> list[Stream]:
    """Return the streams whose last `keep` bytes are kept; the command gets our others directly.

    By default both, but only stderr where both are one terminal: a program that draws on it needs the terminal itself.
    """
    # If we were started without one, its number may be in use for something else.
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
        # If no descriptor is free, the command gets ours.
        with suppress(OSError):
            made.append(Stream(keep, numbers))
    return made


def _identity(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino


def readable(output: bytes) -> str:
    """Return output as text, without escape sequences, overwritten lines and passwords."""
    text = _SEQUENCES.sub("", output.decode("utf-8", "replace"))
    lines = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return without_secrets("\n".join(lines).strip("\n"))
