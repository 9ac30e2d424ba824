"""The first-generation tracker, for jobs that have not moved yet: one active run, one connection, faults raised.

It writes the same tables as `SimpleETLTracker`, and both may be used side by side. New jobs should not use it.
"""

from __future__ import annotations

import logging
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import get_ident

from tracking_core.delivery import Delivery
from tracking_core.delivery.immediate import Attempt, ImmediateDelivery
from tracking_core.delivery.run_registry import RunState
from tracking_core.delivery.spool import DiskSpool
from tracking_core.delivery.store_link import Breaker, StoreLink
from tracking_core.errors import RowBlocked, RowRejected, StoreError, StoreUnavailable, TrackingError
from tracking_core.events import Receipt, RunStatus
from tracking_core.identity import format_run_id
from tracking_core.process import deadlines
from tracking_core.process.forks import Step, around_forks, renew_in_child
from tracking_core.process.interrupts import suppress_faults
from tracking_core.process.locks import ReentrantLock, take
from tracking_core.records import RunMetrics
from tracking_core.store.base import Writer
from tracking_core.tracker import SimpleETLTracker

logger = logging.getLogger(__name__)

MIGRATION_GUIDE = Path(__file__).with_name("docs") / "migration.md"
"""Within the package, so that whoever installed it from a wheel has it too."""

_inherited: list[Writer] = []
"""Connections that a forked child got from its parent: kept, since closing them would end the parent's."""


def get_etl_tracker(cfg: object = None) -> StatefulETLTracker:
    """Return the first-generation tracker over the same store; `cfg` as for `SimpleETLTracker`.

    Warns DeprecationWarning at the caller's line. Raises ConfigurationError for a cfg that fits nothing accepted.
    """
    warnings.warn(
        f"get_etl_tracker() is the old tracker; use SimpleETLTracker or ETLRunContext instead: see {MIGRATION_GUIDE}",
        DeprecationWarning,
        stacklevel=2,
    )
    return StatefulETLTracker(cfg)


class StatefulETLTracker:
    """Record one run at a time over one kept connection.

    Methods raise TrackingError on store faults, return whether something was recorded, and do nothing when no run is
    active.
    """

    def __init__(self, cfg: object = None) -> None:
        self.run_id: int | None = None
        """The active run, None between runs."""

        self._last_run_id: int | None = None
        self._tracker = _LoudTracker(cfg, strict=True)

    def start_run(self, notes: str | None = None) -> int | None:
        """Begin a run, make it the active one and return its id; None when tracking is off.

        A run that is still active is abandoned, with a warning: whoever forgot to end it would never do so.
        """
        forgotten = self.run_id
        if forgotten is not None:
            why = "abandoned: start_run() was called again"
            if self._end(partial(self._tracker.end_as, forgotten, RunStatus.ABANDONED, why)):
                logger.warning("start_run() while run %s was active: that run is abandoned", format_run_id(forgotten))
        self.run_id = self._tracker.start_run(notes)
        self._last_run_id = self.run_id or self._last_run_id
        return self.run_id

    def log_request(
        self, endpoint: str, offset: int | None, limit: int | None, status: int | None, count: int, duration: float
    ) -> bool:
        """Record one HTTP request of the active run, `duration` in milliseconds."""
        return self._tracker.log_request(self.run_id, endpoint, offset, limit, status, count, duration)

    def log_source_count(self, entity: str, count: int) -> bool:
        """Record how many items the source has of an entity."""
        return self._tracker.log_source_count(self.run_id, entity, count)

    record_source_count = log_source_count

    def end_run(self, success: bool, notes: str | None = None) -> bool:
        """End the active run; none is active afterwards, also when the store did not take it."""
        return self._end(partial(self._tracker.end_run, self.run_id, success, notes))

    def _end(self, end: Callable[[], bool]) -> bool:
        try:
            recorded = end()
        except TrackingError:
            self.run_id = None
            raise
        # After anything else the run is still active: it may have come before the end was recorded.
        self.run_id = None
        return recorded

    finish_run = end_run

    def get_run_summary(self) -> RunMetrics | None:
        """Return the figures of the active or last run; None before the first."""
        return self._tracker.get_run_metrics(self.run_id or self._last_run_id)

    def close(self) -> None:
        """Close the connection; the next operation opens another."""
        self._tracker.close()


class _LoudTracker(SimpleETLTracker):
    """The new tracker with the old behaviour."""

    def _make_delivery(self) -> Delivery:
        return KeptDelivery(
            StoreLink(
                self._store,
                deadline=self._settings.deadline,
                switch=self._switch,
                make_spool=lambda: DiskSpool("", ()),
                health=self._health,
                breaker=_AlwaysTry(),
            )
        )

    def _reading_failed(self, error: Exception) -> None:
        if self._is_empty_store(error):
            return
        raise _as_tracking_error(error)


class _AlwaysTry(Breaker):
    """A breaker that never opens: the old tracker raises every fault."""

    def may_try(self, now: float) -> bool:  # noqa: ARG002 - the signature is the base's
        """Return True."""
        return True


class KeptDelivery(ImmediateDelivery):
    """An immediate delivery that keeps its connection and raises TrackingError where the other returns False.

    It has no spool: what an interrupted call may not have committed, and the end of its run, go out before the next
    event, at the latest as the tracker is closed or the process leaves.
    """

    def __init__(self, link: StoreLink) -> None:
        self._writer: Writer | None = None
        self._close_writer: Callable[[], object] | None = None
        # Guards the connection, which no two threads may use at a time; held while the store is waited for.
        self._connection_lock = ReentrantLock(slow=True)
        self._used_by: int | None = None
        super().__init__(link)
        around_forks(Step.THREADS, self._let_go_within)
        renew_in_child(self._disown)

    def _begin(self) -> None:
        super()._begin()
        self._owed: deque[tuple[Attempt, RunState]] = deque()
        """What interrupted calls left."""

    def _keep(self, attempt: Attempt, state: RunState) -> None:
        self._owed.append((attempt, state))

    def _write(self, attempt: Attempt) -> Receipt:
        held: list[bool] = []
        try:
            if self._used_by == get_ident() or not take(
                self._connection_lock, held, 0 if deadlines.is_leaving() else -1
            ):
                # A signal or a `__del__` came while this very thread was at it, or another one is and we leave.
                return super()._write(attempt)
            self._used_by = get_ident()
            was_kept = self._writer is not None
            try:
                return self._write_kept(attempt)
            except StoreUnavailable:
                self._let_go()
                if not was_kept:
                    raise
                # A connection that lay idle may have been cut off; events carry their own guard against a second copy.
                return self._write_kept(attempt)
            except BaseException:
                # Interrupted in the midst of an exchange: whatever it holds goes with it.
                self._let_go()
                raise
        finally:
            if True in held:
                self._used_by = None
                self._connection_lock.release()

    def _write_kept(self, attempt: Attempt) -> Receipt:
        if self._writer is None:
            writer = self._link.connect()
            self._writer = writer
            # Callers of the old tracker never closed it: the connection goes with the tracker, or at exit.
            self._close_writer = weakref.finalize(self, _close_quietly, writer)
        while self._owed:
            owed, state = self._owed[0]
            try:
                receipt = self._exchange(self._writer, owed)
            except (RowRejected, RowBlocked):
                self._drop(owed, state)
            else:
                self._link.receipts.apply(owed.batch(), receipt)
                self._count(owed, state, receipt)
            # Not before: sent twice it is stored and counted once.
            self._owed.popleft()
        return self._exchange(self._writer, attempt)

    def _not_taken(self, attempt: Attempt, state: RunState, error: BaseException | None) -> Receipt | None:
        self._drop(attempt, state)
        assert error is not None
        raise _as_tracking_error(error) from error

    def _let_go(self) -> None:
        close, self._close_writer, self._writer = self._close_writer, None, None
        if close is not None:
            close()

    def leave(self, until: float) -> None:
        """Send what is owed and close the connection; the next operation opens another."""
        try:
            super().leave(until)
            for _, state in list(self._owed)[-1:]:
                # What is owed goes before whatever is sent: here this writer's figures, which may be sent again.
                batch = partial(self._batch, state, ledger=(state.ledger(),))
                deadlines.bounded(max(until - time.monotonic(), 0), partial(self._deliver, batch, state))
        finally:
            self._let_go_within(max(until - time.monotonic(), 0))

    def _let_go_within(self, seconds: float = 0) -> None:
        """Close the connection unless it is in use for longer than that, as before a fork."""
        held: list[bool] = []
        try:
            if self._used_by != get_ident() and take(self._connection_lock, held, seconds):
                self._let_go()
        finally:
            if True in held:
                self._connection_lock.release()

    def _disown(self) -> None:
        """Use another connection in a forked child, and leave the parent's open."""
        self._used_by = None
        if self._writer is not None:
            _inherited.append(self._writer)
        finalizer, self._close_writer, self._writer = self._close_writer, None, None
        if isinstance(finalizer, weakref.finalize):
            finalizer.detach()


def _close_quietly(writer: Writer) -> None:
    with suppress_faults():
        writer.close()


def _as_tracking_error(error: BaseException) -> TrackingError:
    return error if isinstance(error, TrackingError) else StoreError(f"{type(error).__name__}: {error}")
