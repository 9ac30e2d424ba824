"""The dashboard through as many polls as an hour has, and whether its memory stays where it was.

The polls come ten a second, so that an hour of them takes minutes; keys in between open and leave every screen, since
what is kept too long is as likely kept by a screen as by a poll.
"""

from __future__ import annotations

import itertools
import statistics
import time

from tests.benchmarks.measuring import Effort, Finding
from tests.benchmarks.places import Places
from tests.benchmarks.screen_programs import JOB, Watched, etlwatch, moving

POLLS = 3_600
INTERVAL_S = 0.1
RUNS = 20
SETTLE_POLLS = 300
"""Until everything has been loaded and opened once; growth is counted from here on."""

KEY_EVERY_S = 0.5
ROUND = "jjj\r]]]]]][\x1bkGgw>I/state:running\r\x1bJ\x1b?\x1bz\x1bE\x1b jj =\x1b  <Ipp"
"""A walk through every screen and back: runs, tabs, window, sort, filter, jobs, help, zoom, errors, compare, pause."""


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of the memory at an hour's end and of what it grew by."""
    polls = effort.size(POLLS)
    with places.sqlite_store() as dsn, moving(dsn, RUNS), Watched(etlwatch(dsn, "--interval", str(INTERVAL_S))) as ours:
        ours.wait_for(JOB)
        held = _walk(ours, polls * INTERVAL_S)
    settled = held[min(len(held) - 1, len(held) * SETTLE_POLLS // POLLS) :]
    third = max(1, len(settled) // 3)
    first, last = statistics.median(settled[:third]), statistics.median(settled[-third:])
    return [
        Finding(
            what=f"resident after {polls} polls and a key each {KEY_EVERY_S:g} s",
            ours=held[-1],
            unit="MB",
            budget="≤ 55 MB",
            met=held[-1] <= 55,
            note=f"{held[0]:.1f} MB at first, {held[len(held) // 2]:.1f} MB in the middle",
        ),
        Finding(
            what="  from its first third to its last",
            ours=last - first,
            unit="MB",
            budget="flat (≤ 1 MB)",
            met=last - first <= 1,
        ),
    ]


def _walk(program: Watched, seconds: float) -> list[float]:
    """Press the round's keys for so long; return the memory after each, MiB."""
    held: list[float] = []
    until = time.monotonic() + seconds
    for key in itertools.cycle(ROUND):
        program.send(key.encode())
        time.sleep(KEY_EVERY_S)
        held.append(program.resident_mb)
        if time.monotonic() > until:
            return held
    raise AssertionError("a cycle has no end")
