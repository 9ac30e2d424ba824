"""The dialogs that turn the tracking switch and close a run as text, and failures of operations.

While tracking is off for a live run, the run beats and can end, and records nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.run_rows import RunRow
from etlwatch.rendering.lines import labelled_lines
from etlwatch.rendering.panes import state_span
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import ago, count, duration, moment, number_of, short_id
from etlwatch.text.safe import cell_width, clip, safe
from etlwatch.text.spans import Column, Span, Spans, fit, spans_width
from tracking_core.dataclass import dataclass
from tracking_core.records import AuditEntry, Run, Switch

ALL_JOBS: Final = "all jobs"
NAME_CELLS: Final = 40
"""A job's name within a sentence is cut to this; the table shows more of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStates:
    """All that the switch's box is made from, read at one moment."""

    at: datetime
    switches: tuple[Switch, ...] = ()
    live: tuple[Run, ...] = ()
    """Runs whose stored status is running, newest first."""

    jobs: tuple[str, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    """The newest audit entries, newest first."""

    @property
    def all_off(self) -> bool:
        """Whether tracking is off for all jobs."""
        return any(switch.scope == "global" and not switch.enabled for switch in self.switches)

    def touched(self, job: str | None) -> tuple[Run, ...]:
        """Return the live runs that a switch concerns: all of them for None."""
        return tuple(run for run in self.live if job is None or run.job == job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One switch: its job and its state."""

    job: str | None
    """None for all jobs."""

    switch: Switch | None
    """None when it was never turned."""

    overruled: bool = False
    """Whether it is on by itself and off with all jobs."""

    @property
    def enabled(self) -> bool:
        """Whether it is on by itself."""
        return self.switch is None or self.switch.enabled

    @property
    def name(self) -> str:
        """The job in a sentence, safe to show."""
        return ALL_JOBS if self.job is None else clip(safe(self.job), NAME_CELLS)


def scopes(states: SwitchStates, *, first: str | None = None) -> list[Scope]:
    """Return all jobs, then the job of `first`, those switched off, those with live runs, and the rest by name."""
    by_job = {switch.job: switch for switch in states.switches if switch.scope == "job"}
    whole = next((switch for switch in states.switches if switch.scope == "global"), None)
    alive = {run.job for run in states.live}
    named = {*states.jobs, *by_job, *alive}

    def rank(job: str) -> tuple[int, str, str]:
        off = job in by_job and not by_job[job].enabled
        return (0 if job == first else 1 if off else 2 if job in alive else 3, job.casefold(), job)

    each = [
        Scope(job=job, switch=by_job.get(job), overruled=states.all_off and (job not in by_job or by_job[job].enabled))
        for job in sorted(named, key=rank)
    ]
    return [Scope(job=None, switch=whole), *each]


def scope_columns(width: int) -> tuple[Column, ...]:
    """Return the columns of the table of switches."""
    columns = [
        Column(key="job", header="jobs", width=20, grow=2, sortable=False),
        Column(key="state", header="tracking", width=9, sortable=False),
        Column(key="live", header="live", width=4, align="right", gap=1, sortable=False),
        Column(key="since", header="since", width=10, sortable=False),
    ]
    if width >= 58:
        columns.append(Column(key="by", header="by", width=11, grow=1, sortable=False))
    if width >= 80:
        columns.append(Column(key="reason", header="reason", width=12, grow=3, sortable=False))
    return tuple(columns)


def scope_cells(scope: Scope, live: int, context: DisplayContext) -> Mapping[str, Spans]:
    """Return a row of the table of switches; `live` are the runs it touches."""
    switch = scope.switch
    state: Span = ("on", "dim") if scope.enabled else ("off", "amber bold")
    if scope.overruled:
        state = ("off (all)", "amber")
    return {
        "job": ((ALL_JOBS, "text bold") if scope.job is None else (safe(scope.job), "plain"),),
        "state": (state,),
        "live": ((count(live, blank_zero=True), "plain"),),
        "since": ((moment(switch.changed_at, context.now, context.zone) if switch else "", "dim"),),
        "by": ((safe(switch.changed_by) if switch else "", "dim"),),
        "reason": ((safe(switch.reason) if switch else "", "dim"),),
    }


def standing(scope: Scope, context: DisplayContext) -> str:
    """Return the state of a switch, since when, by which person and why."""
    switch = scope.switch
    word = "on by itself, but off with all jobs" if scope.overruled else "on" if scope.enabled else "off"
    if switch is None:
        return word if scope.overruled else f"{word}; it was never turned"
    why = f": {safe(switch.reason)}" if switch.reason.strip() else ""
    by = f" by {safe(switch.changed_by)}" if switch.changed_by else ""
    return f"{word} since {moment(switch.changed_at, context.now, context.zone)}{by}{why}"


def consequence(scope: Scope, states: SwitchStates, *, enable: bool) -> str:
    """Return the consequence of turning a switch; the runs concerned are listed beside it."""
    if not enable:
        who = "no job" if scope.job is None else "this job"
        what = f"{who} records {'anything' if scope.job is None else 'nothing'} new: no runs, requests, phases, errors"
        return f"{what}; a live run keeps its heartbeat and can end"
    if scope.job is not None and states.all_off:
        return "this job stays off as long as tracking is off for all jobs"
    off = sum(switch.scope == "job" and not switch.enabled for switch in states.switches)
    if scope.job is None and off:
        jobs = "1 job stays" if off == 1 else f"{off:,} jobs stay"
        return f"jobs record again within seconds; {jobs} off by their own switch"
    return f"{'jobs record' if scope.job is None else 'this job records'} again within seconds"


def runs_lines(runs: Sequence[Run], context: DisplayContext, *, width: int, most: int) -> list[Spans]:
    """Return the live runs as glyph, job and short id, as many as fit `most` lines, the rest as a number."""
    if not runs:
        return [(("no live run", "dim"),)]
    lines: list[list[Span]] = [[]]
    for index, run in enumerate(runs):
        job = clip(safe(run.job), NAME_CELLS, ellipsis=context.glyphs.ellipsis)
        tone = "red" if run.state == "lost" else "text"
        entry: list[Span] = [
            (f"{context.glyphs.state(run.state)} ", tone),
            (job, "text"),
            (f" {short_id(run.id)}", "dim"),
        ]
        left = len(runs) - index
        more = f"and {count(left)} more"
        last = len(lines) == most
        room = width - spans_width(lines[-1]) - (2 if lines[-1] else 0)
        needed = spans_width(entry) + (cell_width(more) + 2 if last and left > 1 else 0)
        if needed > room and not last:
            lines.append([])
        elif needed > room:
            lines[-1] += [("  " if lines[-1] else "", "plain"), (more, "dim")]
            break
        if lines[-1]:
            lines[-1].append(("  ", "plain"))
        lines[-1] += entry
    return [tuple(line) for line in lines]


def audit_line(entry: AuditEntry, context: DisplayContext, *, width: int) -> Spans:
    """Return one audit entry in a line: when, by which person, what, and on what."""
    when = moment(entry.at, context.now, context.zone)
    by = clip(safe(entry.actor), max(8, width // 4), ellipsis=context.glyphs.ellipsis)
    return ((f"{when:<10} ", "dim"), (f"{by}  ", "text"), (_audit_text(entry), "dim"))


def _audit_text(entry: AuditEntry) -> str:
    detail = entry.detail
    phrase = safe(entry.action)
    if entry.action.startswith("tracking"):
        phrase += f" for {safe(detail.get('job')) or ALL_JOBS}"
    elif entry.action == "close run":
        phrase += f" {safe(detail.get('id'))} of {safe(detail.get('job'))}"
    elif entry.action == "cleanup":
        runs = detail.get("runs")
        phrase += f" of {number_of(runs, 'run')}" if isinstance(runs, int) else ""
        days = detail.get("days")
        phrase += f" older than {number_of(days, 'day') if isinstance(days, int) else safe(days)}"
        phrase += "" if detail.get("finished", True) else ", not finished"
    reason = safe(detail.get("reason"))
    return f"{phrase}: {reason}" if reason else phrase


def turned_text(switch: Switch, touched: Iterable[Run]) -> str:
    """Return what was done, for the toast."""
    concerned = f"the job {clip(safe(switch.job), NAME_CELLS)}" if switch.scope == "job" else ALL_JOBS
    phrase = f"tracking is {'on' if switch.enabled else 'off'} for {concerned}"
    live = len(list(touched))
    if not live:
        return f"{phrase}; no live run is concerned"
    return f"{phrase}; {number_of(live, 'live run', count(live))} {'may' if switch.enabled else 'can only'} " + (
        "record again" if switch.enabled else "end now"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why something could not be done."""

    what: str
    """In a few words: `no connection`, `refused`, `no tables`, …"""

    cause: str
    """The store's own words, one line, without credentials; not yet safe to show."""

    @property
    def words(self) -> str:
        """What failed, then the cause, without a full stop."""
        cause = safe(self.cause).rstrip(".")
        return f"{self.what}: {cause}" if cause else self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class NotClosed:
    """A run that was left as it is."""

    why: str


def closing_lines(row: RunRow, context: DisplayContext, *, actor: str, width: int, rows: int) -> list[Spans]:
    """Return the facts for closing a run, most important first, in at most `rows` lines."""
    run = row.run
    title: Spans = (state_span(row, context), ("  ", "plain"), (safe(run.job), "text bold"), (f"  {run.id}", "dim"))
    seen = run.heartbeat_at or run.progress_at
    sign = (
        f"{moment(seen, context.now, context.zone)}, {ago((context.now - seen).total_seconds())}"
        if seen
        else "none recorded"
    )
    where = f", on {safe(run.host)}, pid {run.pid}" if run.host else ""
    lines: list[Spans] = [
        fit(title, width, ellipsis=context.glyphs.ellipsis),
        *labelled_lines(
            "Began", f"{moment(run.started_at, context.now, context.zone)}, {duration(run.duration_s)} ago", width
        ),
        *labelled_lines("Sign", f"last sign of life {sign}{where}", width, most=2),
    ]
    if run.state != "lost":
        against = f"It is {safe(run.state)}, not lost. Closing does not stop its process"
        lines += labelled_lines("Against", f"{against}, and its own end replaces this later.", width, role="amber")
    elif row.verdict.because:
        lines += labelled_lines("Because", safe(row.verdict.because), width, most=2)
    lines += labelled_lines("Then", "it becomes abandoned, with its last sign of life as its end", width)
    if run.state == "lost":
        lines += labelled_lines("", "if its job still runs, the job's own end replaces this", width, role="dim")
    lines += labelled_lines("As", f"{safe(actor)}, written to the audit", width)
    return lines[:rows]


def confirmation_text(row: RunRow) -> str:
    """Return what has to be typed to close a run that is not lost."""
    return short_id(row.run.id)
