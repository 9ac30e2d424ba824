"""How figures are taken and what is said of them: interleaved rounds, medians, ratios to a peer of the same run.

Owns no subject: a case is a name and a function that does one round and returns what it cost.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

Case = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the table: a figure of ours beside a peer's, and the budget it is held against."""

    what: str
    ours: float
    unit: str
    """`µs`, `ms`, `s`, `MB`, `bytes/s` or `% of a core`: less is better; `rows/s`: more; `×`: a ratio itself."""

    peer: str = ""
    theirs: float | None = None
    budget: str = ""
    """In words; '' for a row that explains others."""

    met: bool | None = None
    note: str = ""
    judged_ratio: float | None = None
    """The ratio that the budget is held against, where it is not that of the two figures (a median of rounds)."""

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's, the one that is judged; None without a peer."""
        if self.judged_ratio is not None:
            return self.judged_ratio
        return self.ours / self.theirs if self.theirs else None

    def as_json(self) -> dict[str, object]:
        """Return every field and the ratio."""
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is done for a figure; `--quick` does less of everything and its figures are rougher."""

    quick: bool

    @property
    def error(self) -> str:
        """How far a ratio may lie from that of another full run on the same quiet machine."""
        return "quick form, ± 25 %" if self.quick else "full form, ± 10 %"

    def rounds(self, usual: int) -> int:
        """Return how many rounds to do where a full run does `usual`."""
        return max(3, usual // 5) if self.quick else usual

    def size(self, usual: int) -> int:
        """Return how many things to handle in a round."""
        return max(1, usual // 5) if self.quick else usual


def interleaved(cases: Mapping[str, Case], rounds: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """Return what each case cost in each round; the cases take turns, so that a busy moment strikes all alike."""
    costs: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for round_ in range(warm_up + rounds):
        shift = round_ % len(names)
        for name in names[shift:] + names[:shift]:
            cost = cases[name]()
            if round_ >= warm_up:
                costs[name].append(cost)
    return costs


def medians(costs: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each case."""
    return {name: statistics.median(values) for name, values in costs.items()}


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' own ratios: steadier than the ratio of medians on a busy machine."""
    return statistics.median(mine / yours for mine, yours in zip(ours, theirs, strict=True))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below or at which a share of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def timed(deed: Callable[[], object]) -> float:
    """Return the seconds that a deed takes."""
    began = time.perf_counter()
    deed()
    return time.perf_counter() - began


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep the garbage collector out of a few calls that are timed one by one."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
