"""The job's side of a buffered delivery: bounded queues that take an event in about a microsecond and never block.

Owns the queues, their bounds and what happens beyond them: a request's detail is given up, its count never; words of
the other lane (lifecycle, phases, counts, errors) are kept, errors in fewer letters and in the end one of each kind for
all others, with their number. Everything here may be called again while
it is already running in the same thread, from a `__del__`, a signal's handler or a logging handler: queues are deques,
signals a SimpleQueue, and the locks re-entrant. What is done with the events is the sender's business.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from itertools import repeat, starmap
from queue import Empty, SimpleQueue
from typing import TypeAlias

from tracking_core.dataclass import replace
from tracking_core.delivery.overflow import Overflow, short
from tracking_core.events import RunStart
from tracking_core.process import deadlines
from tracking_core.process.forks import renew_in_child
from tracking_core.process.locks import ReentrantLock, Signal
from tracking_core.raw_events import RawCount, RawEnd, RawError, RawPhase, RawRequest
from tracking_core.sanitize import TEXT_BYTES, clean_key, clean_text

MOST_REQUESTS = 50_000
"""Requests that wait at the most; a tuple of a few small values each, some 300 bytes, 15 MB in all."""

MOST_LONG_BYTES = 8 * 1024 * 1024
"""Bytes of unusually long texts that wait at the most, in each of the two lanes."""

MOST_WORDS = 5_000
"""Words that wait before those that a later one says again are left out, and errors are counted by their kind."""

FOLD_FROM = 200
"""So many requests and errors beyond the bounds are added up at a time."""

LONG_TEXT = 512
SHIP_FROM = 500
SHIP_MOST = 5_000
"""Requests of one batch, 1 MiB of them: more than send it off when more wait, since each batch has its own cost."""

SHIP_FROM_BYTES = 1024 * 1024
_WAIT_STEP_S = 0.5
"""A caller that waits for room is told of it; this is how often it looks whether somebody is still there to tell."""

Word: TypeAlias = RunStart | RawPhase | RawCount | RawError | RawEnd


class EventQueue:
    """What a job has said and no batch holds yet."""

    def __init__(self, *, overload: str) -> None:
        self.waits = overload == "wait"
        self.offset_us = 0
        """The store's clock minus the job's, for requests that are added up at once."""

        # Guards the overflow, the counts of bytes, and the folding of words.
        self._lock = ReentrantLock()
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        # Empty in a forked child: the parent's events are the parent's.
        self.requests: deque[RawRequest] = deque()
        # A list, so that many are replaced by few in one step.
        self.words: list[Word] = []
        self._takes = 0
        """How many times words were taken or replaced."""

        self._signals: SimpleQueue[None] = SimpleQueue()
        self._awake = self._urgent = False
        self._long_bytes = self._word_bytes = 0
        self._squeeze_from = MOST_WORDS
        self._overflow = Overflow()
        self._returned: list[Overflow] = []
        self._adding = False
        self._late: list[RawRequest | RawError] = []
        # Told when there is room again.
        self._room = Signal()
        self.sender: threading.Thread | None = None

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

    def word(self, word: Word) -> None:
        """Take an event of the lane that is never given up."""
        if isinstance(word, RawError):
            if len(self.words) >= MOST_WORDS and not self.waits:
                self._add_up(word)
                return
            word = self._short_enough(word)
        if len(self.words) >= self._squeeze_from:
            if self.waits:
                self._wait_for_room()
            else:
                self._squeeze()
        self.words.append(word)
        if isinstance(word, RawEnd | RunStart):
            self._urgent = True
            if not self._awake:
                self.wake()

    def wake(self) -> None:
        """Have the sender look at once."""
        self._awake = True
        self._signals.put(None)

    # -- the sender's calls -----------------------------------------------------------------------------------------

    def rest(self, seconds: float) -> None:
        """Wait until there is enough to do or the time is over."""
        self._awake = False
        enough = self._urgent or len(self.requests) >= SHIP_FROM or self._long_bytes >= SHIP_FROM_BYTES
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
            self._take_sized(most, taken)
            long_bytes = sum(map(_long, taken))
            with self._lock:
                # From nothing where nothing waits: an interrupted call may have counted what it did not put here.
                self._long_bytes = max(self._long_bytes - long_bytes, 0) if self.requests else 0
        else:
            # Nobody else takes from this end, so as many as there are now will be there.
            taken += _popped(self.requests, min(len(self.requests), most))
        self._tell_of_room()
        return taken

    def _take_sized(self, most: int, taken: list[RawRequest]) -> None:
        size = 0
        while self.requests and len(taken) < most and size < SHIP_FROM_BYTES:
            taken += _popped(self.requests, 1)
            raw = taken[-1]
            size += 100 + len(raw[2]) + (len(raw[9]) if raw[9] else 0)

    def take_words(self, most: int, into: list[Word] | None = None) -> list[Word]:
        """Return the oldest waiting events of the lane that is never given up; `into` as above."""
        taken: list[Word] = [] if into is None else into
        first = slice(0, most)
        # No call in these three, so that nothing comes in between.
        taken += self.words[first]
        del self.words[first]
        self._takes += 1
        if self._word_bytes:
            with self._lock:
                # Counted anew: a call that was interrupted may have counted what it did not put here.
                self._word_bytes = sum(map(_size, self.words[:]))
        self._squeeze_from = max(MOST_WORDS, 2 * len(self.words))
        self._tell_of_room()
        return taken

    def take_overflow(self, into: list[Overflow] | None = None) -> Overflow | None:
        """Return what was added up since the last time, None when there was room for all; `into` as above."""
        taken: list[Overflow] = [] if into is None else into
        with self._lock:
            if self._returned:
                taken += self._returned
                self._returned = []
                return taken[0]
            self._fold()
            empty = Overflow()
            if self._adding or not self._overflow:
                return None
            taken += (self._overflow,)
            self._overflow = empty
        return taken[0]

    def put_back(self, requests: list[RawRequest], words: list[Word], overflow: list[Overflow]) -> None:
        """Let wait again, before all else, what was taken by a call that was interrupted."""
        with self._lock:
            self._long_bytes += sum(map(_long, requests))
            self._takes += 1
            self._returned += overflow
            self.words[:0] = words
            self.requests.extendleft(reversed(requests))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.requests or self.words or self._overflow or self._late or self._returned)

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
            raw = short(raw)
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
            overflow = self._overflow.with_more(self._late[:many], self.offset_us)
            self._overflow = overflow
            del self._late[:many]
        finally:
            self._adding = False

    def _wait_for_room(self) -> None:
        """Wait until the sender has made room; not when nobody can make any, since what waits must not be lost."""
        sender = self.sender
        if sender is None or sender is threading.current_thread():
            return
        while self._is_full() and sender.is_alive() and not deadlines.is_leaving():
            self._room.clear()
            if self._is_full():
                self._room.wait(_WAIT_STEP_S)

    def _tell_of_room(self) -> None:
        if self.waits and not self._is_full():
            self._room.set()

    def _is_full(self) -> bool:
        return (
            len(self.requests) >= MOST_REQUESTS
            or self._long_bytes > MOST_LONG_BYTES
            or self._word_bytes > MOST_LONG_BYTES
            or len(self.words) >= MOST_WORDS
        )

    def _short_enough(self, word: RawError) -> RawError:
        """Return an error that is no longer than what is stored, or in a line when very many wait."""
        failure = word.failure
        size = len(failure.message) + len(failure.traceback)
        if size > TEXT_BYTES:
            capped = replace(failure, message=clean_text(failure.message), traceback=clean_text(failure.traceback))
            word = word._replace(failure=capped)
        if self._word_bytes > MOST_LONG_BYTES:
            if self.waits:
                self._wait_for_room()
            else:
                word = short(word)
        with self._lock:
            self._word_bytes += _size(word)
        return word

    def _squeeze(self) -> None:
        """Leave out words about a phase under way or a source that a later one says again; all others stay."""
        if not self._awake:
            self.wake()
        takes, words = self._takes, self.words[:]
        kept = _squeezed(words)
        replaced = slice(0, len(words))
        self._squeeze_from = max(MOST_WORDS, 2 * len(kept))
        # No call from here on, so that nothing comes in between.
        if takes == self._takes:
            self._takes = takes + 1
            self.words[replaced] = kept


def _popped(requests: deque[RawRequest], many: int) -> Iterator[RawRequest]:
    """Return what takes so many requests out as a list is extended by it: one step, since no Python code is called."""
    return starmap(requests.popleft, repeat((), many))


def _squeezed(words: list[Word]) -> list[Word]:
    kept: list[Word] = []
    newest: dict[tuple[object, ...], int] = {}
    for word in words:
        key = _subject(word)
        if key is not None and key in newest:
            kept[newest[key]] = _both(kept[newest[key]], word)
            continue
        if key is not None:
            newest[key] = len(kept)
        elif isinstance(word, RawPhase):
            # What comes after the end of a phase begins it anew.
            newest.pop((RawPhase, word.run_id, word.phase), None)
        kept.append(word)
    return kept


def _subject(word: Word) -> tuple[object, ...] | None:
    """Return what a word is about, if a later word about the same says all that it says."""
    if isinstance(word, RawPhase) and word.status == "running":
        return RawPhase, word.run_id, word.phase
    if isinstance(word, RawCount):
        return RawCount, word.run_id, word.entity
    return None


def _both(before: Word, after: Word) -> Word:
    if not (isinstance(before, RawPhase) and isinstance(after, RawPhase)):
        return after
    return after._replace(
        totals={**before.totals, **after.totals},
        processed={**before.processed, **after.processed},
        memory_mb=before.memory_mb if after.memory_mb is None else after.memory_mb,
        started_us=before.started_us if after.started_us is None else after.started_us,
        memory_limit_mb=before.memory_limit_mb if after.memory_limit_mb is None else after.memory_limit_mb,
    )


def _size(word: Word) -> int:
    return len(word.failure.message) + len(word.failure.traceback) if isinstance(word, RawError) else 0


def _long(raw: RawRequest) -> int:
    size = len(raw[2]) + (len(raw[9]) if raw[9] else 0)
    return size if size > LONG_TEXT else 0
