"""What a tracker logs about its store: one line a change, never more, and no error of its own.

Where the process has not configured logging, stderr gets one line when data is first not delivered and one at exit;
nothing else in this package writes there. That never raises and never waits, and $TRACKING_QUIET turns it off.
"""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tracking_core.errors import StoreError
from tracking_core.identity import format_run_id
from tracking_core.process import deadlines
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import from_outside, load, suppress_faults
from tracking_core.process.locks import ReentrantLock, daemon_thread, start_thread
from tracking_core.redaction import without_secrets

if TYPE_CHECKING:
    import logging

    from tracking_core.delivery.counts import Replay

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


_MOST_REMARKS = 256
_WHY = {
    "unknown": "the store does not hold it",
    "removed": "it was removed by a clean-up",
    "off": "tracking is switched off",
}


class HealthLog:
    """Whether the store takes what it is given, as last logged."""

    writes_stderr = True
    """Whether this is the process's own recording, so that stderr gets a line too."""

    def __init__(self) -> None:
        stderr_report.look()
        self._fault = ""
        # Guards what was logged; never held while logging, since a handler may call the tracker again. Re-entrant, as
        # the tracker's other locks are: a signal's handler may come in between.
        self._lock = ReentrantLock()
        self._faults: set[str] = set()
        self._remarks: set[tuple[object, str]] = set()
        self._log: Callable[[str, str], None] = _log

    def log_in_thread(self) -> None:
        """Log on a thread of its own from now on (see `LogThread`)."""
        self._log = LogThread().log

    @property
    def is_good(self) -> bool:
        """Whether the last operation reached the store."""
        return not self._faults

    def failed(self, error: BaseException, label: str) -> None:
        """Warn that the store does not answer as it should: once for each kind of fault until it works again."""
        fault = type(error).__name__
        with self._lock:
            if fault in self._faults:
                return
            self._faults.add(fault)
        # What a store raises on purpose is complete; anything else needs its class.
        text = str(error) if isinstance(error, StoreError) else f"{fault}: {error}"
        where = "" if text.startswith(label) else f"{label}: "
        self._fault = f"{where}{without_secrets(text)}"
        self._log("warning", f"the store does not take what it is given, the job goes on: {self._fault}")

    def undelivered(self, kept: str) -> None:
        """Write to stderr, where logging is not configured, that data is `spooled`, in `memory` or `dropped`."""
        if self.writes_stderr:
            stderr_report.undelivered(self._fault, kept)

    def worked(self, label: str) -> None:
        """Log that the store answers again, if it did not before."""
        if self.is_good:
            return
        with self._lock:
            recovered = bool(self._faults)
            self._faults.clear()
        if recovered:
            self._log("info", f"{label}: the store takes what it is given again")

    def version(self, found: int, known: int, label: str) -> None:
        """Warn, once, that the store's tables are of another version than this program's."""
        if found == known or not self._is_new(label, "version"):
            return
        mend = "upgrade etlwatch here" if found > known else "upgrade it with `etlwatch init`"
        self._log(
            "warning",
            f"{label} has schema version {found}, this program has {known}; what both have is written: {mend}",
        )

    def refused(self, run_id: int, reason: str) -> None:
        """Warn that a run's events were not taken, once a run and reason."""
        if self._is_new(run_id, reason):
            level = "info" if reason == "off" else "warning"
            self._log(level, f"run {format_run_id(run_id)}: nothing was recorded, {_WHY.get(reason, reason)}")

    def replayed(self, outcome: Replay) -> None:
        """Warn, once for each, of what a replay set aside or had to leave."""
        for count, what in (
            (outcome.rejected, "batches whose values do not fit were set aside in .rejected files of the spool"),
            (outcome.expired, "files of the spool were older than 30 days and were set aside unread as .expired"),
        ):
            if count and self._is_new(None, what):
                self._log("warning", f"{count:,} {what}")

    def mistaken(self, argument: str, what: str) -> None:
        """Warn, once for each argument, that a call was given a value that it cannot use."""
        if self._is_new("argument", argument):
            self._log("warning", f"{what}; further ones are changed silently, strict=True raises for them")

    def adjusted(self, what: str) -> None:
        """Warn, once, that a stored value was changed."""
        if self._is_new(None, "adjusted"):
            self._log("warning", f"a value was out of range or unreadable: {what}; further ones are changed silently")

    def _is_new(self, subject: object, remark: str) -> bool:
        with self._lock:
            if (subject, remark) in self._remarks:
                return False
            if len(self._remarks) >= _MOST_REMARKS:
                self._remarks.clear()
            self._remarks.add((subject, remark))
            return True


class LogThread:
    """Logs on a thread of its own, which lives while there is something to log.

    A thread that logs may have to wait for a lock of the job's handler, whose holder may be waiting for that very
    thread: in the midst of `emit` it records something and there is no room, or it flushes. So no thread that anybody
    waits for logs.
    """

    def __init__(self) -> None:
        # Guards the messages and whether a thread logs; never held while logging.
        self._lock = ReentrantLock()
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._messages: deque[tuple[str, str]] = deque()
        self._is_logging = False

    def log(self, level: str, message: str) -> None:
        """Log something soon; at once where no thread can be started, and not while leaving."""
        if deadlines.is_leaving():
            return
        with self._lock:
            self._messages.append((level, message))
            if self._is_logging:
                return
            self._is_logging = True
        try:
            started = start_thread(daemon_thread(self._log_all, "tracking_core log"))
        except BaseException:
            # Interrupted: a second thread that logs does no harm.
            self._is_logging = False
            raise
        if not started:
            self._log_all()

    def _log_all(self) -> None:
        while True:
            with self._lock:
                if not self._messages:
                    self._is_logging = False
                    return
                level, message = self._messages.popleft()
            _log(level, message)


def logger() -> logging.Logger:
    """Return the logger of this package, silent in a job that has not configured logging.

    Imported late: logging is a good part of what importing this package may cost.
    """
    load("logging")
    import logging

    found = logging.getLogger(LOGGER_NAME)
    if not found.handlers:
        # Without it Python would print warnings to a job's stderr.
        stderr_report.silent_handler = logging.NullHandler()
        found.addHandler(stderr_report.silent_handler)
    return found


def _log(level: str, message: str) -> None:
    if deadlines.is_leaving():
        # A log handler's lock may be held by the very thread that waits for this one to end.
        return
    # A job's own log handler may raise anything; it must not reach the job.
    with suppress_faults():
        getattr(logger(), level)("%s", message)
