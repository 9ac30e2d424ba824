"""The runs of one job: the list of runs without the charts of all runs."""

from __future__ import annotations

from collections.abc import Sequence

from etlwatch.commands import GROUPS, bindings_of
from etlwatch.reading.gatherer import Watch
from etlwatch.rendering.lines import Part
from etlwatch.text.safe import safe
from etlwatch.text.spans import HomeLayout
from etlwatch.tui.screens.home import HomeScreen
from tracking_core.dataclass import replace

COMMANDS = tuple(
    replace(command, title="Back to the jobs", help="all runs of the job again, then back", footer=("esc", "back", 0))
    if command.name == "home.back"
    else command
    for command in GROUPS["home"]
    if command.name not in ("home.window", "home.zoom", "home.earlier", "home.later")
)


class JobRunsScreen(HomeScreen, inherit_bindings=False):
    """The list of runs of one job."""

    commands = COMMANDS
    BINDINGS = bindings_of(COMMANDS)

    job: str

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def layout_of(self, width: int, height: int) -> HomeLayout:
        """Return the layout without charts: they would be of all jobs."""
        layout = super().layout_of(width, height)
        return replace(layout, chart_rows=0, chart_columns=0, sparks=False, spaced=False)

    def watched(self) -> Watch:
        """Return what is asked for: the newest runs of the job."""
        return replace(super().watched(), job=self.job)

    @property
    def current_job(self) -> str | None:
        """The job whose runs these are."""
        return self.job

    def left_parts(self) -> list[Part]:
        """Return where esc leads, the job, and the counts of its runs."""
        back = f"{self.context.glyphs.back} jobs"
        return [
            Part(((back, "dim"),), 2, 2),
            Part(((safe(self.job), "text bold"),), 0, 2),
            *super().left_parts(),
        ]

    def command_arguments(self) -> Sequence[str]:
        """Return the command that lists these runs."""
        return ["runs", "--job", self.job, *([self.filter.text] if self.filter else [])]

    def leave(self) -> None:
        """Back to the jobs."""
        self.app.pop_screen()


SCREEN = JobRunsScreen
