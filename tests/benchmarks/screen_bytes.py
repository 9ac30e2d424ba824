"""What keys cost a link: bytes at two sizes beside htop and less, and the seconds that a slow link takes for them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.measuring import Effort, Finding
from tests.benchmarks.places import Places
from tests.benchmarks.screen_programs import Link, Watched, etlwatch, htop
from tests.benchmarks.stock import Fleet, stock

SIZES = ((80, 24), (160, 45))
FLEET = Fleet(runs=200, requests=100, alive=8, jobs=20)
SLOW = Link(bytes_per_s=2_000, latency_s=0.3)
QUIET_S = 0.5
SETTLE_S = 5.0
REST_S = 30
PAGE = Path(__file__).with_name("screen.py")
"""What less shows: more lines than either size has."""

Step = tuple[str, bytes]
"""What a step is called, and the keys of it; without keys it is a rest."""

OURS: Sequence[Step] = (
    ("help opened", b"?"), ("help closed", b"\x1b"), ("down ten times", b"jjjjjjjjjj"), ("run opened", b"\r"),
    ("run closed", b"\x1b"), ("at rest for 30 s", b""),
)  # fmt: skip
HTOP: Sequence[Step] = (
    ("help opened", b"?"), ("help closed", b"\x1b"), ("down ten times", b"\x1b[B" * 10), ("at rest for 30 s", b""),
)  # fmt: skip
LESS: Sequence[Step] = (
    ("help opened", b"h"), ("help closed", b"q"), ("down ten times", b"jjjjjjjjjj"), ("at rest for 30 s", b""),
)  # fmt: skip

BUDGETS = {"help opened": 3_000.0, "help closed": 3_000.0, "down ten times": 9_000.0, "run opened": 5_000.0}
"""Bytes at 80 × 24."""


def sizes(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of bytes by key at both sizes, beside htop and less in the same state of the machine."""
    rows: list[Finding] = []
    with places.sqlite_store() as dsn:
        stock(dsn, FLEET)
        for size in SIZES:
            ours = _steps(etlwatch(dsn), "job-", OURS, size, effort)
            peers = {"less": _steps(["less", str(PAGE)], "import", LESS, size, effort)}
            if shutil.which("htop") is not None:
                peers["htop"] = _steps(htop(), "Load average", HTOP, size, effort)
            for name, (sent, _) in ours.items():
                most = BUDGETS.get(name) if size == SIZES[0] else None
                for peer, figures in peers.items():
                    rows.append(
                        Finding(
                            what=f"{size[0]}×{size[1]}: {name}",
                            ours=sent,
                            unit="bytes",
                            peer=peer if name in figures else "",
                            theirs=figures[name][0] if name in figures else None,
                            budget=f"≤ {most:g}" if most else "",
                            met=sent <= most if most else None,
                        )
                    )
    return rows


def slow_link(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of the seconds until a step is drawn whole over 2 kB/s with 300 ms of latency."""
    rows: list[Finding] = []
    with places.sqlite_store() as dsn:
        stock(dsn, FLEET)
        for name, options in (("", ()), ("--low-bandwidth: ", ("--low-bandwidth",))):
            for what, (_, took) in _steps(
                etlwatch(dsn, *options), "job-", OURS[:-1], SIZES[0], effort, link=SLOW
            ).items():
                rows.append(Finding(what=f"{name}over 2 kB/s and 300 ms: {what}", ours=took, unit="s"))
    return rows


def _steps(
    command: Sequence[str], shown: str, steps: Sequence[Step], size: tuple[int, int], effort: Effort,
    link: Link | None = None,
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """Return bytes and seconds of each step; the first is the start, to the first rest."""
    with Watched(command, size=size, link=link) as program:
        program.wait_for(shown)
        began, _ = program.began, _settled(program)
        figures = {"opened": (float(program.bytes_written), program.last_byte_at - began)}
        # The first frame is drawn before keys are read.
        time.sleep(SETTLE_S)
        for name, keys in steps:
            before, began = program.bytes_written, time.perf_counter()
            if keys:
                # One key at a time, as a person presses them.
                for key in [keys] if keys.startswith(b"\x1b") and len(keys) < 4 else _keys(keys):
                    program.send(key)
                    time.sleep(0.1)
                _settled(program)
            else:
                time.sleep(effort.size(REST_S))
            figures[name] = (float(program.bytes_written - before), max(0.0, program.last_byte_at - began))
    return figures


def _keys(keys: bytes) -> list[bytes]:
    if keys.startswith(b"\x1b"):
        return [keys[:3]] * (len(keys) // 3)
    return [keys[place : place + 1] for place in range(len(keys))]


def _settled(program: Watched) -> None:
    """Wait until nothing comes for a moment; the next poll comes after a second."""
    time.sleep(QUIET_S)
    while time.perf_counter() < program.last_byte_at + QUIET_S:
        time.sleep(0.02)
