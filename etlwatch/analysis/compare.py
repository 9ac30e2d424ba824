"""Two runs side by side: what changed from one to the other, ordered by its share of the difference in time.

Defines which figures are compared, what counts as a change, and the shares. Differences go from the earlier run,
`before`, to the later one, `after`. Of a run that goes on only what it has reached is compared.

A share is a part of the difference between the two durations. Phases have one, and so have endpoints, by the time
spent waiting for them (divided by how many requests were under way at once). Shares may exceed 100 % or be negative:
one phase may take back what another one costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

from etlwatch.analysis.snapshot import RunDetails
from etlwatch.text.numbers import duration_ms
from tracking_core import histogram
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import EndpointTotals, Phase, PhaseStatus, Run, RunStatus

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


def _difference(
    kind: Kind,
    what: str,
    measure: str,
    unit: Unit,
    values: Sequence[float | None],
    *,
    least: float,
    relative: float = 0.0,
    so_far: bool = False,
    note: str = "",
) -> Difference:
    """Return the difference of two values, the earlier first; `so_far` for sums that still grow: less is no change.

    It is remarkable from `least` on, and from `relative` times the earlier value.
    """
    before, after = values
    difference = None if before is None or after is None else after - before
    if so_far and difference is not None and difference <= 0:
        difference = None
    return Difference(
        kind=kind,
        what=what,
        measure=measure,
        unit=unit,
        before=before,
        after=after,
        difference=difference,
        remarkable=difference is not None and abs(difference) >= max(least, relative * abs(before or 0.0)),
        note=note or ("so far" if so_far else ""),
    )


def _both(new: Iterable[str], old: Iterable[str]) -> Iterable[str]:
    """Return the names that either run has, those of the later one first."""
    return dict.fromkeys([*new, *old])


_Read: TypeAlias = Callable[[EndpointTotals, float], float | None]
"""Reads a figure from an endpoint's totals and the duration of its run in seconds."""

_OF_ENDPOINT: Final[tuple[tuple[str, Unit, _Read, float, float, bool], ...]] = (
    ("p95", "ms", lambda totals, _: histogram.percentile(totals.latencies, 0.95), 10.0, 0.2, False),
    ("rate", "rate", lambda totals, seconds: totals.requests / seconds if seconds else None, 0.1, 0.2, False),
    ("requests", "count", lambda totals, _: float(totals.requests), 1, 0.02, True),
    ("429", "share", lambda each, _: each.throttled / each.requests if each.requests else None, 0.005, 0.5, False),
    ("failed", "count", lambda totals, _: float(totals.failed), 1, 0.1, True),
)
"""Measure, unit and value; from where on a change is remarkable; whether it grows while a run goes on."""


def _endpoint_figures(after: RunDetails, before: RunDetails, taken_s: tuple[float, float]) -> Iterator[Difference]:
    new = {each.endpoint: each for each in after.endpoints}
    old = {each.endpoint: each for each in before.endpoints}
    for endpoint in _both(new, old):
        for measure, unit, read, least, relative, grows in _OF_ENDPOINT:
            then, now = (
                read(side[endpoint], seconds) if endpoint in side else 0.0 if grows else None
                for side, seconds in zip((old, new), taken_s, strict=True)
            )
            so_far = grows and is_live(after)
            yield _difference(
                "endpoint", endpoint, measure, unit, (then, now), least=least, relative=relative, so_far=so_far
            )


def is_live(details: RunDetails) -> bool:
    """Return whether a run goes on."""
    return details.run is not None and details.run.status == RunStatus.RUNNING


def _counts(after: RunDetails, before: RunDetails, now: Run, then: Run) -> Iterator[Difference]:
    """Yield what the runs did in all, and what their sources had."""
    live = is_live(after)
    for what, relative in (("items", 0.02), ("requests", 0.02), ("failed requests", 0.1), ("errors", 0.1)):
        values = tuple(float(getattr(run, what.replace(" ", "_"))) for run in (then, now))
        yield _difference("run", what, what, "count", values, least=1, relative=relative, so_far=live)
    speed = tuple(run.items / run.duration_s if run.duration_s else None for run in (then, now))
    yield _difference("run", "items a second", "rate", "rate", speed, least=0.1, relative=0.1)
    memory = tuple(max((each.peak_memory_mb or 0.0 for each in side.phases), default=0.0) for side in (before, after))
    if any(memory):
        yield _difference("run", "memory", "memory", "mb", memory, least=16, relative=0.1, so_far=live)
    old, new = ({each.entity: float(each.items) for each in side.source_counts} for side in (before, after))
    for entity in _both(new, old):
        yield _difference("source", entity, "counted", "count", (old.get(entity), new.get(entity)), least=1)


def _error_kinds(after: RunDetails, before: RunDetails) -> list[Difference]:
    """Return the kinds of errors of either run, as far as they were read: those that are new first."""
    new, old = ({error.fingerprint: error for error in reversed(side.errors)} for side in (after, before))
    often = [Counter(error.fingerprint for error in side.errors) for side in (before, after)]
    found = []
    for fingerprint in _both(dict.fromkeys(error.fingerprint for error in after.errors), old):
        newest = new.get(fingerprint) or old[fingerprint]
        where = f" in {newest.phase}" if newest.phase else ""
        note = "not in the earlier run" if fingerprint not in old else "no more" if fingerprint not in new else ""
        values = float(often[0][fingerprint]), float(often[1][fingerprint])
        found.append(_difference("error", f"{newest.error_type}{where}", "errors", "count", values, least=1, note=note))
    return sorted(found, key=lambda each: (each.before != 0, each.after == 0, -abs(each.difference or 0)))


def _origins(after: Run, before: Run) -> Iterator[Difference]:
    """Yield where the runs came from: code, command, host and the rest."""
    names = ("code_version", "command", "host", "user", "tracker_version")
    texts = [(name.replace("_", " "), getattr(before, name), getattr(after, name)) for name in names]
    if after.job != before.job:
        texts.insert(0, ("job", before.job, after.job))
    texts += [
        (f"tag {tag}", str(before.tags.get(tag, "")), str(after.tags.get(tag, "")))
        for tag in _both(after.tags, before.tags)
    ]
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
    longer_s = max(now_run.duration_s, before_run.duration_s)
    timed = [*_phases(after, before, now_run, before_run, now), *_waiting(after, before, longer_s)]
    whole = _whole(now_run, before_run, timed)
    if whole:
        timed = [each if each.difference is None else replace(each, share=each.difference / whole) for each in timed]
    found = [
        *_by_share(timed, list(_endpoint_figures(after, before, (before_run.duration_s, now_run.duration_s)))),
        *_error_kinds(after, before),
        *_origins(now_run, before_run),
        *sorted(_counts(after, before, now_run, before_run), key=lambda each: -abs(each.relative or 0.0)),
    ]
    return Comparison(before=before_run, after=now_run, differences=tuple(_with_reason(found)), unknown=unknown)


# -- time


def _phases(
    after: RunDetails, before: RunDetails, now_run: Run, before_run: Run, now: datetime
) -> Iterator[Difference]:
    """Yield the time of each phase of either run, in the order of their positions, and the rest of the runs."""
    new, old = ({phase.phase: phase for phase in _in_order(side.phases)} for side in (after, before))
    new_s = {name: _phase_s(phase, now_run, now) for name, phase in new.items()}
    old_s = {name: _phase_s(phase, before_run, now) for name, phase in old.items()}
    live, longer_s = is_live(after), max(now_run.duration_s, before_run.duration_s)
    for name in _both(new, old):
        unfinished = live and (name not in new or new[name].status in (PhaseStatus.RUNNING, PhaseStatus.PENDING))
        yield _timed("phase", name, old_s.get(name), new_s.get(name), unfinished=unfinished, total_s=longer_s)
    if new and old:
        rest_then, rest_now = (
            run.duration_s - sum(each or 0.0 for each in phases_s.values())
            for run, phases_s in ((before_run, old_s), (now_run, new_s))
        )
        # Phases that run beside each other add up to more than the run.
        if rest_now >= 0 and rest_then >= 0:
            yield _timed("run", OUTSIDE, rest_then, rest_now, unfinished=live, total_s=longer_s)


def _in_order(phases: Iterable[Phase]) -> list[Phase]:
    return sorted(phases, key=lambda phase: phase.position)


def _phase_s(phase: Phase, run: Run, now: datetime) -> float | None:
    if phase.started_at is None:
        return None
    # A phase that nobody ended went on no longer than its run.
    return max(((phase.ended_at or run.ended_at or now) - phase.started_at).total_seconds(), 0.0)


def _timed(
    kind: Kind, what: str, then_s: float | None, now_s: float | None, *, unfinished: bool, total_s: float
) -> Difference:
    """Return the difference of two times; one that is not over yet is a change once it is longer."""
    not_begun = unfinished and now_s is None
    note = "not begun yet" if not_begun else "so far" if unfinished else ""
    if not unfinished and (then_s is None or now_s is None):
        note = "only in the later run" if then_s is None else "not in the later run"
    values = then_s or 0.0, None if not_begun else now_s or 0.0
    least = max(1.0, 0.01 * total_s)
    found = _difference(kind, what, "time", "s", values, least=least, so_far=unfinished, note=note)
    return replace(found, before=then_s, after=now_s)


def _waiting(after: RunDetails, before: RunDetails, longer_s: float) -> Iterator[Difference]:
    """Yield the time spent waiting for each endpoint."""
    new, old = _waits(after), _waits(before)
    for name in _both(new, old):
        yield _timed("endpoint", name, old.get(name), new.get(name), unfinished=is_live(after), total_s=longer_s)


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


def _by_share(timed: Sequence[Difference], figures: Sequence[Difference]) -> Iterator[Difference]:
    """Yield the greatest share first, what has none last, and behind each endpoint its other figures."""
    for each in sorted(timed, key=lambda one: (one.share is None, -abs(one.share or 0.0))):
        yield each
        if each.kind == "endpoint":
            yield from (figure for figure in figures if figure.what == each.what)


def _with_reason(found: Sequence[Difference]) -> Sequence[Difference]:
    """Note beside the phase with the greatest share which endpoint answers slower and cost half of it."""
    phase = next((each for each in found if each.kind == "phase" and each.remarkable), None)
    slower = next((each for each in found if each.measure == "p95" and each.remarkable), None)
    if phase is None or slower is None or (slower.difference or 0.0) <= 0 or (phase.share or 0.0) <= 0:
        return found
    waits = (each for each in found if each.kind == "endpoint" and each.measure == "time")
    waited = next((each.share or 0.0 for each in waits if each.what == slower.what), 0.0)
    if waited < 0.5 * (phase.share or 0.0):
        return found
    # Both latencies are in seconds where the greater one is.
    numbers = [float(value or 0.0) for value in (slower.before, slower.after)]
    then, now = (duration_ms(each, seconds_from=100 if max(numbers) >= 1_000 else 1_000) for each in numbers)
    reason = f"{slower.what} {then} → {now} at p95"
    noted = replace(phase, note=f"{reason}; {phase.note}" if phase.note else reason)
    return [noted if each is phase else each for each in found]
