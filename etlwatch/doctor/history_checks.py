"""Checks of what has gathered in the store: partitions, cells to be joined, runs that nobody ends, switches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from etlwatch.doctor.findings import Result, failed, ok, skipped, warning
from etlwatch.doctor.patient import Patient
from etlwatch.model.numbers import span, stamp
from tracking_core.clock import from_microseconds, to_microseconds
from tracking_core.config import enabled_by
from tracking_core.errors import StoreRefused
from tracking_core.identity import first_run_id_at, format_run_id, run_time_us
from tracking_core.records import Run, Switch
from tracking_core.store.examining import PROBE_JOB
from tracking_core.store.postgres.examiner import Strays

SOON = timedelta(weeks=8)
"""With less than this ahead it is time for `init`."""

STRAYS_COUNTED = 100_000
OVERDUE_COUNTED = 5_000
MANY_OVERDUE = 2_000
"""Cells of a quiet afternoon wait until somebody writes again; more than this nobody joins."""

LIVE_RUNS = 1_000
NAMED_RUNS = 3


def check_partitions(patient: Patient) -> Result:
    """Say how far ahead the weekly partitions reach."""
    with patient.postgres() as examiner:
        found = examiner.partitions()
    with patient.store().reader(patient.patience) as reader:
        now = reader.now()
    return judge_partitions(found, now)


def judge_partitions(found: Sequence[tuple[int, int]], now: datetime) -> Result:
    """Judge the run ids [from, to) that the weekly partitions take; a gap ends their reach."""
    here = first_run_id_at(to_microseconds(now))
    reach = _reach(found, here)
    if reach <= here:
        detail = "New requests go to a default partition, which no clean-up can drop: run `etlwatch init`."
        return failed("none for this week", detail, value=0.0, unit="days")
    until = from_microseconds(run_time_us(reach))
    ahead = until - now
    figure = f"reach {span(ahead.total_seconds())} ahead, to {until:%Y-%m-%d}"
    value = round(ahead / timedelta(days=1), 1)
    if ahead < SOON:
        return warning(figure, "`etlwatch init` makes them two years ahead.", value=value, unit="days")
    return ok(figure, value=value, unit="days")


def _reach(ranges: Sequence[tuple[int, int]], here: int) -> int:
    """Return the first run id from here on that no partition takes."""
    for first, after_last in sorted(ranges):
        if first <= here < after_last:
            here = after_last
    return here


def check_strays(patient: Patient) -> Result:
    """Say what lies in the default partition, where only runs with an absurd clock go."""
    try:
        with patient.postgres() as examiner:
            return judge_strays(examiner.strays(STRAYS_COUNTED))
    except StoreRefused:
        return skipped("this role may not look into it")


def judge_strays(strays: Strays) -> Result:
    """Judge the rows in the default partition."""
    rows = strays.requests
    if not rows:
        return ok("empty", value=0, unit="rows")
    more = "+" if rows >= STRAYS_COUNTED else ""
    newest = ""
    if strays.newest_run_id is not None:
        made = from_microseconds(run_time_us(strays.newest_run_id))
        newest = f" The newest, {format_run_id(strays.newest_run_id)}, says it began {made:%Y-%m-%d}."
    detail = f"The clocks of these runs' machines were absurd; a clean-up removes them by rows.{newest}"
    return warning(f"{rows:,}{more} rows", detail, value=rows, unit="rows")


def check_throughput(patient: Patient) -> Result:
    """Say how many cells of all runs are narrower than their age allows."""
    with patient.store().reader(patient.patience) as reader:
        now_s = to_microseconds(reader.now()) // 1_000_000
    with patient.examiner() as examiner:
        return judge_overdue(examiner.overdue_cells(now_s, OVERDUE_COUNTED))


def judge_overdue(cells: int) -> Result:
    """Judge how many cells wait to be joined into wider ones."""
    more = "+" if cells >= OVERDUE_COUNTED else ""
    figure = f"{cells:,}{more} cells wait to be joined" if cells else "nothing waits to be joined"
    if cells > MANY_OVERDUE:
        detail = "Long charts of all runs read more than they need to, until jobs write batches again."
        return warning(figure, detail, value=cells, unit="cells")
    return ok(figure, value=cells, unit="cells")


def check_lost_runs(patient: Patient) -> Result:
    """Name the runs that went silent and that nobody has closed."""
    with patient.store().reader(patient.patience) as reader:
        now, live = reader.now(), reader.live_runs(LIVE_RUNS)
    return judge_lost([run for run in live if run.job != PROBE_JOB], now)


def judge_lost(live: Sequence[Run], now: datetime) -> Result:
    """Judge the runs whose stored status is running."""
    lost = [run for run in live if run.state == "lost"]
    figure = f"{len(lost):,} of {len(live):,} running" if live else "no run is live"
    if not lost:
        return ok(figure, value=0, unit="runs")
    oldest = min(run.state_since or run.started_at for run in lost)
    named = ", ".join(f"{run.id} ({run.job})" for run in lost[:NAMED_RUNS])
    more = f" and {len(lost) - NAMED_RUNS} more" if len(lost) > NAMED_RUNS else ""
    silent = span((now - oldest).total_seconds())
    detail = f"Silent for up to {silent}: {named}{more}. `etlwatch close RUN` ends what is dead."
    return warning(figure, detail, value=len(lost), unit="runs")


def check_switch(patient: Patient) -> Result:
    """Say whether jobs record."""
    with patient.store().reader(patient.patience) as reader:
        off = [switch for switch in reader.switches() if not switch.enabled]
    if any(switch.job in ("", PROBE_JOB) for switch in off):
        patient.no_probe = patient.no_probe or "tracking is switched off"
    return judge_switches(off, here=enabled_by(patient.environ))


def judge_switches(off: Sequence[Switch], *, here: bool) -> Result:
    """Judge the switches that are off; `here`: whether this environment lets jobs record."""
    if not here:
        return warning("off in this environment", "TRACKING_ENABLED lets no job record that is started from here.")
    if not off:
        return ok("on")
    switch = min(off, key=lambda each: (each.job != "", each.changed_at))
    whom = f"{len(off)} job{'s' if len(off) > 1 else ''}" if switch.job else "all jobs"
    why = f": {switch.reason}" if switch.reason else ""
    name = f" {switch.job}" if switch.job else ""
    turned = f"Turned off{name} by {switch.changed_by}, {stamp(switch.changed_at)}{why}."
    detail = f"{turned} `etlwatch tracking on` lets them record."
    return warning(f"off for {whom}", detail)


def check_settings(patient: Patient) -> Result:
    """Say how a job that is started from here would deliver, and whether its environment can be understood."""
    from tracking_core.config import settings

    # The tracker's own defaults; the environment overrules them.
    found = settings(
        delivery="immediate", overload="aggregate", deadline=5.0, heartbeat_interval=10.0, environ=patient.environ
    )
    patient.deadline = found.deadline
    forced = (
        " by the environment" if patient.environ.get("TRACKING_DELIVERY", "").strip() else " unless it says otherwise"
    )
    return ok(f"{found.delivery}{forced}, deadline {found.deadline:g} s", value=found.deadline, unit="s")
