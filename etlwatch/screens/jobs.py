"""The screen of all jobs: one line each, what is late first (SCREENS `jobs160`, `jobs80`).

Owns filter, order and cursor of its table. Refuses to own the facts and the words (`etlwatch.model.jobs`,
`etlwatch.model.job_cells`, `etlwatch.model.job_pane`). Histories are read while it is in front and at no other time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from etlwatch.commands import JOBS_COMMANDS, bindings_of
from etlwatch.gather import Watch
from etlwatch.model.boards import AskedJobs, JobsBoard
from etlwatch.model.filter import FilterError
from etlwatch.model.job_cells import JOBS_80, job_cells, job_columns
from etlwatch.model.job_filter import JobFilter, parse_job_filter
from etlwatch.model.job_pane import job_pane, job_parts, job_title, jobs_headline
from etlwatch.model.jobs import JobCounts, JobRow, build_job, count_jobs, is_sortable, sort_jobs
from etlwatch.model.numbers import count
from etlwatch.model.parts import Part
from etlwatch.model.run_cells import Pen
from etlwatch.model.snapshot import Snapshot
from etlwatch.model.spans import Spans, plain_text
from etlwatch.screens.base import DashboardScreen
from etlwatch.text import safe
from etlwatch.widgets.footer import Footer
from etlwatch.widgets.header import HealthLine
from etlwatch.widgets.line_table import LineTable, Row
from etlwatch.widgets.prompt import Prompt
from etlwatch.widgets.rule import Rule
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["JobsScreen"]

PANE_LINES = 2
WIDE_PANE_LINES = 3


class JobsScreen(DashboardScreen):
    """The list of jobs."""

    commands = JOBS_COMMANDS
    BINDINGS = bindings_of(JOBS_COMMANDS)
    in_footer: ClassVar[Mapping[str, tuple[str, str, int] | None]] = {
        "app.jobs": None,
        "app.tracking": ("T", "tracking", 1),
        "app.help": ("?", "help", 0),
        "app.pause": ("p", "pause", 3),
    }

    DEFAULT_CSS = """
    JobsScreen {
        #second { height: 1; }
        #gap { height: 1; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.filter = JobFilter()
        self.order = ("need", False)
        self._filter_before = ""
        self._all: list[JobRow] = []
        self._rows: dict[str, JobRow] = {}
        self._shown = 0
        self._known = False
        self._complete = True
        self._counts = JobCounts()
        self._headline: Spans = ()

    def compose(self) -> ComposeResult:
        """Lay the parts out; which of them are shown follows from the size."""
        yield HealthLine(id="health")
        yield SpanLines(id="second")
        yield SpanLines([()], id="gap")
        yield LineTable(JOBS_80, empty="reading the jobs…", reversed_columns=1, id="jobs")
        yield Rule(id="rule")
        yield SpanLines(id="pane")
        yield Prompt("/", id="prompt")
        yield Footer(id="footer")

    # -- drawing

    def on_mount(self) -> None:
        """Give the keys to the table."""
        self._arrange()
        self.set_focus(self.query_one(LineTable))

    def on_resize(self) -> None:
        """Choose the layout for the new size."""
        self._arrange()

    def on_screen_resume(self) -> None:
        """Ask for the jobs while they are in front."""
        app = self.dashboard
        board = AskedJobs(zone=app.settings.zone)
        limit = app.poller.watch.limit
        app.poller.watch = Watch(limit=limit, window=app.window, columns=0, board=board, moment=app.moment)

    def _arrange(self) -> None:
        width, height = self.app.size
        self.query_one(LineTable).columns = job_columns(width)
        self.query_one("#gap").display = width >= 120 and height >= 28
        self.query_one("#second").display = height >= 8
        self.query("#rule, #pane").set(display=height >= 13)
        self.query_one("#pane").styles.height = WIDE_PANE_LINES if height >= 28 else PANE_LINES

    @property
    def _strip_cells(self) -> int:
        return next(column.width for column in self.query_one(LineTable).columns if column.key == "strip")

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the jobs as of a snapshot; one that was read for another screen holds none, and changes nothing."""
        board = snapshot.board
        if not isinstance(board, JobsBoard):
            return
        judged = {run.run_id: run for run in snapshot.runs if run.status == "running"}
        zone = self.dashboard.settings.zone
        rows = (build_job(history, now=snapshot.at, judged=judged, zone=zone) for history in board.histories)
        self._all = sort_jobs(rows)
        self._known, self._complete = True, board.complete
        self._counts = count_jobs(self._all)
        self._headline = jobs_headline(self._all, self.pen, brief=self.brief)
        self._draw_table()
        self._draw_pane()

    def _draw_table(self) -> None:
        pen = self.pen
        taken = sort_jobs((row for row in self._all if self.filter.matches(row)), self.order[0], inverted=self.order[1])
        self._rows = {row.job: row for row in self._all}
        self._shown = len(taken)
        table = self.query_one(LineTable)
        table.set_empty(self._empty())
        table.update_rows(
            [
                Row(
                    key=row.job,
                    cells=partial(job_cells, row, pen, strip_cells=self._strip_cells),
                    role="dim" if row.given_up_since else "plain",
                    version=_version(row, pen, self._strip_cells),
                )
                for row in taken
            ],
            sort=(self.order[0], not self.order[1]),
        )

    def _empty(self) -> str:
        if not self._known:
            return "reading the jobs…"
        return f"no job fits {safe(self.filter.text)}; esc shows all" if self._all else "no jobs yet"

    def _draw_pane(self) -> None:
        row, pen = self.selected, self.pen
        self.query_one(Rule).show(job_title(row, pen) if row else ())
        lines = WIDE_PANE_LINES if self.size.height >= 28 else PANE_LINES
        self.query_one("#pane", SpanLines).update(job_pane(row, pen)[:lines] if row else ())

    @property
    def selected(self) -> JobRow | None:
        """The job under the cursor."""
        key = self.query_one(LineTable).cursor_key
        return self._rows.get(key) if isinstance(key, str) else None

    @property
    def job_in_hand(self) -> str | None:
        """The job that commands are about."""
        return self.selected.job if self.selected else None

    def left_parts(self) -> list[Part]:
        """Return the filter if there is one, and how many jobs are in which shape."""
        parts = job_parts(self._counts)
        if self._known and not self._complete:
            parts.append(Part(((f"{count(len(self._all))} read so far", "dim"),), 3))
        if self.filter:
            text = f"/{safe(self.filter.text)}"
            numbers = f"  {count(self._shown)} of {count(len(self._all))}"
            parts.insert(1, Part(((text, "blue"), (numbers, "dim")), 0, 2))
        return parts

    def second_lines(self) -> Sequence[Spans]:
        """Return which job has not begun, or that all is well."""
        return [self._headline if self._known else ((" reading the jobs…", "dim"),)]

    def footer_words(self) -> dict[str, str]:
        """Say where esc leads."""
        return {"jobs.back": "all jobs"} if self.filter else {}

    def copy_text(self) -> str:
        """Return the job under the cursor and what is said of it."""
        row = self.selected
        if row is None:
            return ""
        return "\n".join([row.job, *(plain_text(line).strip() for line in job_pane(row, self.pen))])

    def command_words(self) -> Sequence[str]:
        """Return the command that lists these jobs."""
        return ["jobs"]

    # -- commands

    @on(LineTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self._draw_pane()

    @on(LineTable.RowOpened)
    def _row_opened(self) -> None:
        self.action_open()

    @on(LineTable.SortRequested)
    def _sort_requested(self, message: LineTable.SortRequested) -> None:
        if message.column == self.order[0]:
            self.action_invert()
        elif is_sortable(message.column):
            self._reorder(message.column, inverted=False)

    def action_open(self) -> None:
        """Show the runs of the job under the cursor."""
        from etlwatch.screens.job_runs import JobRunsScreen

        if self.selected is not None:
            self.app.push_screen(JobRunsScreen(self.selected.job))

    def action_sort(self, step: int) -> None:
        """Sort by the next column that can be sorted by; before the first one stands the order of need."""
        columns = ["need", *(each.key for each in self.query_one(LineTable).columns if is_sortable(each.key))]
        place = columns.index(self.order[0]) if self.order[0] in columns else 0
        self._reorder(columns[(place + step) % len(columns)], inverted=False)

    def action_invert(self) -> None:
        """Turn the order round."""
        self._reorder(self.order[0], inverted=not self.order[1])

    def _reorder(self, column: str, *, inverted: bool) -> None:
        self.order = (column, inverted)
        self._draw_table()

    def action_back(self) -> None:
        """Back one step: from the prompt, from a filter, from the screen."""
        if self.filtering:
            self._close_prompt(self._filter_before)
        elif self.filter:
            self._apply_filter("")
        else:
            self.app.pop_screen()

    # -- the filter

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action may run now: in the prompt its own key is a letter."""
        return not self.filtering if action == "filter" else super().check_action(action, parameters)

    @property
    def filtering(self) -> bool:
        """Whether the prompt is open."""
        return self.query_one(Prompt).asking

    def action_filter(self) -> None:
        """Open the prompt on the present filter."""
        self._filter_before = self.filter.text
        self.query_one("#footer").display = False
        self.query_one(Prompt).ask(self.filter.text)
        self._apply_filter(self.filter.text)

    @on(Prompt.Typed)
    def _typed(self, message: Prompt.Typed) -> None:
        if self.filtering and not isinstance(message, Prompt.Entered):
            self._apply_filter(message.text)

    @on(Prompt.Entered)
    def _entered(self, message: Prompt.Entered) -> None:
        self._close_prompt(message.text)

    def _close_prompt(self, text: str) -> None:
        self.query_one(Prompt).leave()
        self.query_one("#footer").display = True
        self.set_focus(self.query_one(LineTable))
        self._apply_filter(text)

    def _apply_filter(self, text: str) -> None:
        """Filter by `text`, or say what is wrong with it and keep the last one that was understood."""
        says: Spans = ()
        try:
            self.filter = parse_job_filter(text)
        except FilterError as error:
            says = ((safe(error), "amber"),)
            if not self.filtering:
                self.dashboard.say(str(error), severity="warning")
        self._draw_table()
        self._draw_pane()
        self.query_one(Prompt).says(says or ((f"{count(self._shown)} of {count(len(self._all))}", "dim"),))
        self.refresh_frame()


def _version(row: JobRow, pen: Pen, cells: int) -> object:
    """Return what a row's look follows from: as long as it is equal, no cell is written again."""
    late = None if row.overdue_s is None else row.overdue_s // 60
    due = row.expected is not None and row.expected.at <= pen.now
    slow = row.live is not None and row.live.state == "slow"
    over = round(row.past.duration_s.ratio(row.live.duration_s) or 0.0, 1) if slow and row.live is not None else None
    states = tuple((run.run_id, run.state) for run in row.runs)
    return (states, row.past.runs, row.expected, late, due, over, cells, pen.now.astimezone(pen.zone).date())
