"""What is wrong with a run that completed: its own numbers that do not agree, and amounts that comparable runs lack.

`incomplete` needs no history but for what is usual: a job that always loads 98 % of what it fetches is complete at
98 %. `unusual` compares amounts with comparable runs (see comparable.py) and needs at least 14 of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from etlwatch.analysis.comparable import Circumstances, ComparableRuns, Expectation
from etlwatch.analysis.coverage import Coverage, coverage_words
from etlwatch.text.numbers import number_of, percent
from tracking_core.dataclass import dataclass, field
from tracking_core.records import EndpointTotals, Phase, PhaseStatus, Run, SourceCount

READING: Final = ("extract", "fetch", "read", "list", "download", "pull", "get", "collect", "scan", "crawl", "import")
WRITING: Final = ("load", "write", "store", "save", "insert", "publish", "upload", "push", "export")
"""Names, or beginnings of names, of phases that read and write."""

CHECKS: Final = ("delivery", "pages", "cursors", "fetched", "loaded", "phases", "amounts")
"""What is checked of a completed run."""

LEAST_SHARES: Final = 5
"""Earlier runs that show which share of a job's items is usual."""

SHARE_WITHOUT_PAST: Final = 0.9
"""A first run that misses more than a tenth of what it should have is incomplete."""

LEAST_SHORTFALL: Final = 0.005
"""A share that is less below the lowest usual one is not reported."""

UNUSUAL_CHANCE: Final = 0.001
"""How often any amount of a healthy run may be unusual, at most."""

LEAST_ITEMS: Final = 2
"""So few missing items are not reported."""

_CURSOR: Final = re.compile(r"[?&](?:cursor|page_?token|continuation|starting_after|after)=[^&…]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What is known of one entity along its way."""

    entity: str
    counted: int | None
    """What the source said it has."""

    fetched: int | None
    """Items that the entity's endpoints returned, else what the phase that reads it processed."""

    loaded: int | None
    """What the phase that writes it processed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is stored of one run, as far as findings about it need it."""

    run: Run
    phases: Sequence[Phase] = ()
    source_counts: Sequence[SourceCount] = ()
    endpoints: Sequence[EndpointTotals] = ()
    coverage: Sequence[Coverage] = ()
    coverage_before: Sequence[Sequence[Coverage]] = ()
    """The pages of earlier runs, read where its own are not whole."""

    paged: bool = False
    """Whether it asked for pages and no answer is missing; then `coverage` may be empty."""

    missing_events: int = 0
    """What its writers emitted and the store neither holds nor counts as dropped."""


class Contradiction(NamedTuple):
    """One way in which the numbers of a run do not agree."""

    check: str
    """One of CHECKS, but `amounts`."""

    note: str
    """At most 22 characters."""

    because: str
    """A sentence; names from the store may be in it."""

    share: float = 0.0
    """What is missing, 0 to 1: the gravest is named first."""


class Check(NamedTuple):
    """One check of a completed run."""

    name: str
    """One of CHECKS."""

    failures: tuple[str, ...]
    """A sentence each; names from the store may be in them."""

    compared: str
    """What agrees, where nothing failed; '' where nothing is stored that could be compared."""

    @property
    def verdict(self) -> str:
        """`failed`, `ok` or `not checked`."""
        return "failed" if self.failures else "ok" if self.compared else "not checked"


class UnusualAmount(NamedTuple):
    """One amount of a run that comparable runs lack."""

    what: str
    value: float
    expected: Expectation


def reconcile(
    source_counts: Sequence[SourceCount], phases: Sequence[Phase], endpoints: Sequence[EndpointTotals]
) -> list[Reconciled]:
    """Return each entity that the source counted, and each unit that was read or written, along its way."""
    counted = {source.entity: source.items for source in source_counts}
    units = list(dict.fromkeys(unit for phase in phases for unit in phase.counters))
    made = []
    for entity in (*counted, *(unit for unit in units if unit not in counted)):
        answered = _fetched_from(entity, endpoints)
        fetched = answered if answered is not None else _processed_in(READING, entity, phases)
        loaded = _processed_in(WRITING, entity, phases)
        if entity in counted or fetched is not None or loaded is not None:
            made.append(Reconciled(entity=entity, counted=counted.get(entity), fetched=fetched, loaded=loaded))
    return made


def _processed_in(names: tuple[str, ...], unit: str, phases: Sequence[Phase]) -> int | None:
    """Return what the phases of such a name processed of a unit; None when none of them counts it."""
    found = [
        phase.counters[unit].get("processed") or 0
        for phase in phases
        if unit in phase.counters and phase.phase.casefold().startswith(names)
    ]
    return sum(found) if found else None


def _fetched_from(entity: str, endpoints: Sequence[EndpointTotals]) -> int | None:
    """Return the items of the endpoints that bear the entity's name as a part of their path; None without any."""
    name = entity.casefold()
    matching = [totals.items for totals in endpoints if name in totals.endpoint.casefold().partition("?")[0].split("/")]
    return sum(matching) if matching else None


class _Share(NamedTuple):
    check: str
    what: str
    done: int
    of: int
    words: str

    @property
    def name(self) -> str:
        """The entity or unit."""
        return self.what.rpartition(" ")[2]

    @property
    def sentence(self) -> str:
        """Both numbers in words."""
        return f"{self.done:,} of {self.of:,} {self.name} {self.words}"


def _shares(facts: RunFacts) -> Iterable[_Share]:
    """Return each pair of numbers of a run of which one should be the other."""
    for row in reconcile(facts.source_counts, facts.phases, facts.endpoints):
        if row.counted and row.fetched is not None:
            yield _Share("fetched", row.entity, row.fetched, row.counted, "that the source counted were fetched")
        if row.fetched and row.loaded is not None:
            yield _Share("loaded", row.entity, row.loaded, row.fetched, "that were fetched were loaded")
        elif row.counted and row.loaded is not None:
            yield _Share("loaded", row.entity, row.loaded, row.counted, "that the source counted were loaded")
    for phase in facts.phases:
        for unit, counts in phase.counters.items():
            total = counts.get("total") or 0
            if phase.status == PhaseStatus.COMPLETED and total > 0:
                words = f"were processed when phase {phase.phase} completed"
                yield _Share("phases", f"{phase.phase} {unit}", counts.get("processed") or 0, total, words)


def shares_of(facts: RunFacts) -> dict[tuple[str, str], float]:
    """Return the shares of a run that are compared with other runs, by check and by entity, or phase and unit."""
    return {(each.check, each.what): each.done / each.of for each in _shares(facts)}


def contradictions(facts: RunFacts, completed: CompletedRuns) -> list[Contradiction]:
    """Return the ways in which a completed run's own numbers do not agree, the gravest first.

    `completed` are its job's runs, of which those before it show what is usual.
    """
    found = [
        *_missing_shares(facts, completed),
        *_missing_pages(facts.coverage, facts.coverage_before),
        *_repeated_cursors(facts.endpoints),
    ]
    if facts.missing_events:
        text = f"{facts.missing_events:,} events"
        found.append(
            Contradiction(
                "delivery", f"{text} missing", f"{text} that the job emitted are neither stored nor counted as dropped"
            )
        )
    return sorted(found, key=lambda each: -each.share)


def _missing_shares(facts: RunFacts, completed: CompletedRuns) -> Iterable[Contradiction]:
    for each, past in _comparable_shares(facts, completed):
        share = each.done / each.of
        if share >= (_lowest_usual(past) if past else SHARE_WITHOUT_PAST) - LEAST_ITEMS / each.of:
            continue
        usually = f", usually {percent(sorted(past)[len(past) // 2])}" if past else ""
        note = f"{percent(share)} of {each.name}"[:22]
        yield Contradiction(each.check, note, f"{each.sentence}: {percent(share)}{usually}", 1 - share)


def _comparable_shares(facts: RunFacts, completed: CompletedRuns) -> Iterable[tuple[_Share, list[float]]]:
    """Return the shares of a run that show whether it is complete, each with its job's earlier ones if they suffice."""
    for each in _shares(facts):
        past = completed.earlier_shares((each.check, each.what), facts.run)
        # What is loaded of what was fetched may be a selection: only the past shows.
        if len(past) >= LEAST_SHARES or each.check != "loaded":
            yield each, past if len(past) >= LEAST_SHARES else []


def _lowest_usual(past: Sequence[float]) -> float:
    """Return the share from which on a run is complete, judging by its job's earlier ones."""
    # One earlier run in ten may have been incomplete itself.
    kept = sorted(past)[len(past) // 10 :]
    return kept[0] - max(LEAST_SHORTFALL, kept[-1] - kept[0])


def _missing_pages(coverage: Sequence[Coverage], before: Sequence[Sequence[Coverage]]) -> Iterable[Contradiction]:
    for each in coverage:
        earlier = [other for run in before for other in run if other.endpoint == each.endpoint]
        if each.holes and not any(other.holes for other in earlier):
            size = sum(end - start for start, end in each.holes)
            unit = "pages" if each.numbered else "offsets"
            first, last = each.holes[0]
            yield Contradiction(
                "pages",
                f"{size:,} {unit} missing",
                f"{each.endpoint}: no answer covers {size:,} {unit} between {each.first:,} and {each.last:,}, "
                f"first {first:,} to {last:,}",
                size / max(each.last - each.first, 1),
            )
        if each.never and not any(other.never for other in earlier):
            number = len(each.never)
            yield Contradiction(
                "pages",
                f"{number:,} never answered",
                f"{each.endpoint}: {number:,} {'page was' if number == 1 else 'pages were'} asked for and never "
                f"answered whole, first at offset {each.never[0]:,}",
                number / max(each.pages + number, 1),
            )


def _repeated_cursors(endpoints: Sequence[EndpointTotals]) -> Iterable[Contradiction]:
    for totals in endpoints:
        if totals.status_2xx > 1 and _CURSOR.search(totals.endpoint):
            yield Contradiction(
                "cursors",
                "same cursor twice",
                f"{totals.endpoint} was answered {totals.status_2xx:,} times: the same cursor twice",
            )


def amounts_of(facts: RunFacts) -> dict[str, float]:
    """Return the amounts of a run that are compared with those of other runs, by name."""
    run = facts.run
    amounts: dict[str, float] = {"seconds": run.duration_s}
    if run.requests:
        amounts |= {"items": run.items, "requests": run.requests}
    amounts |= {source.entity: source.items for source in facts.source_counts}
    for phase in facts.phases:
        for unit, counts in phase.counters.items():
            amounts[f"{unit} in {phase.phase}"] = counts.get("processed") or 0
    peaks = [phase.peak_memory_mb for phase in facts.phases if phase.peak_memory_mb is not None]
    return amounts | ({"MB of memory": max(peaks)} if peaks else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedRuns:
    """The last completed runs of a job, the oldest first, and their amounts and shares."""

    circumstances: tuple[Circumstances, ...] = ()
    amounts: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    shares: Mapping[tuple[str, str], tuple[float | None, ...]] = field(default_factory=dict)

    def earlier_shares(self, key: tuple[str, str], run: Run) -> list[float]:
        """Return a share of the runs that began before a run."""
        return [share for share in self.shares.get(key, ())[: self._earlier(run)] if share is not None]

    def unusual(self, name: str, amount: float, run: Run, *, chance: float) -> Expectation | None:
        """Return what an amount of a run should have been where the runs before it show that it is unusual."""
        comparable, figures = self._before(name, run)
        own = Circumstances(run.started_at, run.tags)
        return comparable.unusual(figures, amount, own, chance=chance)

    def suffice(self, name: str, run: Run) -> bool:
        """Return whether the runs before a run show what is usual for an amount of it."""
        comparable, figures = self._before(name, run)
        return comparable.suffice(figures, Circumstances(run.started_at, run.tags))

    def _before(self, name: str, run: Run) -> tuple[ComparableRuns, Sequence[float | None]]:
        earlier = self._earlier(run)
        return ComparableRuns(self.circumstances[:earlier]), self.amounts.get(name, ())[:earlier]

    def expected(self, name: str, run: Run, *, chance: float) -> Expectation | None:
        """Return what an amount of a run should be, judging by the runs before it."""
        earlier = self._earlier(run)
        figures = self.amounts.get(name, ())[:earlier]
        own = Circumstances(run.started_at, run.tags)
        return ComparableRuns(self.circumstances[:earlier]).expected(figures, own, chance=chance)

    def _earlier(self, run: Run) -> int:
        return sum(each.at < run.started_at for each in self.circumstances)


NO_RUNS: Final = CompletedRuns()


def completed_runs(past: Sequence[RunFacts]) -> CompletedRuns:
    """Return what is compared of completed runs, the oldest first."""
    amounts, shares = [amounts_of(each) for each in past], [shares_of(each) for each in past]
    return CompletedRuns(
        circumstances=tuple(Circumstances(each.run.started_at, each.run.tags) for each in past),
        amounts={
            name: tuple(each.get(name) for each in amounts)
            for name in dict.fromkeys(name for each in amounts for name in each)
        },
        shares={
            key: tuple(each.get(key) for each in shares)
            for key in dict.fromkeys(key for each in shares for key in each)
        },
    )


def unusual_amounts(facts: RunFacts, completed: CompletedRuns) -> list[UnusualAmount]:
    """Return the amounts of a completed run that comparable runs before it lack, the farthest off first."""
    amounts = amounts_of(facts)
    chance = UNUSUAL_CHANCE / len(amounts)
    found = [
        UnusualAmount(name, value, expected)
        for name, value in amounts.items()
        if (expected := completed.unusual(name, value, facts.run, chance=chance)) is not None
    ]
    return sorted(found, key=lambda each: -abs(math.log(max(each.value, 0.5) / each.expected.usual)))


def amount_words(amount: UnusualAmount) -> str:
    """Write an unusual amount and what comparable runs had: `3,565 renewals; the last 4 Mondays 11,600 to 12,200`."""
    last = amount.expected.comparable[-4:]
    group = amount.expected.group
    return f"{amount.value:,.0f} {amount.what}; the last {len(last)} {group} {min(last):,.0f} to {max(last):,.0f}"


def checks_of(facts: RunFacts, completed: CompletedRuns) -> list[Check]:
    """Return each of CHECKS of a completed run: what does not agree, else what does, where there is anything."""
    failures = [(each.check, each.because) for each in contradictions(facts, completed)]
    failures += [("amounts", amount_words(each)) for each in unusual_amounts(facts, completed)]
    compared = dict(_compared(facts, completed))
    return [
        Check(name, tuple(text for check, text in failures if check == name), compared.get(name, "")) for name in CHECKS
    ]


def _compared(facts: RunFacts, completed: CompletedRuns) -> Iterable[tuple[str, str]]:
    """Yield the checks that had something to compare, and what."""
    run = facts.run
    if run.emitted:
        dropped = f", {run.dropped:,} of them counted as dropped" if run.dropped else ""
        yield "delivery", f"{run.emitted:,} events emitted, none missing{dropped}"
    if facts.coverage:
        usual = any(each.holes or each.never for each in facts.coverage)
        yield "pages", f"{coverage_words(facts.coverage)[0]}{'; earlier runs have some too' if usual else ''}"
    elif facts.paged:
        yield "pages", "every page between the first and the last was answered"
    cursors = sum(bool(_CURSOR.search(totals.endpoint)) for totals in facts.endpoints)
    if cursors:
        yield "cursors", f"{number_of(cursors, 'cursor')}, none answered twice"
    shares = [each for each, _ in _comparable_shares(facts, completed)]
    for check in dict.fromkeys(each.check for each in shares):
        yield check, "; ".join(each.sentence for each in shares if each.check == check)
    amounts = [name for name in amounts_of(facts) if completed.suffice(name, run)]
    if amounts:
        yield "amounts", f"as in comparable runs: {', '.join(amounts)}"
