"""The dashboard through as many polls as an hour has, and whether its memory stays where it was.

The polls come ten a second, so that an hour of them takes minutes. One dashboard is watched as at night, with the
cursor moving now and then; in another keys open and leave every screen, since what is kept too long is as likely kept
by a screen as by a poll.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping

from tests.benchmarks.measuring import Effort, Finding
from tests.benchmarks.places import Places
from tests.benchmarks.screen_programs import JOB, Watched, etlwatch, moving

POLLS = 3_600
INTERVAL_S = 0.1
RUNS = 20
SETTLE_POLLS = 300
"""Until everything has been loaded and opened once; growth is counted from here on."""

KEY_EVERY_S = 0.5
WARM_UP_S = 0.2
WATCHING = "jjjjkkkkGg"
WALKING = "jjj\r]]]]]][\x1bkGgw>I/state:running\r\x1bJ\x1b?\x1bz\x1bE\x1b jj =\x1b  <Ipp"
"""A walk through every screen and back: runs, tabs, window, sort, filter, jobs, help, zoom, errors, compare, pause."""


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of the memory at an hour's end and of what it grew by."""
    polls = effort.size(POLLS)
    rows: list[Finding] = []
    with places.sqlite_store() as dsn, moving(dsn, RUNS):
        command = etlwatch(dsn, "--interval", str(INTERVAL_S))
        with Watched(command) as first:
            # What it loads is compiled and kept by it, so that the others' memory holds nothing of that.
            first.wait_for(JOB)
            _walk({first: WALKING}, len(WALKING) * WARM_UP_S, every=WARM_UP_S)
        with Watched(command) as watching, Watched(command) as walking:
            watching.wait_for(JOB)
            walking.wait_for(JOB)
            held = _walk({watching: WATCHING, walking: WALKING}, polls * INTERVAL_S)
    for what, program, most in (("watched", watching, 55.0), ("walked through", walking, 58.0)):
        rows += _grown(f"resident, {what}, after {polls} polls", held[program], most)
    return rows


def _grown(what: str, held: list[float], most: float) -> list[Finding]:
    """Return the memory at the end and its growth, the latter from the first third after settling to the last."""
    settled = held[min(len(held) - 1, len(held) * SETTLE_POLLS // POLLS) :]
    third = max(1, len(settled) // 3)
    grown = statistics.median(settled[-third:]) - statistics.median(settled[:third])
    course = f"{held[0]:.1f} MB at first, {held[len(held) // 2]:.1f} MB in the middle"
    end = held[-1]
    return [
        Finding(what=what, ours=end, unit="MB", budget=f"≤ {most:g} MB", met=end <= most, note=course),
        Finding(what="  grown by", ours=grown, unit="MB", budget="flat (≤ 1 MB)", met=grown <= 1),
    ]


def _walk(programs: Mapping[Watched, str], seconds: float, every: float = KEY_EVERY_S) -> dict[Watched, list[float]]:
    """Press each program's keys over and over for so long; return the memory after each, MiB."""
    held: dict[Watched, list[float]] = {program: [] for program in programs}
    until = time.monotonic() + seconds
    for step in itertools.count():
        for program, keys in programs.items():
            program.send(keys[step % len(keys)].encode())
        time.sleep(every)
        for program in programs:
            held[program].append(program.resident_mb)
        if time.monotonic() > until:
            break
    return held
