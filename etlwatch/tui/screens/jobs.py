"""The screen of all jobs: one line each, overdue ones first (docs/screens.md).

Histories are read only while it is in front.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from etlwatch.analysis.jobs import JobCounts, JobRow, build_job, count_jobs
from etlwatch.analysis.snapshot import JobsBoard, Snapshot
from etlwatch.commands import GROUPS, bindings_of
from etlwatch.fields.jobs import JOBS
from etlwatch.reading.gatherer import AskedJobs
from etlwatch.rendering.lines import Part, Row
from etlwatch.rendering.panes import job_pane, job_parts, job_title, jobs_headline
from etlwatch.text.display import DisplayContext
from etlwatch.text.spans import Spans, plain_text
from etlwatch.tui.screens.home import JobRunsScreen
from etlwatch.tui.screens.listing import BoardScreen


class JobsScreen(BoardScreen[JobRow]):
    """The list of jobs."""

    commands = GROUPS["jobs"]
    BINDINGS = bindings_of(GROUPS["jobs"])
    in_footer: ClassVar[Mapping[str, tuple[str, str, int] | None]] = {
        "app.jobs": None,
        "app.tracking": ("T", "tracking", 1),
        "app.help": ("?", "help", 0),
        "app.pause": ("p", "pause", 3),
    }

    # Two reasons of two lines each, and the last run.
    most_pane_lines = (5, 3)
    rows_id = "jobs"
    thing = "job"
    fields = JOBS
    empty = "reading the jobs…"

    def __init__(self) -> None:
        super().__init__()
        self._complete = True
        self._there_are = 0
        self._counts = JobCounts()
        self._headline: Spans = ()

    # -- drawing

    def question(self) -> AskedJobs:
        """Ask for all jobs."""
        return AskedJobs(zone=self.dashboard.settings.zone)

    def rows_of(self, snapshot: Snapshot) -> list[JobRow] | None:
        """Return the jobs of a snapshot."""
        board = snapshot.board
        if not isinstance(board, JobsBoard):
            return None
        living = {run.run_id: run for run in snapshot.runs if run.state != run.status or run.status == "running"}
        zone = self.dashboard.settings.zone
        rows = JOBS.sort(build_job(each, now=snapshot.at, living=living, zone=zone) for each in board.histories)
        self._complete, self._there_are = board.complete, board.there_are
        self._counts = count_jobs(rows)
        self.fit_job_column([row.job for row in rows])
        self._headline = jobs_headline(rows, self.context, brief=self.brief)
        return rows

    def table_row(self, row: JobRow, context: DisplayContext) -> Row:
        """Return a job's row."""
        narrow = JOBS.is_narrow(self.app.size.width)
        return Row(
            key=row.job,
            cells=partial(JOBS.cells, row, context, brief=narrow),
            role="dim" if row.given_up_since else "plain",
            version=_version(row, context, brief=narrow),
        )

    def empty_text(self) -> str:
        """Return that no job has run."""
        return "no jobs yet"

    def title_of_selected(self) -> Spans:
        """Return the job and what is the matter with it."""
        return job_title(self.selected, self.context) if self.selected else ()

    def pane_of_selected(self) -> Sequence[Spans]:
        """Return when it was expected, and its last run."""
        return job_pane(self.selected, self.context, width=self.size.width) if self.selected else ()

    @property
    def current_job(self) -> str | None:
        """The job that commands are about."""
        return self.selected.job if self.selected else None

    def left_parts(self) -> list[Part]:
        """Return the filter if there is one, and how many jobs are in which shape."""
        parts = job_parts(self._counts)
        if self.known and not self._complete:
            parts.append(Part(((f"{len(self.rows):,} of {self._there_are:,} read so far", "dim"),), 3))
        elif self._there_are > len(self.rows):
            parts.append(Part(((f"{len(self.rows):,} of {self._there_are:,} jobs", "amber"),), 0, 2))
        return [parts[0], *self.filter_parts(), *parts[1:]]

    def second_lines(self) -> Sequence[Spans]:
        """Return which job has not begun, or that all is well."""
        return [self._headline if self.known else ((" reading the jobs…", "dim"),)]

    def footer_texts(self) -> dict[str, str]:
        """Return where esc leads."""
        return {"jobs.back": "all jobs"} if self.filter else {}

    def copied(self, key: Hashable | None) -> str:
        """Return a job and what is said of it."""
        row = self.rows.get(key)
        return "\n".join([row.job, *(plain_text(line).strip() for line in job_pane(row, self.context))]) if row else ""

    def command_arguments(self) -> Sequence[str]:
        """Return the command that lists these jobs."""
        return ["jobs", *([self.filter.text] if self.filter else [])]

    # -- commands

    def action_open(self) -> None:
        """Show the runs of the job under the cursor."""
        if self.selected is not None:
            self.app.push_screen(JobRunsScreen(self.selected.job))


SCREEN = JobsScreen


def _version(row: JobRow, context: DisplayContext, *, brief: bool) -> object:
    """Return what a row's look follows from: as long as it is equal, no cell is written again."""
    late = None if row.overdue_s is None else row.overdue_s // 60
    due = row.expected is not None and row.expected.at <= context.now
    slow = row.live is not None and row.live.state == "slow"
    over = (
        round(row.baseline.duration_s.ratio(row.live.duration_s) or 0.0, 1) if slow and row.live is not None else None
    )
    states = tuple((run.run_id, run.state) for run in row.runs)
    return (
        states,
        row.baseline.runs,
        row.expected,
        late,
        due,
        over,
        brief,
        context.now.astimezone(context.zone).date(),
    )
