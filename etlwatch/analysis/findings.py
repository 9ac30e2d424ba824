"""What is wrong with a run and what proves it, computed from its records, its job's baseline and the thresholds.

One rule a kind; all that hold are listed, and the gravest one is the run's state. Nothing here is stored, and the
clock is the store's. Of a run at a past moment (`RunAsOf`) a finding is what holds however the cells that were open
then were filled; what depends on that is a doubt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.as_of import RunAsOf, at_second
from etlwatch.analysis.baseline import JobBaseline, Usual
from etlwatch.analysis.completed import RunFacts, amount_words, contradictions, unusual_amounts
from etlwatch.analysis.forecast import running_phase
from etlwatch.analysis.states import DEFAULT_THRESHOLDS, RANKS, Thresholds
from etlwatch.text.numbers import change, duration, duration_ms, per_second, percent, ratio, span
from tracking_core import histogram
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.liveness import LOST_AFTER_INTERVALS
from tracking_core.records import EndpointTotals, Phase, Run, RunStatus, SeriesCell

RECENT_S: Final = 300
"""What `latest` means for the share of 429s."""

DEFAULT_INTERVAL_S: Final = 10.0
"""Seconds between the heartbeats of a run without an interval of its own."""

MINUTE_S: Final = 60
LEAST_REQUESTS: Final = 5
"""Minutes with fewer requests have no meaningful percentile."""

TIMES_P95: Final = 1.2
"""From this many times its usual p95 on a latency is not usual."""

SHARE_OF_USUAL: Final = 0.5
"""Below this share of its job's usual rate a run's rate is not usual."""

TIMES_OWN_PAUSE: Final = 10
"""A run without comparable ones stands still after this many times its longest pause so far."""

MOST_AMOUNTS: Final = 3
"""Unusual amounts of a run that are named."""

LEAST_S: Final = 2 * MINUTE_S
"""A departure lasts at least this long."""

CALM_S: Final = 120
"""Cells that together cover this many seconds as usual part two stretches: a single calm one may be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a run, and the proof."""

    kind: str
    """A state of `etlwatch.analysis.states`: `lost`, `stalled`, `throttled` or `slow`."""

    since: datetime
    evidence: str
    """A sentence; endpoint and phase names from the store may be in it."""

    note: str
    """At most 22 characters, for the row."""

    value: float
    """What was measured, in the unit of `limit`."""

    limit: float
    """The threshold for it."""

    endpoint: str = ""
    """Which endpoint answers slower since then; '' where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A kind of finding that what is stored of a past moment leaves open."""

    kind: str
    evidence: str
    """What is not known, and why, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """What departed from its job's usual, and when."""

    since: datetime
    measure: str
    """`latency` (p95, milliseconds) or `rate` (requests a second)."""

    usual: float
    since_then: float
    """What it has been from that minute on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined(RunFacts):
    """A run, and all that its findings depend on, as far as it was read."""

    baseline: JobBaseline
    now: datetime
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    series: Sequence[SeriesCell] = ()
    """Its latest cells, ascending."""

    departure: Departure | None = None
    pauses: Mapping[str, float] = field(default_factory=dict)
    """Its own longest pauses so far by phase, in seconds, where its job's past shows none."""

    others: tuple[str, str] = ("", "")
    """What other runs show of a lost one: what follows in the note, and in the evidence."""

    @property
    def elapsed_s(self) -> float:
        """How long the run has been going on."""
        return (self.now - self.run.started_at).total_seconds()


def findings_of(examined: Examined) -> tuple[Finding, ...]:
    """Return everything that is wrong with a living or a completed run, gravest first; nothing for any other."""
    run = examined.run
    rules = {"running": (_stalled, _throttled, _slow), "lost": (_lost,), "completed": (_incomplete, _unusual)}
    key = run.status if run.status != RunStatus.RUNNING or run.state != "lost" else "lost"
    found = (rule(examined) for rule in rules.get(key, ()))
    return tuple(sorted((each for each in found if each is not None), key=lambda each: RANKS[each.kind]))


def findings_and_doubts(examined: Examined) -> tuple[tuple[Finding, ...], tuple[Doubt, ...]]:
    """Return what is wrong with a living run, and of one at a past moment what may have been."""
    run = examined.run
    if not isinstance(run, RunAsOf):
        return findings_of(examined), ()
    # Idle since as long, and throttled as much, as may be; then as little as may be; then only what is certain.
    open_, closed = run.open_cells, examined.series
    longest, shortest = replace(run, progress_at=run.moved_from), replace(run, progress_at=run.moved_by)
    busiest = replace(longest, requests=run.requests + sum(cell.requests for cell in open_))
    most = [_most_throttled(cell, closed, examined.thresholds) for cell in open_]
    least = [replace(cell, requests=cell.requests - cell.throttled, throttled=0) for cell in open_]
    certain = findings_of(replace(examined, run=shortest))
    worlds = [
        {finding.kind for finding in found}
        for found in (
            findings_of(replace(examined, run=busiest, series=[*closed, *most])),
            findings_of(replace(examined, run=shortest, series=[*closed, *least])),
            certain,
        )
    ]
    held = set.intersection(*worlds)
    idle = [duration((examined.now - at).total_seconds()) for at in (run.moved_by, run.moved_from)]
    width = span(max((cell.width for cell in open_), default=0))
    why = {
        "stalled": f"it had last moved between {idle[0]} and {idle[1]} before",
        "throttled": f"its latest answers are kept in a cell of {width} that was open then",
    }
    return (
        tuple(finding for finding in certain if finding.kind in held),
        tuple(
            Doubt(kind=kind, evidence=f"whether it was {kind} is not known: {why[kind]}")
            for kind in sorted(set.union(*worlds) - held, key=RANKS.__getitem__)
        ),
    )


def _most_throttled(cell: SeriesCell, closed: Iterable[SeriesCell], thresholds: Thresholds) -> SeriesCell:
    """Return the part of an open cell that makes its run look throttled most: its 429s, and no more than are needed."""
    known = sum(each.requests for each in closed if each.bucket + each.width > cell.bucket - RECENT_S)
    fill = max(thresholds.throttled_requests - known - cell.throttled, 0)
    return replace(cell, requests=min(cell.throttled + fill, cell.requests))


# -- which records decide, so that no others need be read


def is_slow(run: Run, baseline: JobBaseline, *, now: datetime, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> bool:
    """Return whether a living run takes far longer than comparable runs."""
    elapsed = (now - run.started_at).total_seconds()
    if elapsed <= thresholds.slow_times_p95 * min(baseline.taken_s.values(), default=0.0):
        return False
    limits = baseline.limits_of_duration(run)
    return limits is not None and elapsed > max(limits[0], thresholds.slow_times_p95 * limits[1])


def may_be_stalled(run: Run, *, now: datetime, thresholds: Thresholds) -> bool:
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


def allowed_silence(run: Run) -> timedelta:
    """Return after how long without a heartbeat a run is lost."""
    return timedelta(seconds=LOST_AFTER_INTERVALS * (run.heartbeat_interval_s or DEFAULT_INTERVAL_S))


# -- the rules


def _lost(examined: Examined) -> Finding:
    run, (note, evidence) = examined.run, examined.others
    since = run.heartbeat_at or run.started_at
    silent = max((examined.now - since).total_seconds(), 0.0)
    return Finding(
        kind="lost",
        since=since,
        evidence=run.evidence + evidence,
        note=f"silent {span(silent)}{note}",
        value=silent,
        limit=allowed_silence(run).total_seconds(),
    )


def _stalled(examined: Examined) -> Finding | None:
    """Find a run that stands still, by its present phase; one whose job only records its begin and end never does."""
    baseline, limits, phases = examined.baseline, examined.thresholds, examined.phases
    processed = any(counts.get("processed") for phase in phases for counts in phase.counters.values())
    if not (examined.run.requests or processed or baseline.requests.usual):
        return None
    since = latest_progress(examined.run, phases)
    still = (examined.now - since).total_seconds()
    current = running_phase(phases)
    phase = current.phase if current is not None else ""
    place = f"phase {phase}" if phase else "the run"
    usual = baseline.pauses_s.get(phase, Usual())
    if usual.p95 is not None:
        limit = max(limits.stalled_after_s, limits.stalled_times_usual * usual.p95)
        usually = f"; its longest pause is usually {span(usual.usual)}"
    elif phase in examined.pauses:
        limit = max(limits.stalled_after_s, TIMES_OWN_PAUSE * examined.pauses[phase])
        usually = f"; its longest pause was {span(examined.pauses[phase])} so far"
    else:
        limit, usually = limits.stalled_without_past_s, ""
    if still <= limit:
        return None
    return Finding(
        kind="stalled",
        since=since,
        evidence=f"heartbeats arrive; {place} has not moved for {span(still)}{usually}",
        note=f"no progress for {span(still)}",
        value=still,
        limit=limit,
    )


def _throttled(examined: Examined) -> Finding | None:
    limits, now, usual = examined.thresholds, examined.now, examined.baseline.throttled_share
    limit = max(limits.throttled_share, limits.throttled_times_usual * (usual.usual or 0.0))
    recent = [cell for cell in examined.series if cell.bucket + cell.width > now.timestamp() - RECENT_S]
    requests = sum(cell.requests for cell in recent)
    share = sum(cell.throttled for cell in recent) / requests if requests else 0.0
    if requests < limits.throttled_requests or share < limit:
        return None
    stretch = last_stretch(
        examined.series,
        lambda cell: cell.throttled / cell.requests >= limit / 2 if cell.requests else None,
        calm_after_s=2 * RECENT_S,
    )
    usually = f", usually {percent(usual.usual or 0.0)}" if usual.runs else ""
    return Finding(
        kind="throttled",
        since=now if stretch is None else at_second(stretch[0]),
        evidence=f"{percent(share)} of its requests in the last {span(RECENT_S)} were answered 429{usually}",
        note=f"429 {percent(share)}",
        value=share,
        limit=limit,
    )


def _slow(examined: Examined) -> Finding | None:
    run, baseline, departure, elapsed = examined.run, examined.baseline, examined.departure, examined.elapsed_s
    limits = baseline.limits_of_duration(run)
    if limits is None or not is_slow(run, baseline, now=examined.now, thresholds=examined.thresholds):
        return None
    p95 = limits[1]
    limit = max(limits[0], examined.thresholds.slow_times_p95 * p95)
    excess, name = max(((_excess(phase, examined), phase.phase) for phase in examined.phases), default=(0.0, ""))
    slowest = _slowest(examined)
    compared = f"running for {span(elapsed)}; 95 % of comparable runs took less than {span(p95)}"
    which, short = "", []
    if excess > 0:
        which = f"phase {name} is {span(excess)} over its usual"
        short.append(f"{name} +{span(excess)}")
    if slowest is not None:
        short.append(slowest[0].endpoint)
    reasons = _departure_reasons(examined, slowest)
    if departure is None and (which or reasons):
        reasons.append(compared)
    by_latency = departure is not None and departure.measure == "latency"
    return Finding(
        kind="slow",
        since=departure.since if departure is not None else run.started_at + timedelta(seconds=limit),
        evidence=": ".join(filter(None, (which, "; ".join(reasons)))) or f"{compared}; no phase stands out",
        note=", ".join(short) or f"{ratio(elapsed / p95) if p95 else '–'} its p95",
        value=elapsed,
        limit=limit,
        endpoint=slowest[0].endpoint if slowest is not None and by_latency else "",
    )


def _departure_reasons(examined: Examined, slowest: tuple[EndpointTotals, float, Usual] | None) -> list[str]:
    """Return what departed from its usual: the worst endpoint, all requests, or how many there are."""
    departure = examined.departure
    measure = departure.measure if departure is not None else ""
    reasons = []
    if slowest is not None:
        totals, p95, usual = slowest
        then = f"{'since then ' if measure == 'latency' else ''}{totals.endpoint} answers in"
        reasons.append(f"{then} {duration_ms(p95)} at p95, usually {duration_ms(usual.usual)}")
    elif departure is not None and measure == "latency":
        now = min(departure.since_then, max((totals.max_ms for totals in examined.endpoints), default=math.inf))
        reasons.append(
            f"since then its requests take {duration_ms(now)} at p95, usually {duration_ms(departure.usual)}"
        )
    if departure is not None and measure == "rate":
        makes, usually = per_second(departure.since_then, "requests"), per_second(departure.usual)
        reasons.append(f"since then it makes {makes}, usually {usually}")
    return reasons


def _excess(phase: Phase, examined: Examined) -> float:
    """Return the seconds by which a phase is over its usual time; 0 where that is not known."""
    known = examined.baseline.phase(phase.phase)
    if known is None or known.duration_s.usual is None or phase.started_at is None:
        return 0.0
    return ((phase.ended_at or examined.now) - phase.started_at).total_seconds() - known.duration_s.usual


def _slowest(examined: Examined) -> tuple[EndpointTotals, float, Usual] | None:
    """Return the endpoint whose p95 is beyond its usual p95 by most, weighed by its requests."""
    found: list[tuple[float, EndpointTotals, float, Usual]] = []
    for totals in examined.endpoints:
        usual = examined.baseline.endpoint_p95_ms.get(totals.endpoint, Usual())
        p95 = histogram.percentile(totals.latencies, 0.95)
        if p95 is not None and usual.p95 is not None and usual.usual is not None and p95 > TIMES_P95 * usual.p95:
            found.append(((p95 - usual.usual) * totals.requests, totals, p95, usual))
    return max(found, key=lambda one: one[0])[1:] if found else None


def _incomplete(examined: Examined) -> Finding | None:
    """Find a completed run whose own numbers do not agree."""
    found = contradictions(examined, examined.baseline.completed)
    if not found:
        return None
    return Finding(
        kind="incomplete",
        since=examined.run.ended_at or examined.now,
        evidence="; ".join(each.because for each in found),
        note=found[0].note,
        value=1 - found[0].share,
        limit=1.0,
    )


def _unusual(examined: Examined) -> Finding | None:
    """Find a completed run with amounts that comparable runs lack."""
    found = unusual_amounts(examined, examined.baseline.completed)
    if not found:
        return None
    first = found[0]
    return Finding(
        kind="unusual",
        since=examined.run.ended_at or examined.now,
        evidence="; ".join(map(amount_words, found[:MOST_AMOUNTS])),
        note=f"{first.what} {change(first.value / first.expected.usual - 1)}"[:22],
        value=first.value,
        limit=first.expected.low if first.value < first.expected.usual else first.expected.high,
    )


# -- since when a run is not what its job usually is: only whole minutes, so that a later look finds the same


def departure_of(
    series: Sequence[SeriesCell], baseline: JobBaseline, *, began: datetime, now: datetime
) -> Departure | None:
    """Return since when a run's latency, else its rate, has stayed beyond its usual; None where neither has."""
    minutes = _minutes(series, began, now)
    return _latency_departure(minutes, baseline.latency_p95_ms) or _rate_departure(minutes, baseline.request_rate.usual)


def _minutes(series: Sequence[SeriesCell], began: datetime, now: datetime) -> list[SeriesCell]:
    """Return the whole minutes of a run, those without a request among them, as far back as its series is given."""
    end = int(now.timestamp()) // MINUTE_S
    busy: dict[int, list[SeriesCell]] = {}
    for cell in series:
        busy.setdefault(cell.bucket // MINUTE_S, []).append(cell)
    first = max(-(-int(began.timestamp()) // MINUTE_S), min(busy, default=end))
    return [
        SeriesCell(
            bucket=minute * MINUTE_S,
            width=MINUTE_S,
            requests=sum(cell.requests for cell in busy.get(minute, ())),
            histogram=tuple(entry for cell in busy.get(minute, ()) for entry in cell.histogram),
        )
        for minute in range(first, end)
    ]


def _latency_departure(minutes: Sequence[SeriesCell], usual: Usual) -> Departure | None:
    limit = usual.p95
    if usual.usual is None or limit is None:
        return None

    def slower(minute: SeriesCell) -> bool | None:
        found = histogram.percentile(histogram.unpack(minute.histogram), 0.95)
        return None if found is None or minute.requests < LEAST_REQUESTS else found > TIMES_P95 * limit

    begin = _long_stretch(minutes, slower)
    if begin is None:
        return None
    since = histogram.merge(minute.histogram for minute in minutes if minute.bucket >= begin)
    since_then = histogram.percentile(since, 0.95) or 0.0
    return Departure(since=at_second(begin), measure="latency", usual=usual.usual, since_then=since_then)


def _rate_departure(minutes: Sequence[SeriesCell], usual: float | None) -> Departure | None:
    if not usual:
        return None
    begin = _long_stretch(minutes, lambda minute: minute.requests / MINUTE_S < SHARE_OF_USUAL * usual)
    since = [minute.requests for minute in minutes if begin is not None and minute.bucket >= begin]
    # A phase that asks for nothing is not slow at asking.
    if begin is None or sum(requests > 0 for requests in since) * 2 < len(since):
        return None
    return Departure(since=at_second(begin), measure="rate", usual=usual, since_then=sum(since) / len(since) / MINUTE_S)


def _long_stretch(minutes: Sequence[SeriesCell], unusual: Callable[[SeriesCell], bool | None]) -> int | None:
    """Return where the last stretch of unusual minutes begins; None where it is no longer than a bad moment."""
    stretch = last_stretch(minutes, unusual)
    return stretch[0] if stretch is not None and stretch[1] - stretch[0] >= LEAST_S else None


def last_stretch(
    cells: Sequence[SeriesCell], unusual: Callable[[SeriesCell], bool | None], *, calm_after_s: int = CALM_S
) -> tuple[int, int] | None:
    """Return where the last stretch of unusual cells begins and ends, seconds since 1970-01-01Z; None without any.

    `cells` ascend; `unusual` is None for one that shows neither. Cells that are as usual for `calm_after_s` after the
    stretch mean that there is none.
    """
    begin, end, calm = 0, None, 0
    for cell in reversed(cells):
        is_unusual = unusual(cell)
        if is_unusual:
            begin, calm = cell.bucket, 0
            end = end if end is not None else cell.bucket + cell.width
        elif is_unusual is not None:
            calm += cell.width
            if calm >= (calm_after_s if end is None else CALM_S):
                break
    return None if end is None else (begin, end)
