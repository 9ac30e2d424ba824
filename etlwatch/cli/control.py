"""`etlwatch init`, `tracking` and `close`: create the tables, turn tracking on and off, close a lost run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from etlwatch.cli import connect, output
from etlwatch.cli.connect import RUN_FORMS, find_run
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import Format, format_option, require_permission, store_option, write_option
from etlwatch.cli.terminal import is_terminal, report
from etlwatch.fields.field import FieldList, InCommand, data_field
from etlwatch.text.numbers import number_of
from tracking_core.config import enabled_by
from tracking_core.errors import StoreForbidden
from tracking_core.identity import host_name, user_name
from tracking_core.records import Switch

LIVE_COUNTED = 1_000


def actor() -> str:
    """Return who does this, for the audit: user@host."""
    return f"{user_name()}@{host_name()}"


@click.command()
@store_option
@click.option("--sql", is_flag=True, help="Only print the SQL, for an administrator to read or to run.")
@click.option("--grants", metavar="ROLE", help="Only print the SQL that lets a role use tables of another one.")
def init(sql: bool, grants: str | None) -> None:
    """Create the store's tables, or upgrade them.

    Doing it again changes nothing, and no other command changes the schema. A SQLite store makes itself when a job
    first writes.
    """
    with connect.store() as store:
        if sql:
            output.write_lines(store.migration_sql().rstrip().split("\n"))
            return
        if grants:
            if store.kind != "postgres":
                raise click.UsageError(f"--grants is for PostgreSQL; {store.label} is a file")
            from tracking_core.store.postgres.store import grants as grants_to

            output.write_lines(grants_to(grants).rstrip().split("\n"))
            return
        try:
            applied = store.initialize()
        except StoreForbidden as error:
            output.write_lines(error.grants.rstrip().split("\n"))
            raise
        report(
            f"{store.label}: applied {', '.join(applied)}" if applied else f"{store.label}: up to date, nothing to do"
        )


@click.group(invoke_without_command=True)
@store_option
@format_option
@click.pass_context
def tracking(context: click.Context, form: Format) -> None:
    """Show whether jobs record, or turn it on or off.

    Alone it shows the switches. They are shared by all jobs that use the store; runs recorded already stay live and can
    end while they are off.
    """
    if context.invoked_subcommand is None:
        context.invoke(status, job=None, form=form)


@tracking.command()
@store_option
@click.option("--job", "-j", metavar="JOB", help="Only what concerns this job.")
@format_option
def status(job: str | None, form: Format) -> None:
    """Show the switches of all jobs and of single jobs."""
    with connect.reader() as reader:
        switches = reader.switches()
    _print_switches(switches, job, form)
    if not enabled_by(os.environ):
        report("note: TRACKING_ENABLED is off in this shell; jobs started from it record nothing, whatever stands here")


def _turning(name: str, text: str, *, enabled: bool) -> None:
    @tracking.command(name, help=text)
    @store_option
    @write_option
    @click.option("--job", "-j", metavar="JOB", help="Only this job.")
    @click.option("--all", "every", is_flag=True, help="All jobs, without being asked.")
    @click.option("--reason", "-r", default="", metavar="TEXT", help="Why; kept with the change.")
    @format_option
    def turn(job: str | None, every: bool, reason: str, form: Format) -> None:
        if job is not None and every:
            raise click.UsageError("--job names one job: give it or --all, not both")
        _turn(job, reason, form, enabled=enabled, agreed=every or enabled)


_turning("on", "Let jobs record again.", enabled=True)
_turning("off", "Let a job, or all jobs, record nothing new.", enabled=False)


def _turn(job: str | None, reason: str, form: Format, *, enabled: bool, agreed: bool) -> None:
    if job is not None and not job.strip():
        raise click.BadParameter("a job has a name; leave --job out for all jobs", param_hint="'--job'")
    require_permission()
    if job is None and not enabled:
        _require_agreement(reason, agreed=agreed)
    with connect.administration() as admin:
        switch = admin.set_switch(enabled=enabled, job=job, actor=actor(), reason=reason)
    with connect.reader() as reader:
        switches = reader.switches()
        live = [run for run in reader.live_runs(LIVE_COUNTED) if job in (None, run.job)]
    _print_switches(switches, job, form)
    report(_switch_summary(switch, len(live)))


def _require_agreement(reason: str, *, agreed: bool) -> None:
    """Ask before all jobs are turned off; without a terminal --all and --reason are needed."""
    asked = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    if agreed and (asked or reason.strip()):
        return
    if not asked:
        raise click.UsageError("all jobs of this store would record nothing new: give --all and --reason, or --job")
    label = connect.location().label
    if not click.confirm(f"Let no job record anything new in {label}?", default=False, err=True):
        raise Unsuccessful("nothing was changed")


def _switch_summary(switch: Switch, live: int) -> str:
    whom = f"the job {switch.job}" if switch.job else "all jobs"
    phrase = f"tracking is {'on' if switch.enabled else 'off'} for {whom}, turned by {switch.changed_by}"
    if not live:
        return f"{phrase}; no live run is concerned"
    runs = number_of(live, "live run", f"{live:,}{'+' if live == LIVE_COUNTED else ''}")
    return f"{phrase}; {runs} {'may record again' if switch.enabled else 'can only end now'}"


def _print_switches(switches: Sequence[Switch], job: str | None, form: Format) -> None:
    rows = sorted((each for each in switches if job is None or each.job in ("", job)), key=lambda each: each.job)
    shown: list[Switch | None] = [*rows]
    if not any(switch.scope == "global" for switch in rows):
        shown.insert(0, None)
    output.write_list(form, SWITCHES, shown, datetime.now(UTC))


SWITCHES: FieldList[Switch | None] = FieldList([
    data_field("scope", lambda switch: switch.scope if switch else "global"),
    data_field(
        "job", lambda switch: switch.job if switch else "", heading="jobs",
        command=InCommand(text=lambda switch, _: (switch.job if switch else "") or "all", shrinks_to=8),
    ),
    data_field(
        "enabled", lambda switch: switch.enabled if switch else True, heading="tracking",
        command=InCommand(
            text=lambda switch, _: "on" if switch is None or switch.enabled else "off",
            tone=lambda switch: "" if switch is None or switch.enabled else "amber",
        ),
    ),
    data_field(
        "changed_at", lambda switch: switch.changed_at if switch else None, heading="since",
        command=InCommand(zoned=True),
    ),
    data_field(
        "changed_by", lambda switch: switch.changed_by if switch else None, heading="by",
        command=InCommand(shrinks_to=8),
    ),
    data_field(
        "reason", lambda switch: switch.reason if switch else None, heading="reason", command=InCommand(shrinks_to=8),
    ),
])  # fmt: skip
"""None stands for the switch of all jobs where it was never changed: it is on."""


@click.command(epilog=f"RUN is {RUN_FORMS}.")
@store_option
@write_option
@click.argument("run")
@click.option("--reason", "-r", default="", metavar="TEXT", help="Why; kept with the change.")
@click.option("--force", is_flag=True, help="Close it although it is not lost.")
def close(run: str, reason: str, force: bool) -> None:
    """Mark a lost RUN as abandoned.

    If its job is still running, the end that the job records later counts.
    """
    require_permission()
    with connect.reader() as reader:
        found = find_run(reader, run)
    if found.status != "running":
        raise Unsuccessful(f"run {found.id} is already {found.status}; nothing was changed")
    if found.state != "lost" and not force:
        raise Unsuccessful(f"run {found.id} is {found.state}, not lost; nothing was changed (--force closes it anyway)")
    with connect.administration() as admin:
        closed = admin.close_run(found.run_id, actor=actor(), reason=reason)
    if not closed:
        raise Unsuccessful(f"run {found.id} ended a moment ago; nothing was changed")
    report(f"run {found.id} of {found.job} is now abandoned, closed by {actor()}")
