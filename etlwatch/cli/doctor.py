"""`etlwatch doctor`: the promises that are safe to try, tried against the store that is meant."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from etlwatch.cli import connect, output
from etlwatch.cli.faults import Exit, StoreCannotAnswer, strike_out
from etlwatch.cli.options import format_option
from etlwatch.cli.output import Format, Shape
from etlwatch.cli.table import Column, table
from etlwatch.cli.terminal import Look, Tone, is_terminal
from tracking_core.config import StoreLocation
from tracking_core.dataclass import asdict

if TYPE_CHECKING:
    from etlwatch.doctor.findings import Finding

FIELDS = ("check", "promise", "verdict", "figure", "value", "unit", "detail")
_TONES: dict[str, Tone] = {"ok": "dim", "warning": "amber", "failed": "red"}


@click.command(epilog="Exit status: 0 all is well, 1 something was found, 2 wrong usage, 3 the store cannot answer.")
@connect.store_option
@click.option("--read-only", is_flag=True, help="Only what writes nothing, neither to the store nor to the spool.")
@format_option
def doctor(read_only: bool, form: Format) -> int:
    """Try what jobs rely on, against your own store and pooler.

    It writes a few probes, runs of the job etlwatch-doctor, reads them back and removes them by their own ids; nothing
    of them stays, in no figure either. What a store that is away does to a job is tried against peers of its own.
    """
    from etlwatch.doctor.examination import examine
    from etlwatch.doctor.patient import Patient

    patient = Patient(location=connect.location(), read_only=read_only)
    place = patient.location
    findings: list[Finding] = []
    shapes = _watched(examine(patient, begins=_say_what_is_tried), findings, place)
    if form is Format.TABLE:
        rows = list(shapes)
        output.write_table(lambda look: _lines(place, rows, look))
    else:
        output.write_rows(form, shapes, fields=FIELDS)
    store = next(finding for finding in findings if finding.check == "store")
    if store.result.verdict == "failed":
        raise StoreCannotAnswer(strike_out(store.result.figure, place))
    return Exit.NOT_FOUND if any(finding.is_trouble for finding in findings) else Exit.DONE


def _watched(found: Iterator[Finding], kept: list[Finding], place: StoreLocation) -> Iterator[Shape]:
    try:
        for finding in found:
            kept.append(finding)
            yield finding_shape(finding, place)
    finally:
        _clear_line()
        # Also when whoever reads stdout has gone: the probes have not.
        close = getattr(found, "close", None)
        if close is not None:
            close()


def finding_shape(finding: Finding, place: StoreLocation) -> Shape:
    """Return a finding as data, without the passwords that the place holds."""
    shape = {"check": finding.check, "promise": finding.promise, **asdict(finding.result)}
    shape["verdict"] = str(finding.result.verdict)
    for key in ("figure", "detail"):
        shape[key] = strike_out(str(shape[key]), place)
    return {name: shape[name] for name in FIELDS}


def _lines(place: StoreLocation, rows: Sequence[Shape], look: Look) -> Iterator[str]:
    yield look.shown(place.label)
    columns: list[Column[Shape]] = [
        Column(heading="check", full=lambda row: str(row["check"])),
        Column(heading="verdict", full=lambda row: str(row["verdict"]), tone=lambda row: _tone(row)),
        Column(heading="figure", full=lambda row: str(row["figure"]), shrinks_to=20),
    ]
    yield from table(columns, rows, look)
    for row in rows:
        if row["verdict"] in ("warning", "failed"):
            yield ""
            yield from _remark(row, look)
    counts = Counter(str(row["verdict"]) for row in rows)
    yield ""
    yield ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def _remark(row: Shape, look: Look) -> Iterator[str]:
    said = ": ".join(str(row[key]) for key in ("figure", "detail") if row[key])
    text = look.shown(f"{row['check']}: {said}")
    yield from [text] if look.width is None else textwrap.wrap(text, look.width, subsequent_indent="  ")


def _tone(row: Shape) -> Tone:
    return _TONES.get(str(row["verdict"]), "")


def _say_what_is_tried(name: str) -> None:
    if is_terminal(sys.stderr):
        sys.stderr.write(f"\r\x1b[Ktrying {name}")
        sys.stderr.flush()


def _clear_line() -> None:
    if is_terminal(sys.stderr):
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
