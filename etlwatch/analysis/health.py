"""The health of many runs at one moment: each with its findings, and what the living runs show of the lost ones.

Many runs lost at once are one outage: the tracking, its network or a host is the likelier cause than the jobs.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.baseline import NO_BASELINE, JobBaseline
from etlwatch.analysis.findings import (
    DEFAULT_INTERVAL_S,
    Departure,
    Doubt,
    Examined,
    Finding,
    allowed_silence,
    findings_and_doubts,
)
from etlwatch.analysis.states import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.text.numbers import number_of, span
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.records import EndpointTotals, Phase, Run, RunStatus, SeriesCell

LEAST_OUTAGE: Final = 3
"""Fewer runs lost at once are so many lost runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Many runs that went silent together."""

    since: datetime
    """The first of their last heartbeats."""

    within_s: float
    """From the first to the last of these heartbeats."""

    run_ids: frozenset[int]
    jobs: int
    hosts: tuple[str, ...]
    """Where they run, by name."""

    @property
    def sentence(self) -> str:
        """What happened, after which a time may stand; host names from the store may be in it."""
        where = self.hosts[0] if len(self.hosts) == 1 else number_of(len(self.hosts), "host")
        runs, jobs = number_of(len(self.run_ids), "run"), number_of(self.jobs, "job")
        return f"{runs} of {jobs} on {where} went silent within {span(max(self.within_s, 1))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What follows from runs at one moment."""

    runs: tuple[Run, ...] = ()
    """In the order given; state, state_since and evidence are the derived ones."""

    findings: Mapping[int, tuple[Finding, ...]] = field(default_factory=dict)
    """By run, all that hold, gravest first; runs without any are not in it."""

    doubts: Mapping[int, tuple[Doubt, ...]] = field(default_factory=dict)
    """By run, what a past moment leaves open."""

    baselines: Mapping[str, JobBaseline] = field(default_factory=dict)
    """By job, as far as they are known."""

    outage: Outage | None = None
    jobs_left: int = 0
    """Jobs whose completed runs have not been looked at yet."""


def health_of_runs(
    runs: Sequence[Run],
    *,
    now: datetime,
    baselines: Mapping[str, JobBaseline],
    living: Collection[Run] | None = None,
    phases: Mapping[int, Sequence[Phase]] | None = None,
    series: Mapping[int, Sequence[SeriesCell]] | None = None,
    endpoints: Mapping[int, Sequence[EndpointTotals]] | None = None,
    departures: Mapping[int, Departure] | None = None,
    pauses: Mapping[int, Mapping[str, float]] | None = None,
    completed: Mapping[int, tuple[Finding, ...]] | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> Health:
    """Return the health of runs; one whose job is not in `baselines` keeps the state that needs no baseline.

    `living` are those that nobody has ended. `phases`, `series` and `endpoints` are theirs, by run, as far as they are
    known; `completed` holds the findings of completed runs.
    """
    if living is None:
        living = [run for run in runs if run.status == RunStatus.RUNNING]
    outage, beats = outage_of(living), _latest_beats(living)
    findings: dict[int, tuple[Finding, ...]] = {}
    doubts: dict[int, tuple[Doubt, ...]] = {}
    derived: dict[int, Run] = {}
    for run in living:
        lost = run.state == "lost"
        if not lost and run.job not in baselines:
            continue
        examined = Examined(
            run=run,
            baseline=baselines.get(run.job, NO_BASELINE),
            now=now,
            thresholds=thresholds,
            phases=(phases or {}).get(run.run_id, ()),
            series=(series or {}).get(run.run_id, ()),
            endpoints=(endpoints or {}).get(run.run_id, ()),
            departure=(departures or {}).get(run.run_id),
            pauses=(pauses or {}).get(run.run_id, {}),
            others=_others(run, outage, beats) if lost else ("", ""),
        )
        found, doubted = findings_and_doubts(examined)
        if found:
            findings[run.run_id], derived[run.run_id] = found, with_findings(run, found)
        if doubted:
            doubts[run.run_id] = doubted
    for run in runs if completed else ():
        if found := (completed or {}).get(run.run_id, ()):
            findings[run.run_id], derived[run.run_id] = found, with_findings(run, found)
    return Health(
        runs=tuple(map(derived.get, map(_id_of, runs), runs)),
        findings=findings,
        doubts=doubts,
        baselines=baselines,
        outage=outage,
    )


_id_of = operator.attrgetter("run_id")


def with_findings(run: Run, found: Sequence[Finding]) -> Run:
    """Return a run whose state is its gravest finding, and whose evidence lists all; the run itself without any."""
    if not found:
        return run
    first, *others = found
    evidence = "; ".join([first.evidence, *(f"also {each.kind}: {each.evidence}" for each in others)])
    # A lost run's state began when its silence had lasted long enough, as the reader computed.
    since = run.state_since if first.kind == "lost" else first.since
    return replace(run, state=first.kind, state_since=since, evidence=evidence)


def _others(run: Run, outage: Outage | None, beats: Mapping[tuple[str, str], datetime]) -> tuple[str, str]:
    """Return what other runs show of a lost one: that they were lost with it, or that its machine is up.

    A machine is a host and its boot: a host's name alone proves nothing.
    """
    if outage is not None and run.run_id in outage.run_ids:
        return f" with {len(outage.run_ids) - 1} more", f"; one tracking outage: {outage.sentence}"
    latest = beats.get((run.host, run.boot_id))
    if run.heartbeat_at is not None and latest is not None and latest > run.heartbeat_at + allowed_silence(run):
        return ", host is up", f"; {run.host} is up: another run there beats"
    return "", ""


def _latest_beats(runs: Iterable[Run]) -> dict[tuple[str, str], datetime]:
    """Return of each machine (host, boot) when a run there that is not lost last beat."""
    found: dict[tuple[str, str], datetime] = {}
    for run in runs:
        if run.boot_id and run.heartbeat_at is not None and _beats(run):
            machine = run.host, run.boot_id
            found[machine] = max(found.get(machine, run.heartbeat_at), run.heartbeat_at)
    return found


def _beats(run: Run) -> bool:
    return run.status == RunStatus.RUNNING and run.state != "lost" and run.heartbeat_at is not None


def outage_of(runs: Iterable[Run]) -> Outage | None:
    """Return the greatest silence that struck many runs at once, over all hosts or on one; None without one.

    Many are three or more, and at least half of the runs that were alive then. Each run beats at its own times, so that
    last heartbeats before one event lie up to an interval apart.
    """
    given = list(runs)
    lost = sorted((run for run in given if run.state == "lost" and run.heartbeat_at is not None), key=_last_beat)
    alive = [run for run in given if _beats(run)]
    everywhere = _struck(lost, alive)
    if everywhere is not None:
        return everywhere
    spared = _by_machine(alive)
    struck = [_struck(own, spared.get(machine, ())) for machine, own in _by_machine(lost).items()]
    return max((each for each in struck if each is not None), key=lambda each: each.since, default=None)


def _by_machine(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    """Return the runs of each boot of a machine, all its containers of one host name together."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.host:
            found.setdefault((run.host, run.boot_id.partition("/")[0]), []).append(run)
    return found


def _last_beat(run: Run) -> datetime:
    return run.heartbeat_at or run.started_at


def _struck(lost: Sequence[Run], alive: Sequence[Run]) -> Outage | None:
    """Return the largest group of lost runs, the newest of equals, that fell silent together, if it is large enough."""
    best: Sequence[Run] = ()
    beats = [_last_beat(run) for run in lost]
    for end in range(len(lost) - 1, LEAST_OUTAGE - 2, -1):
        apart = timedelta(seconds=2 * (lost[end].heartbeat_interval_s or DEFAULT_INTERVAL_S))
        begin = bisect_left(beats, beats[end] - apart)
        if end + 1 - begin > len(best):
            best = lost[begin : end + 1]
    if len(best) < LEAST_OUTAGE:
        return None
    since, until = _last_beat(best[0]), _last_beat(best[-1])
    if len(best) < sum(run.started_at <= until for run in alive):
        return None
    return Outage(
        since=since,
        within_s=(until - since).total_seconds(),
        run_ids=frozenset(run.run_id for run in best),
        jobs=len({run.job for run in best}),
        hosts=tuple(sorted({run.host for run in best if run.host})) or ("an unknown host",),
    )
