"""`etlwatch doctor`: runs the promises that are safe to test against the chosen store."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from etlwatch.cli import connect, output
from etlwatch.cli.faults import Exit, StoreCannotAnswer, strike_out
from etlwatch.cli.options import Format, format_option, store_option
from etlwatch.cli.output import Data, table
from etlwatch.cli.terminal import Look, is_terminal
from etlwatch.text.display import Tone
from etlwatch.text.spans import TextColumn
from tracking_core.config import StoreLocation

if TYPE_CHECKING:
    from etlwatch.doctor.checks import Check, Result

FIELDS = ("check", "promise", "verdict", "figure", "value", "unit", "detail")
_TONES: dict[str, Tone] = {"ok": "dim", "warning": "amber", "failed": "red"}


@click.command(epilog="Exit status: 0 no problem, 1 a warning or failure, 2 wrong usage, 3 the store cannot answer.")
@store_option
@click.option("--read-only", is_flag=True, help="Run only checks that write neither to the store nor to the spool.")
@format_option
def doctor(read_only: bool, form: Format) -> int:
    """Test what jobs rely on, against your own store and pooler.

    It writes a few probes, runs of the job etlwatch-doctor, reads them back and removes them by their ids; no row and
    no total of them remains. The effect of an unreachable store on a job is tested against local test servers.
    """
    from etlwatch.doctor import outage_checks, probe, store_checks
    from etlwatch.doctor.checks import Target, run_checks

    place = connect.location()
    results: dict[str, Result] = {}
    checks = (*store_checks.CHECKS, *probe.CHECKS, *outage_checks.CHECKS)
    found = run_checks(Target(location=place, read_only=read_only), checks, on_start=_show_progress)
    data = _rows(found, results, place)
    if form is Format.TABLE:
        rows = list(data)
        output.write_table(lambda look: _lines(place, rows, look))
    else:
        output.write_rows(form, data, fields=FIELDS)
    if results["store"].status == "failed":
        raise StoreCannotAnswer(strike_out(results["store"].figure, place))
    return Exit.NOT_FOUND if any(result.is_problem for result in results.values()) else Exit.DONE


def _rows(found: Generator[tuple[Check, Result]], results: dict[str, Result], place: StoreLocation) -> Iterator[Data]:
    """Yield results as data, without the passwords that the place holds, and collect them in `results`."""
    # Closed on every path: when the reader of stdout has gone, the probes must still be removed.
    with closing(found):
        try:
            for check, result in found:
                results[check.name] = result
                yield {
                    "check": check.name,
                    "promise": check.promise,
                    "verdict": str(result.status),
                    "figure": strike_out(result.figure, place),
                    "value": result.value,
                    "unit": result.unit,
                    "detail": strike_out(result.detail, place),
                }
        finally:
            _show_progress()


def _lines(place: StoreLocation, rows: Sequence[Data], look: Look) -> Iterator[str]:
    yield look.shown(place.label)
    columns: list[TextColumn[Data]] = [
        TextColumn(heading="check", full=lambda row: str(row["check"])),
        TextColumn(
            heading="verdict",
            full=lambda row: str(row["verdict"]),
            tone=lambda row: _TONES.get(str(row["verdict"]), ""),
        ),
        TextColumn(heading="figure", full=lambda row: str(row["figure"]), shrinks_to=20),
    ]
    yield from table(columns, rows, look)
    for row in rows:
        if row["verdict"] in ("warning", "failed"):
            yield ""
            yield from _detail(row, look)
    counts = Counter(str(row["verdict"]) for row in rows)
    yield ""
    yield ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def _detail(row: Data, look: Look) -> Iterator[str]:
    problem = ": ".join(str(row[key]) for key in ("figure", "detail") if row[key])
    text = look.shown(f"{row['check']}: {problem}")
    yield from [text] if look.width is None else textwrap.wrap(text, look.width, subsequent_indent="  ")


def _show_progress(name: str = "") -> None:
    """Name the check that runs on a terminal's line, or clear that line."""
    if is_terminal(sys.stderr):
        sys.stderr.write(f"\r\x1b[K{'checking ' if name else ''}{name}")
        sys.stderr.flush()
