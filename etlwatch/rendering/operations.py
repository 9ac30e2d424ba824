"""Changes by a person as text: turning the tracking switch, closing a run, cleaning up, and why one could not be made.

While tracking is off for a live run, the run beats and can end, and records nothing else. Counts of a clean-up are
written in full: a number that has to be typed is never rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from etlwatch.analysis.run_rows import RunRow
from etlwatch.rendering.lines import LABEL_CELLS, labelled_lines, sentence_lines
from etlwatch.rendering.panes import moment_ago, state_span
from etlwatch.text.blocks import progress_bar
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import bytes_, count, duration, moment, number_of, percent, short_id, stamp
from etlwatch.text.safe import cell_width, clip, pad, safe
from etlwatch.text.spans import Column, Span, Spans, fit, spans_width
from tracking_core.dataclass import dataclass
from tracking_core.records import AuditEntry, CleanupJob, CleanupPlan, Run, Switch

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
        who = "no job records anything" if scope.job is None else "this job records nothing"
        return f"{who} new: no runs, requests, phases, errors; a live run keeps its heartbeat and can end"
    if scope.job is not None and states.all_off:
        return "this job stays off as long as tracking is off for all jobs"
    off = sum(switch.scope == "job" and not switch.enabled for switch in states.switches)
    if scope.job is None and off:
        stay = f"{number_of(off, 'job')} {'stays' if off == 1 else 'stay'} off by their own switch"
        return f"jobs record again within seconds; {stay}"
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
    return ((f"{when:<10} ", "dim"), (f"{by}  ", "text"), (audit_text(entry), "dim"))


def audit_text(entry: AuditEntry) -> str:
    """Return what was done, on what, and why."""
    detail, phrase = entry.detail, safe(entry.action)
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
    then = "may record again" if switch.enabled else "can only end now"
    return f"{phrase}; {number_of(live, 'live run', count(live))} {then}"


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
    sign = moment_ago(run.heartbeat_at or run.progress_at, context) or "none recorded"
    where = f", on {safe(run.host)}, pid {run.pid}" if run.host else ""
    began = f"{moment(run.started_at, context.now, context.zone)}, {duration(run.duration_s)} ago"
    lines: list[Spans] = [
        fit(title, width, ellipsis=context.glyphs.ellipsis),
        *labelled_lines("Began", began, width),
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


# -- the clean-up

PRESETS: Final = (7, 30, 90, 365)
"""Days offered by one key."""

LEAST_JOB_CELLS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupPreview:
    """A plan and what is known around it."""

    plan: CleanupPlan
    at: datetime
    """The store's clock when it was made."""

    lost: int = 0
    """Of the unfinished runs that are kept."""

    empty: bool = False
    """Whether the store holds no run at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """How far a removal has come."""

    runs: int = 0
    steps: int = 0
    weeks_left: int = 0
    """Weeks of requests that were in use; the next clean-up drops them."""

    seconds: float = 0.0
    stopped: bool = False
    failed: Failed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChanged:
    """Nothing was removed: what would go is no longer what was planned."""

    plan: CleanupPlan


def weeks_left_text(number: int) -> str:
    """Return that weeks could not be dropped; '' if none was left."""
    if not number:
        return ""
    used, dropped = ("is", "it") if number == 1 else ("are", "them")
    return f"{number_of(number, 'week')} of requests {used} in use: the next clean-up drops {dropped}"


def days_line(days: int) -> Spans:
    """Return the presets with the chosen one in brackets, and the keys that choose."""
    presets = [
        (f"[{preset} days]", "text bold") if preset == days else (f" {preset} days ", "dim") for preset in PRESETS
    ]
    other = ("  other", "dim") if days in PRESETS else (f" [{days:,} days]", "text bold")
    return (("d", "blue"), ("  ", "plain"), *presets, ("   ", "plain"), ("o", "blue"), other)


def _cutoff_lines(preview: CleanupPreview, context: DisplayContext, width: int) -> list[Spans]:
    """Return the cutoff in the shown zone and in UTC, once where these are the same."""
    cutoff = preview.plan.cutoff
    local = stamp(cutoff, context.zone)
    # Whatever else is cut, the cutoff is not.
    labels = ("Runs that ended before  ", "Ended before  ", "")
    label = next((each for each in labels if len(each) + len(local) <= width), "")
    days = preview.plan.days
    ago = f"  {number_of(days, 'day')} ago" if days else "  every finished run"
    lines: list[Spans] = [((label, "dim"), (local, "text bold"), (ago, "dim"))]
    if cutoff.astimezone(context.zone).utcoffset() != timedelta(0):
        lines.append(((" " * len(label), "plain"), (stamp(cutoff, UTC), "dim")))
    return [fit(line, width, ellipsis=context.glyphs.ellipsis) for line in lines]


def _table(plan: CleanupPlan, context: DisplayContext, width: int, rows: int) -> list[Spans]:
    """Return the counts by job in at most `rows` lines of jobs, the others folded into the last, and their sum."""
    jobs = list(plan.jobs)
    shown = jobs if len(jobs) <= rows else jobs[: max(0, rows - 1)]
    folded = jobs[len(shown) :]
    lines = [_numbers(job, job.job, context) for job in shown]
    if folded:
        rest = CleanupJob(
            job="",
            runs=sum(job.runs for job in folded),
            requests=sum(job.requests for job in folded),
            errors=sum(job.errors for job in folded),
            oldest=min(job.oldest for job in folded),
        )
        lines.append(_numbers(rest, number_of(len(folded), "more job"), context))
    lines = lines if rows else []
    total = ("all", f"{plan.runs:,}", f"{plan.requests:,}", f"{plan.errors:,}", "")
    head = ("job", "runs", "requests", "errors", "oldest")
    cells = [max(len(line[index]) for line in (head, total, *lines)) for index in range(1, 5)]
    # In a narrow dialog the least important columns are left out first.
    while cells and width - sum(cells) - 3 * len(cells) < LEAST_JOB_CELLS:
        cells.pop()

    def drawn(line: tuple[str, ...], first: str, others: str) -> Spans:
        name_cells = width - sum(cells) - 3 * len(cells)
        name = pad(line[0], name_cells, ellipsis=context.glyphs.ellipsis)
        numbers = [(f"   {line[index]:>{size}}", others if index < 4 else "dim") for index, size in enumerate(cells, 1)]
        return ((name, first), *numbers)

    return [
        drawn(head, "dim", "dim"),
        *[drawn(line, "text", "text") for line in lines],
        ((context.glyphs.usual * width, "faint"),),
        drawn(total, "text bold", "text bold"),
    ]


def _numbers(job: CleanupJob, name: str, context: DisplayContext) -> tuple[str, ...]:
    oldest = moment(job.oldest, context.now, context.zone)
    return (safe(name), f"{job.runs:,}", f"{job.requests:,}", f"{job.errors:,}", oldest)


def _kept(preview: CleanupPreview, width: int, *, planning: bool) -> list[Spans]:
    """Return what stays, and the key that keeps each job's last success too, where there is one so old."""
    kept, lost = preview.plan.kept_running, preview.lost
    parts = [f"{kept - lost:,} running" if kept > lost else "", f"{lost:,} lost" if lost else ""]
    words = ", ".join(filter(None, parts)) or "every run that has not ended"
    successes = preview.plan.last_successes
    if not successes:
        words += ": a run that has not ended is never removed" if kept else ", whatever its age; none is that old"
        return labelled_lines("Kept", words, width)
    if preview.plan.keep_last_success:
        words += f", the last success of each job ({successes:,})"
    lines = labelled_lines("Kept", words, width)
    if planning:
        keeps = f"keeps the last success of each job ({successes:,})"
        does = "lets it go" if preview.plan.keep_last_success else keeps
        if cell_width(words) + cell_width(does) + 4 + LABEL_CELLS <= width:
            return [(*lines[0], ("   ", "plain"), ("s", "blue"), (f" {does}", "dim"))]
        lines.append(((" " * LABEL_CELLS, "plain"), ("s", "blue"), (f" {does}", "dim")))
    return lines


def _how(plan: CleanupPlan) -> str:
    """Return how the removal works and what remains after it."""
    if not (plan.dropped_weeks or plan.cut_weeks or plan.waiting_requests):
        return "in small committed steps, esc stops between two; no undo"
    weeks = f"drops {number_of(plan.dropped_weeks, 'week')} of requests" if plan.dropped_weeks else ""
    if plan.cut_weeks:
        cut = f"deletes from {number_of(plan.cut_weeks, 'week')} of requests"
        weeks = f"{weeks}, cuts {plan.cut_weeks:,}" if weeks else cut
    back = f"{bytes_(plan.dropped_bytes)} back" if plan.dropped_weeks else ""
    # Explains why the disk does not shrink at once.
    stay = "stays" if plan.waiting_requests == 1 else "stay"
    waiting = f"{number_of(plan.waiting_requests, 'request')} {stay} hidden until their week is over"
    return "; ".join(filter(None, (weeks, back, "no undo", waiting if plan.waiting_requests else "")))


def plan_lines(
    preview: CleanupPreview, context: DisplayContext, *, actor: str, width: int, rows: int, planning: bool = True
) -> list[Spans]:
    """Return the plan in at most `rows` lines; empty lines are left out first, then jobs, then explanations.

    When it is no longer `planning`, what could be chosen before is left out.
    """
    plan = preview.plan
    top = [*_cutoff_lines(preview, context, width), *([days_line(plan.days)] if planning else [])]
    if not plan.runs:
        word = "The store holds no runs." if preview.empty else "Nothing to remove: no finished run ended before then."
        notes = [] if preview.empty else _kept(preview, width, planning=planning)
        if plan.dropped_weeks:
            earlier = f"{number_of(plan.dropped_weeks, 'week')} of requests, {bytes_(plan.dropped_bytes)}"
            words = f"{earlier}, of runs removed before: Y is the command that does it"
            notes += labelled_lines("Drops", words, width)
        return [*top, (), ((word, "text bold"),), *([()] if rows > 8 else []), *notes][:rows]
    notes = _kept(preview, width, planning=planning)
    if planning:
        notes += labelled_lines("How", _how(plan), width)
        notes += labelled_lines("As", f"{safe(actor)}, written to the audit", width)
    room = rows - len(top) - len(notes)
    while notes and room < 4:
        # The sum and the cutoff are what must never be missing.
        notes.pop()
        room += 1
    if room < 4:
        del top[1:]
        room = rows - 1
    spacing = 1 if room >= 9 else 0
    most = max(0, room - 3 - 2 * spacing)
    gap: list[Spans] = [()] * spacing
    return [*top, *gap, *_table(plan, context, width, min(most, max(4, most))), *gap, *notes][:rows]


def progress_lines(
    plan: CleanupPlan, done: Removed, context: DisplayContext, *, width: int, stopping: bool
) -> list[Spans]:
    """Return how far a removal is: numbers, a bar, and that every step is whole."""
    share = min(1.0, done.runs / plan.runs) if plan.runs else 1.0
    bar = progress_bar(share, cells=max(1, width - 6), glyphs=context.glyphs)
    if stopping:
        word = "stopping after this step"
    elif done.runs >= plan.runs:
        word = "giving space back"
    else:
        word = f"{done.runs:,} of {number_of(plan.runs, 'run')} removed" if done.steps else "counting once more"
    return [
        ((word, "text bold"), (f"   {duration(done.seconds)}" if done.seconds >= 1 else "", "dim")),
        (*((text, "blue" if role == "plain" else role) for text, role in bar), (f"{percent(share):>6}", "text")),
        *sentence_lines("Each step is committed: what is gone is gone, the rest is whole.", width, role="dim"),
    ]


def outcome_lines(plan: CleanupPlan, done: Removed, *, width: int) -> list[Spans]:
    """Return how a removal ended: finished, stopped, or cut off, and what that means for the rest."""
    left = max(0, plan.runs - done.runs)
    took = f" in {duration(max(done.seconds, 1))}" if done.seconds >= 1 else ""
    if done.failed is not None:
        sure = f"{done.runs:,} of {number_of(plan.runs, 'run')} are known to be removed, the last step perhaps too."
        return [
            *sentence_lines(f"! {done.failed.words}.", width, role="amber bold", most=3),
            *sentence_lines(f"{sure} Every step is whole: nothing is half removed.", width),
        ]
    if done.stopped:
        head = f"Stopped: {number_of(done.runs, 'run')} removed{took}."
        rest = f"{left:,} of the plan stay." if left else "Nothing of the plan was left; space is not all given back."
        return [*sentence_lines(head, width, role="text bold"), *sentence_lines(rest, width)]
    head = f"Removed {number_of(done.runs, 'run')}{took}."
    if left:
        rest = f"{left:,} of the plan were removed by another clean-up."
    elif done.weeks_left:
        rest = f"{weeks_left_text(done.weeks_left)}."
    elif done.runs > plan.runs:
        rest = f"{done.runs - plan.runs:,} more than planned: they came in while it ran, and had ended before then."
    else:
        requests, errors = number_of(plan.requests, "request"), number_of(plan.errors, "error")
        rest = f"With them {requests} and {errors}. It is in the audit."
    return [*sentence_lines(head, width, role="text bold"), *sentence_lines(rest, width)]


def removal_text(plan: CleanupPlan, done: Removed) -> str:
    """Return how a removal ended, in one line, for a toast."""
    if done.failed is not None:
        return f"clean-up cut off after {done.runs:,} of {number_of(plan.runs, 'run')}: {done.failed.words}"
    word = "stopped" if done.stopped else "done"
    return f"clean-up {word}: {number_of(done.runs, 'run')} of {plan.runs:,} removed"


def plan_change_text(planned: CleanupPlan, now: CleanupPlan) -> str:
    """Return what has changed between the plan and now."""
    before, after = planned.runs, now.runs
    if after == before:
        what = "other runs"
    else:
        what = f"{number_of(abs(after - before), 'run')} {'more' if after > before else 'fewer'}"
    return f"nothing was removed: {what} would go now than planned; look again"
