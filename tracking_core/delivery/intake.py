"""The job's side of a buffered delivery: bounded queues that take an event in about a microsecond and never block.

Owns the queues, their bounds and what happens beyond them. Everything here may be called again while it is already
running in the same thread, from a `__del__` or a logging handler: queues are deques, signals a SimpleQueue, and the one
lock is re-entrant. What is done with the events is the shipper's business.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from tracking_core.delivery.base import RawCount, RawEnd, RawError, RawPhase, RawRequest
from tracking_core.delivery.rows import request_row
from tracking_core.events import CellKey, RunStart, Tally, cell_of
from tracking_core.locks import reentrant_lock
from tracking_core.sanitize import clean_key

MOST_REQUESTS = 50_000
"""Requests that wait at the most; a tuple of seven small values, some 400 bytes each, 20 MB in all."""

MOST_LONG_BYTES = 8 * 1024 * 1024
"""Bytes of unusually long texts that wait at the most."""

LONG_TEXT = 512
SHIP_FROM = 500
SHIP_FROM_BYTES = 1024 * 1024
MOST_CELLS = 5_000
"""Distinct (run, endpoint, ten seconds) that overflow adds up; further endpoints become one."""

OTHER_ENDPOINTS = "(other)"
_WAIT_STEP_S = 0.05

Word: TypeAlias = RunStart | RawPhase | RawCount | RawError | RawEnd


class Overflow:
    """Requests whose detail found no room, added up exactly."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Tally] = {}
        self.dropped: dict[int, int] = {}

    def add(self, raw: RawRequest, offset_us: int) -> None:
        """Count one request."""
        row = request_row(raw, 0, offset_us)
        key = cell_of(row.run_id, row.endpoint, row.at_us)
        cell = self.cells.get(key)
        if cell is None:
            if len(self.cells) >= MOST_CELLS:
                key = key._replace(endpoint=OTHER_ENDPOINTS)
            cell = self.cells.setdefault(key, Tally())
        cell.add_request(row)
        self.dropped[row.run_id] = self.dropped.get(row.run_id, 0) + 1


class Intake:
    """What a job has said and no batch holds yet."""

    def __init__(self, *, overload: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.waits = overload == "wait"
        self._monotonic = monotonic
        self.offset_us = 0
        """The store's clock minus the job's, for requests that are added up at once."""

        self.renew()

    def renew(self) -> None:
        """Begin empty, with locks that nobody holds: in a forked child the parent's events are the parent's."""
        self.requests: deque[RawRequest] = deque()
        self.words: deque[Word] = deque()
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._awake = False
        self._long_bytes = 0
        self._overflow = Overflow()
        # Guards the overflow and the count of long bytes; re-entrant, see the module.
        self._lock = reentrant_lock()
        self.shipper: threading.Thread | None = None

    def request(self, raw: RawRequest) -> None:
        """Take one request; its detail is given up, never its count, when there is no room."""
        waiting = len(self.requests)
        if len(raw[2]) > LONG_TEXT or raw[9] is not None:
            raw = self._measured(raw)
        if waiting >= MOST_REQUESTS or self._long_bytes > MOST_LONG_BYTES:
            self._beyond(raw)
            return
        self.requests.append(raw)
        if waiting >= SHIP_FROM and not self._awake:
            self.wake()

    def word(self, word: Word) -> None:
        """Take an event of the lane that is never given up."""
        self.words.append(word)
        if isinstance(word, RawEnd | RunStart) and not self._awake:
            self.wake()

    def wake(self) -> None:
        """Have the shipper look at once."""
        self._awake = True
        self._signals.put(None)

    def rest(self, seconds: float) -> None:
        """Wait until there is enough to do or the time is over; the shipper's call."""
        self._awake = len(self.requests) >= SHIP_FROM
        try:
            self._signals.get(timeout=0 if self._awake else seconds)
            while True:
                self._signals.get_nowait()
        except (Empty, ValueError):
            pass
        self._awake = True

    def take_requests(self, most: int) -> list[RawRequest]:
        """Return the oldest waiting requests."""
        taken: list[RawRequest] = []
        pop = self.requests.popleft
        size = 0
        try:
            while len(taken) < most and size < SHIP_FROM_BYTES:
                raw = pop()
                taken.append(raw)
                size += 100 + len(raw[2]) + (len(raw[9]) if raw[9] else 0)
        except IndexError:
            pass
        if self._long_bytes:
            long_bytes = sum(_long(raw) for raw in taken)
            with self._lock:
                self._long_bytes -= long_bytes
        return taken

    def take_words(self, most: int) -> list[Word]:
        """Return the oldest waiting events of the lane that is never given up."""
        taken: list[Word] = []
        try:
            while len(taken) < most:
                taken.append(self.words.popleft())
        except IndexError:
            pass
        return taken

    def take_overflow(self) -> Overflow | None:
        """Return what was added up since the last time, None when there was room for all."""
        if not self._overflow.cells:
            return None
        with self._lock:
            overflow, self._overflow = self._overflow, Overflow()
        return overflow

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.requests or self.words or self._overflow.cells)

    def _measured(self, raw: RawRequest) -> RawRequest:
        endpoint, error = clean_key(raw[2]), raw[9]
        if error is not None and len(error) > SHIP_FROM_BYTES:
            error = error[: SHIP_FROM_BYTES // 2] + error[-SHIP_FROM_BYTES // 2 :]
        raw = (*raw[:2], endpoint, *raw[3:9], error)
        long_bytes = _long(raw)
        if long_bytes:
            with self._lock:
                self._long_bytes += long_bytes
        return raw

    def _beyond(self, raw: RawRequest) -> None:
        self.wake()
        shipper = self.shipper
        if self.waits and shipper is not None and shipper is not threading.current_thread():
            while shipper.is_alive() and (len(self.requests) >= MOST_REQUESTS or self._long_bytes > MOST_LONG_BYTES):
                time.sleep(_WAIT_STEP_S)
            if shipper.is_alive():
                self.requests.append(raw)
                return
        with self._lock:
            self._long_bytes -= _long(raw)
            self._overflow.add(raw, self.offset_us)


def _long(raw: RawRequest) -> int:
    size = len(raw[2]) + (len(raw[9]) if raw[9] else 0)
    return size if size > LONG_TEXT else 0
