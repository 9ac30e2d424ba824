"""Random input for the dashboard in an emulated terminal: what is done, how it is checked, how a failure is shortened.

A step is a pair (kind, value), so that a sequence can be printed and played again. Every few steps the program
(tests/monkey/program.py) redraws its whole screen: the time until then is the answer time, and no cell may change.
"""

from __future__ import annotations

import contextlib
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, TypeAlias

from tests.etlwatch.cli_program import PROJECT
from tests.store.stocking import Stock
from tests.support.proxy import PostgresProxy
from tests.support.terminal import Terminal, key_bytes

Step: TypeAlias = tuple[str, str]
Cells: TypeAlias = dict[tuple[int, int], tuple[object, ...]]

SIZES = ((80, 24), (120, 35), (160, 45), (40, 12), (100, 30), (20, 5), (81, 23))
ANSWER_S = 2.0
"""The longest time until everything typed is answered and the screen is drawn, seconds."""

CHECK_EVERY = 8
"""Steps between two checks."""

KEYS = (
    *"jjjkkkgGzzwwttJJEEXXTTCebIpr<>=,.[]]]/::+-nayYlh?x123",
    "enter", "enter", "enter", "enter", "escape", "escape", "escape", "escape", "tab", "shift+tab", "space",
    "up", "down", "down", "left", "right", "home", "end", "pageup", "pagedown", "ctrl+f", "ctrl+b", "ctrl+p",
    "delete", "backspace", "f1", "f5", "ctrl+a", "ctrl+u", "ctrl+k", "ctrl+v", "ctrl+w",
)  # fmt: skip
"""Keys that end nothing: not q, Q, ctrl+c and ctrl+z."""

WORDS = ("state:failed", "job:", "02:10", "-1h", "wx", "jobs", "help", "since:24h !x", "dur>", '"', "2026-11-30", "99")


@dataclass
class Outcome:
    """What a sequence led to."""

    failure: str = ""
    """'' where every check held."""

    at: int = 0
    """Steps that were played."""

    keys: int = 0
    slowest_s: float = 0.0
    memory_mb: float = 0.0
    differences: int = 0
    """Checks in which a redraw changed a cell that does not change by itself."""


@dataclass
class Ground:
    """A store to look at, which a step can take away, give back and fill."""

    dsn: str
    stock: Stock
    take_away: Callable[[], None]
    give_back: Callable[[], None]
    away: bool = False
    filled: int = field(default=0)

    def fill(self) -> None:
        """Add runs of several states and ages, so that a clean-up finds some and lists stay short."""
        now = datetime.now(UTC)
        for number in range(6):
            self.filled += 1
            job = ("invoices_export", "crm_contacts_sync", "ads_metrics_pull", "日本語の長い名前のジョブ")[number % 4]
            began = now - timedelta(days=(0, 1, 40, 50, 2, 0)[number], minutes=7 * (self.filled % 50) + 1)
            run = self.stock.start(began, job=job, notes=f"note {self.filled}")
            self.stock.phase(run, "load", began, counters={"rows": {"processed": 3, "total": 9}})
            self.stock.requests(run, [(began, "/items", (200, 500, 429)[n % 3], 10, 100 + n) for n in range(9)])
            if number % 2:
                self.stock.error(run, f"[/b] broken {number} " * 9, began + timedelta(seconds=2))
            if number:
                status = "failed" if number % 2 else "completed"
                self.stock.end(run, began + timedelta(seconds=30 + number), status=status)


@contextmanager
def sqlite_ground(directory: Path) -> Iterator[Ground]:
    """Yield a file that can be renamed away."""
    path, aside = directory / "tracking.db", directory / "aside.db"
    dsn = f"sqlite:///{path}"
    stock = Stock(dsn)

    def move(source: Path, target: Path) -> None:
        # With the files of its journal.
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{source}{end}").replace(f"{target}{end}")

    ground = Ground(dsn=dsn, stock=stock, take_away=lambda: move(path, aside), give_back=lambda: move(aside, path))
    for _ in range(4):
        ground.fill()
    try:
        yield ground
    finally:
        stock.close()


@contextmanager
def postgres_ground(dsn: str) -> Iterator[Ground]:
    """Yield a database behind a proxy that can refuse."""
    stock = Stock(dsn)
    with PostgresProxy(dsn) as proxy:

        def refuse() -> None:
            proxy.refuse()
            proxy.cut()

        ground = Ground(dsn=proxy.dsn, stock=stock, take_away=refuse, give_back=proxy.resume)
        for _ in range(4):
            ground.fill()
        try:
            yield ground
        finally:
            stock.close()


def steps(draw: random.Random) -> Iterator[Step]:
    """Yield steps without end."""
    while True:
        kind = draw.choices(
            ("keys", "burst", "text", "paste", "bytes", "x10", "mouse", "resize", "outage", "clean", "fill"),
            (50, 14, 4, 3, 3, 3, 12, 5, 1, 1, 1),
        )[0]
        yield kind, _VALUES[kind](draw)


def _mouse(draw: random.Random) -> str:
    column, line = draw.randint(1, 160), draw.randint(1, 45)
    button = draw.choice((0, 0, 0, 0, 2, 64, 65, 35, 32))
    press, release = f"\x1b[<{button};{column};{line}M", f"\x1b[<{button};{column};{line}m"
    if button == 32:
        return f"\x1b[<0;{column};{line}M{press}\x1b[<32;{column + 3};{line + 1}M\x1b[<0;{column + 3};{line + 1}m"
    return press + release if draw.random() < 0.7 else (press + release) * 2


_VALUES: dict[str, Callable[[random.Random], str]] = {
    "keys": lambda draw: draw.choice(KEYS),
    "burst": lambda draw: " ".join(draw.choices(KEYS, k=draw.randint(2, 5))),
    "text": lambda draw: draw.choice(WORDS),
    "paste": lambda draw: draw.choice(("two\nlines", "state:failed", "q\rq", "日本語\x1b[A", "a" * 300, "")),
    "bytes": lambda draw: draw.choice(("\xff", "\xe9", "\xc3\x28", "\xf0\x9f", "\x1b[", "\x1bO", "\x80", "\0")),
    "x10": lambda draw: "\x1b[M" + "".join(chr(draw.randint(33, 250)) for _ in range(3)),
    "mouse": _mouse,
    "resize": lambda draw: "{} {}".format(*draw.choice(SIZES)),
    "outage": lambda draw: "",
    "clean": lambda draw: "",
    "fill": lambda draw: "",
}  # fmt: skip


def _sent(kind: str, value: str) -> bytes:
    if kind == "paste":
        return f"\x1b[200~{value}\x1b[201~".encode()
    return value.encode("latin-1" if kind in ("bytes", "x10") else "utf-8")


class Monkey:
    """Plays steps on one running dashboard and checks it."""

    def __init__(self, ground: Ground, *, answer_s: float = ANSWER_S, settle_s: float = 0.0) -> None:
        """Start the dashboard; `answer_s` is the longest time that an answer may take.

        Before each check `settle_s` seconds are left for what comes later than an answer, such as a poll.
        """
        self.ground = ground
        self.answer_s = answer_s
        self.settle_s = settle_s
        self.outcome = Outcome()
        command = [sys.executable, "-m", "tests.monkey.program", "--dsn", ground.dsn, "--write", "--interval", "0.5"]
        self.terminal = Terminal(command, environment={"PYTHONPATH": str(PROJECT)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.terminal.close()
        if self.ground.away:
            self._outage()

    def begin(self) -> None:
        """Wait for the first rows."""
        self.terminal.wait_for("invoices_export")

    def play(self, sequence: Sequence[Step]) -> Outcome:
        """Play steps until a check fails or all are done."""
        for step in sequence:
            self.play_one(step)
            self.outcome.at += 1
            if self.outcome.at % CHECK_EVERY == 0 or step[0] == "resize" or not self.alive:
                self.check()
            if self.outcome.failure:
                return self.outcome
        self.check()
        return self.outcome

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self.terminal.status is None

    def play_one(self, step: Step) -> None:
        """Play one step."""
        kind, value = step
        if not self.alive:
            return
        if kind == "resize":
            columns, lines = value.split()
            self.terminal.resize(int(columns), int(lines))
        elif kind == "outage":
            self._outage()
        elif kind == "clean":
            self._clean()
        elif kind == "fill":
            if not self.ground.away:
                self.ground.fill()
        else:
            names = value.split(" ") if kind in ("keys", "burst") else [value]
            self.outcome.keys += len(value) if kind == "text" else len(names)
            data = b"".join(map(key_bytes, names)) if kind in ("keys", "burst") else _sent(kind, value)
            self.terminal.send(data)
            if data[-1:] == b"\x1b" or kind == "bytes":
                # Else what comes next is taken for the end of a sequence.
                time.sleep(0.12)

    def _outage(self) -> None:
        if self.ground.away:
            self.ground.give_back()
        else:
            self.ground.take_away()
        self.ground.away = not self.ground.away

    def _clean(self) -> None:
        """Remove old runs in the dialog, as far as it opens and counts."""
        self.outcome.keys += 4
        self.terminal.send(b"X")
        try:
            shown = self.terminal.wait_for(re.compile(r"Type [\d,]+ to confirm"), timeout=0.7)
        except TimeoutError:
            return
        count = re.search(r"Type ([\d,]+) to confirm", shown)
        assert count is not None
        self.terminal.send(f"{count[1]}\r\r")

    # -- checking

    def check(self) -> None:
        """Check that it runs, answers and shows what a full redraw shows."""
        terminal, outcome = self.terminal, self.outcome
        time.sleep(self.settle_s)
        began = time.monotonic()
        seen = self._probe(began + self.answer_s)
        seconds = time.monotonic() - began
        if seen is None:
            outcome.failure = f"no answer within {seconds:.1f} s" if self.alive else self._end()
            return
        outcome.slowest_s = max(outcome.slowest_s, seconds)
        outcome.memory_mb = max(outcome.memory_mb, terminal.memory_mb)
        if b"(most recent call last)" in terminal.output[-100_000:]:
            outcome.failure = "a traceback was written"
            return
        shown, redrawn = seen
        # Clock, ages and countdowns on lines 1 and 2 change by themselves.
        changed = [place for place in redrawn if place[0] > 1 and shown.get(place) != redrawn[place]]
        if changed:
            outcome.differences += 1
            texts = ["".join(str(cells[place][0]) for place in changed[:60] if place in cells) for cells in seen]
            outcome.failure = f"a redraw changed {len(changed)} cells from {changed[0]}: {texts[0]!r} to {texts[1]!r}"

    def _probe(self, deadline: float) -> tuple[Cells, Cells] | None:
        """Return the cells before and after a full redraw; None where there was no answer."""
        seen: dict[str, Cells] = {}
        screen = self.terminal.screen
        screen.call_on_title(lambda title: seen.setdefault(title.partition(" ")[0], screen.cells))
        self.terminal.send(key_bytes("f12"))
        while "after" not in seen and self.alive and time.monotonic() < deadline:
            time.sleep(0.002)
        return (seen["before"], seen["after"]) if "after" in seen else None

    def _end(self) -> str:
        status = self.terminal.wait_for_exit()
        return f"it ended with status {status}:\n{self.terminal.text}"


def attempt(ground: Callable[[], AbstractContextManager[Ground]], sequence: Sequence[Step]) -> Outcome:
    """Play a sequence on a fresh dashboard."""
    with ground() as there, Monkey(there, settle_s=0.5) as monkey:
        monkey.begin()
        return monkey.play(sequence)


def shortened(
    fails: Callable[[Sequence[Step]], bool], sequence: Sequence[Step], *, seconds: float = 180.0
) -> tuple[list[Step], bool]:
    """Return the shortest failing part that was found in the given time, and whether the failure came again at all."""
    until = time.monotonic() + seconds
    found: list[Step] = []
    for length in (10, 40, 160, len(sequence)):
        part = list(sequence[-length:])
        if fails(part):
            found = part
            break
        if length >= len(sequence) or time.monotonic() > until:
            return list(sequence[-40:]), False
    size = max(1, len(found) // 2)
    while found and time.monotonic() < until:
        for start in range(0, len(found), size):
            less = [*found[:start], *found[start + size :]]
            if less and time.monotonic() < until and fails(less):
                found = less
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
    return found, True
