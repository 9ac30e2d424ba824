"""What is written to stderr where the process has not configured logging: undelivered data, once when it begins and
once at exit. Nothing else in this package writes there.

It never raises and never waits. $TRACKING_QUIET turns it off.
"""

from __future__ import annotations

import os
import select
import sys

from tracking_core.process.interrupts import from_outside, suppress_faults

LOGGER_NAME = "tracking_core"
LONGEST = 1000
"""Characters of a line: a pipe takes so much at once or not at all."""

_OFF = frozenset({"", "0", "false", "off", "no"})
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class StderrReport:
    """What this process has written so far."""

    def __init__(self) -> None:
        self.place = ""
        """The directory of the spool that was written to last."""

        self.silent_handler: object = None
        """The one that this package gives its logger."""

        self._logs = False
        self._began_in: int | None = None
        self._at_exit = False

    def look(self) -> None:
        """Note whether the process has configured logging; once it has, nothing is written any more."""
        logging = sys.modules.get("logging")
        root = getattr(logging, "root", None)
        if root is None or self._logs:
            return
        # Read without logging's lock, which another thread may hold for long.
        own = root.manager.loggerDict.get(LOGGER_NAME)
        handlers = [*root.handlers, *getattr(own, "handlers", ())]
        self._logs = any(handler is not self.silent_handler for handler in handlers)

    def undelivered(self, fault: str, kept: str) -> None:
        """Write, once, that data could not be delivered: why, and whether it is `spooled`, in `memory` or `dropped`."""
        if self._began_in is not None:
            return
        self._began_in = os.getpid()
        what = {
            "spooled": f"what is recorded waits in {self.place} and is sent later, see: etlwatch spool status",
            "memory": "what is recorded waits in memory: no spool can be written",
            "dropped": "what is recorded is lost: it cannot be spooled either",
        }
        self._write(f"{what[kept]} ({fault})" if fault else what[kept])

    def exiting(self, waiting: int, dropped: int) -> None:
        """Write, once and not for what the parent of a forked child has written, what waits or was lost."""
        if self._at_exit or self._began_in not in (None, os.getpid()) or not (waiting or dropped):
            return
        self._at_exit = True
        parts = [f"{dropped:,} {'event was' if dropped == 1 else 'events were'} dropped"] if dropped else []
        if waiting:
            where = f" in {self.place}" if self.place else ""
            how = "the next job sends them, or: etlwatch spool replay"
            parts.append(f"{waiting:,} {'event waits' if waiting == 1 else 'events wait'}{where}; {how}")
        self._write(", ".join(parts))

    def _write(self, text: str) -> None:
        # A stream of the job's own may raise anything.
        with suppress_faults():
            self.look()
            stream = sys.stderr
            if self._logs or stream is None or os.environ.get("TRACKING_QUIET", "").strip().lower() not in _OFF:
                return
            clean = "".join(letter if letter.isprintable() else " " for letter in text)
            _put(f"{LOGGER_NAME}: {clean[:LONGEST]}\n")


def _put(line: str) -> None:
    stream = sys.stderr
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError) as error:
        if from_outside(error):
            raise
        stream.write(line)
        return
    # Past the stream's own lock, which a thread that a fork left behind may hold; and only where there is room now.
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    ready = poll.poll(0)
    if ready and not ready[0][1] & _GONE:
        os.write(descriptor, line.encode(getattr(stream, "encoding", None) or "ascii", "backslashreplace"))


stderr_report = StderrReport()
"""The one of this process; a forked child inherits what has been written."""
