"""SQLite and fork: no connection is open and no statement runs at the moment a process forks.

SQLite keeps the state of its files' locks in the memory of the process, where a forked child would find the locks of
its parent's threads for ever held, or held by nobody (https://sqlite.org/howtocorrupt.html, 2.6). So a fork waits for
what is going on in other threads, which is a matter of milliseconds, closes the connections that lie idle, and holds
back new ones until it is done. A connection that was closed for a fork opens again when it is used.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from tracking_core.forks import Step, around_forks, hook

PATIENCE_S = 2.0
"""How long a fork waits; beyond it, as when another process holds the file, it goes ahead."""


class Cuttable(Protocol):
    """A connection that can be closed while nobody uses it."""

    def cut(self) -> None:
        """Close it for now."""
        ...


class Gate:
    """Lets either any number of threads use SQLite, or one thread fork."""

    def __init__(self) -> None:
        # Guards what follows; re-entrant, since a signal's handler may come in between.
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}
        self._forking: int | None = None
        self._connections: weakref.WeakSet[Cuttable] = weakref.WeakSet()

    def add(self, connection: Cuttable) -> None:
        """Have a connection closed at each fork."""
        with self._changed:
            self._connections.add(connection)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Use SQLite inside the block; a fork waits for its end, and it for the end of a fork."""
        me = threading.get_ident()
        with self._changed:
            # Whoever is inside already must not be kept waiting by the fork that waits for him.
            if me not in self._inside:
                self._changed.wait_for(lambda: self._forking in (None, me))
            self._inside[me] = self._inside.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                    self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread uses SQLite, and close what is open."""
        me = threading.get_ident()
        give_up = time.monotonic() + PATIENCE_S
        with self._changed:
            self._changed.wait_for(lambda: self._forking is None, PATIENCE_S)
            self._forking = me
            while any(thread != me for thread in self._inside):
                if not self._changed.wait(max(give_up - time.monotonic(), 0)):
                    return
            if me not in self._inside:
                for connection in list(self._connections):
                    with suppress(Exception):
                        connection.cut()

    def after_fork(self) -> None:
        """Let SQLite be used again, in the parent."""
        with self._changed:
            self._forking = None
            self._changed.notify_all()

    def renew(self) -> None:
        """Begin anew in the child, where none of the other threads is."""
        me = threading.get_ident()
        mine = self._inside.get(me, 0)
        self._changed = threading.Condition()
        self._inside = {me: mine} if mine else {}
        self._forking = None


gate = Gate()
"""The one of this process."""

around_forks(Step.STORES, gate.before_fork, gate.after_fork)
os.register_at_fork(after_in_child=gate.renew)
hook()
