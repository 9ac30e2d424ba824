"""A program in a real pseudo-terminal: keys in, an emulated screen and the raw bytes out.

Owns the terminal's master side, the child and one reading thread, so that the program never waits for its reader.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.screen import EmulatedScreen
from tests.support.waiting import PATIENCE_SECONDS

# The first open of a terminal by a session's leader makes it the controlling one, so that a hang-up reaches the child.
_IN_TERMINAL = 'terminal=$0; exec "$@" <>"$terminal" >&0 2>&1'

# A lone escape is a key only when nothing follows at once; programs wait about 0.1 s for what might.
_ESCAPE_PAUSE_SECONDS = 0.2

_KEYS = {
    "enter": b"\r",
    "escape": b"\x1b",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "backspace": b"\x7f",
    "space": b" ",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "insert": b"\x1b[2~",
    "delete": b"\x1b[3~",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "f1": b"\x1bOP",
    "f2": b"\x1bOQ",
    "f3": b"\x1bOR",
    "f4": b"\x1bOS",
    "f5": b"\x1b[15~",
    "f12": b"\x1b[24~",
}


def key_bytes(key: str) -> bytes:
    """Return what a terminal sends for a key: a character, `ctrl+x`, or a name such as `enter`, `up`, `f1`."""
    if key in _KEYS:
        return _KEYS[key]
    if key.startswith("ctrl+") and len(key) == len("ctrl+x"):
        return bytes([ord(key[-1].upper()) & 0x1F])
    if len(key) == 1:
        return key.encode()
    raise ValueError(f"no such key: {key!r}")


class Terminal:
    """A program running in a terminal of its own; use as a context manager, which ends it whatever happens.

    `environment` is laid over the test's own (None removes a name). It starts from a terminal with 24-bit colour in
    UTF-8 and without any size or multiplexer inherited from the terminal that runs the tests.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str | None] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.screen = EmulatedScreen(columns, lines, self._send_reply)
        self._changed = threading.Condition()
        self._output = bytearray()
        self._master, slave = pty.openpty()
        self._wake_reader, self._waker = os.pipe()
        self._set_size(columns, lines)
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _IN_TERMINAL, os.ttyname(slave), *(str(part) for part in command)],
            env=_environment(environment or {}),
            cwd=directory,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, name="terminal-reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The program's exit status, -N for signal N; None while it runs."""
        return self._process.poll()

    @property
    def memory_mb(self) -> float:
        """Resident memory of the program in MB; 0 where that cannot be read."""
        try:
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text(encoding="ascii"))
        except OSError:
            return 0.0
        return int(found[1]) / 1024 if found else 0.0

    @property
    def output(self) -> bytes:
        """Every byte that reached the terminal, in order."""
        with self._changed:
            return bytes(self._output)

    @property
    def lines(self) -> list[str]:
        """The text of every line on the screen now."""
        with self._changed:
            return self.screen.lines

    @property
    def text(self) -> str:
        """The screen now, as one string."""
        return "\n".join(self.lines)

    @property
    def modes(self) -> int:
        """The terminal's local modes, such as `termios.ECHO`."""
        return int(termios.tcgetattr(self._master)[3])

    def send(self, data: str | bytes) -> None:
        """Send characters as if typed or pasted."""
        data = data.encode() if isinstance(data, str) else data
        while data:
            data = data[os.write(self._master, data) :]

    def press(self, *keys: str) -> None:
        """Press keys one after the other, named as in `key_bytes`."""
        for number, key in enumerate(keys, start=1):
            self.send(key_bytes(key))
            if key == "escape" and number < len(keys):
                time.sleep(_ESCAPE_PAUSE_SECONDS)

    def resize(self, columns: int, lines: int) -> None:
        """Change the terminal's size; the kernel tells the program with SIGWINCH."""
        with self._changed:
            self.screen.resize(columns, lines)
        self._set_size(columns, lines)

    def wait_for(self, wanted: str | re.Pattern[str], *, timeout: float = PATIENCE_SECONDS) -> str:
        """Wait until the screen shows a text or matches a pattern, and return the screen.

        Raises TimeoutError with the screen, also when the program ends without having shown it.
        """
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        return self.wait_until(lambda text: pattern.search(text), f"the screen shows {pattern.pattern!r}", timeout)

    def wait_for_no(self, unwanted: str, *, timeout: float = PATIENCE_SECONDS) -> str:
        """Wait until the screen no longer shows a text, and return the screen."""
        return self.wait_until(lambda text: unwanted not in text, f"{unwanted!r} is gone", timeout)

    def wait_until(self, condition: Callable[[str], object], what: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Wait until `condition(screen text)` is true, and return the screen; raises TimeoutError naming `what`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition(text := self.screen.text):
                if not self._reader.is_alive():
                    raise TimeoutError(f"the program ended before {what}; the screen:\n{text}")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{timeout:g} s went by before {what}; the screen:\n{text}")
                self._changed.wait(0.1)
            return text

    def wait_until_quiet(self, seconds: float = 0.3, *, timeout: float = PATIENCE_SECONDS) -> str:
        """Wait until the program has written nothing for so long, and return the screen."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._changed.wait(seconds):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the program still writes after {timeout:g} s:\n{self.screen.text}")
            return self.screen.text

    def hang_up(self) -> None:
        """Close the terminal under the program, as when its SSH connection drops."""
        if self._master < 0:
            return
        # The reading thread leaves first: a terminal is not closed while somebody reads from it.
        os.write(self._waker, b"x")
        self._reader.join()
        for descriptor in (self._master, self._waker, self._wake_reader):
            os.close(descriptor)
        self._master = -1

    def wait_for_exit(self, *, timeout: float = PATIENCE_SECONDS) -> int:
        """Wait for the program's end and the last of its output; return its status, -N for signal N."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the program runs after {timeout:g} s; the screen:\n{self.text}") from None
        self._reader.join(timeout)
        return status

    def close(self) -> None:
        """End the program if it still runs, and give the terminal back."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.hang_up()

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _send_reply(self, reply: bytes) -> None:
        os.write(self._master, reply)

    def _read(self) -> None:
        try:
            while True:
                ready, _, _ = select.select([self._master, self._wake_reader], [], [])
                if self._wake_reader in ready:
                    break
                chunk = os.read(self._master, 1 << 16)
                if not chunk:
                    break
                with self._changed:
                    self._output += chunk
                    self.screen.feed(chunk)
                    self._changed.notify_all()
        except OSError:
            pass  # Linux says EIO when the last program has left the terminal
        finally:
            # The master stays open: closing it now would hang up a program that has closed its side and not ended yet.
            with self._changed:
                self._changed.notify_all()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    inherited = {"COLUMNS": None, "LINES": None, "NO_COLOR": None, "FORCE_COLOR": None, "TMUX": None, "STY": None}
    terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "LC_ALL": None}
    merged: dict[str, str | None] = {**os.environ, **inherited, **terminal, **changes}
    return {name: value for name, value in merged.items() if value is not None}
