"""What is usual for a figure of a job among comparable runs: by tags, weekday, day of the month, hour and trend.

An effect counts only where the job's own past proves it (analysis of variance); it moves the middle of its group, and
all groups share one spread. A trend is the slope of Theil and Sen where Kendall's test finds one. Limits are those of a
prediction interval of Student's t. All of it on logarithms, since amounts differ by shares.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import combinations
from typing import Final, NamedTuple

from tracking_core.dataclass import dataclass

LEAST_RUNS: Final = 14
"""With fewer runs no amount is unusual."""

LEAST_RUNS_OF_LIMIT: Final = 5
"""Fewer runs have no interval at all."""

LEAST_OF_GROUP: Final = 3
"""A group of fewer runs has no middle of its own."""

LEAST_DEVIATION: Final = 0.30
"""An amount closer to its usual than this share is never unusual."""

PRECEDENTS: Final = 2
"""So many runs that were as far off in the same direction make it usual."""

EFFECT_CHANCE: Final = 0.001 / 6
"""How often a test may find an effect where there is none: six tests or so are independent of each other."""

LEAST_GAIN: Final = 1.1
"""An effect has to make deviations smaller by this factor."""

MOST_EFFECTS: Final = 3
TREND_RUNS: Final = 30
"""The newest runs, which a trend is looked for in."""

TREND_DEVIATIONS: Final = 3.3
"""How many standard deviations Kendall's sum has to be away from 0: one in a thousand by chance."""

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKLY: Final = frozenset({"weekday", "weekend", *WEEKDAYS})


class Circumstances(NamedTuple):
    """What a figure may depend on: when a run began, and its tags."""

    at: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What one figure of a run should be, judging by comparable runs."""

    usual: float
    low: float
    high: float
    comparable: tuple[float, ...]
    """The figures of the runs of its own group, the oldest first."""

    group: str
    """Which runs these are: `Mondays`, `runs with mode=full`, `runs`."""


class ComparableRuns:
    """The earlier runs of one job, the oldest first, and what may distinguish them."""

    def __init__(self, runs: Sequence[Circumstances], zone: tzinfo | None = None) -> None:
        """Prepare; weekdays, days and hours are those of `zone`, None for the local one."""
        self._runs = runs
        self._zone = zone
        distinct: dict[str, Counter[str]] = {}
        for run in runs:
            for key, value in run.tags.items():
                distinct.setdefault(key, Counter())[value] += 1
        most = max(2, len(runs) // 5)
        self._keys = sorted(key for key, values in distinct.items() if len(values) <= most)
        self._labels = [self._labels_of(run) for run in runs]

    def _labels_of(self, run: Circumstances) -> dict[str, str]:
        """Return the group of a run by each effect that may count."""
        tags = ", ".join(f"{key}={run.tags[key]}" for key in self._keys if key in run.tags)
        return {**_labels_at(run.at, self._zone), "tags": tags}

    def unusual(
        self, figures: Sequence[float | None], figure: float, run: Circumstances, *, chance: float
    ) -> Expectation | None:
        """Return what a figure should have been where it is unusual; None where it is usual or nothing can be told.

        `figures` belong to the earlier runs, each 0 or more, None where there was none. A healthy run is unusual with
        the probability `chance`, at most.
        """
        own = self._labels_of(run)
        if not self.suffice(figures, run) or self._is_common(figures, figure, own):
            return None
        if figure <= 0 and 0 in figures:
            return None
        fit = _Fit(self._runs, self._labels, {index: math.log(each) for index, each in enumerate(figures) if each})
        expected = fit.expected(figures, run.at, own, chance)
        if expected is None or expected.low <= figure <= expected.high:
            return None
        if abs(figure - expected.usual) < LEAST_DEVIATION * expected.usual:
            return None
        off = math.log(figure / expected.usual) if figure > 0 else -math.inf
        return None if fit.has_precedents(off, own) else expected

    def expected(self, figures: Sequence[float | None], run: Circumstances, *, chance: float) -> Expectation | None:
        """Return what a figure of a run should be; None with fewer than 5 runs, or fewer than 3 with its tags.

        `figures` as for `unusual`. A healthy run's figure is outside of the interval with the probability `chance`.
        """
        logs = {index: math.log(each) for index, each in enumerate(figures) if each}
        own = self._labels_of(run)
        if len(logs) < LEAST_RUNS_OF_LIMIT:
            return None
        if sum(self._alike(self._labels[index], own, ("tags",)) for index in logs) < LEAST_OF_GROUP:
            return None
        return _Fit(self._runs, self._labels, logs).expected(figures, run.at, own, chance)

    def suffice(self, figures: Sequence[float | None], run: Circumstances) -> bool:
        """Return whether enough earlier runs, and of the run's own kind, have a figure."""
        own, known = self._labels_of(run), [index for index, each in enumerate(figures) if each is not None]
        return sum(bool(each) for each in figures) >= LEAST_RUNS and all(
            sum(self._alike(self._labels[index], own, effects) for index in known) >= LEAST_OF_GROUP
            for effects in (("tags",), ("weekend", "daytime"))
        )

    def _is_common(self, figures: Sequence[float | None], figure: float, own: Mapping[str, str]) -> bool:
        """Return whether several runs of the same tags, weekday and time of day had nearly as much."""
        alike = sum(
            each is not None
            and abs(each - figure) <= LEAST_DEVIATION / 2 * each
            and self._alike(labels, own, ("tags", "weekday", "daytime"))
            for labels, each in zip(self._labels, figures, strict=True)
        )
        return alike > PRECEDENTS

    @staticmethod
    def _alike(labels: Mapping[str, str], own: Mapping[str, str], effects: Sequence[str]) -> bool:
        return all(labels[effect] == own[effect] for effect in effects)


@lru_cache(maxsize=8_192)
def _labels_at(moment: datetime, zone: tzinfo | None) -> Mapping[str, str]:
    """Return the groups of a run that depend on when it began: a run has several figures."""
    at = moment.astimezone(zone)
    weekday = WEEKDAYS[at.weekday()]
    return {
        **dict.fromkeys(WEEKDAYS, "other days"),
        weekday: f"{weekday}s",
        "weekday": f"{weekday}s",
        "weekend": "weekends" if weekday in WEEKDAYS[5:] else "weekdays",
        "month": "first" if at.day == 1 else "last" if (at + timedelta(days=1)).day == 1 else "",
        "hour": f"{at.hour:02}h",
        "daytime": "by day" if at.hour in range(8, 20) else "by night",
    }


class _Effect(NamedTuple):
    name: str
    offsets: Mapping[str, float]
    members: Mapping[str, Sequence[int]]


class _Fit:
    """Middle, effects, trend and spread of the logarithms of a figure."""

    def __init__(
        self, runs: Sequence[Circumstances], labels: Sequence[Mapping[str, str]], logs: Mapping[int, float]
    ) -> None:
        self._runs, self._labels = runs, labels
        self._slope, self._origin = 0.0, runs[0].at
        self._effects: list[_Effect] = []
        rest = self._without_trend(logs)
        candidates = set(labels[0])
        while len(self._effects) < MOST_EFFECTS and (effect := self._strongest(candidates, rest)) is not None:
            self._effects.append(effect)
            rest = {index: left - effect.offsets.get(labels[index][effect.name], 0.0) for index, left in rest.items()}
            candidates -= WEEKLY if effect.name in WEEKLY else {effect.name}
        if self._effects and not self._slope:
            # Effects may have hidden it.
            rest = self._without_trend(rest)
        self._middle = median(rest.values())
        self._residuals = {index: left - self._middle for index, left in rest.items()}
        groups = sum(len(effect.offsets) - 1 for effect in self._effects)
        self._freedom = max(len(rest) - 1 - groups - bool(self._slope), 3)

    def expected(
        self, figures: Sequence[float | None], at: datetime, own: Mapping[str, str], chance: float
    ) -> Expectation | None:
        """Return what a figure should be; None where an effect counts of which too few runs show its size."""
        centre, smallest = self._middle + self._slope * _days(at, self._origin), len(self._residuals)
        for effect in self._effects:
            members = effect.members.get(own[effect.name], ())
            if len(members) < LEAST_OF_GROUP:
                return None
            centre += effect.offsets[own[effect.name]]
            smallest = min(smallest, len(members))
        usual = math.exp(centre)
        spread = math.hypot(self._spread(), math.sqrt(1 / max(usual, 1.0)))
        width = student_quantile(1 - chance / 2, self._freedom) * spread * math.sqrt(1 + math.pi / 2 / smallest)
        group, last = self._effects, [index for index in self._residuals if self._is_alike(index, own, self._effects)]
        if len(last) < PRECEDENTS:
            # Too few have all of it in common: those of the strongest effect, or all.
            group = self._effects[:1]
            last = [index for index in self._residuals if self._is_alike(index, own, group)]
        return Expectation(
            usual=usual,
            low=math.exp(centre - width),
            high=math.exp(centre + width),
            comparable=tuple(each for index in sorted(last) if (each := figures[index]) is not None),
            group=_group_words({effect.name: own[effect.name] for effect in group}),
        )

    def has_precedents(self, off: float, own: Mapping[str, str]) -> bool:
        """Return whether several runs were as far off in the same direction, `off` being a logarithm."""
        precedents = sum(
            (2 if self._labels[index]["month"] and self._labels[index]["month"] == own["month"] else 1)
            for index, other in self._residuals.items()
            if other * off > 0 and abs(other) >= 0.8 * abs(off)
        )
        return precedents >= PRECEDENTS

    def _strongest(self, candidates: set[str], rest: Mapping[int, float]) -> _Effect | None:
        """Return the effect that explains most of what is left; None where no test finds one."""
        best: tuple[float, _Effect] | None = None
        middle = median(rest.values())
        before = sum(abs(left - middle) for left in rest.values())
        for name in sorted(candidates):
            members: dict[str, list[int]] = {}
            for index in rest:
                members.setdefault(self._labels[index][name], []).append(index)
            groups = {
                label: [rest[index] for index in own] for label, own in members.items() if len(own) >= LEAST_OF_GROUP
            }
            if len(groups) < 2 or analysis_of_variance(list(groups.values())) > EFFECT_CHANCE:
                continue
            offsets = {label: median(values) - middle for label, values in groups.items()}
            after = sum(
                abs(left - middle - offsets.get(self._labels[index][name], 0.0)) for index, left in rest.items()
            )
            gain = before / max(after, 1e-12) / (1 + 0.02 * len(groups))
            if best is None or gain > best[0]:
                best = gain, _Effect(name, offsets, members)
        return best[1] if best is not None and best[0] > LEAST_GAIN else None

    def _without_trend(self, logs: Mapping[int, float]) -> dict[int, float]:
        """Return logarithms without what they grow a day, if they do."""
        newest = sorted(logs)[-TREND_RUNS:]
        slopes, concordance = [], 0
        for earlier, later in combinations(newest, 2):
            days = _days(self._runs[later].at, self._runs[earlier].at)
            difference = logs[later] - logs[earlier]
            concordance += (difference > 0) - (difference < 0)
            if days > 0:
                slopes.append(difference / days)
        number = len(newest)
        deviation = math.sqrt(number * (number - 1) * (2 * number + 5) / 18)
        if slopes and abs(concordance) >= TREND_DEVIATIONS * deviation:
            self._slope, self._origin = median(slopes), self._runs[newest[number // 2]].at
        return {index: each - self._slope * _days(self._runs[index].at, self._origin) for index, each in logs.items()}

    def _spread(self) -> float:
        """Return a standard deviation that a tenth of the runs cannot move far."""
        sizes = sorted(map(abs, self._residuals.values()))
        middle, most = sizes[len(sizes) // 2], sizes[min(int(len(sizes) * 0.9), len(sizes) - 1)]
        return max(1.4826 * middle, most / 1.645, 0.01) * math.sqrt(len(sizes) / self._freedom)

    def _is_alike(self, index: int, own: Mapping[str, str], effects: Sequence[_Effect]) -> bool:
        return all(self._labels[index][effect.name] == own[effect.name] for effect in effects)


def _group_words(labels: Mapping[str, str]) -> str:
    days = next((label for name, label in labels.items() if name in WEEKLY), "runs")
    words = [days if days != "other days" else "runs"]
    if labels.get("month"):
        words.append(f"on the {labels['month']} day of a month")
    words += [f"at {labels['hour']}"] if "hour" in labels else [labels["daytime"]] if "daytime" in labels else []
    words += [f"with {labels['tags']}"] if labels.get("tags") else []
    return " ".join(words)


def median(values: Iterable[float]) -> float:
    """Return the middle of one or more numbers."""
    ascending = sorted(values)
    half = len(ascending) // 2
    return ascending[half] if len(ascending) % 2 else (ascending[half - 1] + ascending[half]) / 2


def _days(at: datetime, origin: datetime) -> float:
    return (at - origin) / timedelta(days=1)


def analysis_of_variance(groups: Sequence[Sequence[float]]) -> float:
    """Return how probable so different means of groups are by chance, 0 to 1 (F, approximation of Paulson)."""
    number, kinds = sum(map(len, groups)), len(groups)
    if number <= kinds:
        return 1.0
    means = [sum(group) / len(group) for group in groups]
    middle = sum(map(sum, groups)) / number
    between = sum(len(group) * (mean - middle) ** 2 for group, mean in zip(groups, means, strict=True)) / (kinds - 1)
    within = sum((value - mean) ** 2 for group, mean in zip(groups, means, strict=True) for value in group)
    ratio = between / max(within / (number - kinds), 1e-9)
    first, second = 2 / (9 * (kinds - 1)), 2 / (9 * (number - kinds))
    root = ratio ** (1 / 3)
    return math.erfc(((1 - second) * root - (1 - first)) / math.sqrt(2 * (second * root**2 + first))) / 2


def student_quantile(share: float, freedom: int) -> float:
    """Return a quantile of Student's t with 3 or more degrees of freedom (expansion of Cornish and Fisher)."""
    from statistics import NormalDist

    z, n = NormalDist().inv_cdf(share), freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
