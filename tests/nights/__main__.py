"""What the health rules find in generated nights, and what they accuse wrongly: `python -m tests.nights`.

Runs of generated jobs are compared with the runs before them, healthy as they are and with faults put into some of
them. Nothing is stored: this measures the rules alone. Prints a table of hits by fault, and the healthy runs that were
called incomplete or unusual, those of holidays and month's ends among them; then the same of runs that are looked at
while they go on, with the delay from the fault to the finding.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from etlwatch.analysis.completed import (
    CompletedRuns,
    RunFacts,
    amount_words,
    completed_runs,
    contradictions,
    unusual_amounts,
)
from etlwatch.reading.completed import MOST_COMPARED
from tests.nights.facts import facts_of
from tests.nights.faults import OF_COMPLETED
from tests.nights.jobs import HOLIDAYS, Plan, generated_jobs, healthy_run, starts_of
from tests.nights.living import living_lines, measure_living

FAULTS_FROM: int = 25
"""Runs of a job before the first with a fault: what it usually does is known then."""

SHARE_FAULTY: float = 0.25
MOST_RUNS: int = 400
"""Runs of a job that runs often which are looked at."""


@dataclass
class Tally:
    """What was found."""

    healthy: int = 0
    accused: Counter[str] = field(default_factory=Counter)
    on_special_days: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def per_thousand(self) -> float:
        """Healthy runs that were accused, of a thousand."""
        return 1000 * self.accused.total() / max(self.healthy, 1)


def found_in(facts: RunFacts, completed: CompletedRuns) -> tuple[str, str]:
    """Return the gravest state of a completed run, `` for none, and its evidence."""
    if wrong := contradictions(facts, completed):
        return "incomplete", "; ".join(each.because for each in wrong)
    unusual = unusual_amounts(facts, completed)
    return ("unusual", "; ".join(map(amount_words, unusual[:2]))) if unusual else ("", "")


def _is_special(plan: Plan) -> bool:
    """Return whether a run is of a holiday, or of a month's end that moves much more: nothing can know it at first."""
    at = plan.started_at
    holiday = (at.month, at.day) in HOLIDAYS and plan.job.holiday != 1
    return holiday or (plan.job.month_end != 1 and (at + timedelta(days=1)).day == 1)


def measure(number: int, days: int, seed: int) -> Tally:
    """Return what is found in the runs of generated jobs over some days."""
    tally = Tally()
    for job in generated_jobs(number, seed):
        plans = [healthy_run(job, at) for at in starts_of(job, days)][-MOST_RUNS:]
        facts = [facts_of(plan) for plan in plans]
        rng = random.Random(job.seed)
        for index, plan in enumerate(plans):
            completed = completed_runs(facts[max(0, index - MOST_COMPARED) : index])
            state, evidence = found_in(facts[index], completed)
            tally.healthy += 1
            if state:
                tally.accused[state] += 1
                tally.on_special_days += _is_special(plan)
                tally.examples.append(f"{plan.started_at:%a %d %b} {job.name}: {evidence}")
            if index < FAULTS_FROM or rng.random() > SHARE_FAULTY:
                continue
            name = rng.choice(list(OF_COMPLETED))
            faulty = OF_COMPLETED[name](plan, rng)
            if faulty is not None:
                tally.faults[name] += 1
                tally.hits[name] += bool(found_in(facts_of(faulty), completed)[0])
    return tally


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.nights", description=__doc__)
    parser.add_argument("--jobs", type=int, default=50, help="how many jobs (50)")
    parser.add_argument("--days", type=int, default=90, help="for how many days (90)")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated; by default 1, 2 and 3")
    parser.add_argument("--examples", type=int, default=0, help="healthy runs to print that were accused")
    given = parser.parse_args()
    for seed in given.seed or (1, 2, 3):
        tally = measure(given.jobs, given.days, seed)
        print(
            f"seed {seed}: {tally.healthy:,} healthy runs, {tally.accused.total()} accused "
            f"({tally.per_thousand:.1f} of 1,000; {tally.on_special_days} on holidays and at ends of months): "
            + ", ".join(f"{state} {count}" for state, count in sorted(tally.accused.items()))
        )
        for name in OF_COMPLETED:
            print(f"  {name:24}{tally.hits[name]:4} of {tally.faults[name]:4}")
        print("\n".join(living_lines(measure_living(given.jobs, given.days, seed))))
        for example in random.Random(seed).sample(tally.examples, min(given.examples, len(tally.examples))):
            print(f"  {example}")


if __name__ == "__main__":
    main()
