"""The one thread that reads the store for the screens, and what it does while the store does not answer.

Contains the loop, the connection and the waiting between attempts. It is a daemon thread and every question has a
deadline, so nothing ever waits for it: not a key, not the end of the program.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from etlwatch.analysis.baseline import JobBaseline
from etlwatch.analysis.snapshot import Snapshot
from etlwatch.analysis.states import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.reading.gatherer import Gatherer, Watch
from etlwatch.reading.past import reader_as_of
from tracking_core.dataclass import dataclass, replace
from tracking_core.errors import (
    ConfigurationError,
    SchemaMissing,
    SchemaNewer,
    StoreRefused,
    StoreUnavailable,
    TrackingError,
)
from tracking_core.store.base import Store
from tracking_core.store.queries import Reader

DEADLINE_S = 5.0
"""What connecting and each question may take, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A poll that was answered."""

    snapshot: Snapshot
    label: str
    """The store, without credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A poll that was not answered."""

    what: str
    """In a few words: `no connection`, `refused`, `no tables`, …"""

    cause: str
    """The store's own words, one line, without credentials."""

    attempt: int
    """Of the coming retry, from 1."""

    retry_at: float
    """When that will be, on the monotonic clock."""

    hopeless: bool
    """Whether waiting will not mend it: a person has to."""


def describe_failure(error: BaseException) -> tuple[str, str, bool]:
    """Return what a failed poll means: a few words, the cause in one line, and whether waiting will not mend it."""
    what, hopeless = "the dashboard failed", False
    for kind, words, by_hand in (
        (StoreUnavailable, "no connection", False),
        (StoreRefused, "refused", True),
        (SchemaMissing, "no tables", True),
        (SchemaNewer, "newer tables", True),
        (ConfigurationError, "cannot be opened", True),
        (TrackingError, "the store failed", False),
    ):
        if isinstance(error, kind):
            what, hopeless = words, by_hand
            break
    else:
        message = _first_line(str(error))
        return what, f"{type(error).__name__}{f' ({message})' if message else ''}", False
    return what, _first_line(str(error)) or type(error).__name__, hopeless


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[0] if lines else ""


LOOKING_BACK_S: Final = 3_600.0
"""How long a look at a past moment needs no second one."""


MOST_BASELINES: Final = 1_000
"""Baselines that are kept while somebody looks at one past moment after another."""


class Backoff:
    """How long to wait after each failure: doubling from 1 s to 30 s, half of it at random."""

    def __init__(self, *, least: float = 1.0, most: float = 30.0, draw: Callable[[], float] = random.random) -> None:
        self._least = least
        self._most = most
        self._draw = draw
        self.failures = 0

    def failed(self) -> float:
        """Count a failure; return the seconds until the next attempt."""
        self.failures += 1
        ceiling: float = min(self._least * 2 ** min(self.failures - 1, 16), self._most)
        return ceiling * (0.5 + 0.5 * self._draw())

    def succeeded(self) -> None:
        """Begin again at the shortest wait."""
        self.failures = 0


class Poller:
    """Poll a store from a thread of its own until told to stop."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        deliver: Callable[[Read | Lost], None],
        *,
        interval: float = 1.0,
        watch: Watch | None = None,
        deadline: float = DEADLINE_S,
        backoff: Backoff | None = None,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
    ) -> None:
        """Prepare to poll; `open_store` is called in the thread, so that a driver's import delays no frame.

        `deliver` is called in the thread too. `interval` and `deadline` in seconds.
        """
        self._open_store = open_store
        self._deliver = deliver
        self._deadline = deadline
        self._backoff = backoff or Backoff()
        self._thresholds = thresholds
        self._baselines: dict[tuple[int, ...], JobBaseline] = {}
        self._past: tuple[datetime, Gatherer] | None = None
        """The past moment that is looked at, and what was read of it."""

        self._gatherer = Gatherer(thresholds=thresholds)
        self._store: Store | None = None
        self._reader: Reader | None = None
        # Guards what the screens set and the thread reads: interval, watch, forgetting and stopping.
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._interval = interval
        self._watch = watch or Watch()
        self._forget = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="etlwatch-poller", daemon=True)

    def start(self) -> None:
        """Begin polling."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; returns at once, whatever the store does."""
        with self._lock:
            self._stopped = True
        self._wake.set()

    def join(self, timeout: float) -> bool:
        """Wait for the thread at most `timeout` seconds; return whether it has ended. For tests."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def interval(self) -> float:
        """Seconds between the end of a poll and the next."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        with self._lock:
            self._interval = seconds
        self._wake.set()

    @property
    def watch(self) -> Watch:
        """What is asked for."""
        return self._watch

    @watch.setter
    def watch(self, watch: Watch) -> None:
        with self._lock:
            changed, self._watch = watch != self._watch, watch
        if changed:
            self._wake.set()

    def refresh(self) -> None:
        """Poll now, asking for everything anew; also ends the waiting for a retry."""
        with self._lock:
            self._forget = True
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            wait = self._poll_once()
            if not self._stopped:
                self._wake.wait(wait)
        self._disconnect()

    def _look(self, reader: Reader, watch: Watch) -> Snapshot:
        """Return what a watch shows: now, or a past moment."""
        if watch.moment is None:
            self._past = None
            return self._gatherer.read(reader, watch)
        if self._past is None or self._past[0] != watch.moment:
            if len(self._baselines) > MOST_BASELINES:
                self._baselines.clear()
            self._past = watch.moment, Gatherer(thresholds=self._thresholds, at_once=True, baselines=self._baselines)
        snapshot = self._past[1].read(reader_as_of(reader, watch.moment), watch)
        return replace(snapshot, looking_back=True)

    def _poll_once(self) -> float:
        """Poll; return the seconds until the next poll. Survives any error: a dashboard must not go blind."""
        with self._lock:
            watch, interval, forget, self._forget = self._watch, self._interval, self._forget, False
        if forget:
            self._forget_answers()
        try:
            if self._store is None:
                self._store = self._open_store()
            if self._reader is None:
                self._reader = self._store.reader(self._deadline)
            snapshot = self._look(self._reader, watch)
        except Exception as error:  # noqa: BLE001 - reported on screen, and tried again
            self._disconnect()
            self._forget_answers()
            what, cause, hopeless = describe_failure(error)
            wait = self._backoff.failed()
            self._deliver(
                Lost(
                    what=what,
                    cause=cause,
                    attempt=self._backoff.failures,
                    retry_at=time.monotonic() + wait,
                    hopeless=hopeless,
                )
            )
            return wait
        self._backoff.succeeded()
        self._deliver(Read(snapshot=snapshot, label=self._store.label))
        # The past stays as it is: it is asked for once, until somebody looks elsewhere.
        return interval if watch.moment is None else LOOKING_BACK_S

    def _forget_answers(self) -> None:
        self._gatherer.forget()
        self._past = None
        self._baselines.clear()

    def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            # A broken connection may refuse to close; it is given up all the same.
            with contextlib.suppress(Exception):
                reader.close()
