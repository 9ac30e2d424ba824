"""By what kinds of errors are ordered and looked for: the declarations that their list goes by."""

from __future__ import annotations

from typing import Final

from etlwatch.analysis.errors import ErrorKind
from etlwatch.analysis.list_filter import Vocabulary
from etlwatch.analysis.verdict import last_line
from etlwatch.fields.ordering import Ordering
from etlwatch.fields.runs import Pen
from etlwatch.text.columns import Column, widened
from etlwatch.text.numbers import count, moment
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans

__all__ = ["KINDS", "KIND_WORDS", "counted", "kind_cells", "kind_columns", "known_words", "runs_words", "success_words"]

KINDS: Final[Ordering[ErrorKind]] = Ordering(
    by_need=lambda kind: (kind.mended, not kind.new, -kind.last_at.timestamp(), kind.key),
    keys={
        "count": (lambda kind: kind.errors, True),
        "runs": (lambda kind: kind.all_runs, True),
        "last": (lambda kind: kind.last_at.timestamp(), True),
        "job": (lambda kind: kind.job.casefold() or None, False),
        "phase": (lambda kind: kind.phase.casefold() if kind.phase else None, False),
        "kind": (lambda kind: kind.error_type.casefold(), False),
        "message": (lambda kind: kind.message.casefold(), False),
        "known": (lambda kind: kind.seen_since.timestamp(), True),
    },
)
"""By need: new ones, those not mended, then the newest first."""


def _states_of(kind: ErrorKind) -> frozenset[str]:
    return frozenset({"new" if kind.new else "known", "mended" if kind.mended else "open"})


KIND_WORDS: Final[Vocabulary[ErrorKind]] = Vocabulary(
    thing="an error",
    words=lambda kind: (kind.error_type, kind.message, kind.job, kind.phase or ""),
    fields={"job": lambda kind: kind.job, "phase": lambda kind: kind.phase or "", "kind": lambda kind: kind.error_type},
    states=("new", "known", "open", "mended"),
    states_of=_states_of,
)
"""`timeout job:crm* state:new,open`."""


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
