"""Figures of two runs, each with its difference and whether that exceeds the usual variation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from etlwatch.analysis.snapshot import RunDetails
from tracking_core import histogram
from tracking_core.dataclass import dataclass
from tracking_core.records import EndpointTotals, ErrorRecord, Run, RunStatus

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
    value = histogram.percentile(histogram.unpack(totals.histogram), 0.95)
    return value if value is None or not totals.max_ms else min(value, float(totals.max_ms))


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
