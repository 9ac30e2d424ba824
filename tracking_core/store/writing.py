"""How both dialects write the parts of a batch that follow its requests: statements, their order, their parameters."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tracking_core.clock import from_microseconds, to_microseconds
from tracking_core.events import Batch, RaisedError, RunStart
from tracking_core.requests import RequestRow
from tracking_core.store import parameters
from tracking_core.store.dialect import Forms
from tracking_core.store.retention import forgotten_before

WIDEN_EVERY_S = 60.0


class EventWriter(ABC):
    """The statements of sql/writes.sql in the order of their locks, inside a transaction that the dialect makes."""

    forms: ClassVar[Forms]
    _widened_at: float | None = None

    @abstractmethod
    def _run(self, block: str, values: Mapping[str, Any]) -> Any:
        """Run a statement of writes.sql; return its cursor."""

    @abstractmethod
    def _run_many(self, block: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement for each of some rows, or one for all, in their order."""

    @abstractmethod
    def _add_sums(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Add rows to the summaries: `endpoint`, `series`, and `all` runs together, in this order."""

    @abstractmethod
    def _save_ledger_and_runs(
        self, ledger: Sequence[Mapping[str, Any]], additions: Sequence[Mapping[str, Any]]
    ) -> None:
        """Save the ledger of a batch, and add to its runs' own counters, locking the runs in order."""

    @abstractmethod
    def _inserted(self, cursor: Any) -> bool:
        """Return whether an INSERT that passes over what is here inserted its row."""

    @abstractmethod
    def _lock(self, block: str, run_ids: Sequence[int]) -> None:
        """Run a statement that locks rows of runs, given in order."""

    @staticmethod
    @abstractmethod
    def _moment(microseconds: int, /) -> Any:
        """Return a time as a parameter."""

    @staticmethod
    @abstractmethod
    def _packed(histogram: list[int], /) -> Any:
        """Return a packed histogram as a parameter."""

    def _cutoff_us(self) -> int:
        """Return the moment before which a run must have ended that no longer enters; 0 without a clean-up."""
        (cutoff,) = self._run("cutoff", {}).fetchone()
        return 0 if cutoff is None else to_microseconds(self.forms.moment(cutoff))

    @abstractmethod
    def _widen(self, bounds: Mapping[str, int]) -> None:
        """Join narrow cells of all runs into wider ones."""

    def _carry_runs(self, starts: Sequence[RunStart], batch: Batch) -> None:
        for start in sorted(starts, key=lambda start: start.run_id):
            self._run("carry_run", parameters.start_columns(start, batch.ends, self._moment))

    def _write_events(
        self, batch: Batch, known: parameters.Known, rows: Sequence[RequestRow], sums: parameters.Sums
    ) -> dict[int, Any]:
        """Write everything of a batch but its requests, `rows` being those just stored; return a cursor for each end.

        The batch holds events of runs that are taken, and all ends. An end took effect if its cursor changed a row.
        """
        if sums.runs:
            self._add_sums(parameters.summary_rows(sums, batch.writer_id, self._packed))
            self._widen_when_due(known.store_us // 1_000_000)
        stored_errors = self._insert_errors(batch)
        self._save_phases(batch)
        ends = sorted((end for end in batch.ends if end.run_id in known.here), key=lambda end: end.run_id)
        additions = parameters.additions_to_runs(batch, sums.runs, stored_errors, ends, self._moment)
        if additions:
            self._save_ledger_and_runs(parameters.ledger_of(batch, rows, stored_errors), additions)
        cursors = {}
        for end in ends:
            columns = parameters.columns_of(end, self._moment)
            self._run("audit_end", columns)
            cursors[end.run_id] = self._run("end_run", columns)
        if parameters.forgets_batches(batch):
            before = to_microseconds(forgotten_before(from_microseconds(known.store_us)))
            self._run("forget_batches", {"before": self._moment(before), "most": parameters.FORGET_AT_MOST})
        return cursors

    def _insert_errors(self, batch: Batch) -> list[RaisedError]:
        errors = sorted(batch.errors, key=lambda error: (error.run_id, error.seq))
        writer = {"writer_id": batch.writer_id}
        cursors = [self._run("insert_error", parameters.columns_of(error, self._moment) | writer) for error in errors]
        return [error for error, cursor in zip(errors, cursors, strict=True) if self._inserted(cursor)]

    def _save_phases(self, batch: Batch) -> None:
        changed = {change.run_id for change in batch.phases} | {count.run_id for count in batch.source_counts}
        if not changed:
            return
        self._lock("lock_phases", sorted(changed))
        for change in batch.phases:
            columns = parameters.phase_columns(change, self._moment)
            self._run("save_phase", columns)
            if columns["sampled"]:
                self._run("sample_phase", columns)
        for count in batch.source_counts:
            self._run("save_source_count", parameters.columns_of(count, self._moment))

    def _widen_when_due(self, now_s: int) -> None:
        now = time.monotonic()
        if self._widened_at is not None and now - self._widened_at < WIDEN_EVERY_S:
            return
        self._widened_at = now
        for width, wider, age in parameters.WIDENINGS:
            before = now_s - age
            self._widen({"width": width, "wider": wider, "before": before - before % wider})
