"""Faults that are put into generated runs, some of them subtle, each with what should be found."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tests.nights.jobs import Fetch, Plan

Fault = Callable[[Plan, random.Random], Plan | None]
"""Returns the run with the fault, None where the run cannot have it."""


def _fetches(plan: Plan, rng: random.Random, least_pages: int) -> list[Fetch]:
    large = [fetch for fetch in plan.fetches if len(fetch.pages) >= least_pages]
    return rng.sample(large, 1) if large else []


def _with_fetch(plan: Plan, old: Fetch, new: Fetch) -> Plan:
    lost = sum(items for _, items in old.pages) - sum(items for _, items in new.pages)
    share = 1 - lost / max(plan.steps[1].total, 1)
    steps = tuple(replace(step, total=max(int(step.total * share), 0)) for step in plan.steps)
    return replace(plan, fetches=tuple(new if each is old else each for each in plan.fetches), steps=steps)


def page_holes(plan: Plan, rng: random.Random) -> Plan | None:
    """Leave out one to three pages in the middle."""
    for fetch in _fetches(plan, rng, 12):
        first = rng.randrange(2, len(fetch.pages) - 5)
        holes = tuple(range(first, first + rng.randint(1, 3)))
        return replace(_with_fetch(plan, fetch, replace(fetch, without=holes)), fault="incomplete")
    return None


def unanswered_page(plan: Plan, rng: random.Random) -> Plan | None:
    """Never answer one page."""
    for fetch in _fetches(plan, rng, 6):
        page = rng.randrange(1, len(fetch.pages) - 1)
        return replace(_with_fetch(plan, fetch, replace(fetch, unanswered=(page,))), fault="incomplete")
    return None


def first_page_only(plan: Plan, rng: random.Random) -> Plan | None:
    """Stop after one full page."""
    for fetch in _fetches(plan, rng, 4):
        return replace(_with_fetch(plan, fetch, replace(fetch, pages_most=1)), fault="incomplete")
    return None


def stopped_early(plan: Plan, rng: random.Random) -> Plan | None:
    """Fetch a part of what the source counted."""
    for fetch in _fetches(plan, rng, 8):
        most = int(len(fetch.pages) * rng.uniform(0.5, 0.9))
        return replace(_with_fetch(plan, fetch, replace(fetch, pages_most=most)), fault="incomplete")
    return None


def loaded_less(plan: Plan, rng: random.Random) -> Plan | None:
    """Load less than was fetched, without a word."""
    share = rng.uniform(0.4, 0.95)
    extract, transform, load = plan.steps
    return replace(plan, steps=(extract, transform, replace(load, total=int(load.total * share))), fault="incomplete")


def phase_below_total(plan: Plan, rng: random.Random) -> Plan | None:
    """End a phase before it has processed its total."""
    at = rng.randrange(3)
    steps = list(plan.steps)
    steps[at] = replace(steps[at], done=rng.uniform(0.5, 0.97))
    return replace(plan, steps=tuple(steps), fault="incomplete")


def lost_events(plan: Plan, rng: random.Random) -> Plan | None:
    """Emit events that never reach the store."""
    return replace(plan, missing_events=rng.randint(1, 500), fault="incomplete")


def fewer_items(plan: Plan, rng: random.Random) -> Plan | None:
    """Let the source itself have far less than on such a day, by more than its noise."""
    share = rng.uniform(0.1, 0.7)
    if plan.job.noise > 0.12 or 1 - share < 6 * plan.job.noise:
        return None
    return replace(_scaled(plan, share), fault="unusual")


def many_items(plan: Plan, rng: random.Random) -> Plan | None:
    """Let the source have several times of what it has on such a day."""
    if plan.job.noise > 0.12:
        return None
    return replace(_scaled(plan, rng.uniform(2.5, 6)), fault="unusual")


def no_items(plan: Plan, rng: random.Random) -> Plan | None:
    """Let the source have nothing."""
    return replace(_scaled(plan, 0.0), fault="unusual")


def one_entity_less(plan: Plan, rng: random.Random) -> Plan | None:
    """Let one small entity nearly vanish, while the sum hardly changes."""
    if len(plan.job.entities) < 2 or plan.job.noise > 0.12:
        return None
    entity, share = plan.job.entities[-1].name, rng.uniform(0.02, 0.3)
    fetches = tuple(
        replace(fetch, items=int(fetch.items * share)) if fetch.entity == entity else fetch for fetch in plan.fetches
    )
    counted = {**plan.counted, entity: int(plan.counted[entity] * share)}
    return replace(plan, fetches=fetches, counted=counted, fault="unusual")


def much_memory(plan: Plan, rng: random.Random) -> Plan | None:
    """Take several times the usual memory."""
    if plan.job.noise > 0.12:
        return None
    times = rng.uniform(2.5, 5)
    return replace(
        plan, steps=tuple(replace(step, memory_mb=step.memory_mb * times) for step in plan.steps), fault="unusual"
    )


def _scaled(plan: Plan, share: float) -> Plan:
    fetches = tuple(replace(fetch, items=int(fetch.items * share)) for fetch in plan.fetches)
    counted = {entity: int(items * share) for entity, items in plan.counted.items()}
    steps = tuple(
        replace(step, total=int(step.total * share), seconds=2 + (step.seconds - 2) * share) for step in plan.steps
    )
    return replace(plan, fetches=fetches, counted=counted, steps=steps)


OF_COMPLETED: Final[dict[str, Fault]] = {
    "page holes": page_holes,
    "page never answered": unanswered_page,
    "only the first page": first_page_only,
    "stopped early": stopped_early,
    "loaded less": loaded_less,
    "phase below its total": phase_below_total,
    "events lost": lost_events,
    "fewer items": fewer_items,
    "many items": many_items,
    "no items": no_items,
    "one entity less": one_entity_less,
    "much memory": much_memory,
}
"""Faults of runs that complete."""
