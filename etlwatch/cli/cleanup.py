"""`etlwatch cleanup`: what retention would remove, and its removal after a yes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from etlwatch.cli import connect, output
from etlwatch.cli.control import actor
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import (
    Format,
    format_option,
    parsed,
    require_permission,
    shown_zone,
    store_option,
    write_option,
)
from etlwatch.cli.output import table
from etlwatch.cli.terminal import Look, is_terminal, report
from etlwatch.fields.field import FieldList, InCommand, data_field, data_fields
from etlwatch.rendering.operations import weeks_left_text
from etlwatch.text.moments import parse_span
from etlwatch.text.numbers import bytes_, local_time, number_of, stamp
from tracking_core.records import CleanupJob, CleanupPlan

if TYPE_CHECKING:
    from tracking_core.store.administration import Administration


def parse_days(text: str) -> int:
    """Return the days of a span such as `30d`, `2w`, `0d`; ValueError for anything but whole days."""
    span = parse_span(text)
    if span % timedelta(days=1):
        raise ValueError(f"{text!r} is not a number of whole days, which clean-up works in: write 30d or 2w")
    return span.days


@click.command()
@store_option
@write_option
@click.option(
    "--older-than",
    "days",
    required=True,
    type=parsed("span", parse_days),
    help="How long ago a run must have ended, in whole days: 30d, 2w; 0d is every finished run.",
)
@click.option("--keep-last-success", is_flag=True, help="Keep each job's last success, however old it is.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", "-y", is_flag=True, help="Remove without asking.")
@format_option
def cleanup(days: int, keep_last_success: bool, dry_run: bool, yes: bool, form: Format) -> None:
    """Remove finished runs that ended long ago.

    All that belongs to them goes with them; a run that has not ended is never removed. Without --yes it shows what
    would go and asks for the number of runs.
    """
    if dry_run and yes:
        raise click.UsageError("--dry-run and --yes contradict each other")
    if not (dry_run or yes or is_terminal(sys.stdin)):
        raise click.UsageError("there is no terminal to ask on: add --dry-run to look, or --yes to remove")
    if not dry_run:
        require_permission()
    with connect.administration() as admin:
        plan = admin.plan_cleanup(days, keep_last_success=keep_last_success)
        if form is Format.TABLE:
            output.write_table(lambda look: _plan_lines(plan, look))
        removed = None
        if not dry_run and (plan.runs or plan.dropped_weeks):
            if plan.runs and not yes:
                _confirm(plan)
            removed = _remove(admin, plan)
        elif not dry_run:
            removed = 0
    if form is not Format.TABLE:
        _write_plan(plan, removed, form)


def _write_plan(plan: CleanupPlan, removed: int | None, form: Format) -> None:
    if form is Format.CSV:
        output.write_list(form, JOBS, plan.jobs, plan.cutoff)
    else:
        output.write_object(form, _plan_data(plan, removed))


def _plan_data(plan: CleanupPlan, removed: int | None) -> dict[str, object]:
    """Return a plan as JSON has it; `removed` counts the runs it removed, None where nothing was done."""
    return PLAN.data(plan) | {"removed": removed, "jobs": list(map(JOBS.data, plan.jobs))}


PLAN: FieldList[CleanupPlan] = FieldList(
    data_fields(
        "cutoff days runs requests errors kept_running keep_last_success last_successes dropped_weeks dropped_bytes "
        "cut_weeks waiting_requests"
    )
)
JOBS: FieldList[CleanupJob] = FieldList([
    data_field("job", heading="job", command=InCommand(shrinks_to=12)),
    *(data_field(name, heading=name, align="right", command=InCommand()) for name in ("runs", "requests", "errors")),
    data_field(
        "oldest", heading="oldest",
        command=InCommand(text=lambda row, context: local_time(row.oldest, context.zone), zoned=True, leaves=1),
    ),
])  # fmt: skip


def _plan_lines(plan: CleanupPlan, look: Look) -> Iterator[str]:
    ago = f"{number_of(plan.days, 'day')} ago" if plan.days else "now"
    yield f"Runs that ended before {look.shown(stamp(plan.cutoff, look.zone))}, {ago}"
    yield from table(JOBS.columns(plan.jobs, look.context(plan.cutoff)), plan.jobs, look)
    total = ", ".join(number_of(getattr(plan, f"{thing}s"), thing) for thing in ("run", "request", "error"))
    yield f"Together {total}" if plan.runs else "Nothing to remove"
    if plan.kept_running:
        yield f"Kept {number_of(plan.kept_running, 'run')} that began before then and did not end"
    if plan.keep_last_success and plan.last_successes:
        yield f"Kept {number_of(plan.last_successes, 'run')}: each job's last success"
    elif plan.last_successes:
        jobs = "a job" if plan.last_successes == 1 else f"{plan.last_successes:,} jobs"
        yield f"Among them the last success of {jobs}: --keep-last-success keeps it"
    if plan.dropped_weeks:
        yield f"Drops {number_of(plan.dropped_weeks, 'week')} of requests, {bytes_(plan.dropped_bytes)} on the disk"
    if plan.cut_weeks:
        yield f"Deletes from {number_of(plan.cut_weeks, 'week')} of requests in which others stay"
    if plan.waiting_requests:
        yield f"{number_of(plan.waiting_requests, 'request')} hidden from now on, removed once all of their week is old"


def _confirm(plan: CleanupPlan) -> None:
    sys.stderr.write(f"Type {plan.runs} to remove {number_of(plan.runs, 'run')}, there is no undo: ")
    sys.stderr.flush()
    typed = sys.stdin.readline()
    if not typed.endswith("\n"):
        report("")
    if typed.strip().replace(",", "") != str(plan.runs):
        raise Unsuccessful("not confirmed; nothing was removed")


def _remove(admin: Administration, plan: CleanupPlan) -> int:
    removed = 0
    cutoff, keeping = plan.cutoff, plan.keep_last_success
    try:
        for step in admin.cleanup(plan.days, actor=actor(), cutoff=cutoff, keep_last_success=keeping):
            removed += step
            if step and is_terminal(sys.stderr):
                sys.stderr.write(f"\r{removed:,} of {number_of(plan.runs, 'run')} removed")
                sys.stderr.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        report(f"interrupted: {number_of(removed, 'run')} removed, the rest stands")
        raise
    if is_terminal(sys.stderr):
        sys.stderr.write("\r")
    report(f"removed {number_of(removed, 'run')} that ended before {stamp(plan.cutoff, shown_zone())}")
    if plan.dropped_weeks:
        left = admin.plan_cleanup(plan.days, cutoff=cutoff, keep_last_success=keeping).dropped_weeks
        report(weeks_left_text(left) or f"dropped {number_of(plan.dropped_weeks, 'week')} of requests")
    return removed
