"""Generated jobs: how often they run, how much they move, in which rhythms, and how each of their runs goes.

All numbers come from a seed. Nothing here depends on the rules that are measured with it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tracking_core.identity import RUN_EPOCH_MS

FIRST_DAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""

HOLIDAYS: Final = frozenset({(4, 3), (4, 6), (5, 1), (5, 14), (5, 25)})
HOSTS: Final = ("etl-0", "etl-1", "etl-2")


@dataclass(frozen=True)
class Entity:
    """What a job reads and loads."""

    name: str
    share: float
    endpoints: tuple[str, ...]
    """Several endpoints may each return the entity's items, so that more is fetched than the source has."""

    limit: int
    duplicates: float
    """The share of items that the source counts and no page returns."""


@dataclass(frozen=True)
class Job:
    """How a job behaves."""

    name: str
    seed: int
    every: str
    """`daily`, `weekdays`, `weekly`, `6h` or `hourly`."""

    hour: int
    minute: int
    amount: float
    noise: float
    """The standard deviation of the logarithm of its amounts."""

    weekday: Sequence[float]
    month_end: float
    growth: float
    """A day, as a share."""

    holiday: float
    full_on: int | None
    """The weekday of its full load; its other runs are incremental."""

    entities: tuple[Entity, ...]
    ms_per_page: float
    transform_per_s: float
    load_per_s: float
    speed_noise: float
    memory_mb: float
    host: str


def generated_jobs(number: int, seed: int) -> list[Job]:
    """Return jobs of all kinds, the same for the same seed."""
    return [_job(index, random.Random(f"{seed} {index}")) for index in range(number)]


def _job(index: int, rng: random.Random) -> Job:
    every = ("daily", "daily", "daily", "daily", "weekdays", "weekdays", "daily", "6h", "daily", "hourly")[index % 10]
    noise = rng.choice((0.02, 0.05, 0.08, 0.12, 0.2, 0.3))
    weekday = [1.0] * 7
    kind = rng.randrange(4)
    if kind == 1:
        weekday = [1.0] * 5 + [rng.uniform(0.2, 0.6)] * 2
    elif kind == 2:
        weekday = [rng.uniform(0.5, 2.0) for _ in range(7)]
    elif kind == 3:
        weekday[0] = rng.uniform(1.5, 3.0)
    names = rng.sample(("orders", "invoices", "contacts", "renewals", "tickets", "events", "products", "payments"), 3)
    entities = tuple(
        Entity(
            name=name,
            share=share,
            endpoints=(f"/v2/{name}", f"/v2/archive/{name}") if rng.random() < 0.15 else (f"/v2/{name}",),
            limit=rng.choice((100, 200, 250, 500)),
            duplicates=rng.choice((0.0, 0.0, 0.0, 0.02, 0.05)),
        )
        for name, share in zip(names[: rng.choice((1, 2, 3))], (0.6, 0.3, 0.1), strict=False)
    )
    return Job(
        name=f"{rng.choice(('crm', 'billing', 'hr', 'shop', 'support'))}-{names[0]}-{index:02}",
        seed=rng.randrange(2**32),
        every=every,
        hour=rng.randrange(24),
        minute=rng.choice((0, 0, 5, 15, 30, 45)),
        amount=math.exp(rng.uniform(math.log(500), math.log(60_000))) / (6 if every in ("hourly", "6h") else 1),
        noise=noise,
        weekday=weekday,
        month_end=rng.uniform(2.0, 4.0) if rng.random() < 0.15 else 1.0,
        growth=rng.choice((0.0, 0.0, 0.0, 0.004, 0.01, -0.004)),
        holiday=rng.uniform(0.3, 0.8) if rng.random() < 0.2 else 1.0,
        full_on=6 if every == "daily" and rng.random() < 0.15 else None,
        entities=entities,
        ms_per_page=rng.uniform(120, 900),
        transform_per_s=rng.uniform(60, 600),
        load_per_s=rng.uniform(200, 2_000),
        speed_noise=rng.choice((0.03, 0.06, 0.1, 0.18)),
        memory_mb=rng.uniform(80, 700),
        host=rng.choice(HOSTS),
    )


def starts_of(job: Job, days: int) -> Iterator[datetime]:
    """Return when a job's runs begin, with a few seconds of delay."""
    rng = random.Random(f"{job.seed} starts")
    for day in range(days):
        date = FIRST_DAY + timedelta(days=day)
        if job.every == "weekdays" and date.weekday() >= 5:
            continue
        if job.every == "weekly" and date.weekday() != 0:
            continue
        hours = {"6h": range(job.hour % 6, 24, 6), "hourly": range(24)}.get(job.every, (job.hour,))
        for hour in hours:
            yield date + timedelta(hours=hour, minutes=job.minute, seconds=rng.uniform(1, 25))


@dataclass(frozen=True)
class Step:
    """One phase of a run as it will go."""

    name: str
    unit: str
    total: int
    seconds: float
    memory_mb: float
    done: float = 1.0
    """The share that it has processed when it ends."""

    @property
    def processed(self) -> int:
        """What it has processed when it ends."""
        return int(self.total * self.done)


@dataclass(frozen=True)
class Fetch:
    """The requests of one endpoint in a run as they will go."""

    entity: str
    endpoint: str
    limit: int
    items: int
    ms: float
    without: tuple[int, ...] = ()
    """Pages that nobody asks for."""

    unanswered: tuple[int, ...] = ()
    """Pages that are answered 500, however often they are asked for."""

    pages_most: int | None = None

    @property
    def pages(self) -> list[tuple[int, int]]:
        """Each answered page: offset, items."""
        number = max(1, -(-self.items // self.limit))
        if self.pages_most is not None:
            number = min(number, self.pages_most)
        missing = {*self.without, *self.unanswered}
        return [
            (page * self.limit, min(self.limit, self.items - page * self.limit))
            for page in range(number)
            if page not in missing
        ]


@dataclass(frozen=True)
class Plan:
    """One run, from its start to its end."""

    job: Job
    run_id: int
    started_at: datetime
    tags: Mapping[str, str]
    fetches: tuple[Fetch, ...]
    counted: Mapping[str, int]
    steps: tuple[Step, ...]
    status: str = "completed"
    missing_events: int = 0
    fault: str = ""

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(step.seconds for step in self.steps)


def amount_of(job: Job, at: datetime, rng: random.Random) -> float:
    """Return how much a healthy run moves."""
    days = (at - FIRST_DAY) / timedelta(days=1)
    amount = job.amount * job.weekday[at.weekday()] * (1 + job.growth) ** days
    if (at + timedelta(days=1)).day == 1:
        amount *= job.month_end
    if (at.month, at.day) in HOLIDAYS:
        amount *= job.holiday
    if job.full_on == at.weekday():
        amount *= 6
    if job.every in ("hourly", "6h"):
        amount *= 1.4 if 8 <= at.hour < 20 else 0.7
    # One run in fifty is noisier than the others.
    noise = job.noise * (2.5 if rng.random() < 0.02 else 1.0)
    return amount * math.exp(rng.gauss(0, noise))


def healthy_run(job: Job, at: datetime, *, night: float = 1.0) -> Plan:
    """Return a healthy run; `night` is how slow the machine and the network are together this time."""
    rng = random.Random(f"{job.seed} {at.isoformat()}")
    amount = amount_of(job, at, rng)
    fetches, counted = [], {}
    for entity in job.entities:
        items = max(0, round(amount * entity.share * math.exp(rng.gauss(0, job.noise / 3))))
        counted[entity.name] = items
        returned = round(items * (1 - entity.duplicates * rng.uniform(0.8, 1.2)))
        fetches += [
            Fetch(
                entity=entity.name,
                endpoint=endpoint,
                limit=entity.limit,
                items=returned,
                ms=job.ms_per_page * night * math.exp(rng.gauss(0, job.speed_noise)),
            )
            for endpoint in entity.endpoints
        ]
    loaded = {entity.name: min(counted[entity.name], _returned(fetches, entity.name)) for entity in job.entities}
    total = sum(loaded.values())
    extract = 3 + sum(len(fetch.pages) * fetch.ms for fetch in fetches) / 1000
    transform = 2 + total / job.transform_per_s * night * math.exp(rng.gauss(0, job.speed_noise))
    load = 2 + total / job.load_per_s * night * math.exp(rng.gauss(0, job.speed_noise))
    memory = job.memory_mb * (0.7 + 0.3 * amount / job.amount) * math.exp(rng.gauss(0, 0.05))
    steps = (
        Step("extract", "records", sum(fetch.items for fetch in fetches), extract, memory * 0.6),
        Step("transform", "records", total, transform, memory),
        Step("load", "records", total, load, memory * 0.8),
    )
    moment = int(at.timestamp() * 1000) - RUN_EPOCH_MS
    return Plan(
        job=job,
        run_id=moment << 22 | rng.randrange(2**20),
        started_at=at,
        tags={"mode": "full" if job.full_on == at.weekday() else "incremental"} if job.full_on is not None else {},
        fetches=tuple(fetches),
        counted=counted,
        steps=steps,
    )


def _returned(fetches: Sequence[Fetch], entity: str) -> int:
    return max(sum(len_items for _, len_items in fetch.pages) for fetch in fetches if fetch.entity == entity)
