"""Text of the jobs screen outside its table: counts, headline, and the pane of the job under the cursor.

Used by the dashboard and by `etlwatch jobs`. Every text from the store passes `safe` here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.jobs import JobCounts, JobRow
from etlwatch.analysis.states import RANKS
from etlwatch.fields.jobs import day_text
from etlwatch.rendering.lines import Part, labelled
from etlwatch.text.display import DisplayContext, urgent_role_of
from etlwatch.text.numbers import change, clock, count, late_by, moment, span
from etlwatch.text.safe import clip, safe
from etlwatch.text.spans import Span, Spans
from tracking_core.records import Run, RunStatus

NAME_CELLS: Final = 40
BRIEF_NAME_CELLS: Final = 18
"""Cells of a job's name on line 2, so that what is the matter with it stays beside it."""

PROOFS: Final = 2
"""Runs whose evidence is shown."""


# -- line 1, line 2


def job_parts(counts: JobCounts) -> list[Part]:
    """Return the counts of line 1: what is overdue, what has trouble, what is well."""
    parts: list[Part] = [Part((("jobs", "text bold"),), 1)]
    for number, word, tone, priority in (
        (counts.overdue, "overdue", "amber", 0),
        (counts.trouble, "with trouble", "amber", 0),
        (counts.well, "ok", "text", 2),
        (counts.given_up, "over", "dim", 6),
    ):
        if number:
            parts.append(Part(((f"{count(number)} {word}", tone),), priority))
    return parts


def jobs_headline(rows: Sequence[JobRow], context: DisplayContext, *, brief: bool) -> Spans:
    """Return line 2: which job has not begun, which has trouble, or that all is well and what comes next.

    `rows` are by need.
    """
    cells = BRIEF_NAME_CELLS if brief else NAME_CELLS
    late = [row for row in rows if row.overdue_s is not None]
    if late:
        more = f" {count(len(late) - 1)} more {'is' if len(late) == 2 else 'are'} overdue." if len(late) > 1 else ""
        return (
            (" ", "plain"),
            (clip(safe(late[0].job), cells), "text bold"),
            (f" {late_text(late[0], context, brief)}{more}", "text"),
        )
    trouble = [row for row in rows if row.rank == 1]
    if trouble:
        said: list[Span] = [(" Nothing is overdue. " if not brief else " ", "text")]
        for index, row in enumerate(trouble[:3]):
            said += [(", ", "text")] if index else []
            said += [(clip(safe(row.job), cells), "text bold"), (f" {safe(row.trouble)}", "text")]
        more = f"; {count(len(trouble) - 3)} more" if len(trouble) > 3 else ""
        return (*said, (f"{more}.", "text"))
    if not rows:
        return ((" No jobs yet.", "dim"),)
    coming = [row for row in rows if row.expected is not None and row.expected.at > context.now and row.live is None]
    if not coming:
        return ((" Nothing needs you.", "dim"),)
    first = min(coming, key=lambda row: row.expected.at if row.expected else context.now)
    at = day_text(first.expected.at if first.expected else None, context)
    return ((f" Nothing needs you. Next is {clip(safe(first.job), cells)}, {at}.", "dim"),)


def late_text(row: JobRow, context: DisplayContext, brief: bool) -> str:
    expected = row.expected
    if expected is None or row.overdue_s is None:
        return "has not begun."
    at = _moment_zoned(expected.at, context)
    if brief:
        return f"has not begun: due {clock(expected.at, context.zone)}, {late_by(row.overdue_s)} overdue."
    within = f"{expected.hits} of {expected.of} {_turns_text(row, context)} within {span(expected.tolerance_s)}"
    return f"has not begun: expected at {at} ({within}), now {late_by(row.overdue_s)} overdue."


def _turns_text(row: JobRow, context: DisplayContext) -> str:
    """Return the name of a job's turns: nights, days, or times if it is not daily."""
    expected = row.expected
    if expected is None or not expected.daily:
        return "times"
    hour = expected.at.astimezone(context.zone).hour
    return "nights" if hour < 6 or hour >= 22 else "days"


def _moment_zoned(when: datetime, context: DisplayContext) -> str:
    """Write a moment with the name of its zone: `02:00 CET`, `Sun 02:00 CET`."""
    zone_name = when.astimezone(context.zone).tzname()
    return f"{moment(when, context.now, context.zone)} {zone_name}"


# -- the pane


def job_title(row: JobRow, context: DisplayContext) -> Spans:
    """Return state and job, for the rule above the pane."""
    state = row.trouble or (row.live.state if row.live else "")
    late = f" {late_by(row.overdue_s)}" if row.overdue_s is not None else ""
    if state:
        role = urgent_role_of(state)
        words: Spans = ((f"{context.glyphs.state(state)} {safe(state)}{late}", f"{role} bold"), ("  ", "plain"))
    else:
        words = ()
    return (*words, (safe(row.job), "text bold"))


def job_pane(row: JobRow, context: DisplayContext) -> list[Spans]:
    """Return the lines of the pane, most important first."""
    lines: list[Spans] = []
    expected = expected_text(row, context)
    if row.overdue_s is not None:
        lines.append(labelled("expected", expected))
    proven = [run for run in row.runs if run.evidence]
    proven.sort(key=lambda run: RANKS.get(run.state, 99))
    for run in proven[:PROOFS]:
        since = f" since {moment(run.state_since, context.now, context.zone)}" if run.state_since is not None else ""
        lines.append(labelled("because", safe(f"{run.state}{since}: {run.evidence}")))
    if row.last is not None:
        lines.append(labelled("last", last_run_text(row, row.last, context)))
    if row.overdue_s is None and expected:
        lines.append(labelled("next", expected))
    if row.drifting:
        lines.append(labelled("trend", context.glyphs.text(_trend_text(row))))
    return lines


def _trend_text(row: JobRow) -> str:
    return f"the last ten completed runs took {change(row.trend)} of what the ones before took"


def expected_text(row: JobRow, context: DisplayContext) -> str:
    """Return when a job is expected and why; '' without a rhythm."""
    if row.given_up_since is not None:
        since = _moment_zoned(row.given_up_since, context)
        return f"not since {since}, when it missed its turn: it is no longer expected"
    expected = row.expected
    if expected is None:
        return ""
    at = _moment_zoned(expected.at, context)
    if expected.every_s is not None:
        after = f"{span(expected.every_s)} after the one before, give or take {span(expected.tolerance_s)}"
        return f"{at}: {expected.hits} of its last {expected.of} began {after}"
    return f"{at}: {expected.hits} of its last {expected.of} began within {span(expected.tolerance_s)} of it"


def last_run_text(row: JobRow, run: Run, context: DisplayContext) -> str:
    """Return when a run began, how it went and where: `Sun 02:00, completed in 12m (usual 12m), from etl-02`."""
    usual = row.baseline.duration_s.usual
    compared = f" (usual {span(usual)})" if usual is not None else ""
    lasted = run.duration_s
    if run.state == "lost":
        how = "lost after"
        lasted = ((run.heartbeat_at or run.started_at) - run.started_at).total_seconds()
    elif run.status == RunStatus.RUNNING:
        how = "running for"
    else:
        how = f"{safe(run.state)} {'in' if run.status == RunStatus.COMPLETED else 'after'}"
    where = f", from {safe(run.host)}" if run.host else ""
    return f"{moment(run.started_at, context.now, context.zone)}, {how} {span(lasted)}{compared}{where}"
