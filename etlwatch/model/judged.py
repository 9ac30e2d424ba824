"""Runs as they are judged: the derived state of each living one with all its proofs; many lost at once as one outage.

Owns the joining of `late.findings` with what other runs prove (a host that is up, a silence that struck many). Refuses
to own the reading of pasts (`etlwatch.judging`) and every word of layout. Nothing is stored; the clock is the store's.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.model.departure import Departure
from etlwatch.model.late import Finding, findings
from etlwatch.model.numbers import span
from etlwatch.model.past import JobPast
from etlwatch.model.thresholds import DEFAULT_THRESHOLDS, Thresholds
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.liveness import LOST_AFTER_INTERVALS
from tracking_core.records import EndpointTotals, Phase, Run, RunStatus, SeriesCell

__all__ = ["LEAST_OUTAGE", "Judgement", "Outage", "judge_fleet", "outage_of", "stands"]

LEAST_OUTAGE: Final = 3
"""Fewer runs lost at once are so many lost runs."""

_DEFAULT_INTERVAL_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Many runs that went silent together: the tracking, its network or a host is the likelier cause than the jobs."""

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
        where = f"on {self.hosts[0]}" if len(self.hosts) == 1 else f"on {len(self.hosts)} hosts"
        jobs = f"{self.jobs} jobs" if self.jobs > 1 else "one job"
        return f"{len(self.run_ids)} runs of {jobs} {where} went silent within {span(max(self.within_s, 1))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that is concluded of runs at one moment."""

    runs: tuple[Run, ...] = ()
    """In the order given; state, state_since and evidence are the derived ones."""

    findings: Mapping[int, tuple[Finding, ...]] = field(default_factory=dict)
    """By run, all that hold, gravest first; runs that are well are not in it."""

    pasts: Mapping[str, JobPast] = field(default_factory=dict)
    """By job, as far as they are known."""

    outage: Outage | None = None


def judge_fleet(
    runs: Sequence[Run],
    *,
    now: datetime,
    pasts: Mapping[str, JobPast],
    living: Collection[Run] | None = None,
    phases: Mapping[int, Sequence[Phase]] | None = None,
    series: Mapping[int, Sequence[SeriesCell]] | None = None,
    endpoints: Mapping[int, Sequence[EndpointTotals]] | None = None,
    departures: Mapping[int, Departure] | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    late: Callable[[Run, JobPast], tuple[Finding, ...]] | None = None,
) -> Judgement:
    """Return the judgement on runs; one whose job is not in `pasts` keeps the state that needs no past.

    `living` are those that nobody has ended: only of them there is something to say. `phases`, `series` and `endpoints`
    are theirs, by run, as far as they are known. `late` finds otherwise in which ways a living run is behind.
    """

    def behind(run: Run, past: JobPast) -> tuple[Finding, ...]:
        return findings(
            run,
            past,
            now=now,
            phases=(phases or {}).get(run.run_id, ()),
            series=(series or {}).get(run.run_id, ()),
            endpoints=(endpoints or {}).get(run.run_id, ()),
            departed=(departures or {}).get(run.run_id),
            thresholds=thresholds,
        )

    if living is None:
        living = [run for run in runs if run.status == RunStatus.RUNNING]
    outage = outage_of(living)
    beats = _latest_beats(living)
    found: dict[int, tuple[Finding, ...]] = {}
    for run in living:
        if run.state == "lost":
            found[run.run_id] = (_lost(run, beats, outage, now),)
        elif run.job in pasts:
            proofs = (late or behind)(run, pasts[run.job])
            if proofs:
                found[run.run_id] = proofs
    judged = {run.run_id: _with(run, found[run.run_id]) for run in living if run.run_id in found}
    return Judgement(runs=tuple(map(judged.get, map(_id_of, runs), runs)), findings=found, pasts=pasts, outage=outage)


_id_of = operator.attrgetter("run_id")


def stands(finding: Finding) -> str:
    """Return a finding as evidence in one sentence: its proof, and the state it proves where another comes first."""
    return f"also {finding.state}: {finding.because}"


def _with(run: Run, found: Sequence[Finding]) -> Run:
    """Return a run whose state is the first that holds, and whose evidence lists all of them."""
    first, *others = found
    evidence = "; ".join([first.because, *map(stands, others)])
    # A lost run's state began when its silence had lasted long enough, which the reader says.
    since = run.state_since if first.state == "lost" else first.since
    return replace(run, state=first.state, state_since=since, evidence=evidence)


def _lost(run: Run, beats: Mapping[tuple[str, str], datetime], outage: Outage | None, now: datetime) -> Finding:
    silent_since = run.heartbeat_at or run.started_at
    silent = max((now - silent_since).total_seconds(), 0.0)
    because, note = run.evidence, f"silent {span(silent)}"
    if outage is not None and run.run_id in outage.run_ids:
        others = len(outage.run_ids) - 1
        note += f" with {others} more"
        because += f"; one tracking outage: {outage.sentence}"
    elif _host_is_up(run, beats):
        note += ", host is up"
        because += f"; {run.host} is up: another run there beats"
    return Finding(
        state="lost", since=silent_since, note=note, because=because, value=silent, limit=_allowed(run).total_seconds()
    )


def _allowed(run: Run) -> timedelta:
    return timedelta(seconds=LOST_AFTER_INTERVALS * (run.heartbeat_interval_s or _DEFAULT_INTERVAL_S))


def _beats(run: Run) -> bool:
    return run.status == RunStatus.RUNNING and run.state != "lost" and run.heartbeat_at is not None


def _latest_beats(runs: Iterable[Run]) -> dict[tuple[str, str], datetime]:
    """Return of each machine (host, boot) when a run there that is not lost last beat."""
    found: dict[tuple[str, str], datetime] = {}
    for run in runs:
        if run.boot_id and run.heartbeat_at is not None and _beats(run):
            machine = run.host, run.boot_id
            found[machine] = max(found.get(machine, run.heartbeat_at), run.heartbeat_at)
    return found


def _host_is_up(run: Run, beats: Mapping[tuple[str, str], datetime]) -> bool:
    """Return whether another run on the same machine beat long after this one stopped; a host's name proves nothing."""
    latest = beats.get((run.host, run.boot_id))
    return run.heartbeat_at is not None and latest is not None and latest > run.heartbeat_at + _allowed(run)


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
        apart = timedelta(seconds=2 * (lost[end].heartbeat_interval_s or _DEFAULT_INTERVAL_S))
        begin = bisect_left(beats, beats[end] - apart)
        if end + 1 - begin > len(best):
            best = lost[begin : end + 1]
    if len(best) < LEAST_OUTAGE:
        return None
    since, until = _last_beat(best[0]), _last_beat(best[-1])
    spared = sum(run.started_at <= until for run in alive)
    if len(best) < spared:
        return None
    return Outage(
        since=since,
        within_s=(until - since).total_seconds(),
        run_ids=frozenset(run.run_id for run in best),
        jobs=len({run.job for run in best}),
        hosts=tuple(sorted({run.host for run in best if run.host})) or ("an unknown host",),
    )
