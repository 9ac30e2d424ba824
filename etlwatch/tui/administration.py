"""The part of the application with operations: dialogs of switch, clean-up and closing, bells, bundles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.snapshot import Snapshot, Watching
from etlwatch.config.settings import Settings
from etlwatch.rendering.operations import Failed
from etlwatch.text.display import Glyphs
from etlwatch.text.numbers import number_of, short_id
from etlwatch.text.safe import safe
from etlwatch.tui.clipboard import Copying
from etlwatch.tui.operations import NotBundled, begin, bundle
from etlwatch.tui.terminal.compositor import CellDiffing

if TYPE_CHECKING:
    from etlwatch.reading.bundle import Bundled
    from etlwatch.reading.poller import Poller
    from tracking_core.store.base import Store


class ControlledApp(Copying, CellDiffing, inherit_bindings=False):
    """The operations as a base class of the app, which has the attributes."""

    settings: Settings
    glyphs: Glyphs
    latest: Snapshot | None
    shown: Snapshot | None
    moment: datetime | None
    poller: Poller
    open_store: Callable[[], Store]
    watching: Watching

    def current_run(self) -> RunRow | None:
        """Return the run that the screen in front is about."""
        found = getattr(self.screen, "current_run", None)
        return found if isinstance(found, RunRow) else None

    async def action_tracking(self) -> None:
        """Open the dialog of the tracking switch, and wait for it, so that what is typed next goes to it."""
        from etlwatch.tui.dialogs.tracking import TrackingBox

        if self._in_the_present():
            row = self.current_run()
            await self.push_screen(TrackingBox(first=row.run.job if row else getattr(self.screen, "current_job", None)))

    async def action_cleanup(self) -> None:
        """Open the dialog of the clean-up."""
        from etlwatch.tui.dialogs.cleanup import CleanupBox

        if self._in_the_present():
            await self.push_screen(CleanupBox())

    async def close_run(self, row: RunRow | None) -> None:
        """Open the dialog that closes a run, if it has not ended."""
        from etlwatch.tui.dialogs.closing import ClosingBox

        if row is None:
            self.show_message("no run is chosen", severity="warning")
        elif not row.live:
            self.show_message(
                f"{named(row)} is already {row.run.status}; there is nothing to close", severity="warning"
            )
        elif self._in_the_present():
            await self.push_screen(ClosingBox(row))

    def bundle_run(self, row: RunRow) -> None:
        """Copy a run into a file of the directory that the dashboard was started in."""
        from etlwatch.reading.bundle import file_name

        path = Path(file_name(row.run))
        self.show_message(f"bundling {named(row)}")
        begin(
            lambda: bundle(self.open_store(), row.run.run_id, path),
            lambda outcome: self.call_later(self._bundled, path, outcome),
        )

    def _bundled(self, path: Path, outcome: Bundled | NotBundled | Failed) -> None:
        if isinstance(outcome, NotBundled):
            self.show_message(f"not bundled: {outcome.why}", severity="warning")
        elif isinstance(outcome, Failed):
            self.show_message(f"not bundled: {outcome.words}", severity="error")
        else:
            only = f", only {', '.join(outcome.left_out)}" if outcome.left_out else ""
            self.show_message(f"bundled{only}: etlwatch open {path.absolute()}")

    def toggle_bell(self, row: RunRow | None) -> None:
        """Turn the bell for changes of this run's state on or off."""
        if row is None:
            self.show_message("no run is chosen", severity="warning")
        elif not row.live and row.run.run_id not in self.watching:
            self.show_message(f"{named(row)} is {row.run.status}; its state will not change", severity="warning")
        elif self.watching.toggle(row.run):
            self.show_message(f"a bell rings when {named(row)} changes state")
        else:
            self.show_message(f"no bell for {named(row)} any more")

    def toggle_bells(self, rows: Sequence[RunRow]) -> None:
        """Turn the bell for changes of these runs' states on; off if it is on for all of them."""
        live = [row for row in rows if row.live]
        silent = [row for row in live if row.run.run_id not in self.watching]
        for row in silent or live:
            self.watching.toggle(row.run)
        runs = number_of(len(silent or live), "run")
        if not live:
            self.show_message("none of the marked runs is running; their states will not change", severity="warning")
        elif silent:
            self.show_message(f"a bell rings when {runs} of those marked change{'s' if len(silent) == 1 else ''} state")
        else:
            self.show_message(f"no bell for {runs} any more")

    def ring(self, snapshot: Snapshot) -> None:
        """Ring the bell for watched runs that have changed state."""
        changes = self.watching.changes(snapshot.runs)
        for change in changes:
            self.show_message(change.words, severity=change.severity)
        if changes:
            self.bell()

    def _in_the_present(self) -> bool:
        """Return whether the present is on screen, with a message if not: the past cannot be changed."""
        if self.moment is not None:
            self.show_message("a past moment cannot be changed: esc shows the present", severity="warning")
        return self.moment is None


def named(row: RunRow) -> str:
    """Return job and short id of a run, safe to show."""
    return f"{safe(row.run.job)[:60]} {short_id(row.run.id)}"
