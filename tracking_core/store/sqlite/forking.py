"""SQLite and fork: no connection is open and no statement runs at the moment a process forks.

SQLite keeps the state of its files' locks in the memory of the process, where a forked child would find the locks of
its parent's threads held for ever, or not at all (https://sqlite.org/howtocorrupt.html, 2.6). So a fork waits for
what is going on in other threads, which is a matter of milliseconds, closes the connections that lie idle, and holds
back new ones until it is done. A connection that was closed for a fork opens again when it is used.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from tracking_core.process.forks import Step, around_forks, renew_in_child

PATIENCE_S = 2.0
"""How long a fork waits; beyond it, as when another process holds the file, it goes ahead."""

_STEP_S = 0.0005
_FEW = 16
_STORES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # noqa: PTH118, PTH120 - compared with co_filename


class Cuttable(Protocol):
    """A connection that can be closed while it is not used."""

    def cut(self) -> None:
        """Close it for now."""


class Gate:
    """Lets either any number of threads use SQLite, or one thread fork."""

    def __init__(self) -> None:
        # Both are changed by single steps only, and read every half millisecond by waiting threads.
        self._inside: dict[object, int] = {}
        """Threads by their use of SQLite."""

        self._forking: int | None = None
        # Not a WeakSet: that has a function called whenever one goes, and what interrupts it there is lost.
        self._connections: set[weakref.ref[Cuttable]] = set()
        self._look_from = _FEW

    def add(self, connection: Cuttable) -> None:
        """Have a connection closed at each fork."""
        self._connections.add(weakref.ref(connection))
        if len(self._connections) > self._look_from:
            self._connections -= {each for each in list(self._connections) if each() is None}
            self._look_from = _FEW + 2 * len(self._connections)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Use SQLite inside the block; a fork waits for its end, and it for the end of a fork."""
        me, use = threading.get_ident(), object()
        # A thread that is inside already must not wait for the fork that waits for it.
        again = me in self._inside.values()
        try:
            self._inside[use] = me
            while not again and self._forking not in (None, me):
                del self._inside[use]
                time.sleep(_STEP_S)
                self._inside[use] = me
            yield
        finally:
            self._inside.pop(use, None)

    def before_fork(self) -> None:
        """Wait until no other thread uses SQLite, and close what is open."""
        me = threading.get_ident()
        give_up = time.monotonic() + PATIENCE_S
        while self._forking is not None and time.monotonic() < give_up:
            time.sleep(_STEP_S)
        self._forking = me
        self._forget_interrupted()
        while set(self._inside.values()) - {me}:
            if time.monotonic() >= give_up:
                return
            time.sleep(_STEP_S)
        if not self._inside:
            for each in list(self._connections):
                with suppress(Exception):
                    if (connection := each()) is not None:
                        connection.cut()

    def _forget_interrupted(self) -> None:
        """Forget uses that an exception from outside ended before they could be taken back.

        Such an exception, as long as it is referred to, keeps the block's generator from ending; but the thread is then
        in no function of a store any more.
        """
        frames = sys._current_frames() if self._inside else {}
        for use, thread in list(self._inside.items()):
            frame: FrameType | None = frames.get(thread)
            while frame is not None and not _is_of_store(frame):
                frame = frame.f_back
            if frame is None:
                self._inside.pop(use, None)

    def after_fork(self) -> None:
        """Let SQLite be used again, in the parent."""
        self._forking = None

    def renew(self) -> None:
        """Begin anew in the child, where none of the other threads is."""
        me = threading.get_ident()
        self._inside = {use: thread for use, thread in self._inside.items() if thread == me}
        self._forking = None


def _is_of_store(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name.startswith(_STORES) and name != __file__


gate = Gate()
"""The one of this process."""

around_forks(Step.STORES, gate.before_fork, gate.after_fork)
renew_in_child(gate.renew)
