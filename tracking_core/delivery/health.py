"""What a tracker says about its store in the log: one line a change, never a storm, never an error of its own.

Owns the logger `tracking_core` and what was said last. Decides nothing: whether to try again is the breaker's business.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tracking_core.errors import StoreError
from tracking_core.identity import format_run_id, without_secrets
from tracking_core.locks import reentrant_lock
from tracking_core.store import due

if TYPE_CHECKING:
    import logging

LOGGER_NAME = "tracking_core"
_MOST_REMARKS = 256
_WHY = {
    "unknown": "the store does not hold it",
    "removed": "it was removed by a clean-up",
    "off": "tracking is switched off",
}


class Health:
    """Whether the store takes what it is given, as the log was told."""

    def __init__(self) -> None:
        # Guards what was said last; never held while logging, since a handler may call the tracker again. Re-entrant,
        # as the tracker's other locks are: a signal's handler may come in between.
        self._lock = reentrant_lock()
        self._fault: str | None = None
        self._remarks: set[tuple[object, str]] = set()

    @property
    def is_good(self) -> bool:
        """Whether the last operation reached the store."""
        return self._fault is None

    def failed(self, error: BaseException, label: str) -> None:
        """Warn that the store does not answer as it should: once for each kind of fault until it works again."""
        fault = type(error).__name__
        with self._lock:
            if self._fault == fault:
                return
            self._fault = fault
        # What a store raises on purpose says it all; anything else needs its name.
        told = str(error) if isinstance(error, StoreError) else f"{fault}: {error}"
        where = "" if told.startswith(label) else f"{label}: "
        _say("warning", f"the store does not take what it is given, the job goes on: {where}{without_secrets(told)}")

    def worked(self, label: str) -> None:
        """Say that the store answers again, if it did not before."""
        if self.is_good:
            return
        with self._lock:
            recovered, self._fault = self._fault is not None, None
        if recovered:
            _say("info", f"{label}: the store takes what it is given again")

    def refused(self, run_id: int, reason: str) -> None:
        """Warn that a run's events were not taken, once a run and reason."""
        if self._is_new(run_id, reason):
            level = "info" if reason == "off" else "warning"
            _say(level, f"run {format_run_id(run_id)}: nothing was recorded, {_WHY.get(reason, reason)}")

    def adjusted(self, what: str) -> None:
        """Warn, once, that a number was out of range and was changed."""
        if self._is_new(None, "adjusted"):
            _say("warning", f"a number was out of range: {what}; further ones are changed without a word")

    def _is_new(self, subject: object, remark: str) -> bool:
        with self._lock:
            if (subject, remark) in self._remarks:
                return False
            if len(self._remarks) >= _MOST_REMARKS:
                self._remarks.clear()
            self._remarks.add((subject, remark))
            return True

    def renew(self) -> None:
        """Take a new lock in a forked child: the old one may be held by a thread that is not there."""
        self._lock = reentrant_lock()


def logger() -> logging.Logger:
    """Return the logger of this package, silent in a job that has not configured logging.

    Imported late: logging is a good part of what importing this package may cost.
    """
    import logging

    found = logging.getLogger(LOGGER_NAME)
    if not found.handlers:
        # Without it Python would print warnings to a job's stderr.
        found.addHandler(logging.NullHandler())
    return found


def _say(level: str, message: str) -> None:
    if due.is_leaving():
        # A log handler's lock may be held by the very thread that waits for this one to end.
        return
    # A job's own log handler may raise anything; it must not reach the job.
    with contextlib.suppress(Exception):
        getattr(logger(), level)("%s", message)
