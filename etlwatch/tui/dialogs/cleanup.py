"""The clean-up dialog: which runs would go, a count to be typed, and their removal step by step.

Its stages are counting, planned, removing and over.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from etlwatch.rendering.lines import Key, sentence_lines
from etlwatch.rendering.operations import (
    PRESETS,
    CleanupPreview,
    Failed,
    PlanChanged,
    Removed,
    days_line,
    outcome_lines,
    plan_change_text,
    plan_lines,
    progress_lines,
    removal_text,
)
from etlwatch.text.numbers import number_of
from etlwatch.text.spans import Spans
from etlwatch.tui.dialogs.base import Box
from etlwatch.tui.operations import actor, read_cleanup, remove
from etlwatch.tui.widgets.inputs import Choice, Field

FIRST_DAYS = 30
DIGITS = "0123456789"


class Stage(Enum):
    """The stage of a clean-up."""

    COUNTING = auto()
    PLANNED = auto()
    REMOVING = auto()
    OVER = auto()


class CleanupBox(Box):
    """A clean-up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "next_days", "other days", show=False),
        Binding("o", "other_days", "days of one's own", show=False),
        Binding("s", "keep_successes", "keep each job's last success", show=False),
        Binding("r", "count", "count again", show=False),
    ]

    def __init__(self, days: int = FIRST_DAYS) -> None:
        """Prepare to remove runs that ended at least `days` days ago."""
        super().__init__()
        self.days = days
        self.keeps_successes = False
        self.stage = Stage.COUNTING
        self._preview: CleanupPreview | None = None
        self._removed = Removed()
        self._message = ""
        self._asked = 0
        self._stopping = threading.Event()

    def title_text(self) -> str:
        """Return the title."""
        return f"Clean up {self.dashboard.label}".rstrip()

    def middle(self) -> Iterable[Widget]:
        """Yield the field for the count and the one for other days."""
        yield Field((), cells=10, taken=DIGITS + ",", longest=12, id="count")
        yield Field((("Days ", "dim"),), cells=7, taken=DIGITS, longest=6, id="days")

    def choices(self) -> Iterable[Choice]:
        """Return the choice that removes."""
        yield Choice("Remove", locked=True, id="act")

    def opened(self) -> None:
        """Count."""
        self.query_one("#days").display = False
        self._count()

    # -- counting

    def action_count(self) -> None:
        """Count again."""
        if self.stage is not Stage.REMOVING:
            self._message = ""
            self._count()

    def _count(self) -> None:
        """Count what would be removed; the typed count is cleared."""
        self.stage, self._preview = Stage.COUNTING, None
        self._removed = Removed()
        self._asked += 1
        asked, days, keeping = self._asked, self.days, self.keeps_successes
        self.query_one("#count", Field).input.value = ""
        self.query_one("#cancel").focus()
        self.draw()

        def counted(preview: CleanupPreview | Failed) -> None:
            if asked == self._asked:
                self._counted(preview)

        self.do(lambda store: read_cleanup(store, days, keep_last_success=keeping), counted, lambda _: "")

    def _counted(self, preview: CleanupPreview | Failed) -> None:
        if isinstance(preview, Failed):
            self.stage = Stage.OVER
            self._removed = Removed(failed=preview)
        else:
            self.stage, self._preview = Stage.PLANNED, preview
        self.draw()

    def action_next_days(self) -> None:
        """Count for the next of the days that are offered."""
        if self.stage in (Stage.REMOVING, Stage.OVER):
            return
        later = [preset for preset in PRESETS if preset > self.days]
        self._choose(later[0] if later else PRESETS[0])

    def action_keep_successes(self) -> None:
        """Keep each job's last success, or no longer, and count again."""
        if self.stage in (Stage.REMOVING, Stage.OVER):
            return
        self.keeps_successes = not self.keeps_successes
        self.action_count()

    def action_other_days(self) -> None:
        """Ask for a number of days."""
        if self.stage in (Stage.REMOVING, Stage.OVER):
            return
        field = self.query_one("#days", Field)
        field.display = True
        field.show_hint((("0 is every finished run; enter counts", "dim"),))
        field.input.value = ""
        field.input.focus()
        self.draw()

    @on(Input.Submitted, "#days Input")
    def _days_entered(self, message: Input.Submitted) -> None:
        self.query_one("#days").display = False
        self.query_one("#cancel").focus()
        if message.value:
            self._choose(int(message.value))
        else:
            self.draw()

    def _choose(self, days: int) -> None:
        self.days = days
        self._message = ""
        self.action_count()

    # -- typing the count

    @property
    def unlocked(self) -> bool:
        """Whether the count of runs that would go has been typed."""
        preview = self._preview
        if self.stage is not Stage.PLANNED or preview is None or not preview.plan.runs or self.refused:
            return False
        return self.query_one("#count", Field).text.replace(",", "") == str(preview.plan.runs)

    def on_key(self, event: events.Key) -> None:
        """Type a digit into the count, whatever has the focus."""
        field = self.query_one("#count", Field)
        if event.character and event.character in DIGITS and field.display and not field.input.has_focus:
            if self.query_one("#days", Field).input.has_focus:
                return
            event.stop()
            field.type_first(event.character)

    @on(Input.Changed, "#count Input")
    def _typed(self) -> None:
        self.draw()

    @on(Input.Submitted, "#count Input")
    def _count_entered(self) -> None:
        """Focus the removal, which needs another key, or the count."""
        self.query_one("#act" if self.unlocked else "#count Input").focus()

    # -- removing

    @on(Choice.Taken, "#act")
    def _act(self) -> None:
        if self.stage is Stage.OVER:
            self.action_count()
        elif self.unlocked and self._preview is not None:
            self._remove(self._preview)

    def _remove(self, preview: CleanupPreview) -> None:
        plan, app, stopping = preview.plan, self.app, self._stopping
        self.stage, self._removed, self._message = Stage.REMOVING, Removed(), ""
        stopping.clear()
        self.draw()
        self.query_one("#cancel").focus()

        def reported(done: Removed) -> None:
            if self.is_attached and self.stage is Stage.REMOVING:
                self._removed = done
                self.draw()

        self.do(
            lambda store: remove(store, plan, stopping=stopping, report=lambda done: app.call_later(reported, done)),
            self._over,
            lambda result: self._words(preview, result),
        )

    def _words(self, preview: CleanupPreview, result: Removed | PlanChanged | Failed) -> str:
        self.dashboard.poller.refresh()
        if isinstance(result, PlanChanged):
            return f"clean-up: {plan_change_text(preview.plan, result.plan)}"
        return removal_text(preview.plan, result if isinstance(result, Removed) else Removed(failed=result))

    def _over(self, result: Removed | PlanChanged | Failed) -> None:
        preview = self._preview
        self.dashboard.poller.refresh()
        if preview is None:
            return
        if isinstance(result, PlanChanged):
            self._message = plan_change_text(preview.plan, result.plan)
            self._count()
            return
        self.stage = Stage.OVER
        self._removed = result if isinstance(result, Removed) else Removed(failed=result)
        self.draw()

    def action_cancel(self) -> None:
        """Close the dialog; a removal stops after its step, and at the second time goes on in the background."""
        if self.query_one("#days").display:
            self.query_one("#days").display = False
            self.query_one("#cancel").focus()
            self.draw()
        elif self.stage is Stage.REMOVING and not self._stopping.is_set():
            self._stopping.set()
            self.draw()
        else:
            self.leave()

    # -- drawing

    def draw(self) -> None:
        """Draw the dialog again."""
        if not self.is_mounted:
            return
        preview, stage = self._preview, self.stage
        plan = preview.plan if preview else None
        typing = stage is Stage.PLANNED and plan is not None and bool(plan.runs) and not self.refused
        field = self.query_one("#count", Field)
        field.display = typing
        if typing and plan is not None:
            field.label((("Type ", "text"), (str(plan.runs), "text bold"), (" to confirm  ", "text")))
            matches = self.unlocked
            field.show_hint((("it matches: enter goes on" if matches else _unlocks(plan.runs), "dim"),))
        cancel, act = self.query_one("#cancel", Choice), self.query_one("#act", Choice)
        cancel.show({Stage.REMOVING: "Stop", Stage.OVER: "Close"}.get(stage, "Cancel"))
        if stage is Stage.REMOVING and self._stopping.is_set():
            cancel.show("Close, finish in background")
        act.display = stage in (Stage.PLANNED, Stage.COUNTING) or self._removed.failed is not None
        if stage is Stage.OVER:
            act.show("Count again", locked=False)
        else:
            label = f"Remove {number_of(plan.runs, 'run')}" if plan and plan.runs else "Remove"
            act.show(label, locked=not self.unlocked)
        super().draw()

    def lines(self, width: int, rows: int) -> Sequence[Spans]:
        """Return the plan, its progress, or its outcome."""
        preview, context = self._preview, self.context
        message = [*sentence_lines(f"! {self._message}", width, role="amber bold"), ()] if self._message else []
        if preview is None:
            if self._removed.failed is not None:
                failed = f"! {self._removed.failed.words}."
                return [
                    *sentence_lines(failed, width, role="amber bold", most=4),
                    *sentence_lines("Nothing was changed.", width),
                    (),
                ]
            return [*message, days_line(self.days), (), (("counting…", "dim"),), ()]
        if self.stage is Stage.PLANNED:
            ending: list[Spans] = [(), *self.read_only_lines()] if self.refused else [()]
            if self.refused and not preview.plan.runs:
                ending = [()]
            room = rows - len(message) - len(ending)
            return [*message, *plan_lines(preview, context, actor=actor(), width=width, rows=room), *ending]
        if self.stage is Stage.REMOVING:
            ending = [
                (),
                *progress_lines(preview.plan, self._removed, context, width=width, stopping=self._stopping.is_set()),
            ]
        else:
            ending = [(), *outcome_lines(preview.plan, self._removed, width=width)]
        room = rows - len(ending)
        return [*plan_lines(preview, context, actor=actor(), width=width, rows=room, planning=False), *ending]

    def keys(self) -> Sequence[Key]:
        """Return the key of the command while something can be decided."""
        return super().keys() if self.stage in (Stage.COUNTING, Stage.PLANNED) else ()

    def command_arguments(self) -> list[str]:
        """Return the command that does the same."""
        keeping = ["--keep-last-success"] if self.keeps_successes else []
        return ["cleanup", "--older-than", f"{self.days}d", *keeping, "--yes"]


def _unlocks(runs: int) -> str:
    """Return when the removal unlocks, shorter for a long number."""
    return "removal unlocks when it matches" if runs < 10_000 else "unlocks when it matches"
