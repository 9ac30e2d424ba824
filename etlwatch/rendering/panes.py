"""The panes below the lists of runs, jobs and errors, and what line 1 and line 2 show of jobs and errors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.baseline import MINIMUM_RUNS
from etlwatch.analysis.errors import ErrorKind
from etlwatch.analysis.forecast import eta_words
from etlwatch.analysis.jobs import JobCounts, JobRow
from etlwatch.analysis.run_rows import RunRow, last_line
from etlwatch.analysis.states import BEHIND, FLAWED, RANKS
from etlwatch.fields.errors import known_text, number_text, runs_text, success_text
from etlwatch.fields.jobs import day_text
from etlwatch.fields.runs import state_spans
from etlwatch.rendering.lines import PANE_LABEL_CELLS, Part, labelled, wrapped_lines
from etlwatch.text.display import DisplayContext, urgent_role_of
from etlwatch.text.numbers import (
    ago,
    change,
    clock,
    count,
    duration,
    late_by,
    moment,
    number_of,
    per_second,
    percent,
    ratio,
    short_id,
    span,
)
from etlwatch.text.safe import cell_width, clip, safe
from etlwatch.text.spans import Span, Spans, merge
from tracking_core.identity import format_run_id
from tracking_core.records import Run, RunStatus

AT_THIS_RATE: Final = " at this rate"


def state_span(row: RunRow, context: DisplayContext, after: str = "") -> Span:
    """Return a run's glyph and state in bold, with a text after them."""
    (words, role), *_ = state_spans(row, context.glyphs)
    colour = "text" if role in ("plain", "dim") else role.removesuffix(" strong")
    return (words + after, f"{colour} bold")


def pane_title(row: RunRow, context: DisplayContext, *, width: int = 80) -> Spans:
    """Return state, excess, job and short id, for the rule above the pane; a long name leaves room for the rest."""
    # Of another state the duration is not the reason.
    over = ratio(row.ratio, only_above=True) if row.live and row.verdict.state in ("slow", "running") else ""
    return (
        state_span(row, context, f" {context.glyphs.text(over)} its p95" if over else ""),
        ("  ", "plain"),
        (clip(safe(row.run.job), max(8, width - 36), ellipsis=context.glyphs.ellipsis), "text bold"),
        (f" {short_id(row.run.id)}", "dim"),
    )


def usual_text(row: RunRow) -> str:
    """Return the job's usual duration, or that too few runs are known."""
    usual = row.usual_duration
    if usual.runs >= MINIMUM_RUNS:
        return f"usually {span(usual.usual)}, p95 {span(usual.p95)} ({usual.runs} runs)"
    if usual.runs:
        return f"{number_of(usual.runs, 'other completed run')}: too few to compare with"
    return "no completed run to compare with"


def moment_ago(when: datetime | None, context: DisplayContext) -> str:
    """Return a moment and how long ago it was: `02:41, 31m ago`; '' without one."""
    if when is None:
        return ""
    return f"{moment(when, context.now, context.zone)}, {ago((context.now - when).total_seconds())}"


def pane_lines(row: RunRow, context: DisplayContext, errors: Spans = (), *, width: int = 10_000) -> list[Spans]:
    """Return the lines of the pane, most important first; `errors` are its errors by kind, if known.

    A reason that is wider than `width` goes on in a second line.
    """
    state = row.verdict.state
    if row.live:
        lines = _of_living(row, context, width)
    else:
        compared = f"; {usual_text(row)}" if row.usual_duration.runs else ""
        ended = f"{moment_ago(row.run.ended_at, context)}, after {duration(row.run.duration_s)}"
        lines = [labelled("ended", ended + compared)]
        if state != "completed":
            lines += wrapped_lines("because", safe(row.verdict.because), width)
    trouble = _trouble_text(row, errors=not errors)
    if errors or trouble:
        between = "; " if errors and trouble else ""
        # The column of that name adds both up.
        lines.append(labelled("err", merge([*errors, (between + trouble, "text")])))
    lines.append(labelled("run", origin_text(row)))
    notes = last_line(row.run.notes)
    if notes and notes != row.verdict.because:
        lines.insert(1 if state == "completed" else len(lines) - 1, labelled("notes", safe(notes)))
    return lines


def _of_living(row: RunRow, context: DisplayContext, width: int) -> list[Spans]:
    usual = row.usual_duration
    known = usual.runs >= MINIMUM_RUNS
    so_far = f"{duration(row.run.duration_s)} so far{',' if known else ';'} {usual_text(row)}"
    if row.verdict.needs_you:
        ends = ends_text(row, context)
        words = "; ".join(filter(None, (moment_ago(row.verdict.since, context), so_far, ends)))
        if known and cell_width(words) > width - PANE_LABEL_CELLS - 1:
            # The bar of its row shows the p95.
            words = words.replace(usual_text(row), f"usually {span(usual.usual)}").replace(AT_THIS_RATE, "")
        return [labelled("since", words), *wrapped_lines("because", safe(row.verdict.because), width)]
    lines = [labelled("normal" if known and (row.ratio or 0) <= 1 else "time", so_far)]
    if row.verdict.because:
        lines.append(labelled("unknown", safe(row.verdict.because)))
    ends = ends_text(row, context).removeprefix("ends ")
    if ends:
        lines.append(labelled("ends", ends))
    doing = doing_text(row)
    if doing:
        lines.append(labelled("doing", doing))
    return lines


def ends_text(row: RunRow, context: DisplayContext) -> str:
    """Return when a run is expected to end, and why: `ends 03:40–03:55 at this rate`; '' if unknown."""
    words = context.glyphs.text(eta_words(row.eta, context.now, context.zone))
    by_rate = row.phase is not None and row.phase.share is not None
    return f"ends {words}{AT_THIS_RATE if by_rate else ', by its past'}" if words else ""


def doing_text(row: RunRow) -> str:
    """Return where a run is and how fast it goes: `2/4 fetch 38%, 11.9 requests/s, 81.2 items/s`."""
    facts: list[str] = []
    if row.phase is not None and row.phase.name:
        share = f" {percent(row.phase.share)}" if row.phase.share is not None else ""
        facts.append(f"{row.phase.position}/{row.phase.count} {safe(row.phase.name)}{share}")
    if row.rates is not None and row.run.requests:
        facts.append(per_second(row.rates.requests, "requests"))
        if row.run.items:
            facts.append(per_second(row.rates.items, "items"))
    return ", ".join(facts)


def _trouble_text(row: RunRow, *, errors: bool) -> str:
    """Return what went wrong in numbers: errors recorded, requests failed, requests throttled."""
    facts: list[str] = []
    if row.run.errors and errors:
        last = f", last {safe(row.last_error.error_type)}" if row.last_error else ""
        facts.append(f"{count(row.run.errors)} recorded{last}")
    if row.run.failed_requests:
        facts.append(f"{count(row.run.failed_requests)} of {count(row.run.requests)} requests failed")
    if row.run.throttled_requests:
        facts.append(f"{count(row.run.throttled_requests)} throttled")
    return "; ".join(facts)


def origin_text(row: RunRow) -> str:
    """Return where a run comes from: `06ABC… by etl@etl-03, pid 4121, code 7f3a…, python sync.py`."""
    run = row.run
    facts = (
        f"{run.id} by {run.user}@{run.host}" if run.host else run.id,
        f"pid {run.pid}" if run.pid else "",
        f"code {run.code_version}" if run.code_version else "",
        run.command,
    )
    return safe(", ".join(filter(None, facts)))


NAME_CELLS: Final = 40
BRIEF_NAME_CELLS: Final = 18
"""Cells of a job's name on line 2, so that what is the matter with it stays beside it."""

PROOFS: Final = 2
"""Runs whose evidence is shown."""


# -- line 1, line 2


def job_parts(counts: JobCounts) -> list[Part]:
    """Return the counts of line 1: what is overdue, what has trouble, what is well."""
    parts: list[Part] = [Part((("jobs", "text bold"),), 1)]
    for number, word, tone, priority, states in (
        (counts.overdue, "overdue", "amber", 0, "overdue"),
        (counts.trouble, "with trouble", "amber", 0, ",".join(("lost", "failed", *BEHIND, *FLAWED))),
        (counts.well, "ok", "text", 2, "ok"),
        (counts.given_up, "over", "dim", 6, "over"),
    ):
        if number:
            parts.append(Part(((f"{count(number)} {word}", tone),), priority, filter=f"state:{states}"))
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
        phrase: list[Span] = [(" Nothing is overdue. " if not brief else " ", "text")]
        for index, row in enumerate(trouble[:3]):
            phrase += [(", ", "text")] if index else []
            phrase += [(clip(safe(row.job), cells), "text bold"), (f" {safe(row.trouble)}", "text")]
        more = f"; {count(len(trouble) - 3)} more" if len(trouble) > 3 else ""
        return (*phrase, (f"{more}.", "text"))
    if not rows:
        return ((" No jobs yet.", "dim"),)
    coming = [row for row in rows if row.expected is not None and row.expected.at > context.now and row.live is None]
    if not coming:
        return ((" Nothing needs you.", "dim"),)
    first = min(coming, key=lambda row: row.expected.at if row.expected else context.now)
    at = day_text(first.expected.at if first.expected else None, context)
    return ((f" Nothing needs you. Next is {clip(safe(first.job), cells)}, {at}.", "dim"),)


def late_text(row: JobRow, context: DisplayContext, brief: bool) -> str:
    """Return since when a job has not begun and how sure that is."""
    expected = row.expected
    if expected is None or row.overdue_s is None:
        return "has not begun."
    if brief:
        return f"has not begun: due {clock(expected.at, context.zone)}, {late_by(row.overdue_s)} overdue."
    hour = expected.at.astimezone(context.zone).hour
    turns = "times" if not expected.daily else "nights" if hour < 6 or hour >= 22 else "days"
    within = f"{expected.hits} of {expected.of} {turns} within {span(expected.tolerance_s)}"
    at = _moment_zoned(expected.at, context)
    return f"has not begun: expected at {at} ({within}), now {late_by(row.overdue_s)} overdue."


def _moment_zoned(when: datetime, context: DisplayContext) -> str:
    """Write a moment with the name of its zone: `02:00 CET`, `Sun 02:00 CET`."""
    zone_name = when.astimezone(context.zone).tzname()
    return f"{moment(when, context.now, context.zone)} {zone_name}"


# -- the pane


def job_title(row: JobRow, context: DisplayContext) -> Spans:
    """Return state and job, for the rule above the pane."""
    state = row.trouble or (row.live.state if row.live else "")
    name = (safe(row.job), "text bold")
    if not state:
        return (name,)
    late = f" {late_by(row.overdue_s)}" if row.overdue_s is not None else ""
    word = f"{context.glyphs.state(state)} {safe(state)}{late}"
    return ((word, f"{urgent_role_of(state)} bold"), ("  ", "plain"), name)


def job_pane(row: JobRow, context: DisplayContext, *, width: int = 10_000) -> list[Spans]:
    """Return the lines of the pane, most important first; a reason wider than `width` goes on in a second line."""
    lines: list[Spans] = []
    expected = expected_text(row, context)
    if row.overdue_s is not None:
        lines += wrapped_lines("expected", expected, width)
    proven = [run for run in row.runs if run.evidence]
    proven.sort(key=lambda run: RANKS.get(run.state, 99))
    for run in proven[:PROOFS]:
        since = f" since {moment(run.state_since, context.now, context.zone)}" if run.state_since is not None else ""
        lines += wrapped_lines("because", safe(f"{run.state}{since}: {run.evidence}"), width)
    if row.last is not None:
        lines.append(labelled("last", last_run_text(row, row.last, context)))
    if row.overdue_s is None and expected:
        lines += wrapped_lines("next", expected, width)
    if row.drifting:
        trend = f"the last ten completed runs took {change(row.trend)} of what the ones before took"
        lines.append(labelled("trend", context.glyphs.text(trend)))
    return lines


def expected_text(row: JobRow, context: DisplayContext) -> str:
    """Return when a job is expected and why; '' without a rhythm."""
    if row.given_up_since is not None:
        since = _moment_zoned(row.given_up_since, context)
        return f"not since {since}, when it missed its turn: it is no longer expected"
    expected = row.expected
    if expected is None:
        return ""
    began = f"within {span(expected.tolerance_s)} of it"
    if expected.every_s is not None:
        began = f"{span(expected.every_s)} after the one before, give or take {span(expected.tolerance_s)}"
    return f"{_moment_zoned(expected.at, context)}: {expected.hits} of its last {expected.of} began {began}"


def last_run_text(row: JobRow, run: Run, context: DisplayContext) -> str:
    """Return when a run began, how it went and where: `Sun 02:00, completed in 12m (usual 12m), from etl-02`."""
    usual = row.baseline.duration_s.usual
    compared = f" (usual {span(usual)})" if usual is not None else ""
    lasted = run.duration_s
    how = f"{safe(run.state)} {'in' if run.status == RunStatus.COMPLETED else 'after'}"
    if run.state == "lost":
        lasted = ((run.heartbeat_at or run.started_at) - run.started_at).total_seconds()
    elif run.status == RunStatus.RUNNING:
        how = "running for"
    where = f", from {safe(run.host)}" if run.host else ""
    return f"{moment(run.started_at, context.now, context.zone)}, {how} {span(lasted)}{compared}{where}"


def kinds_spans(kinds: Sequence[ErrorKind], errors: int, context: DisplayContext) -> Spans:
    """Return which of a run's newest errors are new: `14 × ReadTimeout in load, known: in 9 runs since Tue 02:10`.

    () without kinds; `errors` is how many the run has in all.
    """
    in_kinds = sum(kind.errors for kind in kinds)
    spans: list[Span] = []
    if 0 < in_kinds < errors:
        spans.append((f"{count(errors)} recorded; of the last {count(in_kinds)}: ", "text"))
    for place, kind in enumerate(kinds):
        since = moment(kind.seen_since, context.now, context.zone)
        where = f" in {safe(kind.phase)}" if kind.phase else ""
        spans.append((f"{'; ' if place else ''}{count(kind.errors)} × {safe(kind.error_type)}{where}, ", "text"))
        seen = " since" if kind.new else f"known: in {runs_text(kind)} since"
        spans += [("new" if kind.new else "", "red bold"), (f"{seen} {since}", "text")]
    return merge((context.glyphs.text(text), role) for text, role in spans)


def kinds_headline(kinds: Sequence[ErrorKind], context: DisplayContext, *, brief: bool) -> Spans:
    """Return line 2: how many kinds there are, how many of them are new, and which is the newest new one."""
    if not kinds:
        return ((" No errors were recorded in this time.", "dim"),)
    new = [kind for kind in kinds if kind.new and not kind.mended]
    total = sum(kind.errors for kind in kinds)
    number = number_text(total, cut=any(kind.cut for kind in kinds))
    phrase = f" {number_of(total, 'error', number)} of {number_of(len(kinds), 'kind')}; "
    if not new:
        resolved = any(kind.new for kind in kinds)
        return ((phrase + ("the new ones are resolved." if resolved else "none of them is new."), "text"),)
    first = max(new, key=lambda kind: kind.last_at)
    where = f"{safe(first.error_type)} in {safe(first.job)}"
    if not brief:
        where = f"{safe(first.error_type)} in {clip(safe(first.job), NAME_CELLS)}"
        where += f" since {clock(first.seen_since, context.zone)}, {success_text(first, context)}"
    return ((phrase, "text"), (f"{count(len(new))} new", "red bold"), (f": {where}.", "text"))


def kind_title(kind: ErrorKind, context: DisplayContext) -> Spans:
    """Return kind, job and run, for the rule above the pane."""
    return (
        (f"{context.glyphs.state('failed')} {safe(kind.error_type)}", "dim" if kind.mended else "red bold"),
        ("  ", "plain"),
        (safe(kind.job), "text bold"),
        (f" {short_id(format_run_id(kind.run_id))}", "dim"),
    )


def kind_pane(kind: ErrorKind, context: DisplayContext, *, width: int = 10_000) -> list[Spans]:
    """Return the lines of the pane, most important first."""
    return [
        *wrapped_lines("message", safe(last_line(kind.message)), width),
        labelled("known?", f"{known_text(kind, context)}; {success_text(kind, context)}"),
        labelled("last", f"{moment(kind.last_at, context.now, context.zone)} in run {format_run_id(kind.run_id)}"),
    ]
