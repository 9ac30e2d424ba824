"""The fields of single errors and of kinds of errors: one declaration each for the tables, orders, filters and JSON."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from etlwatch.analysis.run_rows import last_line
from etlwatch.fields.field import Field, FieldList, InCommand, data_field, data_fields, text
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import count, moment, number_of
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans
from tracking_core.dataclass import dataclass
from tracking_core.identity import format_run_id

if TYPE_CHECKING:
    from etlwatch.analysis.errors import ErrorKind, ErrorsOfKind
    from tracking_core.records import ErrorRecord

LEAST_MESSAGE: Final = (16, 30)
"""Cells that a message needs to be useful."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """An error, and the job of its run: '' when the run was removed meanwhile."""

    error: ErrorRecord
    job: str


ERRORS: Final[FieldList[ErrorRow]] = FieldList(
    [
        data_field("run_id", lambda row: str(row.error.run_id)),
        data_field(
            "id", lambda row: format_run_id(row.error.run_id),
            command=InCommand(heading="run", brief=lambda row, _: format_run_id(row.error.run_id)[-6:]),
        ),
        data_field("job", heading="job", command=InCommand(shrinks_to=12)),
        data_field("writer_id", lambda row: str(row.error.writer_id)),
        *data_fields("seq", "error"),
        data_field(
            "at", lambda row: row.error.at, heading="at",
            command=InCommand(
                zoned=True, brief=lambda row, context: moment(row.error.at, context.now, context.zone),
            ),
        ),
        data_field(
            "phase", lambda row: row.error.phase, heading="phase", command=InCommand(shrinks_to=6, leaves=1),
        ),
        data_field(
            "error_type", lambda row: row.error.error_type, heading="error",
            command=InCommand(tone=lambda _row: "red", shrinks_to=14),
        ),
        data_field("message", lambda row: row.error.message, heading="message", command=InCommand(shrinks_to=16)),
        *data_fields("traceback fingerprint", "error"),
    ],
    command="at id job phase error_type message",
)  # fmt: skip
"""Single errors."""


def known_text(kind: ErrorKind, context: DisplayContext) -> str:
    """Return whether a kind is new: `new in this run; first seen 03:01`, `known: 14× in 9 runs since Tue 02:10`."""
    since = moment(kind.seen_since, context.now, context.zone)
    if kind.new and kind.all_runs == 1:
        return f"new in this run; first seen {since}"
    seen = f"{number_text(kind.all_errors, cut=kind.all_cut)}× in {runs_text(kind)} since {since}"
    return context.glyphs.text(f"new: {seen}" if kind.new else f"known: {seen}")


def runs_text(kind: ErrorKind) -> str:
    """Return in how many runs a kind was seen: `1 run`, `9 runs`, `at least 9`: `9+ runs`."""
    return number_of(kind.all_runs, "run", number_text(kind.all_runs, cut=kind.all_cut))


def number_text(number: int, *, cut: bool) -> str:
    """Return a number for people; where counting ended before the last one what it is at least: `48+`, `10k+`."""
    if not cut:
        return count(number)
    return f"{number // 1000}k+" if number >= 1000 else f"{number}+"


def success_text(kind: ErrorKind, context: DisplayContext) -> str:
    """Return when what a kind stopped last completed: `load completed since, 03:05`, `load last completed Sun`."""
    what = safe(kind.succeeded) or "the job"
    if kind.succeeded_at is None:
        return f"{what} has not completed in {'its last runs' if not kind.succeeded else 'the last runs of its job'}"
    at = moment(kind.succeeded_at, context.now, context.zone)
    return f"{what} completed since, {at}" if kind.mended else f"{what} last completed {at}"


def short_type(error_type: str) -> str:
    """Return the type of an error without its modules: `psycopg.errors.UniqueViolation` is `UniqueViolation`."""
    return safe(error_type.rpartition(".")[2] or error_type)


def _role(kind: ErrorKind) -> str:
    return "dim" if kind.mended else "red"


def _new_role(kind: ErrorKind) -> str:
    return f"{_role(kind)} bold" if kind.new and not kind.mended else "dim"


def _count(kind: ErrorKind, context: DisplayContext) -> Spans:
    number = context.glyphs.text(f"{number_text(kind.errors, cut=kind.cut)}×")
    return text(number, "plain" if kind.mended else "text bold")


def _known(kind: ErrorKind, context: DisplayContext) -> Spans:
    known = known_text(kind, context)
    if kind.new:
        return (("new", _new_role(kind)), (known.removeprefix("new").replace(" in this run", "", 1), "dim"))
    return ((known.replace("known: ", "known  "), "dim"),)


KINDS: Final[FieldList[ErrorKind]] = FieldList(
    [
        data_field("fingerprint"),
        Field(
            key="kind", heading="kind", width=(14, 16, 18), gap=(1, 2), ascending=True,
            value=lambda kind: kind.error_type, cell=lambda kind, _: text(short_type(kind.error_type), _role(kind)),
            filter="kind", searched=True, data="error_type",
            command=InCommand(
                heading="error", text=lambda kind, _: kind.error_type, shrinks_to=12,
                tone=lambda kind: "dim" if kind.mended else "red",
            ),
        ),
        Field(
            key="message", heading="message", width=(19, 38), gap=1, grow=(1, 3), least=LEAST_MESSAGE,
            ascending=True, value=lambda kind: kind.message,
            cell=lambda kind, _: text(safe(last_line(kind.message))),
            searched=True, data="message", command=InCommand(text=lambda kind, _: kind.message, shrinks_to=16),
        ),
        Field(
            key="phase", heading="phase", width=(0, 8, 10), gap=1, ascending=True, value=lambda kind: kind.phase,
            cell=lambda kind, _: text(safe(kind.phase or ""), "dim"),
            filter="phase", searched=True, data="phase",
            command=InCommand(text=lambda kind, _: kind.phase or "", shrinks_to=6, leaves=3),
        ),
        Field(
            key="job", heading="job", width=(17, 18), gap=(1, 2), grow=(0, 0, 1), ascending=True,
            value=lambda kind: kind.job or None,
            cell=lambda kind, context: text(safe(kind.job) or context.glyphs.text("–")),
            filter="job", searched=True, data="job",
            command=InCommand(text=lambda kind, _: kind.job, shrinks_to=12),
        ),
        Field(
            key="count", heading="count", width=(5, 6), align="right", value=lambda kind: kind.errors, cell=_count,
            data="errors", command=InCommand(text=lambda kind, _: f"{kind.errors:,}{'+' if kind.cut else ''}×"),
        ),
        data_field("first_at"),
        Field(
            key="last", heading="last", width=9, value=lambda kind: kind.last_at,
            cell=lambda kind, context: text(moment(kind.last_at, context.now, context.zone), "dim"),
            data="last_at", command=InCommand(),
        ),
        data_field("seen_errors", lambda kind: kind.all_errors),
        Field(
            key="runs", heading="runs", width=(0, 4, 5), gap=1, align="right", value=lambda kind: kind.all_runs,
            cell=lambda kind, _: text(number_text(kind.all_runs, cut=kind.all_cut), "dim"), data="seen_runs",
        ),
        Field(
            key="known", heading="known?", width=(0, 0, 37), value=lambda kind: kind.seen_since, cell=_known,
            data="seen_since",
            command=InCommand(text=known_text, brief=lambda kind, _: "new" if kind.new else runs_text(kind)),
        ),
        data_field("more", lambda kind: kind.cut or kind.all_cut),
        Field(
            key="state", heading="known?", width=(6, 6, 0), gap=(1, 2),
            cell=lambda kind, _: text("new" if kind.new else "known", _new_role(kind)),
        ),
        *data_fields("new mended"),
        data_field(
            "succeeded_at", command=InCommand(heading="last success", text=success_text, shrinks_to=12, leaves=1),
        ),
        data_field("run_id", lambda kind: str(kind.run_id)),
        data_field("id", lambda kind: format_run_id(kind.run_id)),
    ],
    screen="count runs last job phase kind message known state",
    command="count last job phase kind message known succeeded_at",
    margin=(1, 0),
    need=lambda kind: (kind.mended, not kind.new, -kind.last_at.timestamp(), kind.key),
    states=("new", "known", "open", "mended"),
    states_of=lambda kind: ("new" if kind.new else "known", "mended" if kind.mended else "open"),
)  # fmt: skip
"""Kinds of errors. By need: new ones, those not mended, then the newest first."""


def _brief_known(each: ErrorsOfKind, context: DisplayContext, *, shortest: bool) -> Spans:
    """Return how often other runs had a kind, in brief; nothing while that was not read."""
    kind = each.kind
    if kind is None:
        return ()
    since = moment(kind.seen_since, context.now, context.zone)
    if kind.new:
        return (("new", "red bold"), (f" {since}" if shortest else f" since {since}", "dim"))
    return text(f"in {runs_text(kind)}" if shortest else f"{runs_text(kind)} since {since}", "dim")


def _known_in_run(each: ErrorsOfKind, context: DisplayContext) -> Spans:
    kind = each.kind
    if kind is None:
        return ()
    if kind.new:
        since = moment(kind.seen_since, context.now, context.zone)
        return (("new", "red bold"), (f" in this run; first seen {since}", "dim"))
    return text(known_text(kind, context).replace("known: ", "known  "), "dim")


GROUPS: Final[FieldList[ErrorsOfKind]] = FieldList(
    [
        Field(
            key="count", heading="count", width=5, align="right",
            cell=lambda each, context: text(context.glyphs.text(f"{count(each.group.errors)}×"), "text bold"),
        ),
        Field(
            key="first", heading="first", width=(0, 9),
            cell=lambda each, context: text(moment(each.group.first_at, context.now, context.zone), "dim"),
        ),
        Field(
            key="last", heading="last", width=9, gap=1,
            cell=lambda each, context: text(moment(each.newest.at, context.now, context.zone), "dim"),
        ),
        Field(
            key="kind", heading="kind", width=(13, 16, 18), gap=1,
            cell=lambda each, _: text(short_type(each.newest.error_type), "red"),
        ),
        Field(
            key="where", heading="where", width=(8, 10, 14), gap=(1, 1, 2),
            cell=lambda each, _: text(safe(each.newest.phase or ""), "text"),
        ),
        Field(
            key="message", heading="message", width=(20, 24, 40), gap=(1, 1, 2), grow=(1, 1, 3),
            cell=lambda each, _: text(safe(last_line(each.newest.message)), "text"),
        ),
        Field(key="known", heading="known?", width=(0, 0, 42), grow=1, cell=_known_in_run),
        Field(key="brief", heading="known?", width=(0, 24, 0), cell=partial(_brief_known, shortest=False)),
        Field(key="runs", heading="known?", width=(10, 0), gap=1, cell=partial(_brief_known, shortest=True)),
    ],
    screen="count first last kind where message known brief runs",
    layouts=(0, 110, 160),
)  # fmt: skip
"""Kinds of the errors of one run."""
