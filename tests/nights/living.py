"""Living runs: what a store would return of a generated run at moments while it goes on, healthy or with a fault."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from etlwatch.analysis.baseline import MINIMUM_RUNS, MOST_RUNS, baseline_of
from etlwatch.analysis.findings import RECENT_S, Examined, findings_of
from tests.nights.facts import facts_of
from tests.nights.jobs import Job, Plan, generated_jobs, healthy_run, starts_of
from tracking_core.records import Phase, Run, SeriesCell

FAULTS: Final = {
    "halts in extract": "stalled",
    "halts in transform": "stalled",
    "halts in load": "stalled",
    "slow endpoint": "slow",
    "more work": "slow",
    "throttling": "throttled",
}
"""Each with the state that should be found."""

FAULTS_FROM: Final = 25
LOOK_EVERY_S: Final = 20
CELL_S: Final = 10
MOST_LIVING: Final = 90
"""Runs of a job which are looked at."""


@dataclass
class Living:
    """One run as it goes: when each phase begins, and when it records something in which phase."""

    plan: Plan
    begins: list[float]
    ends: float
    marks: list[tuple[float, str]]
    """Seconds after the start, ascending, and the phase; every one of extract is a request."""

    fault_at: float = 0.0
    throttled_from: float | None = None


def living_run(job: Job, plan: Plan, fault: str = "") -> Living:
    """Return a run with its marks; long and quiet phases belong to some jobs."""
    rng = random.Random(f"{job.seed} {plan.started_at} living")
    habits = random.Random(f"{job.seed} habits")
    length, silent = habits.choice((1, 1, 3, 8)), habits.random() < 0.5
    every = {step.name: habits.choice((1.0, 5.0, 15.0, 40.0)) for step in plan.steps}
    stretch = rng.uniform(3, 6) if fault in ("slow endpoint", "more work") else 1.0
    halted = fault.removeprefix("halts in ")
    share, at = rng.uniform(0.15, 0.8), 0.0
    living = Living(plan=plan, begins=[], ends=0.0, marks=[])
    for step in plan.steps:
        living.begins.append(at)
        slower = stretch if fault == "more work" or step.name == "extract" else 1.0
        if step.name == "extract" and fault == "throttling":
            living.throttled_from, slower = at + step.seconds * length * share, 2.0
        seconds = step.seconds * length * slower
        gap = every[step.name] * slower
        quiet = step.name == "transform" and silent
        moment = at
        while not quiet and moment < at + seconds:
            moment += gap * math_noise(rng)
            if step.name == halted and moment > at + seconds * share:
                break
            if moment < at + seconds:
                living.marks.append((moment, step.name))
        if step.name == halted:
            living.fault_at = max((mark for mark, _ in living.marks), default=at)
            if quiet:
                living.fault_at = at + seconds * share
            at += seconds * share + 4 * 3_600
            break
        at += seconds
    if fault in ("slow endpoint", "more work"):
        living.fault_at = 0.0
    living.ends = at
    return living


def math_noise(rng: random.Random) -> float:
    """Return how much longer an interval is than usual; one in two hundred is several times as long."""
    return rng.uniform(0.6, 1.5) * (rng.uniform(2, 5) if rng.random() < 0.005 else 1)


def pauses_of(living: Living) -> dict[str, float]:
    """Return the longest pause of each phase of a run that completed, as a store does."""
    found = {}
    ends = [*living.begins[1:], living.ends]
    for step, began, ended in zip(living.plan.steps, living.begins, ends, strict=False):
        own = sorted({began, ended, *(mark // CELL_S * CELL_S for mark, name in living.marks if name == step.name)})
        found[step.name] = max((later - earlier for earlier, later in itertools.pairwise(own)), default=0.0)
    return found


def records_at(living: Living, elapsed: float, base: Run) -> tuple[Run, list[Phase], list[SeriesCell]]:
    """Return a run, its phases and its latest cells so many seconds after its start."""
    began = base.started_at
    current = bisect_right(living.begins, elapsed) - 1
    phases = [
        Phase(
            run_id=base.run_id,
            phase=living.plan.steps[index].name,
            position=index + 1,
            status="completed" if index < current else "running",
            started_at=began + timedelta(seconds=living.begins[index]),
            ended_at=began + timedelta(seconds=living.begins[index + 1]) if index < current else None,
            counters={"records": {"processed": 1}},
        )
        for index in range(current + 1)
    ]
    reached = bisect_right(living.marks, (elapsed, "~"))
    requests = [mark for mark, name in living.marks[:reached] if name == "extract"]
    cells: Counter[int] = Counter()
    throttled: Counter[int] = Counter()
    for mark in requests:
        if mark > elapsed - RECENT_S - 2 * CELL_S and living.throttled_from is not None:
            bucket = int((began.timestamp() + mark) // CELL_S * CELL_S)
            cells[bucket] += 20
            throttled[bucket] += 8 if mark >= living.throttled_from else 0
    run = replace(
        base,
        status="running",
        state="running",
        ended_at=None,
        duration_s=elapsed,
        requests=len(requests),
        throttled_requests=throttled.total(),
        progress_at=began + timedelta(seconds=living.marks[reached - 1][0]) if reached else None,
    )
    series = [
        SeriesCell(bucket=bucket, width=CELL_S, requests=number, throttled=throttled[bucket])
        for bucket, number in sorted(cells.items())
    ]
    return run, phases, series


@dataclass
class LivingTally:
    """What was found while runs went on."""

    healthy: int = 0
    accused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    delays: dict[str, list[float]] = field(default_factory=dict)

    @property
    def per_thousand(self) -> float:
        """Healthy runs that were accused while they ran, of a thousand."""
        return 1000 * self.accused.total() / max(self.healthy, 1)


def _first_findings(living: Living, past: Sequence[tuple[Run, list[Phase], dict[str, float]]]) -> dict[str, float]:
    """Return when each state was first found, in seconds after the start."""
    newest = list(reversed(past[-MOST_RUNS:]))
    baseline = baseline_of(
        [run for run, _, _ in newest],
        [phase for _, phases, _ in newest for phase in phases],
        pauses={run.run_id: pauses for run, _, pauses in newest},
    )
    base = facts_of(living.plan).run
    found: dict[str, float] = {}
    elapsed = float(LOOK_EVERY_S)
    while elapsed < living.ends:
        run, phases, series = records_at(living, elapsed, base)
        now = run.started_at + timedelta(seconds=elapsed)
        for finding in findings_of(Examined(run=run, baseline=baseline, now=now, phases=phases, series=series)):
            found.setdefault(finding.kind, elapsed)
        elapsed += LOOK_EVERY_S
    return found


def measure_living(number: int, days: int, seed: int) -> LivingTally:
    """Return what is found in the living runs of generated jobs over some days."""
    tally = LivingTally()
    for job in generated_jobs(number, seed):
        past: list[tuple[Run, list[Phase], dict[str, float]]] = []
        rng = random.Random(f"{job.seed} faults of living runs")
        for index, at in enumerate(list(starts_of(job, days))[-MOST_LIVING:]):
            plan = healthy_run(job, at)
            living = living_run(job, plan)
            if index >= MINIMUM_RUNS:
                tally.healthy += 1
                tally.accused.update(list(_first_findings(living, past))[:1])
            if index >= FAULTS_FROM and rng.random() < 0.15:
                fault = rng.choice(list(FAULTS))
                faulty = living_run(job, plan, fault)
                found = _first_findings(faulty, past)
                tally.faults[fault] += 1
                if FAULTS[fault] in found:
                    tally.hits[fault] += 1
                    since = faulty.throttled_from or faulty.fault_at
                    tally.delays.setdefault(fault, []).append(found[FAULTS[fault]] - since)
            facts = facts_of(plan)
            ended = plan.started_at + timedelta(seconds=living.ends)
            run = replace(facts.run, duration_s=living.ends, ended_at=ended)
            _, phases, _ = records_at(living, living.ends, run)
            phases[-1] = replace(phases[-1], status="completed", ended_at=ended)
            past.append((run, phases, pauses_of(living)))
    return tally


def living_lines(tally: LivingTally) -> list[str]:
    """Write hits, the median delay and false alarms."""
    lines = [
        f"  while running: {tally.healthy:,} healthy runs, {tally.accused.total()} accused "
        f"({tally.per_thousand:.1f} of 1,000): " + ", ".join(f"{k} {n}" for k, n in sorted(tally.accused.items()))
    ]
    for name in FAULTS:
        delays = sorted(tally.delays.get(name, [0.0]))
        middle = delays[len(delays) // 2]
        lines.append(f"  {name:24}{tally.hits[name]:4} of {tally.faults[name]:4}, after {middle / 60:.1f} min")
    return lines
