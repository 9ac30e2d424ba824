"""One run for its screen: its row joined with its details, line 1, the state in sentences, and the tab line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from etlwatch.analysis.baseline import MINIMUM_RUNS
from etlwatch.analysis.run_rows import RunRow, build_rows
from etlwatch.analysis.snapshot import RunDetails, Snapshot
from etlwatch.rendering.lines import Part, wrap
from etlwatch.rendering.panes import moment_ago, state_span, usual_text
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import clock, count, duration, moment, ratio, short_id, span
from etlwatch.text.safe import cell_width, clip, safe
from etlwatch.text.spans import Span, Spans, fit
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import Phase, Run

TABS: Final = ("overview", "phases", "requests", "errors", "source", "delivery", "timeline")


BRIEF_JOB_CELLS: Final = 24
WIDE_JOB_CELLS: Final = 40
"""Cells of a job's name on line 1, so that the id and how fresh the data is stay beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """All that is known of the open run."""

    row: RunRow
    details: RunDetails
    gone: bool = False
    """Whether the store no longer holds it."""

    @property
    def run(self) -> Run:
        """The run."""
        return self.row.run

    @property
    def began_s(self) -> float:
        """When it began, seconds since 1970-01-01Z."""
        return self.run.started_at.timestamp()

    def end_s(self, context: DisplayContext) -> float:
        """Return when it ended, or now, seconds since 1970-01-01Z; after its beginning."""
        end = self.run.ended_at or max(context.now, self.run.started_at + timedelta(seconds=self.run.duration_s))
        return max(end.timestamp(), self.began_s + 1.0)

    def until_s(self, context: DisplayContext) -> float:
        """Return where its time axis ends: at its end, a living run's expected one; at most as long again as it ran."""
        end = self.end_s(context)
        if self.row.eta is None:
            return end
        return max(end, min(self.row.eta.high.timestamp(), end + (end - self.began_s)))

    @property
    def phases(self) -> Sequence[Phase]:
        """Its phases by position."""
        return sorted(self.details.phases, key=lambda phase: phase.position)


def view_of(row: RunRow, snapshot: Snapshot) -> RunView:
    """Return the view of the run of `row`, the last known row, from a snapshot."""
    run_id = row.run.run_id
    details = snapshot.details
    if details is None or details.run_id != run_id:
        # The details are still being read: the list has the run and its phases.
        held = RunDetails(run=row.run, run_id=run_id, phases=snapshot.phases.get(run_id, ()))
        listed = next((each for each in build_rows(snapshot) if each.run.run_id == run_id), row)
        return RunView(row=listed, details=held)
    if details.run is None:
        return RunView(row=row, details=details, gone=True)
    listed_runs = (details.run, *(run for run in snapshot.runs if run.run_id != run_id))
    errors = {**snapshot.last_errors, **({run_id: details.errors[0]} if details.errors else {})}
    joined = replace(snapshot, runs=listed_runs, phases={**snapshot.phases, run_id: details.phases}, last_errors=errors)
    return RunView(row=build_rows(joined)[0], details=details)


def title_parts(view: RunView, context: DisplayContext, *, brief: bool) -> list[Part]:
    """Return the left side of line 1: where esc leads, the job, its id, when and where it began."""
    run = view.run
    back = f"{context.glyphs.back} runs" if not brief else context.glyphs.back
    host = safe(run.host)
    where = f"{clock(run.started_at, context.zone, seconds=not brief)} {'on ' if host and not brief else ''}{host}"
    job = clip(safe(run.job), BRIEF_JOB_CELLS if brief else WIDE_JOB_CELLS, ellipsis=context.glyphs.ellipsis)
    if not brief and run.pid:
        where += f", pid {run.pid}"
    return [
        Part(((back, "dim"),), 2, 1 if brief else 2),
        Part(((job, "text bold"), (f" {short_id(run.id)}", "dim")), 0, 1 if brief else 2),
        Part(((where.strip(), "dim"),), 1, 2 if brief else 3),
    ]


def _sentences(view: RunView, context: DisplayContext, *, brief: bool) -> list[str]:
    """Return since when a run is in its state, and why, in sentences after the name of the state.

    `brief` leaves out of how many runs the usual duration is.
    """
    row, run = view.row, view.run
    usual = row.usual_duration
    of_runs = f" ({usual.runs} runs)"
    usually = usual_text(row).removesuffix(of_runs) if brief else usual_text(row)
    over = ratio(row.ratio, only_above=True)
    if view.gone:
        gone = "had not begun by then" if run.started_at > context.now else "has been removed from the store"
        return [f"This run {gone}; what is shown is what was last read."]
    since = row.verdict.since
    if row.live:
        phrase = [f"since {moment(since, context.now, context.zone)}."] if row.verdict.needs_you and since else []
        length = f"{'Running' if phrase else 'for'} {duration(run.duration_s)}"
        if over:
            length += f", {over} its p95 of {span(usual.p95)}{'' if brief else of_runs}"
        else:
            length += f"{',' if usual.runs >= MINIMUM_RUNS else ';'} {usually}"
        phrase.append(f"{length}.")
    else:
        when = f"at {moment_ago(run.ended_at, context)}, " if run.ended_at else ""
        phrase = [f"{when}after {duration(run.duration_s)}{'; ' + usually if usual.runs else ''}."]
        if row.verdict.made_good:
            phrase.append("A later run of this job succeeded.")
    because = safe(row.verdict.because)
    if because:
        phrase.append(f"{because[:1].upper()}{because[1:].rstrip('.')}.")
    return phrase


def verdict_lines(view: RunView, context: DisplayContext, *, width: int, lines: int) -> list[Spans]:
    """Return the verdict in as few lines as it needs, at most `lines`: glyph and word in their tone, then sentences."""
    state, role = state_span(view.row, context)
    # The state keeps its place at the beginning while the words behind it are wrapped.
    full, brief = (
        wrap(f"{'x' * cell_width(state)} {context.glyphs.text(' '.join(sentences))}", max(1, width - 2))
        for sentences in (_sentences(view, context, brief=False), _sentences(view, context, brief=True))
    )
    first, *others = brief if len(full) > max(2, len(brief)) else full
    rest = [" ".join(others[lines - 2 :])] if len(others) > lines - 1 > 0 else []
    if lines == 1:
        first = " ".join((first, *others))
    wrapped = [*others[: lines - 1 - len(rest)], *rest] if lines > 1 else []
    out: list[Spans] = [((" ", "plain"), (state, role), (first[cell_width(state) :], "text"))]
    out += [((f" {line}", "text"),) for line in wrapped]
    return [fit(line, width, ellipsis=context.glyphs.ellipsis) for line in out]


def tab_line(view: RunView, active: str) -> Spans:
    """Return the tab line: the active one in brackets, the number of errors behind theirs."""
    out: list[Span] = []
    for tab in TABS:
        word = f"{tab} {count(view.run.errors)}" if tab == "errors" and view.run.errors else tab
        out.append((" " if tab == active and not out else "  ", "plain"))
        out.append((f"[{word}]", "blue bold") if tab == active else (word, "dim"))
    return tuple(out)


def tab_at(view: RunView, active: str, x: int) -> str | None:
    """Return the tab whose label is at cell `x` of the tab line."""
    at = 0
    for text, _ in tab_line(view, active):
        end = at + cell_width(text)
        if at <= x < end and text.strip():
            word = text.strip("[] ")
            return next((tab for tab in TABS if word.split(" ")[0] == tab), None)
        at = end
    return None
