"""The dashboard in a terminal of 160 × 40: its start, its rest, its answer to a key and its memory, beside peers."""

from __future__ import annotations

import importlib.util
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import psycopg

from tests.benchmarks.measuring import Effort, Finding, interleaved, quantile
from tests.benchmarks.places import Places
from tests.benchmarks.screen_programs import JOB, Watched, etlwatch, htop, moving, pg_activity, sleeping, stock, table

TABLE, ACTIVITY, HTOP = "Textual DataTable", "pg_activity", "htop"
SLEEP_SHOWN = "PgSleep"
"""What pg_activity shows of a sleeping query at this width: what it waits for, not its text."""

SHOWN = {ACTIVITY: SLEEP_SHOWN, HTOP: "Load average"}
"""What a peer shows once its rows are there."""

RUNS = 20
SETTLE_S = 4.0
REST_S = 20
DOWN, TOP, BOTTOM = b"\x1b[B", b"g", b"G"
PAGES_TO_5000 = 11

Limits = Mapping[str, tuple[str, Callable[[float, float], bool]]]
"""By peer: a budget in words, and whether our figure holds it beside the peer's."""

Start = tuple[Callable[[], list[str]], str]
"""A command, and what it shows once its rows are there."""


def start(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of the first byte and the first rows on screen."""
    with places.sqlite_store() as dsn, _activity(places) as activity:
        stock(dsn, 200)
        programs: dict[str, Start] = {"ours": (lambda: etlwatch(dsn), JOB), TABLE: (lambda: table(200), JOB)}
        if activity is not None:
            programs[ACTIVITY] = (lambda: pg_activity(activity), SLEEP_SHOWN)
        first_bytes: dict[str, list[float]] = {name: [] for name in programs}

        def case(name: str) -> float:
            command, rows = programs[name]
            with Watched(command()) as program:
                cost = program.wait_for(rows)
                first_bytes[name].append(program.first_byte_s)
            return cost

        costs = interleaved({name: lambda name=name: case(name) for name in programs}, effort.rounds(11))  # type: ignore[misc]
    return [
        *_beside("first byte", "ms", _middle_ms(first_bytes), {TABLE: ("≤ 60 ms", partial(_at_most, 60))}),
        *_beside(
            "first rows on screen, 200 runs",
            "ms",
            _middle_ms(costs),
            {ACTIVITY: ("≤ 1.1 ×", lambda ours, theirs: ours <= 1.1 * theirs)},
        ),
    ]


def rest(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of what is sent and used with 20 runs moving and with nothing moving, and of the memory then."""
    rows: list[Finding] = []
    limits: Limits
    # pg_activity looks at the server that holds our store, so that both see the same load.
    with places.postgres_store() as dsn, sleeping(dsn, RUNS), moving(dsn, RUNS):
        commands = {"ours": etlwatch(dsn), TABLE: table(RUNS, moving=True)}
        if importlib.util.find_spec("pgactivity") is not None:
            commands[ACTIVITY] = pg_activity(dsn)
        if shutil.which("htop") is not None:
            commands[HTOP] = htop()
        sent, used, held = _at_rest(commands, effort)
    limits = {TABLE: ("≤ 1 000 bytes/s", partial(_at_most, 1000))}
    rows += _beside(f"sent at rest, {RUNS} runs moving", "bytes/s", sent, limits)
    limits = {TABLE: ("≤ 1.5 %", partial(_at_most, 1.5))}
    rows += _beside("  used", "% of a core", used, limits)
    limits = {TABLE: ("≤ 55 MB", partial(_at_most, 55))}
    rows += _beside("  resident at the end", "MB", held, limits)
    with places.sqlite_store() as dsn:
        stock(dsn, RUNS)
        sent, used, held = _at_rest({"ours": etlwatch(dsn), TABLE: table(RUNS)}, effort)
    limits = {TABLE: ("≤ 50 bytes/s", partial(_at_most, 50))}
    rows += _beside("sent at rest, nothing moving", "bytes/s", sent, limits, among=(TABLE,))
    rows += _beside("  used", "% of a core", used, {}, among=(TABLE,))
    return rows


def keys(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of a key to its effect with 200 and 5,000 runs, and of the memory that the latter take."""
    rows: list[Finding] = []
    for runs in (200, 5_000):
        with places.sqlite_store() as dsn:
            stock(dsn, runs)
            costs, held = _pressed(dsn, runs, effort.size(150))
        for share, name, most in ((0.5, "p50", 6.0), (0.95, "p95", 25.0)):
            figures = {who: quantile(taken, share) * 1000 for who, taken in costs.items()}
            limits: Limits = {TABLE: (f"≤ {most:g} ms", partial(_at_most, most))}
            rows += _beside(f"a key to its effect, {runs} runs, {name}", "ms", figures, limits, among=(TABLE,))
    rows += _beside("  resident at the end, 5000 runs", "MB", held, {}, among=(TABLE,))
    return rows


def slow(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of a key to its effect while the store takes seconds to answer."""
    with places.postgres_store() as dsn:
        stock(dsn, 200)
        costs = _pressed_while_slow(dsn, effort.size(150))
    return [
        Finding(
            what=f"a key to its effect while a query is slow, {name}",
            ours=(figure := quantile(costs, share) * 1000),
            unit="ms",
            budget=f"≤ {most:g} ms",
            met=figure <= most,
        )
        for share, name, most in ((0.5, "p50", 6.0), (0.95, "p95", 25.0))
    ]


def _at_rest(commands: dict[str, list[str]], effort: Effort) -> tuple[dict[str, float], ...]:
    """Return bytes a second, per cent of a core and MiB of each program; all run at once, so that all see the same."""
    with ExitStack() as stack:
        programs = {name: stack.enter_context(Watched(command)) for name, command in commands.items()}
        for name, program in programs.items():
            program.wait_for(SHOWN.get(name, JOB))
        time.sleep(SETTLE_S)
        before = {name: _mark(program) for name, program in programs.items()}
        time.sleep(effort.size(REST_S))
        after = {name: _mark(program) for name, program in programs.items()}
        held = {name: program.resident_mb for name, program in programs.items()}
    # One whole span and no median of slices: what is drawn seldom (a chart's bucket closes) belongs to the figure.
    spans = {name: after[name][0] - before[name][0] for name in programs}
    sent = {name: (after[name][1] - before[name][1]) / span for name, span in spans.items()}
    used = {name: 100 * (after[name][2] - before[name][2]) / span for name, span in spans.items()}
    return sent, used, held


def _mark(program: Watched) -> tuple[float, int, float]:
    return time.perf_counter(), program.bytes_written, program.processor_s


def _pressed(dsn: str, runs: int, presses: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    chance = random.Random(7)
    with Watched(etlwatch(dsn)) as ours, Watched(table(runs)) as peer:
        programs = {"ours": ours, TABLE: peer}
        for program in programs.values():
            program.wait_for(JOB)
        time.sleep(SETTLE_S)
        if runs > 200:
            # Older runs are read a page at a time, each when the bottom is reached.
            for _ in range(PAGES_TO_5000):
                ours.send(BOTTOM)
                time.sleep(1.3)
            ours.send(TOP)
            time.sleep(1.5)

        def case(program: Watched) -> float:
            time.sleep(chance.uniform(0.04, 0.09))
            return program.press(DOWN)

        cases = {name: lambda program=program: case(program) for name, program in programs.items()}
        costs = interleaved(cases, presses, warm_up=5)
        return costs, {name: program.resident_mb for name, program in programs.items()}


def _pressed_while_slow(dsn: str, presses: int) -> list[float]:
    """Press keys while the dashboard's question waits for a lock, which is held for less than its deadline."""
    chance = random.Random(7)
    costs: list[float] = []
    with Watched(etlwatch(dsn)) as ours, psycopg.connect(dsn) as other:
        ours.wait_for(JOB)
        time.sleep(SETTLE_S)
        while len(costs) < presses:
            other.execute("LOCK TABLE tracking.runs IN ACCESS EXCLUSIVE MODE")
            # Long enough for the next question to have run into it.
            time.sleep(1.5)
            until = time.monotonic() + 2.5
            while time.monotonic() < until and len(costs) < presses:
                time.sleep(chance.uniform(0.04, 0.09))
                costs.append(ours.press(DOWN if len(costs) % 150 else TOP))
            other.rollback()
            time.sleep(1.5)
    return costs


@contextmanager
def _activity(places: Places) -> Iterator[str | None]:
    """Yield a DSN whose server has 20 queries to show; None where pg_activity is not installed."""
    if importlib.util.find_spec("pgactivity") is None:
        yield None
        return
    with places.postgres_store() as dsn, sleeping(dsn, RUNS):
        yield dsn


def _at_most(most: float, ours: float, theirs: float) -> bool:
    return ours <= most


def _middle_ms(costs: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) * 1000 for name, values in costs.items()}


def _beside(
    what: str,
    unit: str,
    figures: dict[str, float],
    limits: Limits,
    *,
    among: Sequence[str] = (TABLE, ACTIVITY, HTOP),
) -> list[Finding]:
    """Return a row for each peer, with the budget on the row of the peer that it is named for.

    A peer that is not installed has a row only where a budget needs it, and the row says so.
    """
    rows = []
    for peer in among:
        if peer not in figures and peer not in limits:
            continue
        budget, holds = limits.get(peer, ("", None))
        theirs = figures.get(peer)
        ours = figures["ours"]
        met = None if holds is None or theirs is None else holds(ours, theirs)
        note = f"{peer} is not installed" if theirs is None else ""
        rows.append(
            Finding(what=what, ours=ours, unit=unit, peer=peer, theirs=theirs, budget=budget, met=met, note=note)
        )
    return rows
