"""`etlwatch prove RUN|JOB`: whether what a completed run recorded reconciles, as an exit status for what comes next."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.completed import CHECKS, Check
from etlwatch.analysis.run_rows import last_line
from etlwatch.analysis.schedule import last_turn
from etlwatch.cli import connect, output
from etlwatch.cli.connect import RUN_FORMS, find_run, job_meant
from etlwatch.cli.faults import Exit
from etlwatch.cli.options import SPAN, Format, configured_zone, format_option, store_option
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.field import iso_time
from etlwatch.reading.completed import read_checks
from etlwatch.reading.jobs import read_histories
from etlwatch.text.display import Tone
from etlwatch.text.moments import MomentError, parse_moment
from etlwatch.text.numbers import duration, stamp
from tracking_core.dataclass import dataclass
from tracking_core.records import Run, RunStatus

if TYPE_CHECKING:
    from tracking_core.store.queries import Reader

POLL_S = 5.0
"""How often `--wait` reads the store."""

TONES: dict[str, Tone] = {"failed": "red", "ok": "", "not checked": "dim"}
KEYS = ("run_id", "check", "verdict", "required", "evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is proven of a run."""

    run: Run
    since: datetime | None
    """The run must have begun at this moment or later; None for any."""

    obstacle: str = ""
    """Why it was not checked at all; text from the store may be in it."""

    checks: tuple[Check, ...] = ()
    required: frozenset[str] = frozenset()

    @property
    def begun(self) -> bool:
        """Whether it is the run that is meant, and no earlier one."""
        return self.since is None or self.run.started_at >= self.since

    @property
    def proven(self) -> bool:
        """Whether every check passed, and every required one was made."""
        return not self.obstacle and not any(map(self.fails, self.checks))

    def fails(self, check: Check) -> bool:
        """Return whether a check keeps the run from being proven."""
        return check.verdict == "failed" or (check.verdict != "ok" and check.name in self.required)

    def evidence(self, check: Check) -> str:
        """Return what failed, what was compared, or that a check was required and had nothing to compare."""
        missing = "required, and nothing is stored to compare" if self.fails(check) else ""
        return "; ".join(check.failures) or check.compared or missing


def prove_run(
    reader: Reader,
    word: str,
    *,
    since: str | None = None,
    wait: timedelta = timedelta(0),
    required: Collection[str] = (),
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Proof:
    """Return what is proven of the run that a word names, once it has begun and ended or `wait` is over.

    UsageError for a `since` that is no moment, and without one where a job has no rhythm; raises StoreError.
    """
    until = monotonic() + wait.total_seconds()
    with reader.one_view():
        after = _least_start(reader, word, since)
    while True:
        with reader.one_view():
            proof = _proof(reader, find_run(reader, word), after, frozenset(required))
            if proof.begun:
                # A later run of the job is not what was waited for.
                word = str(proof.run.run_id)
        left = until - monotonic()
        if (proof.begun and proof.run.status != RunStatus.RUNNING) or left <= 0:
            return proof
        sleep(min(POLL_S, left))


def _least_start(reader: Reader, word: str, since: str | None) -> datetime | None:
    """Return when the run that is meant began at the earliest; None where that does not matter."""
    now, zone = reader.now(), configured_zone()
    if since is not None:
        try:
            return parse_moment(since, now=now, zone=zone)
        except MomentError as error:
            raise click.BadParameter(str(error), param_hint="'--since'") from None
    job = job_meant(reader, word)
    history = read_histories(reader, [job], zone)[job] if job is not None else None
    if history is None or not history.starts:
        return None
    if history.rhythm is None:
        raise click.UsageError(f"{job} has no rhythm: --since MOMENT tells from when on its run must have begun")
    return last_turn(history.rhythm, history.starts[-1], now, zone)


def _proof(reader: Reader, run: Run, since: datetime | None, required: frozenset[str]) -> Proof:
    if since is not None and run.started_at < since:
        zone = configured_zone()
        obstacle = f"it began {stamp(run.started_at, zone)}, and none has begun since {stamp(since, zone)}"
    elif run.status == RunStatus.COMPLETED:
        return Proof(run=run, since=since, checks=tuple(read_checks(reader, run)), required=required)
    else:
        ended = f"it ended as {run.status}" if run.status != RunStatus.RUNNING else f"it is {run.state}"
        obstacle = ": ".join(filter(None, (ended, run.evidence or last_line(run.notes))))
    return Proof(run=run, since=since, obstacle=obstacle)


def proof_lines(proof: Proof, look: Look) -> Iterator[str]:
    """Yield what is proven for a person: the run, and a line for each check."""
    run = proof.run
    verdict = look.paint("proven", "bold") if proof.proven else look.paint("not proven", "red")
    text = proof.obstacle or f"completed {stamp(run.ended_at, look.zone)}, after {duration(run.duration_s)}"
    yield f"{verdict}  {look.shown(run.job)}  {run.id}  {look.shown(text)}"
    for check in proof.checks:
        tone: Tone = "red" if proof.fails(check) else TONES[check.verdict]
        line = f"{look.paint(f'{check.verdict:<11}', tone)}  {check.name:<8}  {look.shown(proof.evidence(check))}"
        yield line.rstrip()


def check_data(proof: Proof) -> list[dict[str, object]]:
    """Return a row for each check."""
    return [
        {
            "run_id": str(proof.run.run_id),
            "check": check.name,
            "verdict": check.verdict,
            "required": check.name in proof.required,
            "evidence": proof.evidence(check),
        }
        for check in proof.checks
    ]


def proof_data(proof: Proof) -> dict[str, object]:
    """Return all of it as one object."""
    return {
        "run_id": str(proof.run.run_id),
        "id": proof.run.id,
        "job": proof.run.job,
        "status": proof.run.status,
        "proven": proof.proven,
        "because": proof.obstacle,
        "since": iso_time(proof.since),
        "checks": check_data(proof),
    }


@click.command(
    epilog=f"RUN is {RUN_FORMS}. Exit status: 0 proven, 1 not proven or no such run, 2 wrong usage, "
    "3 the store cannot answer."
)
@store_option
@click.argument("run")
@click.option(
    "--since",
    metavar="MOMENT",
    help="The run must have begun then or later: 02:41, -2h, now.  [default: for a job, when its rhythm last let "
    "expect a run]",
)
@click.option("--wait", type=SPAN, default="0s", help="How long to wait for the run's begin and end: 30m.")
@click.option(
    "--require",
    type=click.Choice([*CHECKS, "all"]),
    metavar="CHECK",
    multiple=True,
    help=f"Fail where a check has nothing to compare: {', '.join(CHECKS)} or all; repeatable.",
)
@format_option
def prove(run: str, since: str | None, wait: timedelta, require: tuple[str, ...], form: Format) -> int:
    """Prove that what a completed RUN recorded reconciles.

    Events emitted and stored, pages, source counts, items fetched and loaded, totals of phases, and amounts against
    comparable runs. A check without data passes unless it is required. Of a job its latest run is meant, which must
    have begun since a moment.
    """
    required = CHECKS if "all" in require else require
    with connect.reader() as reader:
        proof = prove_run(reader, run.strip(), since=since, wait=wait, required=required)
    if form is Format.TABLE:
        output.write_table(lambda look: proof_lines(proof, look))
    elif form is Format.CSV:
        output.write_rows(form, check_data(proof), fields=KEYS)
        if proof.obstacle:
            report(f"not proven: {proof.obstacle}")
    else:
        output.write_object(form, proof_data(proof))
    return Exit.DONE if proof.proven else Exit.NOT_FOUND
