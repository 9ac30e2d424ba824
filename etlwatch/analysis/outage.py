"""Runs that went silent together, and whether the machine of a lost run is up.

Many runs lost at once: the tracking, its network or a host is the likelier cause than the jobs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.text.numbers import number_of, span
from tracking_core.dataclass import dataclass
from tracking_core.liveness import LOST_AFTER_INTERVALS
from tracking_core.records import Run, RunStatus

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
        where = f"on {self.hosts[0]}" if len(self.hosts) == 1 else f"on {number_of(len(self.hosts), 'host')}"
        jobs = number_of(self.jobs, "job")
        return f"{len(self.run_ids)} runs of {jobs} {where} went silent within {span(max(self.within_s, 1))}"


def allowed_silence(run: Run) -> timedelta:
    """Return after how long without a heartbeat a run is lost."""
    return timedelta(seconds=LOST_AFTER_INTERVALS * (run.heartbeat_interval_s or _DEFAULT_INTERVAL_S))


def _beats(run: Run) -> bool:
    return run.status == RunStatus.RUNNING and run.state != "lost" and run.heartbeat_at is not None


def latest_beats(runs: Iterable[Run]) -> dict[tuple[str, str], datetime]:
    """Return of each machine (host, boot) when a run there that is not lost last beat."""
    found: dict[tuple[str, str], datetime] = {}
    for run in runs:
        if run.boot_id and run.heartbeat_at is not None and _beats(run):
            machine = run.host, run.boot_id
            found[machine] = max(found.get(machine, run.heartbeat_at), run.heartbeat_at)
    return found


def host_is_up(run: Run, beats: Mapping[tuple[str, str], datetime]) -> bool:
    """Return whether another run on the same machine beat long after this one stopped; a host's name proves nothing."""
    latest = beats.get((run.host, run.boot_id))
    return run.heartbeat_at is not None and latest is not None and latest > run.heartbeat_at + allowed_silence(run)


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
