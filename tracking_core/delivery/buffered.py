"""Buffered delivery: the job puts events into a bounded queue, one daemon thread brings them to the store.

A batch goes out from 500 requests or 1 MiB on, after a second, at a run's end, on `flush` and on leaving. The
queue is in event_queue.py, making batches in batch_builder.py, sending them in batch_sender.py.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from contextlib import ExitStack, suppress
from time import perf_counter
from typing import TYPE_CHECKING

from tracking_core.delivery.batch_sender import BatchSender
from tracking_core.delivery.event_queue import Event, EventQueue
from tracking_core.delivery.store_link import StoreLink
from tracking_core.events import RawCount, RawEnd, RawError, RawPhase, RawRequest, RunStart
from tracking_core.process import deadlines
from tracking_core.process.exit import open_runs
from tracking_core.process.forks import Step, around_forks, leave_signals_to_main, renew_in_child, wait_until_gone
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.process.locks import ReentrantLock, Signal, daemon_thread, start_thread

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport

FLUSH_EVERY_S = 1.0
SPOOL_TIME_S = 0.5
"""What is kept of the time for leaving, for the spool: the store must have answered before."""

SPOOL_TIME_EACH_S = 80e-6
"""What more is kept for each request that waits: with 3 % of a processor it takes that long to spool one as it is."""

SPOOL_SHARE = 0.6
"""The most that is kept, of all the time for leaving."""

LATE_SPOOL_TIME_S = 0.5
"""The same for what is recorded when the time for leaving is over."""

THREAD_TIME_S = 0.1
"""How long after that the thread is waited for: it may just be about to end."""


class BufferedDelivery:
    """A delivery that costs the job about a microsecond an event."""

    def __init__(self, link: StoreLink, *, overload: str = "aggregate") -> None:
        self._link = link
        self._switch = link.switch
        self._runs = link.runs
        self.attach, self.start_of = link.attach, link.start_of
        link.health.log_in_thread()
        self._queue = EventQueue(overload=overload)
        self._sender = BatchSender(link, self._queue)
        # Guards the starting of the thread; re-entrant, since a `__del__` may log while it is held.
        self._starting = ReentrantLock()
        self._begin()
        open_runs.flush_at_exit(self)
        around_forks(Step.THREADS, self._pause, self._resume)
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._flushes: deque[Signal] = deque()
        self._worst_s = 0.0
        self._paused = self._resumes = False
        self._forget_thread()

    # -- the verbs ---------------------------------------------------------------------------------------------------

    def begin(self, start: RunStart) -> bool:
        """Accept a run's start; False only when the store answered a moment ago that tracking is off for its job.

        An older answer may have changed, so such a run is given its id, and is dropped if it has not.
        """
        if not self._switch.refresh():
            return False
        now = self._link.clock.monotonic()
        answered_at = self._link.answered_at
        if self._switch.shared_off(start.job) and answered_at is not None and now - answered_at < FLUSH_EVERY_S:
            return False
        with self._runs.lock:
            self._runs.begin(start, now)
        self._accept(start)
        return True

    def request(self, raw: RawRequest) -> bool:
        """Accept one request."""
        if not self._switch.here:
            return False
        began = perf_counter()
        self._queue.request(raw)
        if self._thread is None:
            self._run()
        took = perf_counter() - began
        if took > self._worst_s:
            self._note_worst(raw[0], took)
        return True

    def event(self, raw: RawPhase | RawCount | RawError) -> bool:
        """Accept a phase's state, a source count or an error."""
        return self._switch.refresh() and self._accept(raw)

    def end(self, raw: RawEnd) -> bool:
        """Accept a run's end; False when this tracker ended it before. Goes on while tracking is off."""
        self._switch.refresh()
        ends = False
        try:
            with self._runs.lock:
                if self._runs.state(raw.run_id).ended:
                    return False
                ends = True
                self._runs.end(raw.run_id, self._link.clock.monotonic())
            return self._accept(raw)
        except BaseException:
            # Interrupted: of two ends the store takes the first.
            if ends:
                self._runs.reopen(raw.run_id)
            raise

    def finish(self, raw: RawEnd) -> None:
        """End a run that is known and has not ended."""
        if self.start_of(raw.run_id) is not None:
            self.end(raw)

    def flush(self, timeout: float | None) -> DeliveryReport:
        """Wait, at most `timeout` seconds, until everything accepted before is committed or spooled.

        Or until both were tried in vain: then it waits in memory, and the report's figures do not count it.
        """
        if self._thread is threading.current_thread():
            # A `__del__` or a log handler on the writer's own thread, which cannot wait for itself.
            return self._link.report
        done = Signal()
        self._flushes.append(done)
        if self._run():
            self._queue.wake()
            done.wait(timeout)
        else:
            self._ship()
        return self._link.report

    def leave(self, until: float) -> None:
        """Flush by this moment of the monotonic clock, end the thread and let go of connection and spool.

        Later events are still taken; the next one starts a thread again, or is shipped at once where the interpreter
        lets no thread start any more.
        """
        thread, self._stop = self._thread, True
        if thread is threading.current_thread():
            # A `__del__` or a log handler on the writer's own thread: it ends when it is through with this batch.
            return
        self._queue.wake()
        spool_time_s = SPOOL_TIME_S + (len(self._queue.requests) + self._sender.unsent) * SPOOL_TIME_EACH_S
        stores_until = until - max(min(spool_time_s, (until - time.monotonic()) * SPOOL_SHARE), 0)
        with ExitStack() as limits:
            for ident in (thread and thread.ident, threading.get_ident()):
                if ident:
                    limits.enter_context(deadlines.limit_thread(ident, stores_until))
            if thread is not None:
                with suppress_faults(RuntimeError):
                    # Not started yet: a signal came in the midst of that.
                    thread.join(max(stores_until + THREAD_TIME_S - time.monotonic(), 0))
            if thread is None or not thread.is_alive():
                self._ship()
            self._sender.leave(until)
        self._forget_thread()

    def _pause(self) -> None:
        """End the thread before a fork, and its connection; what is recorded meanwhile waits for another one."""
        thread = self._thread
        self._paused, self._resumes = True, thread is not None
        self._queue.wake()
        wait_until_gone(thread)
        if thread is None or not thread.is_alive():
            self._sender.disconnect()

    def _resume(self) -> None:
        """Start a thread again after a fork, if there was one or something waits."""
        self._paused = False
        if self._resumes or self._flushes or not self._queue.is_empty:
            self._run()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _accept(self, event: Event) -> bool:
        self._queue.event(event)
        if self._thread is None:
            self._run()
        return True

    def _note_worst(self, run_id: int, seconds: float) -> None:
        """Note the longest call since the last time that events were shipped, for the run that it was about."""
        self._worst_s = seconds
        with self._runs.lock:
            for state in self._runs.known((run_id,)):
                state.worst_s = max(state.worst_s, seconds)

    def _forget_thread(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = False

    def _run(self) -> bool:
        """Start the thread unless it runs; False, with everything shipped at once, where no thread can start."""
        with self._starting:
            if self._thread is not None or self._paused:
                return True
            if deadlines.is_leaving():
                self._ship()
                if not self._queue.is_empty:
                    # The time for the store is over.
                    self._sender.leave(time.monotonic() + LATE_SPOOL_TIME_S)
                return False
            # A child of multiprocessing that inherited a run may record its first event here.
            open_runs.hook()
            thread = daemon_thread(self._loop, "tracking_core writer")
            try:
                self._thread = self._queue.writer = thread
                started = start_thread(thread)
            except BaseException:
                # Interrupted: the thread, if it has started, ends by itself, and the next event starts another.
                self._thread = self._queue.writer = None
                raise
            if not started:
                self._thread = self._queue.writer = None
                self._ship()
            return started

    def _loop(self) -> None:
        thread = threading.current_thread()
        leave_signals_to_main()
        try:
            while self._thread is thread:
                stopping = self._stop
                if not stopping:
                    self._queue.rest(self._sender.rest_s(FLUSH_EVERY_S), stuck=self._sender.is_stuck)
                if self._paused:
                    return
                self._ship()
                if stopping:
                    if time.monotonic() < deadlines.moment(math.inf):
                        self._sender.leave()
                    # Otherwise whoever waits for this thread is at it.
                    return
        finally:
            if self._thread is thread:
                self._forget_thread()
                # Who asked for a flush in the meantime gets it from the next one; not where somebody who leaves waits.
                if (self._flushes or not self._queue.is_empty) and time.monotonic() < deadlines.moment(math.inf):
                    self._run()

    def _ship(self) -> None:
        self._worst_s = 0.0
        waiting: list[Signal] = []
        with suppress(IndexError):
            while True:
                waiting.append(self._flushes.popleft())
        try:
            self._sender.send()
        except Exception as error:
            # The thread outlives whatever one batch does to it; an exception from outside reaches a caller.
            if threading.current_thread() is not self._thread and from_outside(error):
                raise
            self._link.health.failed(error, "the buffer")
        finally:
            for done in waiting:
                done.set()
