"""A phase of a context for the length of a `with` block."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tracking_core.process.endings import error_behind, is_clean_exit, is_recorded
from tracking_core.states import PhaseStatus

if TYPE_CHECKING:
    from tracking_core.etl.context import ETLContext


class PhaseBlock:
    """Start a phase with a block, and end it as the block ends; made by `ETLContext.phase`.

    An exception is recorded, fails the phase and goes on. As for the run, `sys.exit()` and `sys.exit(0)`
    complete it; ctrl-c and a cancelled task fail it and are no error, and of
    another `sys.exit` the exception is recorded that was being handled. A block may end its phase itself.
    """

    # A class, not a generator: that one's frame would stand in every traceback that is recorded.
    __slots__ = ("_context", "_handled_before", "_named_totals", "_totals", "name", "result")

    def __init__(
        self, context: ETLContext, name: str, totals: tuple[int, ...], named_totals: Mapping[str, int]
    ) -> None:
        """Stand for a phase that is started when the block is entered."""
        self._context = context
        self._totals = totals
        self._named_totals = named_totals
        self._handled_before: BaseException | None = None
        self.name = name
        self.result: dict[str, Any] = {}
        """What the block adds to the phase's statistics, given to `end_phase`."""

    def update(self, *increments: int, **named_increments: int) -> None:
        """Count processed work; raises what `ETLContext.update_progress` raises."""
        self._context.update_progress(*increments, **named_increments)

    def __enter__(self) -> Self:
        """Start the phase; raises what `ETLContext.start_phase` raises."""
        self._handled_before = sys.exception()
        self._context.start_phase(self.name, *self._totals, **self._named_totals)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the phase; the exception goes on."""
        if error is None or is_clean_exit(error):
            self._end(self.result)
            return
        behind = error_behind(error, self._handled_before)
        if behind is not None and not is_recorded(behind, id(self._context)):
            self._context.record_error(self.name, behind)
        self._end({**self.result, "status": PhaseStatus.FAILED.value})

    def _end(self, result: dict[str, Any]) -> None:
        if self._context.current_phase == self.name:
            self._context.end_phase(result)
