"""Two runs side by side: what changed from one to the other, ordered by its share of the difference in time.

Defines which figures are compared, what counts as a change, and the shares. Differences go from the earlier run,
`before`, to the later one, `after`. Of a run that goes on only what it has reached is compared.

A share is a part of the difference between the two durations. Phases have one, and so have endpoints, by the time
spent waiting for them (divided by how many requests were under way at once). Shares may exceed 100 % or be negative:
one phase may take back what another one costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

from etlwatch.analysis.snapshot import RunDetails
from etlwatch.text.numbers import duration_ms
from tracking_core import histogram
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import EndpointTotals, ErrorRecord, Phase, PhaseStatus, Run, RunStatus

Kind: TypeAlias = Literal["phase", "endpoint", "run", "error", "source", "origin"]
Unit: TypeAlias = Literal["s", "ms", "count", "rate", "share", "mb", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of both runs."""

    kind: Kind
    what: str
    """A phase, an endpoint, an entity or an error of the store, else our own word: `items`, `code version`."""

    measure: str
    """What of it: `time`, `requests`, `rate`, `p95`, `429`, `failed`, `items`, `errors`; '' for a text."""

    unit: Unit
    before: float | str | None
    after: float | str | None
    """In `unit`; None where a run has no such figure."""

    difference: float | None = None
    """After minus before; None where that means nothing."""

    share: float | None = None
    """Of the difference between the durations, 1.0 for all of it; None for what is not measured in time."""

    remarkable: bool = False
    """Whether it changed by more than what is always different."""

    note: str = ""
    """Why, or what is not known yet; text from the store may be in it."""

    @property
    def relative(self) -> float | None:
        """The difference as a part of `before`."""
        if self.difference is None or not isinstance(self.before, int | float) or not self.before:
            return None
        return self.difference / self.before


def number_difference(
    kind: Kind,
    what: str,
    measure: str,
    unit: Unit,
    before: float | None,
    after: float | None,
    *,
    least: float,
    least_relative: float,
    so_far: bool = False,
) -> Difference:
    """Return the difference of two numbers; `so_far` for sums that still grow: less is no change yet."""
    difference = None if before is None or after is None else after - before
    note = ""
    if so_far:
        note = "so far"
        if difference is not None and difference <= 0:
            difference = None
    remarkable = (
        difference is not None and abs(difference) >= least and abs(difference) >= least_relative * abs(before or 0.0)
    )
    return Difference(
        kind=kind,
        what=what,
        measure=measure,
        unit=unit,
        before=before,
        after=after,
        difference=difference,
        remarkable=remarkable,
        note=note,
    )


def is_live(details: RunDetails) -> bool:
    """Return whether a run goes on."""
    return details.run is not None and details.run.status == RunStatus.RUNNING


def endpoint_figures(after: RunDetails, before: RunDetails) -> Iterator[Difference]:
    new = {each.endpoint: each for each in after.endpoints}
    old = {each.endpoint: each for each in before.endpoints}
    for endpoint in dict.fromkeys([*new, *old]):
        now, then = new.get(endpoint), old.get(endpoint)
        live = is_live(after)

        def number(
            measure: str,
            unit: Unit,
            values: tuple[float | None, float | None],
            least: float,
            relative: float,
            *,
            so_far: bool = False,
            name: str = endpoint,
        ) -> Difference:
            then_value, now_value = values
            return number_difference(
                "endpoint", name, measure, unit, then_value, now_value,
                least=least, least_relative=relative, so_far=so_far,
            )  # fmt: skip

        yield number("p95", "ms", (_p95(then), _p95(now)), 10.0, 0.2)
        yield number("rate", "rate", (_rate(then, before.run), _rate(now, after.run)), 0.1, 0.2)
        yield number("requests", "count", (_of(then, "requests"), _of(now, "requests")), 1, 0.02, so_far=live)
        yield number("429", "share", (_share(then), _share(now)), 0.005, 0.5)
        yield number("failed", "count", (_of(then, "failed"), _of(now, "failed")), 1, 0.1, so_far=live)


def _p95(totals: EndpointTotals | None) -> float | None:
    if totals is None:
        return None
    return histogram.percentile(totals.latencies, 0.95)


def _rate(totals: EndpointTotals | None, run: Run | None) -> float | None:
    return totals.requests / run.duration_s if totals is not None and run is not None and run.duration_s else None


def _of(totals: EndpointTotals | None, name: str) -> float:
    return float(getattr(totals, name)) if totals is not None else 0.0


def _share(totals: EndpointTotals | None) -> float | None:
    return totals.throttled / totals.requests if totals is not None and totals.requests else None


def counts(after: RunDetails, before: RunDetails) -> Iterator[Difference]:
    """Yield what the runs did in all, and what their sources had."""
    now, then, live = after.run, before.run, is_live(after)
    if now is None or then is None:
        return
    for what in ("items", "requests"):
        values = float(getattr(then, what)), float(getattr(now, what))
        yield number_difference("run", what, what, "count", *values, least=1, least_relative=0.02, so_far=live)
    for what, name in (("failed requests", "failed_requests"), ("errors", "errors")):
        values = float(getattr(then, name)), float(getattr(now, name))
        yield number_difference("run", what, what, "count", *values, least=1, least_relative=0.1, so_far=live)
    speed = tuple(run.items / run.duration_s if run.duration_s else None for run in (then, now))
    yield number_difference("run", "items a second", "rate", "rate", *speed, least=0.1, least_relative=0.1)
    memory = tuple(max((each.peak_memory_mb or 0.0 for each in side.phases), default=0.0) for side in (before, after))
    if any(memory):
        yield number_difference("run", "memory", "memory", "mb", *memory, least=16, least_relative=0.1, so_far=live)
    counted_then = {count.entity: float(count.items) for count in before.source_counts}
    counted_now = {count.entity: float(count.items) for count in after.source_counts}
    for entity in dict.fromkeys([*counted_now, *counted_then]):
        values_of = counted_then.get(entity), counted_now.get(entity)
        yield number_difference("source", entity, "counted", "count", *values_of, least=1, least_relative=0.0)


def error_kinds(after: Sequence[ErrorRecord], before: Sequence[ErrorRecord]) -> list[Difference]:
    """Return the kinds of errors of either run, as far as they were read: those that are new first."""
    new, old = _kinds(after), _kinds(before)
    found = []
    for fingerprint in dict.fromkeys([*new, *old]):
        now, then = new.get(fingerprint, ()), old.get(fingerprint, ())
        newest = (now or then)[0]
        where = f" in {newest.phase}" if newest.phase else ""
        note = "not in the earlier run" if not then else "no more" if not now else ""
        found.append(
            Difference(
                kind="error",
                what=f"{newest.error_type}{where}",
                measure="errors",
                unit="count",
                before=float(len(then)),
                after=float(len(now)),
                difference=float(len(now) - len(then)),
                remarkable=len(now) != len(then),
                note=note,
            )
        )
    return sorted(found, key=lambda each: (each.before != 0, each.after == 0, -abs(each.difference or 0)))


def _kinds(errors: Iterable[ErrorRecord]) -> Mapping[str, Sequence[ErrorRecord]]:
    kinds: dict[str, list[ErrorRecord]] = {}
    for error in errors:
        kinds.setdefault(error.fingerprint, []).append(error)
    return kinds


def origins(after: Run, before: Run) -> Iterator[Difference]:
    """Yield where the runs came from: code, command, host and the rest."""
    texts: list[tuple[str, str, str]] = [
        ("code version", before.code_version, after.code_version),
        ("command", before.command, after.command),
        ("host", before.host, after.host),
        ("user", before.user, after.user),
        ("tracker version", before.tracker_version, after.tracker_version),
    ]
    if after.job != before.job:
        texts.insert(0, ("job", before.job, after.job))
    tags = dict.fromkeys([*after.tags, *before.tags])
    texts += [(f"tag {tag}", str(before.tags.get(tag, "")), str(after.tags.get(tag, ""))) for tag in tags]
    for what, then, now in texts:
        if then or now:
            yield Difference(
                kind="origin", what=what, measure="", unit="text", before=then, after=now, remarkable=then != now
            )


OUTSIDE: Final = "outside phases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that was held against each other."""

    before: Run
    after: Run
    differences: tuple[Difference, ...]
    """By share, then errors, origins and counts; what did not change is among them."""

    unknown: str = ""
    """Why endpoints were not compared; '' where they were."""

    @property
    def difference_s(self) -> float:
        """How much longer the later run took, or takes so far, seconds."""
        return self.after.duration_s - self.before.duration_s

    @property
    def so_far(self) -> bool:
        """Whether the later run goes on."""
        return self.after.status == RunStatus.RUNNING

    @property
    def changes(self) -> tuple[Difference, ...]:
        """What changed."""
        return tuple(each for each in self.differences if each.remarkable)


def compare_runs(after: RunDetails, before: RunDetails, *, now: datetime) -> Comparison:
    """Return what changed from one run to the other; `now` is the store's clock. ValueError without two runs."""
    if after.run is None or before.run is None:
        raise ValueError("both runs are needed to compare them")
    now_run, before_run = after.run, before.run
    unknown = after.unknown.get("endpoints") or before.unknown.get("endpoints") or ""
    if unknown:
        # Of one side alone they would look like changes.
        after, before = replace(after, endpoints=()), replace(before, endpoints=())
    timed = [*_phases(after, before, now), *_waiting(after, before)]
    whole = _whole(now_run, before_run, timed)
    shared = [_with_share(each, whole) for each in timed]
    found = [
        *_by_share(shared, list(endpoint_figures(after, before))),
        *error_kinds(after.errors, before.errors),
        *origins(now_run, before_run),
        *sorted(counts(after, before), key=lambda each: -abs(each.relative or 0.0)),
    ]
    return Comparison(before=before_run, after=now_run, differences=tuple(_with_reason(found)), unknown=unknown)


# -- time


def _phases(after: RunDetails, before: RunDetails, now: datetime) -> Iterator[Difference]:
    """Yield the time of each phase of either run, in the order of their positions, and the rest of the runs."""
    new, old = _by_name(after.phases), _by_name(before.phases)
    live = is_live(after)
    for name in dict.fromkeys([*_in_order(after.phases), *_in_order(before.phases)]):
        now_s, then_s = _phase_s(new.get(name), after.run, now), _phase_s(old.get(name), before.run, now)
        unfinished = live and (name not in new or new[name].status in (PhaseStatus.RUNNING, PhaseStatus.PENDING))
        yield _timed("phase", name, then_s, now_s, unfinished=unfinished, total=_longer(after, before))
    if new and old and after.run is not None and before.run is not None:
        rest_now = after.run.duration_s - sum(_phase_s(each, after.run, now) or 0.0 for each in new.values())
        rest_then = before.run.duration_s - sum(_phase_s(each, before.run, now) or 0.0 for each in old.values())
        # Phases that run beside each other add up to more than the run.
        if rest_now >= 0 and rest_then >= 0:
            yield _timed("run", OUTSIDE, rest_then, rest_now, unfinished=live, total=_longer(after, before))


def _by_name(phases: Iterable[Phase]) -> dict[str, Phase]:
    return {phase.phase: phase for phase in phases}


def _in_order(phases: Iterable[Phase]) -> list[str]:
    return [phase.phase for phase in sorted(phases, key=lambda phase: phase.position)]


def _phase_s(phase: Phase | None, run: Run | None, now: datetime) -> float | None:
    if phase is None or phase.started_at is None:
        return None
    # A phase that nobody ended went on no longer than its run.
    end = phase.ended_at or (run.ended_at if run is not None else None) or now
    return max((end - phase.started_at).total_seconds(), 0.0)


def _longer(after: RunDetails, before: RunDetails) -> float:
    return max((each.run.duration_s for each in (after, before) if each.run is not None), default=0.0)


def _timed(
    kind: Kind, what: str, then_s: float | None, now_s: float | None, *, unfinished: bool, total: float
) -> Difference:
    """Return the difference of two times; one that is not over yet is a change once it is longer."""
    difference: float | None = (now_s or 0.0) - (then_s or 0.0)
    note = ""
    if now_s is None and unfinished:
        difference, note = None, "not begun yet"
    elif unfinished:
        note = "so far"
        if difference is not None and difference <= 0:
            difference = None
    elif then_s is None:
        note = "only in the later run"
    elif now_s is None:
        note = "not in the later run"
    remarkable = difference is not None and abs(difference) >= max(1.0, 0.01 * total)
    return Difference(
        kind=kind,
        what=what,
        measure="time",
        unit="s",
        before=then_s,
        after=now_s,
        difference=difference,
        remarkable=remarkable,
        note=note,
    )


def _waiting(after: RunDetails, before: RunDetails) -> Iterator[Difference]:
    """Yield the time spent waiting for each endpoint."""
    new, old = _waits(after), _waits(before)
    for endpoint in dict.fromkeys([*new, *old]):
        then_s, now_s = old.get(endpoint), new.get(endpoint)
        unfinished = is_live(after)
        yield _timed("endpoint", endpoint, then_s, now_s, unfinished=unfinished, total=_longer(after, before))


def _waits(details: RunDetails) -> dict[str, float]:
    """Return the seconds a run waited for each endpoint, as far as its requests did not overlap."""
    total = sum(each.duration_ms for each in details.endpoints) / 1000
    at_once = max(1.0, total / details.run.duration_s) if details.run is not None and details.run.duration_s else 1.0
    return {each.endpoint: each.duration_ms / 1000 / at_once for each in details.endpoints}


def _whole(after: Run, before: Run, timed: Sequence[Difference]) -> float:
    """Return what shares are parts of: the difference of the durations, or what moved where that is next to none."""
    difference = after.duration_s - before.duration_s
    unfinished = after.status == RunStatus.RUNNING
    if abs(difference) >= max(1.0, 0.02 * before.duration_s) and not (unfinished and difference < 0):
        return difference
    return sum(abs(each.difference or 0.0) for each in timed if each.kind != "endpoint")


def _with_share(each: Difference, whole: float) -> Difference:
    if each.difference is None or not whole:
        return each
    return replace(each, share=each.difference / whole)


def _by_share(timed: Sequence[Difference], figures: Sequence[Difference]) -> Iterator[Difference]:
    """Yield the greatest share first, what has none last, and behind each endpoint its other figures."""
    for each in sorted(timed, key=lambda one: (one.share is None, -abs(one.share or 0.0))):
        yield each
        if each.kind == "endpoint":
            yield from (figure for figure in figures if figure.what == each.what)


def _with_reason(found: Sequence[Difference]) -> Iterator[Difference]:
    """Note beside the phase with the greatest share which endpoint answers slower, where one explains it."""
    first = next((each for each in found if each.kind == "phase" and each.remarkable), None)
    slower = next((each for each in found if each.measure == "p95" and each.remarkable), None)
    waited = {each.what: each.share or 0.0 for each in found if each.kind == "endpoint" and each.measure == "time"}
    for each in found:
        if each is not first or slower is None or not _explains(slower, each, waited):
            yield each
            continue
        reason = f"{slower.what} {_latency(slower.before, slower)} → {_latency(slower.after, slower)} at p95"
        yield replace(each, note=f"{reason}; {each.note}" if each.note else reason)


def _explains(slower: Difference, phase: Difference, waited: Mapping[str, float]) -> bool:
    """Return whether an endpoint that answers slower cost at least half of what a phase did."""
    return (
        (slower.difference or 0.0) > 0
        and (phase.share or 0.0) > 0
        and waited.get(slower.what, 0.0) >= 0.5 * (phase.share or 0.0)
    )


def _latency(value: float | str | None, pair: Difference) -> str:
    """Write one of two latencies: both in seconds where the greater one is."""
    both = [each for each in (pair.before, pair.after) if isinstance(each, int | float)]
    in_seconds = max(both, default=0.0) >= 1_000
    return duration_ms(value if not isinstance(value, str) else None, seconds_from=100 if in_seconds else 1_000)
