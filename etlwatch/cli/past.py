"""`--at`: what a command tells of a past moment, as the dashboard shows it with `t`.

Contains the option and how runs and one run are found as they stood.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli.configuration import configured, configured_zone
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.terminal import say
from etlwatch.text.numbers import stamp
from tracking_core.records import Run, RunStatus

if TYPE_CHECKING:
    from etlwatch.analysis.snapshot import RunDetails
    from etlwatch.cli.runs import RunQuery
    from etlwatch.cli.show import RunDetail
    from tracking_core.store.base import Reader

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

RUNS_READ = 5_000
"""Runs among which those that a filter takes are looked for; as many as the dashboard lists."""

RUNS_BESIDE = 50
"""Runs read beside the one that is shown: their silence or life says something of its own."""


def at_option(command: Decorated) -> Decorated:
    """Let a command take `--at`; it arrives as text, since what it means depends on the store's clock."""
    return click.option(
        "--at", metavar="MOMENT", help="As it stood then: 02:41, yesterday 03:00, -1h30m, 2026-10-24 03:12."
    )(command)


def moment_of(reader: Reader, text: str) -> datetime:
    """Return the moment that a text means on the store's clock; BadParameter when it means none."""
    from etlwatch.text.moments import MomentError, parse_moment

    try:
        return parse_moment(text, now=reader.now(), zone=configured_zone())
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="'--at'") from None


def find_runs_as_of(reader: Reader, query: RunQuery, moment: datetime) -> list[Run]:
    """Return the runs that are asked for as they stood at a moment, newest first."""
    from etlwatch.reading.gather import Watch
    from etlwatch.reading.past import read_as_of

    limit = RUNS_READ if query.narrow or query.jobs else query.limit
    watch = Watch(limit=limit, columns=0, endpoints=bool(query.filter.endpoints))
    snapshot = read_as_of(reader, watch, moment, thresholds=configured().thresholds)
    oldest = query.oldest(moment)
    found = [
        run
        for run in snapshot.runs
        if (oldest is None or run.started_at >= oldest)
        and query.takes(run, moment, snapshot.endpoints.get(run.run_id, frozenset()))
    ]
    looked_at = min((run.started_at for run in snapshot.runs[:limit]), default=moment)
    if not snapshot.complete and len(found) < query.limit and (oldest is None or oldest < looked_at):
        say(f"only the newest {limit:,} runs begun by then, and the living ones, were looked through")
    living = sum(run.status == RunStatus.RUNNING for run in snapshot.runs)
    if snapshot.living is not None and living < snapshot.living:
        say(f"{living:,} of {snapshot.living:,} runs that lived then were looked through")
    return found[: query.limit]


def judged_as_of(reader: Reader, moment: datetime) -> dict[int, Run]:
    """Return the newest runs and the living ones as they stood at a moment, by id."""
    from etlwatch.reading.gather import Watch
    from etlwatch.reading.past import read_as_of

    snapshot = read_as_of(reader, Watch(columns=0), moment, thresholds=configured().thresholds)
    return {run.run_id: run for run in snapshot.runs}


def sides_as_of(reader: Reader, after: Run, before: Run | None, moment: datetime) -> tuple[RunDetails, RunDetails]:
    """Return two runs as they stood at a moment, `before` by default the last success of the job by then.

    Unsuccessful when one of them had not begun, or there was no success.
    """
    from etlwatch.analysis.snapshot import RunsBoard
    from etlwatch.reading.boards import AskedRuns
    from etlwatch.reading.gather import Watch
    from etlwatch.reading.past import read_as_of

    for run in filter(None, (after, before)):
        _require_begun(run, moment)
    board = AskedRuns(after=after.run_id, before=None if before is None else before.run_id)
    watch = Watch(limit=RUNS_BESIDE, columns=0, board=board)
    sides = read_as_of(reader, watch, moment, thresholds=configured().thresholds).board
    if not isinstance(sides, RunsBoard) or sides.before is None:
        raise Unsuccessful(f"no run of {after.job!r} completed before {after.id}: name another run to compare with")
    return sides.after, sides.before


def _require_begun(run: Run, moment: datetime) -> None:
    if run.started_at > moment:
        zone = configured_zone()
        raise Unsuccessful(f"run {run.id} began at {stamp(run.started_at, zone)}, after {stamp(moment, zone)}")


def detail_as_of(reader: Reader, run: Run, moment: datetime) -> RunDetail:
    """Return a run with all that is known of how it stood at a moment; Unsuccessful when it had not begun."""
    from etlwatch.cli.show import RunDetail
    from etlwatch.reading.gather import Watch
    from etlwatch.reading.health import read_past
    from etlwatch.reading.past import read_as_of
    from tracking_core import histogram

    _require_begun(run, moment)
    watch = Watch(limit=RUNS_BESIDE, columns=0, open_run=run.run_id)
    snapshot = read_as_of(reader, watch, moment, thresholds=configured().thresholds)
    details = snapshot.details
    if details is None or details.run is None:
        raise Unsuccessful(f"the run {run.id} was removed a moment ago")
    if details.unknown:
        left_out = "requests by endpoint and delivery are left out, since they are kept for whole runs only"
        say(f"as of {stamp(moment, configured_zone())}; {left_out}")
    return RunDetail(
        run=details.run,
        findings=snapshot.findings.get(run.run_id, ()),
        past=snapshot.pasts.get(run.job) or read_past(reader, run.job, completed_by=moment, in_full=False),
        now=moment,
        histogram=histogram.merge(cell.histogram for cell in details.series),
        phases=details.phases,
        endpoints=details.endpoints,
        source_counts=details.source_counts,
        errors=details.errors,
        ledger=details.ledger,
    )
