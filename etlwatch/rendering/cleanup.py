"""The clean-up as text: the plan, its progress, its outcome.

Counts are written in full: a number that has to be typed is never rounded.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from etlwatch.rendering.lines import LABEL_CELLS, labelled_lines, sentence_lines
from etlwatch.rendering.operations import Failed
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import bytes_, duration, moment, number_of, percent, stamp
from etlwatch.text.safe import cell_width, pad, safe
from etlwatch.text.spans import Span, Spans, fit
from tracking_core.dataclass import dataclass
from tracking_core.records import CleanupJob, CleanupPlan

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
    finished: bool = False
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


def _ago(days: int) -> str:
    if days == 0:
        return "every finished run"
    return f"{number_of(days, 'day')} ago"


def days_line(days: int) -> Spans:
    """Return the presets with the chosen one in brackets, and the keys that choose."""
    spans: list[Span] = [("d", "blue"), ("  ", "plain")]
    for preset in PRESETS:
        chosen = preset == days
        spans.append((f"[{preset} days]" if chosen else f" {preset} days ", "text bold" if chosen else "dim"))
    spans += [("   ", "plain"), ("o", "blue")]
    spans.append((f" [{days:,} days]" if days not in PRESETS else "  other", "text bold" if days not in PRESETS
                  else "dim"))  # fmt: skip
    return tuple(spans)


def _cutoff_lines(preview: CleanupPreview, context: DisplayContext, width: int) -> list[Spans]:
    """Return the cutoff in the shown zone and in UTC, once where these are the same."""
    cutoff = preview.plan.cutoff
    local = stamp(cutoff, context.zone)
    # Whatever else is cut, the cutoff is not.
    labels = ("Runs that ended before  ", "Ended before  ", "")
    label = next((each for each in labels if len(each) + len(local) <= width), "")
    lines: list[Spans] = [((label, "dim"), (local, "text bold"), (f"  {_ago(preview.plan.days)}", "dim"))]
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
    if not rows:
        lines = []
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
    words = ", ".join(part for part in parts if part) or "every run that has not ended"
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
    weeks = number_of(plan.dropped_weeks or plan.cut_weeks, "week")
    cut = f"cuts {plan.cut_weeks:,}" if plan.dropped_weeks else f"deletes from {weeks} of requests"
    parts = [
        f"drops {weeks} of requests" if plan.dropped_weeks else "",
        cut if plan.cut_weeks else "",
    ]
    words = [", ".join(part for part in parts if part)]
    words.append(f"{bytes_(plan.dropped_bytes)} back" if plan.dropped_weeks else "")
    words.append("no undo")
    if plan.waiting_requests:
        # Explains why the disk does not shrink at once.
        stay = "stays" if plan.waiting_requests == 1 else "stay"
        words.append(f"{number_of(plan.waiting_requests, 'request')} {stay} hidden until their week is over")
    return "; ".join(word for word in words if word)


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
            weeks = f"{number_of(plan.dropped_weeks, 'week')} of requests, {bytes_(plan.dropped_bytes)}"
            notes += labelled_lines("Drops", f"{weeks}, of runs removed before: Y is the command that does it", width)
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
    bar = max(1, width - 6)
    full = int(bar * share)
    glyphs = context.glyphs
    if stopping:
        word = "stopping after this step"
    elif done.runs >= plan.runs:
        word = "giving space back"
    else:
        word = f"{done.runs:,} of {number_of(plan.runs, 'run')} removed" if done.steps else "counting once more"
    return [
        ((word, "text bold"), (f"   {duration(done.seconds)}" if done.seconds >= 1 else "", "dim")),
        (
            (glyphs.done * full, "blue"),
            (glyphs.usual * (bar - full), "faint"),
            (f"{percent(share):>6}", "text"),
        ),
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
