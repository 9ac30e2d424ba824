"""A night that happens event by event, each at its own time, so that a store can be looked at in between.

Runs that stand still for a while and go on, are throttled for a while, take too long, fail, die unheard, work without
a request, and overlap with others of their job; and the quiet nights before them.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg

from tests.store.stocking import Stock
from tracking_core.clock import to_microseconds
from tracking_core.events import PhaseChange

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

BEGIN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - DAY
"""When the night begins; it has passed, so that all of it can be looked back upon."""

END = BEGIN + 100 * MINUTE


@dataclass
class ScriptedNight:
    """A store, and what is still to happen in it."""

    dsn: str
    stock: Stock
    draw: random.Random
    events: list[tuple[datetime, int, Callable[[], object]]] = field(default_factory=list)
    every_beat: bool = True
    """Whether every heartbeat is written; only the last one is stored, and each takes a connection."""

    def at(self, moment: datetime, happens: Callable[[], object]) -> None:
        """Let something happen at a moment."""
        self.events.append((moment, len(self.events), happens))

    def until(self, moment: datetime) -> None:
        """Let everything happen up to and with a moment."""
        self.events.sort(key=lambda event: event[:2])
        while self.events and self.events[0][0] <= moment:
            self.events.pop(0)[2]()

    def beat(self, run_id: int, moment: datetime) -> None:
        """Say that a run lived at a moment: the product says it of the present alone."""
        if self.dsn.startswith("sqlite"):
            with closing(sqlite3.connect(self.dsn.removeprefix("sqlite:///"), isolation_level=None)) as file:
                file.execute("UPDATE runs SET heartbeat_at = ? WHERE run_id = ?", (to_microseconds(moment), run_id))
        else:
            with psycopg.connect(self.dsn) as connection:
                connection.execute("UPDATE tracking.runs SET heartbeat_at = %s WHERE run_id = %s", (moment, run_id))

    def phase(
        self, run_id: int, name: str, at: datetime, began: datetime, *, done: int | None = None, of: int = 1_000
    ) -> None:
        """Say how far a phase is; without `done` that it is over."""
        over = done is None
        change = PhaseChange(
            run_id=run_id,
            phase=name,
            position=None,
            status="completed" if over else "running",
            at_us=to_microseconds(at),
            started_us=to_microseconds(began),
            ended_us=to_microseconds(at) if over else None,
            counters={"rows": {"total": of, "processed": of if done is None else done}},
            memory_mb=100.0,
        )
        self.stock.write(phases=(change,))

    def run(
        self,
        job: str,
        began: datetime,
        minutes: float | None,
        *,
        status: str = "completed",
        every_s: float = 12.0,
        silent: tuple[float, float] = (0, 0),
        throttled: tuple[float, float] = (0, 0),
        slower_from: float = 9_999,
        requests: bool = True,
        dies: float | None = None,
        beats: bool = False,
        errors: tuple[float, ...] = (),
    ) -> None:
        """Plan a run: its requests or progress every few seconds, but for the minutes in which it is silent.

        Of its requests in the `throttled` minutes every third is a 429; all are slower from a minute on. One that
        `dies` is heard of no more after that many minutes; without `minutes` nobody ends it.
        """
        held: list[int] = []
        last = dies if dies is not None else minutes if minutes is not None else (END - began) / MINUTE

        def start() -> None:
            held.append(self.stock.start(began, job=job, heartbeat_interval_s=20.0 if beats else None))
            self.phase(held[0], "load", began, began, done=0)

        self.at(began, start)
        moments = list(self._moments(began, last, every_s, silent))
        for number, moment in enumerate(moments, start=1):
            share = number / len(moments)
            bad = throttled[0] <= (moment - began) / MINUTE < throttled[1] and number % 3 == 0
            if requests:
                took = self.draw.randint(50, 200) * (8 if (moment - began) / MINUTE >= slower_from else 1)
                made = (moment, f"/{job}", 429 if bad else 200, 0 if bad else 10, took)
                self.at(moment, lambda made=made: self.stock.requests(held[0], [made]))
            if number % 4 == 0:
                told = int(1_000 * share)
                self.at(moment, lambda at=moment, told=told: self.phase(held[0], "load", at, began, done=told))
        seconds = range(0, int(last * 60) if beats else 0, 20)
        for second in seconds if self.every_beat else seconds[-1:]:
            self.at(began + second * SECOND, lambda at=began + second * SECOND: self.beat(held[0], at))
        for minute in errors:
            at = began + minute * MINUTE
            self.at(at, lambda at=at: self.stock.error(held[0], "broken", at))
        if minutes is not None:
            ended = began + minutes * MINUTE
            self.at(
                ended,
                lambda: (self.phase(held[0], "load", ended, began), self.stock.end(held[0], ended, status=status)),
            )

    def quiet(self, job: str, began: datetime, minutes: float, *, requests: bool) -> None:
        """Tell of a run that is over."""
        run_id = self.stock.start(began, job=job)
        moments = list(self._moments(began, minutes, 30.0, (0, 0))) if requests else []
        self.stock.requests(run_id, [(at, f"/{job}", 200, 10, self.draw.randint(50, 200)) for at in moments])
        ended = began + minutes * MINUTE
        self.phase(run_id, "load", ended, began)
        self.stock.end(run_id, ended)

    def _moments(
        self, began: datetime, minutes: float, every_s: float, silent: tuple[float, float]
    ) -> Iterator[datetime]:
        at = began
        while True:
            at += timedelta(seconds=round(self.draw.uniform(0.5, 1.5) * every_s, 3))
            if at >= began + minutes * MINUTE:
                return
            if not silent[0] <= (at - began) / MINUTE < silent[1]:
                yield at


def scripted_night(dsn: str, seed: int = 7, *, every_beat: bool = True) -> ScriptedNight:
    """Return a night that is about to begin, the nights before it told already."""
    night = ScriptedNight(dsn=dsn, stock=Stock(dsn), draw=random.Random(seed), every_beat=every_beat)
    for back in range(1, 8):
        for job, minutes in (("steady", 20), ("crm", 12), ("ads", 30), ("files", 15)):
            began = BEGIN - back * DAY + night.draw.uniform(0, 3) * MINUTE
            night.quiet(job, began, minutes * night.draw.uniform(0.9, 1.1), requests=job != "files")
    night.run("steady", BEGIN + 3 * SECOND, 19)
    night.run("crm", BEGIN + 2 * MINUTE, 40, silent=(5, 14), errors=(4.5,))
    night.run("ads", BEGIN + 90 * SECOND, 31, throttled=(10, 18), every_s=5)
    night.run("files", BEGIN + MINUTE, 55, requests=False, silent=(8, 40))
    night.run("ads", BEGIN + 33 * MINUTE, 12, status="failed", errors=(2, 11.9))
    night.run("steady", BEGIN + 25 * MINUTE, None, dies=11, beats=True)
    night.run("crm", BEGIN + 45 * MINUTE, 11)
    night.run("crm", BEGIN + 14 * MINUTE, 27, every_s=6, slower_from=7)
    night.run("crm", BEGIN + 47 * MINUTE, 26)
    night.run("novel", BEGIN + 30 * MINUTE, 60, silent=(20, 45), beats=True)
    night.run("ads", BEGIN + 60 * MINUTE, None, throttled=(5, 8), silent=(30, 99))
    night.run("steady", BEGIN + 70 * MINUTE, 20, throttled=(2, 20))
    return night
