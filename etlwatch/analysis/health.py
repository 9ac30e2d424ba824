"""In which ways living runs are behind, and what proves it: stalled, throttled, slow, against the job's own baseline.

`lost` needs no baseline and comes with the run. The first that holds, in that order, is the state; all that hold are
listed. Nothing here is stored, and the clock is the store's. Of a run at a past moment (`RunAsOf`) holds what holds
however the cells that were open then were filled; what depends on that is a doubt, never a guess.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.as_of import RunAsOf
from etlwatch.analysis.baseline import JobBaseline, Usual
from etlwatch.analysis.departure import Departure, last_stretch
from etlwatch.analysis.outage import Outage, allowed_silence, host_is_up, latest_beats, outage_of
from etlwatch.analysis.states import BEHIND, DEFAULT_THRESHOLDS, Thresholds
from etlwatch.text.numbers import duration, duration_ms, percent, rate, ratio, span
from tracking_core import histogram
from tracking_core.clock import from_microseconds
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.records import EndpointTotals, Phase, Run, RunStatus, SeriesCell

RECENT_S: Final = 300
"""What `latest` means for the share of 429s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One way in which a run is behind, and the proof."""

    state: str
    """`stalled`, `throttled` or `slow`."""

    since: datetime
    note: str
    """At most 22 characters, for the row."""

    because: str
    """A sentence; endpoint and phase names from the store may be in it."""

    value: float
    """What was measured, in the unit of `limit`."""

    limit: float
    """What it was held against."""

    endpoint: str = ""
    """Which endpoint answers slower since then; '' where that is not known."""


def findings(
    run: Run,
    baseline: JobBaseline,
    *,
    now: datetime,
    phases: Sequence[Phase] = (),
    series: Sequence[SeriesCell] = (),
    endpoints: Sequence[EndpointTotals] = (),
    departed: Departure | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> tuple[Finding, ...]:
    """Return every way in which a living run is behind, gravest first; none for a run that is lost or has ended.

    `series` are the run's own latest cells; `endpoints` its totals; `baseline` its job's; `departed` says what of it is
    not its job's usual any more.
    """
    if run.status != RunStatus.RUNNING or run.state == "lost":
        return ()
    found = (
        _stalled(run, baseline, now, phases, thresholds),
        _throttled(baseline, now, series, thresholds),
        _slow(run, baseline, phases, endpoints, now, departed, thresholds),
    )
    return tuple(finding for finding in found if finding is not None)


def is_slow(run: Run, baseline: JobBaseline, *, now: datetime, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> bool:
    """Return whether a living run is beyond its job's p95."""
    p95 = baseline.duration_s.p95
    return p95 is not None and (now - run.started_at).total_seconds() > thresholds.slow_times_p95 * p95


def may_be_stalled(run: Run, *, now: datetime, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> bool:
    """Return whether a living run has been still for so long that its phases and its job's baseline have to decide."""
    moved = run.moved_from if isinstance(run, RunAsOf) else latest_progress(run)
    still = (now - moved).total_seconds()
    return still > min(thresholds.stalled_after_s, thresholds.stalled_without_past_s)


def may_be_throttled(run: Run) -> bool:
    """Return whether a living run was answered 429 at all, so that its series has to decide."""
    return bool(run.throttled_requests or (isinstance(run, RunAsOf) and any(each.throttled for each in run.open_cells)))


def latest_progress(run: Run, phases: Sequence[Phase] = ()) -> datetime:
    """Return when a run last recorded anything."""
    moments = [run.started_at, run.progress_at]
    moments += [moment for phase in phases for moment in (phase.started_at, phase.ended_at)]
    return max(moment for moment in moments if moment is not None)


def _stalled(
    run: Run, baseline: JobBaseline, now: datetime, phases: Sequence[Phase], thresholds: Thresholds
) -> Finding | None:
    if not _tells_of_progress(run, phases, baseline):
        return None
    since = latest_progress(run, phases)
    still = (now - since).total_seconds()
    pause = baseline.longest_gap_s.p95
    if pause is None:
        limit, usually = max(thresholds.stalled_without_past_s, _usual_phase_s(phases, baseline)), ""
    else:
        limit = max(thresholds.stalled_after_s, thresholds.stalled_times_usual * pause)
        usually = f"; its longest pause is usually {span(baseline.longest_gap_s.usual)}"
    if still <= limit:
        return None
    where = _current(phases)
    place = f" in phase {where.phase}" if where is not None else ""
    return Finding(
        state="stalled",
        since=since,
        note=f"no progress for {span(still)}",
        because=f"its heart beats, and nothing has moved{place} for {span(still)}{usually}",
        value=still,
        limit=limit,
    )


def _tells_of_progress(run: Run, phases: Sequence[Phase], baseline: JobBaseline) -> bool:
    """Return whether silence means anything: a job that only records its begin and end is never stalled."""
    if run.requests or any(counts.get("processed") for phase in phases for counts in phase.counters.values()):
        return True
    return bool(baseline.requests.usual)


def _usual_phase_s(phases: Sequence[Phase], baseline: JobBaseline) -> float:
    """Return how long the present phase may take: in it a job without requests may record nothing."""
    where = _current(phases)
    known = baseline.phase(where.phase) if where is not None else None
    return (known.duration_s.p95 or 0.0) if known is not None else 0.0


def _throttled(
    baseline: JobBaseline, now: datetime, series: Sequence[SeriesCell], thresholds: Thresholds
) -> Finding | None:
    usual = baseline.throttled_share.usual or 0.0
    limit = max(thresholds.throttled_share, thresholds.throttled_times_usual * usual)
    recent = [cell for cell in series if cell.bucket + cell.width > now.timestamp() - RECENT_S]
    requests = sum(cell.requests for cell in recent)
    share = sum(cell.throttled for cell in recent) / requests if requests else 0.0
    if requests < thresholds.throttled_requests or share < limit:
        return None
    since = _beginning_of_throttling(series, limit, now)
    usually = f", usually {percent(usual)}" if baseline.throttled_share.runs else ""
    return Finding(
        state="throttled",
        since=since,
        note=f"429 {percent(share)}",
        because=f"{percent(share)} of its requests in the last {span(RECENT_S)} were answered 429{usually}",
        value=share,
        limit=limit,
    )


def _beginning_of_throttling(series: Sequence[SeriesCell], limit: float, now: datetime) -> datetime:
    """Return where the last stretch of throttled cells begins."""

    def throttled(cell: SeriesCell) -> bool | None:
        return cell.throttled / cell.requests >= limit / 2 if cell.requests else None

    found = last_stretch(series, throttled, calm_after_s=2 * RECENT_S)
    return now if found is None else from_microseconds(found[0] * 1_000_000)


def _slow(
    run: Run,
    baseline: JobBaseline,
    phases: Sequence[Phase],
    endpoints: Sequence[EndpointTotals],
    now: datetime,
    departed: Departure | None,
    thresholds: Thresholds,
) -> Finding | None:
    p95 = baseline.duration_s.p95
    if p95 is None or not is_slow(run, baseline, now=now, thresholds=thresholds):
        return None
    elapsed = (now - run.started_at).total_seconds()
    passed_p95 = run.started_at + timedelta(seconds=thresholds.slow_times_p95 * p95)
    over = [(_excess(phase, baseline, now), phase) for phase in phases]
    worst = max(((excess, phase) for excess, phase in over if excess > 0), key=lambda pair: pair[0], default=None)
    slowest = _slowest(endpoints, baseline)
    times = ratio(elapsed / p95) if p95 else "–"
    compared = f"running for {span(elapsed)}; 95 % of comparable runs took less than {span(p95)}"
    which, short = "", []
    if worst is not None:
        which = f"phase {worst[1].phase} is {span(worst[0])} over its usual"
        short.append(f"{worst[1].phase} +{span(worst[0])}")
    if slowest is not None:
        short.append(slowest[0])
    reasons = _departure_reasons(departed, slowest)
    if departed is None and (which or reasons):
        reasons.append(compared)
    return Finding(
        state="slow",
        since=departed.since if departed is not None else passed_p95,
        note=", ".join(short) or f"{times} its p95",
        because=": ".join(filter(None, (which, "; ".join(reasons)))) or f"{compared}; no phase stands out",
        value=elapsed,
        limit=thresholds.slow_times_p95 * p95,
        endpoint=slowest[0] if slowest is not None and departed is not None and departed.measure == "latency" else "",
    )


def _departure_reasons(departed: Departure | None, slowest: tuple[str, float, Usual] | None) -> list[str]:
    """Return what departed from its usual: the worst endpoint, all requests, or how many there are."""
    measure = departed.measure if departed is not None else ""
    reasons = []
    if slowest is not None:
        endpoint, p95, usual = slowest
        then = "since then " if measure == "latency" else ""
        reasons.append(f"{then}{endpoint} answers in {duration_ms(p95)} at p95, usually {duration_ms(usual.usual)}")
    elif departed is not None and measure == "latency":
        now, usually = duration_ms(departed.since_then), duration_ms(departed.usual)
        reasons.append(f"since then its requests take {now} at p95, usually {usually}")
    if departed is not None and measure == "rate":
        reasons.append(f"since then it makes {rate(departed.since_then)} requests/s, usually {rate(departed.usual)}")
    return reasons


def _excess(phase: Phase, baseline: JobBaseline, now: datetime) -> float:
    known = baseline.phase(phase.phase)
    if known is None or known.duration_s.usual is None or phase.started_at is None:
        return 0.0
    return ((phase.ended_at or now) - phase.started_at).total_seconds() - known.duration_s.usual


def _slowest(endpoints: Sequence[EndpointTotals], baseline: JobBaseline) -> tuple[str, float, Usual] | None:
    """Return the endpoint whose p95 is beyond its usual p95 by most, weighed by its requests."""
    found: list[tuple[float, str, float, Usual]] = []
    for totals in endpoints:
        usual = baseline.endpoint_p95_ms.get(totals.endpoint, Usual())
        p95 = histogram.percentile(histogram.unpack(totals.histogram), 0.95)
        if p95 is not None and usual.p95 is not None and usual.usual is not None and p95 > 1.2 * usual.p95:
            found.append(((p95 - usual.usual) * totals.requests, totals.endpoint, p95, usual))
    if not found:
        return None
    _, endpoint, p95, usual = max(found, key=lambda one: one[0])
    return endpoint, p95, usual


def _current(phases: Sequence[Phase]) -> Phase | None:
    return next((phase for phase in reversed(phases) if phase.status == "running"), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A state that what is stored of a past moment leaves open."""

    state: str
    because: str
    """What is not known, and why, in a sentence."""


def findings_and_doubts(
    run: Run,
    baseline: JobBaseline,
    *,
    now: datetime,
    phases: Sequence[Phase] = (),
    series: Sequence[SeriesCell] = (),
    endpoints: Sequence[EndpointTotals] = (),
    departed: Departure | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> tuple[tuple[Finding, ...], tuple[Doubt, ...]]:
    """Return in which ways a living run is behind, and of one at a past moment in which ways it may have been."""

    def seen(run: Run, series: Sequence[SeriesCell]) -> tuple[Finding, ...]:
        return findings(
            run,
            baseline,
            now=now,
            phases=phases,
            series=series,
            endpoints=endpoints,
            departed=departed,
            thresholds=thresholds,
        )

    if not isinstance(run, RunAsOf):
        return seen(run, series), ()
    open_ = run.open_cells
    # Idle since as long, and throttled as much, as may be; then as little as may be; then only what is certain.
    longest, shortest = replace(run, progress_at=run.moved_from), replace(run, progress_at=run.moved_by)
    busiest = replace(longest, requests=run.requests + sum(cell.requests for cell in open_))
    certain = seen(shortest, series)
    worlds = [
        {finding.state for finding in found}
        for found in (
            seen(busiest, [*series, *(_throttled_part(cell, series, thresholds) for cell in open_)]),
            seen(shortest, [*series, *map(_answered_part, open_)]),
            certain,
        )
    ]
    held = set.intersection(*worlds)
    doubted = [state for state in BEHIND if state not in held and any(state in world for world in worlds)]
    least, most = (duration((now - at) / timedelta(seconds=1)) for at in (run.moved_by, run.moved_from))
    width = span(max((cell.width for cell in open_), default=0))
    why = {
        "stalled": f"it had last moved between {least} and {most} before",
        "throttled": f"its latest answers are kept in a cell of {width} that was open then",
    }
    return (
        tuple(finding for finding in certain if finding.state in held),
        tuple(Doubt(state=state, because=f"whether it was {state} is not known: {why[state]}") for state in doubted),
    )


def _throttled_part(cell: SeriesCell, closed: Iterable[SeriesCell], thresholds: Thresholds) -> SeriesCell:
    """Return the part of an open cell that makes its run look throttled most: its 429s, and no more than are needed."""
    known = sum(each.requests for each in closed if each.bucket + each.width > cell.bucket - RECENT_S)
    fill = max(thresholds.throttled_requests - known - cell.throttled, 0)
    return replace(cell, requests=min(cell.throttled + fill, cell.requests))


def _answered_part(cell: SeriesCell) -> SeriesCell:
    """Return the part of an open cell that makes its run look throttled least: all but its 429s."""
    return replace(cell, requests=cell.requests - cell.throttled, throttled=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What follows from runs at one moment."""

    runs: tuple[Run, ...] = ()
    """In the order given; state, state_since and evidence are the derived ones."""

    findings: Mapping[int, tuple[Finding, ...]] = field(default_factory=dict)
    """By run, all that hold, gravest first; runs that are well are not in it."""

    doubts: Mapping[int, tuple[Doubt, ...]] = field(default_factory=dict)
    """By run, what a past moment leaves open."""

    baselines: Mapping[str, JobBaseline] = field(default_factory=dict)
    """By job, as far as they are known."""

    outage: Outage | None = None


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
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> Health:
    """Return the health of runs; one whose job is not in `baselines` keeps the state that needs no baseline.

    `living` are those that nobody has ended: the others are left as they are. `phases`, `series` and `endpoints`
    are theirs, by run, as far as they are known.
    """
    if living is None:
        living = [run for run in runs if run.status == RunStatus.RUNNING]
    outage = outage_of(living)
    beats = latest_beats(living)
    found: dict[int, tuple[Finding, ...]] = {}
    doubts: dict[int, tuple[Doubt, ...]] = {}
    for run in living:
        if run.state == "lost":
            found[run.run_id] = (_lost(run, beats, outage, now),)
        elif run.job in baselines:
            proofs, doubted = findings_and_doubts(
                run,
                baselines[run.job],
                now=now,
                phases=(phases or {}).get(run.run_id, ()),
                series=(series or {}).get(run.run_id, ()),
                endpoints=(endpoints or {}).get(run.run_id, ()),
                departed=(departures or {}).get(run.run_id),
                thresholds=thresholds,
            )
            found |= {run.run_id: proofs} if proofs else {}
            doubts |= {run.run_id: doubted} if doubted else {}
    derived = {run.run_id: _with(run, found[run.run_id]) for run in living if run.run_id in found}
    in_order = tuple(map(derived.get, map(_id_of, runs), runs))
    return Health(runs=in_order, findings=found, doubts=doubts, baselines=baselines, outage=outage)


_id_of = operator.attrgetter("run_id")


def stands(finding: Finding) -> str:
    """Return a finding as evidence in one sentence: its proof, and the state it proves where another comes first."""
    return f"also {finding.state}: {finding.because}"


def _with(run: Run, found: Sequence[Finding]) -> Run:
    """Return a run whose state is the first that holds, and whose evidence lists all of them."""
    first, *others = found
    evidence = "; ".join([first.because, *map(stands, others)])
    # A lost run's state began when its silence had lasted long enough, as the reader computed.
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
    elif host_is_up(run, beats):
        note += ", host is up"
        because += f"; {run.host} is up: another run there beats"
    return Finding(
        state="lost",
        since=silent_since,
        note=note,
        because=because,
        value=silent,
        limit=allowed_silence(run).total_seconds(),
    )
