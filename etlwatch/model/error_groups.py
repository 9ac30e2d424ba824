"""Errors by fingerprint over all runs: how often, in how many runs, since when, new or known, and mended or not.

Owns what follows from a store's groups of errors and its words. Refuses to own the questions (`etlwatch.gather_errors`)
and the grouping of one run's records (`etlwatch.model.run_errors`). Every text from the store passes `safe` here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from etlwatch.model.columns import Column, widened
from etlwatch.model.numbers import clock, count, moment
from etlwatch.model.pane import labelled, short_id
from etlwatch.model.run_cells import Pen
from etlwatch.model.spans import Span, Spans
from etlwatch.model.verdict import last_line
from etlwatch.text import clip, safe
from tracking_core.dataclass import dataclass
from tracking_core.identity import format_run_id
from tracking_core.records import ErrorGroup, ErrorRecord, Run

__all__ = [
    "KINDS_80", "KINDS_120", "KINDS_160", "ErrorKind", "groups_of_run", "kind_cells", "kind_columns", "kind_of",
    "kind_pane", "kind_title", "kinds_headline", "kinds_spans", "known_words", "runs_words", "success_words",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """All errors of one job and fingerprint, as seen from a stretch of time or from one run."""

    fingerprint: str
    error_type: str
    message: str
    """Of the newest one, as are phase, job and run_id."""

    phase: str | None
    job: str
    """'' when its run was removed."""

    run_id: int
    run: Run | None = None
    """The run of the newest one; None when it was removed."""

    errors: int
    """Within the stretch or the run."""

    cut: bool = False
    """Whether these are more than were counted."""

    first_at: datetime
    last_at: datetime
    all_errors: int
    """Whenever they happened, as are the next two."""

    all_runs: int
    all_cut: bool = False
    """Whether both are more than were counted."""

    seen_since: datetime
    new: bool
    """Whether no run before the newest one had it."""

    succeeded: str = ""
    """Which phase of its job is held against it: its own, '' for the whole job where phases tell nothing."""

    succeeded_at: datetime | None = None
    """When that last completed; None when it has not among the job's last runs."""

    @property
    def key(self) -> tuple[str, str]:
        """Job and fingerprint: what makes a kind."""
        return self.job, self.fingerprint

    @property
    def mended(self) -> bool:
        """Whether that has completed since."""
        return self.succeeded_at is not None and self.succeeded_at > self.last_at


def kind_of(
    seen: ErrorGroup,
    always: ErrorGroup | None,
    run: Run | None,
    *,
    succeeded: str = "",
    succeeded_at: datetime | None = None,
) -> ErrorKind:
    """Return a kind from its group in a stretch of time, its group over all time, and the run of its newest error."""
    whole = always or seen
    return ErrorKind(
        fingerprint=seen.fingerprint,
        error_type=seen.error_type,
        message=seen.message,
        phase=seen.phase,
        job=seen.job,
        run_id=seen.run_id,
        run=run,
        errors=seen.errors,
        cut=seen.cut,
        first_at=seen.first_at,
        last_at=seen.last_at,
        all_errors=max(whole.errors, seen.errors),
        all_runs=max(whole.runs, seen.runs),
        all_cut=whole.cut,
        seen_since=whole.first_at,
        new=(whole.runs == 1 and not whole.cut) or (run is not None and whole.first_at >= run.started_at),
        succeeded=succeeded,
        succeeded_at=succeeded_at,
    )


def groups_of_run(run: Run, errors: Iterable[ErrorRecord]) -> list[ErrorGroup]:
    """Return the errors of one run by kind, the newest kind first."""
    kinds: dict[str, list[ErrorRecord]] = {}
    for error in errors:
        kinds.setdefault(error.fingerprint, []).append(error)
    groups = []
    for fingerprint, members in kinds.items():
        newest = max(members, key=lambda error: error.at)
        groups.append(
            ErrorGroup(
                job=run.job,
                fingerprint=fingerprint,
                errors=len(members),
                runs=1,
                first_at=min(error.at for error in members),
                last_at=newest.at,
                run_id=run.run_id,
                phase=newest.phase,
                error_type=newest.error_type,
                message=newest.message,
            )
        )
    return sorted(groups, key=lambda group: group.last_at, reverse=True)


# -- words


def known_words(kind: ErrorKind, pen: Pen) -> str:
    """Say whether a kind is new: `new in this run; first seen 03:01`, `known: 14× in 9 runs since Tue 02:10`."""
    since = moment(kind.seen_since, pen.now, pen.zone)
    if kind.new and kind.all_runs == 1:
        return f"new in this run; first seen {since}"
    what = f"{counted(kind.all_errors, cut=kind.all_cut)}× in {runs_words(kind)} since {since}"
    return pen.glyphs.text(f"new: {what}" if kind.new else f"known: {what}")


def runs_words(kind: ErrorKind) -> str:
    """Say in how many runs a kind was seen: `1 run`, `9 runs`, `at least 9`: `9+ runs`."""
    one = kind.all_runs == 1 and not kind.all_cut
    return f"{counted(kind.all_runs, cut=kind.all_cut)} run{'' if one else 's'}"


def counted(number: int, *, cut: bool) -> str:
    """Return a number for people; where counting ended before the last one what it is at least: `48+`, `10k+`."""
    if not cut:
        return count(number)
    return f"{number // 1000}k+" if number >= 1000 else f"{number}+"


def kinds_spans(kinds: Sequence[ErrorKind], errors: int, pen: Pen) -> Spans:
    """Say which of a run's newest errors are new: `14 × ReadTimeout in load, known: in 9 runs since Tue 02:10`.

    () without kinds; `errors` is how many the run has in all.
    """
    told = sum(kind.errors for kind in kinds)
    spans: list[Span] = []
    if 0 < told < errors:
        spans.append((f"{count(errors)} recorded; of the last {count(told)}: ", "text"))
    for place, kind in enumerate(kinds):
        since = moment(kind.seen_since, pen.now, pen.zone)
        where = f" in {safe(kind.phase)}" if kind.phase else ""
        spans.append((f"{'; ' if place else ''}{count(kind.errors)} × {safe(kind.error_type)}{where}, ", "text"))
        new: tuple[Span, ...] = (("new", "red bold"), (f" since {since}", "text"))
        spans += new if kind.new else (((f"known: in {runs_words(kind)} since {since}", "text")),)
    return tuple((pen.glyphs.text(text), role) for text, role in spans)


def success_words(kind: ErrorKind, pen: Pen) -> str:
    """Say when what a kind stopped last completed: `load completed since, 03:05`, `load last completed Sun 22:40`."""
    what = safe(kind.succeeded) or "the job"
    if kind.succeeded_at is None:
        return f"{what} has not completed in {'its last runs' if not kind.succeeded else 'the last runs of its job'}"
    at = moment(kind.succeeded_at, pen.now, pen.zone)
    return f"{what} completed since, {at}" if kind.mended else f"{what} last completed {at}"


LEAST_MESSAGE: Final = 16
LEAST_MESSAGE_WIDE: Final = 30
"""Cells below which a message says nothing any more."""

NAME_CELLS: Final = 40
"""Cells of a job's name on line 2, so that what is said of the error stays beside it."""

KINDS_160: Final = (
    Column(key="count", header="count", width=6, align="right"),
    Column(key="runs", header="runs", width=5, align="right", gap=1),
    Column(key="last", header="last", width=9),
    Column(key="job", header="job", width=18, grow=1),
    Column(key="phase", header="phase", width=10, gap=1),
    Column(key="kind", header="kind", width=18),
    Column(key="message", header="message", width=38, gap=1, grow=3),
    Column(key="known", header="known?", width=37),
)
KINDS_120: Final = (
    Column(key="count", header="count", width=6, align="right"),
    Column(key="runs", header="runs", width=4, align="right", gap=1),
    Column(key="last", header="last", width=9),
    Column(key="job", header="job", width=18),
    Column(key="phase", header="phase", width=8, gap=1),
    Column(key="kind", header="kind", width=16),
    Column(key="message", header="message", width=38, gap=1, grow=3),
    Column(key="state", header="known?", width=6),
)
KINDS_80: Final = (
    Column(key="count", header="count", width=5, align="right"),
    Column(key="last", header="last", width=9),
    Column(key="job", header="job", width=17, gap=1),
    Column(key="kind", header="kind", width=14, gap=1),
    Column(key="message", header="message", width=19, gap=1, grow=1),
    Column(key="state", header="known?", width=6, gap=1),
    Column(key="margin", width=1, gap=0, sortable=False),
)


def kind_columns(width: int, *, longest_job: int = 0) -> tuple[Column, ...]:
    """Return the layout for a terminal of `width` cells; a name of up to `longest_job` takes what messages spare."""
    drawn = KINDS_160 if width >= 160 else KINDS_120 if width >= 120 else KINDS_80
    return widened(drawn, "job", longest_job, {"message": LEAST_MESSAGE if width < 120 else LEAST_MESSAGE_WIDE})


def kind_cells(kind: ErrorKind, pen: Pen) -> dict[str, Spans]:
    """Return all cells of a kind by column key."""
    ink = "dim" if kind.mended else "red"
    text = pen.glyphs.text
    state = "new" if kind.new else "known"
    state_role = f"{ink} bold" if kind.new and not kind.mended else "dim"
    return {
        "count": ((text(f"{counted(kind.errors, cut=kind.cut)}×"), "plain" if kind.mended else "text bold"),),
        "runs": ((counted(kind.all_runs, cut=kind.all_cut), "dim"),),
        "last": ((moment(kind.last_at, pen.now, pen.zone), "dim"),),
        "job": ((safe(kind.job) or text("–"), "plain"),),
        "phase": ((safe(kind.phase or ""), "dim"),),
        "kind": ((safe(kind.error_type), ink),),
        "message": ((safe(last_line(kind.message)), "plain"),),
        "state": ((state, state_role),),
        "known": (
            (("new", state_role), (known_words(kind, pen).removeprefix("new").replace(" in this run", "", 1), "dim"))
            if kind.new
            else ((known_words(kind, pen).replace("known: ", "known  "), "dim"),)
        ),
    }


def kinds_headline(kinds: Sequence[ErrorKind], pen: Pen, *, brief: bool) -> Spans:
    """Return line 2: how many kinds there are, how many of them are new, and which is the newest new one."""
    if not kinds:
        return ((" No errors were recorded in this time.", "dim"),)
    new = [kind for kind in kinds if kind.new and not kind.mended]
    total = sum(kind.errors for kind in kinds)
    kinds_word = f"{count(len(kinds))} kind{'' if len(kinds) == 1 else 's'}"
    said: Spans = (
        (
            f" {counted(total, cut=any(kind.cut for kind in kinds))} error{'' if total == 1 else 's'} of {kinds_word}",
            "text",
        ),
    )
    if not new:
        return (*said, ("; none of them is new.", "text"))
    first = max(new, key=lambda kind: kind.last_at)
    said = (*said, ("; ", "text"), (f"{count(len(new))} new", "red bold"))
    if brief:
        return (*said, (f": {safe(first.error_type)} in {safe(first.job)}.", "text"))
    at = clock(first.seen_since, pen.zone)
    job = clip(safe(first.job), NAME_CELLS)
    return (
        *said,
        (
            f": {safe(first.error_type)} in {job} since {at}, {success_words(first, pen)}.",
            "text",
        ),
    )


def kind_title(kind: ErrorKind, pen: Pen) -> Spans:
    """Return kind, job and run, for the rule above the pane."""
    glyph = pen.glyphs.state("failed")
    return (
        (f"{glyph} {safe(kind.error_type)}", "dim" if kind.mended else "red bold"),
        ("  ", "plain"),
        (safe(kind.job), "text bold"),
        (f" {short_id(format_run_id(kind.run_id))}", "dim"),
    )


def kind_pane(kind: ErrorKind, pen: Pen) -> list[Spans]:
    """Return the lines of the pane, most important first."""
    return [
        labelled("message", safe(last_line(kind.message))),
        labelled("known?", f"{known_words(kind, pen)}; {success_words(kind, pen)}"),
        labelled("last", f"{moment(kind.last_at, pen.now, pen.zone)} in run {format_run_id(kind.run_id)}"),
    ]
