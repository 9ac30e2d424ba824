"""`etlwatch compare A [B]`: what changed between two runs, or since the last success of a job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.compare import Comparison, Difference, compare_runs
from etlwatch.cli import connect, output
from etlwatch.cli.connect import RUN_FORMS, find_run
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import Format, at_option, configured, format_option, store_option
from etlwatch.cli.output import table
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.differences import DIFFERENCES
from etlwatch.fields.runs import run_data
from etlwatch.reading.details import ERRORS_COMPARED, last_success, read_side
from etlwatch.reading.health import read_health_of_run
from etlwatch.rendering.compare import conclusion, run_text, same_text
from etlwatch.text.display import state_tone
from etlwatch.text.numbers import duration

if TYPE_CHECKING:
    from tracking_core.store.queries import Reader


def read_comparison(reader: Reader, word: str, other: str | None) -> tuple[Comparison, datetime]:
    """Return the comparison of the runs that are named, the second one by default the first one's last success.

    And the moment for which it holds.
    """
    with reader.one_view():
        now = reader.now()
        after = find_run(reader, word)
        before = find_run(reader, other) if other is not None else last_success(reader, after)
        if before is None:
            raise Unsuccessful(f"no run of {after.job!r} completed before {after.id}: name another run to compare with")
        if before.run_id == after.run_id:
            raise Unsuccessful(f"both are the run {after.id}: there is nothing to compare")
        thresholds = configured().thresholds
        health = [read_health_of_run(reader, run, now=now, thresholds=thresholds) for run in (after, before)]
        sides = [read_side(reader, each.runs[0]) for each in health]
        return compare_runs(*sides, now=now), now


def comparison_data(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as one object."""
    return {
        "after": run_data(comparison.after),
        "before": run_data(comparison.before),
        "difference_s": round(comparison.difference_s, 3),
        "so_far": comparison.so_far,
        "differences": difference_data(comparison),
    }


def comparison_lines(comparison: Comparison, look: Look, now: datetime, *, all_of_it: bool) -> Iterator[str]:
    """Yield a comparison for a person: both runs, the conclusion, what changed, what did not."""
    context = look.context(now)
    apart_s = (comparison.after.started_at - comparison.before.started_at).total_seconds()
    for name, run in (("before", comparison.before), ("after", comparison.after)):
        words = look.paint(look.shown(run_text(run, context)), state_tone(run.state))
        earlier = f", the earlier run by {duration(apart_s if name == 'before' else -apart_s)}"
        phrase = earlier if (apart_s > 0) == (name == "before") and apart_s else ""
        yield f"{look.paint(f'{name:<7}', 'dim')} {look.shown(run.job)}  {words}{phrase}"
    if comparison.before.job != comparison.after.job:
        yield look.paint(look.shown(f"the jobs differ: {comparison.before.job} and {comparison.after.job}"), "amber")
    yield look.paint(look.shown(conclusion(comparison, context)), "bold")
    yield ""
    listed: Sequence[Difference] = comparison.differences if all_of_it else comparison.changes
    if listed:
        yield from table(DIFFERENCES.columns(listed, context), listed, look)
    else:
        yield "nothing else differs"
    same = same_text(comparison)
    if same:
        yield ""
        yield look.paint(look.shown(same), "dim")


def difference_data(comparison: Comparison) -> list[dict[str, object]]:
    """Return the differences as JSON has them, with the runs."""
    runs = {"before_run_id": str(comparison.before.run_id), "after_run_id": str(comparison.after.run_id)}
    return [DIFFERENCES.data(each) | runs for each in comparison.differences]


@click.command(epilog=f"A and B are runs: {RUN_FORMS}.")
@store_option
@click.argument("run", metavar="A")
@click.argument("other", metavar="[B]", required=False)
@click.option("--all", "all_of_it", is_flag=True, help="Also what did not change; json, jsonl and csv always have it.")
@at_option
@format_option
def compare(run: str, other: str | None, all_of_it: bool, at: str | None, form: Format) -> None:
    """Say what changed between two runs, greatest share first.

    A is held against B, by default the last run of its job that completed before it: phases, endpoints, errors by kind,
    items, sources, and where the runs came from. A run that goes on is compared so far.
    """
    with connect.reader(at) as reader:
        comparison, now = read_comparison(reader, run, other)
    for each in (comparison.before, comparison.after):
        if each.errors > ERRORS_COMPARED:
            report(f"of {each.errors:,} errors of {each.id} the newest {ERRORS_COMPARED:,} were compared")
    if form is Format.TABLE:
        output.write_table(lambda look: comparison_lines(comparison, look, now, all_of_it=all_of_it))
    elif form is Format.JSON:
        output.write_object(form, comparison_data(comparison))
    else:
        keys = (*DIFFERENCES.keys, "before_run_id", "after_run_id")
        output.write_rows(form, difference_data(comparison), fields=keys)
