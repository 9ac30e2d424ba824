"""What a job has recorded and no batch holds yet: a bounded queue that takes an event in about a microsecond.

Beyond the bounds a request's detail is given up, its count never; the other events (starts, ends, phases, counts,
errors) are kept, errors in fewer letters and in the end one of each kind for all others, with their number. Where
callers wait for room nothing is given up. Everything here may be called again while it is already running in the same
thread, from a `__del__`, a signal's handler or a logging handler: queues are deques, signals a SimpleQueue, and the
locks re-entrant.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat, starmap
from queue import Empty, SimpleQueue
from typing import TypeAlias

from tracking_core.dataclass import replace
from tracking_core.delivery.batches import LEFT_OUT, MOST_CELLS, MOST_KINDS, OTHER_ENDPOINTS, SHORT_MESSAGE, fewer
from tracking_core.delivery.rows import request_row
from tracking_core.events import RawCount, RawEnd, RawError, RawPhase, RawRequest, RunStart
from tracking_core.process import deadlines
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import suppress_faults
from tracking_core.process.locks import ReentrantLock, Signal
from tracking_core.requests import CellKey, RequestRow, Tally, tally
from tracking_core.sanitize import TEXT_BYTES, clean_key, clean_text

Kind: TypeAlias = tuple[int, str | None, str]
"""Run, phase and fingerprint."""


class Aggregate:
    """Requests whose detail found no room, and errors of which the first of each kind stands for all others."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Tally] = {}
        self.errors: dict[Kind, tuple[RawError, int]] = {}
        """The first of each kind in a line, and how many there were."""

    def __bool__(self) -> bool:
        return bool(self.cells or self.errors)

    def with_more(self, raws: Iterable[RawRequest | RawError], offset_us: int) -> Aggregate:
        """Return a new one that has counted these too; this one is unchanged, in case the call is interrupted."""
        more = Aggregate()
        more.cells.update(self.cells)
        more.errors.update(self.errors)
        rows: list[RequestRow] = []
        for raw in raws:
            # One that nobody foresaw must not take the others along.
            with suppress_faults():
                if isinstance(raw, RawError):
                    more._add_error(raw)
                else:
                    rows.append(request_row(raw, 0, offset_us))
        for key, cell in tally(rows).items():
            if key not in more.cells and len(more.cells) >= MOST_CELLS:
                key = key._replace(endpoint=OTHER_ENDPOINTS)
            if key in more.cells:
                cell.add(more.cells[key])
            more.cells[key] = cell
        if len(more.cells) > 2 * MOST_CELLS:
            # Nobody has taken any for long: each stretch of time has cells of its own.
            more.cells = fewer(more.cells, MOST_CELLS)
        return more

    def _add_error(self, raw: RawError) -> None:
        kind: Kind = (raw.run_id, raw.phase, raw.failure.fingerprint)
        if kind not in self.errors and len(self.errors) >= MOST_KINDS:
            # Whatever kind came first beyond so many of them.
            kind = (raw.run_id, None, "")
        first, many = self.errors.get(kind, (None, 0))
        self.errors[kind] = (first or shortened(raw), many + 1)


def shortened(error: RawError) -> RawError:
    """Return an error in a line."""
    failure = error.failure
    return error._replace(
        failure=replace(failure, message=clean_text(failure.message)[:SHORT_MESSAGE], traceback=LEFT_OUT)
    )


MOST_REQUESTS = 50_000
"""Requests that wait at the most; a tuple of a few small values each, some 300 bytes, 15 MB in all."""

MOST_LONG_BYTES = 8 * 1024 * 1024
"""Bytes of unusually long texts that wait at the most, in each of the two lanes."""

MOST_EVENTS = 5_000
"""Other events that wait before those that a later one repeats are left out, and errors are counted by their kind."""

FOLD_FROM = 200
"""So many requests and errors beyond the bounds are added up at a time."""

LONG_TEXT = 512
SHIP_FROM = 500
SHIP_MOST = 5_000
"""Requests of one batch, 1 MiB of them: more than send it off when more wait, since each batch has its own cost."""

SHIP_FROM_BYTES = 1024 * 1024
_WAIT_STEP_S = 0.5
"""A caller that waits for room is woken; this is how often it looks whether the writer is still alive."""

Event: TypeAlias = RunStart | RawPhase | RawCount | RawError | RawEnd


class EventQueue:
    """The events of one tracker that no batch holds yet."""

    def __init__(self, *, overload: str) -> None:
        self.waits = overload == "wait"
        self.offset_us = 0
        """The store's clock minus the job's, for requests that are added up at once."""

        # Guards the aggregate, the counts of bytes, and the folding of events.
        self._lock = ReentrantLock()
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        # Empty in a forked child: the parent's events are the parent's.
        self.requests: deque[RawRequest] = deque()
        # A list, so that many are replaced by few in one step.
        self.events: list[Event] = []
        self._takes = 0
        """How many times events were taken or replaced."""

        self._signals: SimpleQueue[None] = SimpleQueue()
        self._awake = self._urgent = False
        self._long_bytes = self._event_bytes = 0
        self._squeeze_from = MOST_EVENTS
        self._aggregate = Aggregate()
        self._returned: list[Aggregate] = []
        self._adding = False
        self._late: list[RawRequest | RawError] = []
        # Set when there is room again.
        self._room = Signal()
        self.writer: threading.Thread | None = None

    # -- the job's calls ---------------------------------------------------------------------------------------------

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

    def event(self, event: Event) -> None:
        """Take an event of the lane that is never given up."""
        if isinstance(event, RawError):
            if len(self.events) >= MOST_EVENTS and not self.waits:
                self._add_up(event)
                return
            event = self._short_enough(event)
        if len(self.events) >= self._squeeze_from:
            if self.waits:
                self._wait_for_room()
            else:
                self._squeeze()
        self.events.append(event)
        if isinstance(event, RawEnd | RunStart):
            self._urgent = True
            if not self._awake:
                self.wake()

    def wake(self) -> None:
        """Have the writer look at once."""
        self._awake = True
        self._signals.put(None)

    # -- the writer's calls -----------------------------------------------------------------------------------------

    def rest(self, seconds: float, *, stuck: bool = False) -> None:
        """Wait until there is enough to do or the time is over; `stuck`: until somebody calls `wake`."""
        self._awake = stuck
        enough = self._urgent or len(self.requests) >= SHIP_FROM or self._long_bytes >= SHIP_FROM_BYTES
        enough = enough and not stuck
        try:
            self._signals.get(timeout=0 if enough else seconds)
            while True:
                self._signals.get_nowait()
        except (Empty, ValueError):
            pass
        self._awake, self._urgent = True, False

    def take_requests(self, most: int, into: list[RawRequest] | None = None) -> list[RawRequest]:
        """Return the oldest waiting requests, 1 MiB of them at the most; `into` has them whatever interrupts this."""
        taken: list[RawRequest] = [] if into is None else into
        if self._long_bytes:
            size = 0
            while self.requests and len(taken) < most and size < SHIP_FROM_BYTES:
                taken += _popped(self.requests, 1)
                size += 100 + len(taken[-1][2]) + len(taken[-1][9] or "")
            long_bytes = sum(map(_long, taken))
            with self._lock:
                # From nothing where nothing waits: an interrupted call may have counted what it did not put here.
                self._long_bytes = max(self._long_bytes - long_bytes, 0) if self.requests else 0
        else:
            # Nobody else takes from this end, so as many as there are now will be there.
            taken += _popped(self.requests, min(len(self.requests), most))
        self._signal_room()
        return taken

    def take_events(self, most: int, into: list[Event] | None = None) -> list[Event]:
        """Return the oldest waiting events of the lane that is never given up; `into` as above."""
        taken: list[Event] = [] if into is None else into
        first = slice(0, most)
        # No call in these three, so that nothing comes in between.
        taken += self.events[first]
        del self.events[first]
        self._takes += 1
        if self._event_bytes:
            with self._lock:
                # Counted anew: a call that was interrupted may have counted what it did not put here.
                self._event_bytes = sum(map(_size, self.events[:]))
        self._squeeze_from = max(MOST_EVENTS, 2 * len(self.events))
        self._signal_room()
        return taken

    def take_aggregate(self, into: list[Aggregate] | None = None) -> Aggregate | None:
        """Return what was added up since the last time, None when there was room for all; `into` as above."""
        taken: list[Aggregate] = [] if into is None else into
        with self._lock:
            if self._returned:
                taken += self._returned
                self._returned = []
                return taken[0]
            self._fold()
            empty = Aggregate()
            if self._adding or not self._aggregate:
                return None
            taken += (self._aggregate,)
            self._aggregate = empty
        return taken[0]

    def put_back(self, requests: list[RawRequest], events: list[Event], aggregates: list[Aggregate]) -> None:
        """Let wait again, before all else, what was taken by a call that was interrupted."""
        with self._lock:
            self._long_bytes += sum(map(_long, requests))
            self._takes += 1
            self._returned += aggregates
            self.events[:0] = events
            self.requests.extendleft(reversed(requests))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.requests or self.events or self._aggregate or self._late or self._returned)

    # -- beyond the bounds -------------------------------------------------------------------------------------------

    def _measured(self, raw: RawRequest) -> RawRequest:
        endpoint, error = clean_key(raw[2]), raw[9]
        if error is not None and len(error) > TEXT_BYTES:
            # No more of it would be stored.
            error = clean_text(error)
        raw = (*raw[:2], endpoint, *raw[3:9], error)
        long_bytes = _long(raw)
        if long_bytes:
            with self._lock:
                self._long_bytes += long_bytes
            if self._long_bytes >= SHIP_FROM_BYTES and not self._awake:
                self.wake()
        return raw

    def _beyond(self, raw: RawRequest) -> None:
        if self.waits:
            if not self._awake:
                self.wake()
            self._wait_for_room()
            self.requests.append(raw)
            return
        with self._lock:
            self._long_bytes -= _long(raw)
        self._add_up(raw)

    def _add_up(self, raw: RawRequest | RawError) -> None:
        if not self._awake:
            self.wake()
        if isinstance(raw, RawError):
            raw = shortened(raw)
        elif raw[9] is not None:
            raw = (*raw[:9], raw[9][:LONG_TEXT])
        with self._lock:
            self._late.append(raw)
            if len(self._late) >= FOLD_FROM:
                self._fold()

    def _fold(self) -> None:
        """Add up what came since the last time, all of it in one step; the lock is held."""
        if self._adding or not self._late:
            # A call from within another one, which would undo what this one does.
            return
        self._adding = True
        try:
            many = len(self._late)
            aggregate = self._aggregate.with_more(self._late[:many], self.offset_us)
            self._aggregate = aggregate
            del self._late[:many]
        finally:
            self._adding = False

    def _wait_for_room(self) -> None:
        """Wait until the writer has made room; not when nobody can make any, since what waits must not be lost."""
        writer = self.writer
        if writer is None or writer is threading.current_thread():
            return
        while self._is_full() and writer.is_alive() and not deadlines.is_leaving():
            self._room.clear()
            if self._is_full():
                self._room.wait(_WAIT_STEP_S)

    def _signal_room(self) -> None:
        if self.waits and not self._is_full():
            self._room.set()

    def _is_full(self) -> bool:
        return (
            len(self.requests) >= MOST_REQUESTS
            or self._long_bytes > MOST_LONG_BYTES
            or self._event_bytes > MOST_LONG_BYTES
            or len(self.events) >= MOST_EVENTS
        )

    def _short_enough(self, event: RawError) -> RawError:
        """Return an error that is no longer than what is stored, or in a line when very many wait."""
        failure = event.failure
        size = len(failure.message) + len(failure.traceback)
        if size > TEXT_BYTES:
            capped = replace(failure, message=clean_text(failure.message), traceback=clean_text(failure.traceback))
            event = event._replace(failure=capped)
        if self._event_bytes > MOST_LONG_BYTES:
            if self.waits:
                self._wait_for_room()
            else:
                event = shortened(event)
        with self._lock:
            self._event_bytes += _size(event)
        return event

    def _squeeze(self) -> None:
        """Leave out events about a running phase or a source that a later one repeats; all others stay."""
        if not self._awake:
            self.wake()
        takes, events = self._takes, self.events[:]
        kept = _squeezed(events)
        replaced = slice(0, len(events))
        self._squeeze_from = max(MOST_EVENTS, 2 * len(kept))
        # No call from here on, so that nothing comes in between.
        if takes == self._takes:
            self._takes = takes + 1
            self.events[replaced] = kept


def _popped(requests: deque[RawRequest], many: int) -> Iterator[RawRequest]:
    """Return what takes so many requests out as a list is extended by it: one step, since no Python code is called."""
    return starmap(requests.popleft, repeat((), many))


def _squeezed(events: list[Event]) -> list[Event]:
    kept: list[Event] = []
    newest: dict[tuple[object, ...], int] = {}
    for event in events:
        key = _subject(event)
        if key is not None and key in newest:
            kept[newest[key]] = _both(kept[newest[key]], event)
            continue
        if key is not None:
            newest[key] = len(kept)
        elif isinstance(event, RawPhase):
            # What comes after the end of a phase begins it anew.
            newest.pop((RawPhase, event.run_id, event.phase), None)
        kept.append(event)
    return kept


def _subject(event: Event) -> tuple[object, ...] | None:
    """Return what an event is about, if a later event about the same replaces it."""
    if isinstance(event, RawPhase) and event.status == "running":
        return RawPhase, event.run_id, event.phase
    if isinstance(event, RawCount):
        return RawCount, event.run_id, event.entity
    return None


def _both(before: Event, after: Event) -> Event:
    if not (isinstance(before, RawPhase) and isinstance(after, RawPhase)):
        return after
    return after._replace(
        totals={**before.totals, **after.totals},
        processed={**before.processed, **after.processed},
        memory_mb=before.memory_mb if after.memory_mb is None else after.memory_mb,
        started_us=before.started_us if after.started_us is None else after.started_us,
        memory_limit_mb=before.memory_limit_mb if after.memory_limit_mb is None else after.memory_limit_mb,
    )


def _size(event: Event) -> int:
    return len(event.failure.message) + len(event.failure.traceback) if isinstance(event, RawError) else 0


def _long(raw: RawRequest) -> int:
    size = len(raw[2]) + (len(raw[9]) if raw[9] else 0)
    return size if size > LONG_TEXT else 0
