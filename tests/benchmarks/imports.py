"""What importing `tracking_core` costs a program, in time and in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measuring import Effort, Finding, interleaved, medians, timed

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "import tracking_core"
TRACKER = "from tracking_core import SimpleETLTracker"
RESIDENT = "import sys, psutil; sys.stdout.write(str(psutil.Process().memory_info().rss))"
MOST_MS = {PACKAGE: 40.0, TRACKER: 60.0}
MOST_MB = 8.0


def findings(effort: Effort) -> list[Finding]:
    """Return the rows of time and memory, each beside a bare interpreter."""
    programs = {"bare": "pass", PACKAGE: PACKAGE, TRACKER: TRACKER}
    cases = {name: lambda code=code: timed(lambda: _python(code)) for name, code in programs.items()}
    times = medians(interleaved(cases, effort.rounds(40)))
    memory = {name: _resident(code) for name, code in programs.items()}
    rows = []
    for name in (PACKAGE, TRACKER):
        milliseconds = (times[name] - times["bare"]) * 1000
        megabytes = memory[name] - memory["bare"]
        rows.append(
            _row(
                name,
                "time",
                times[name] * 1000,
                times["bare"] * 1000,
                "ms",
                milliseconds <= MOST_MS[name],
                MOST_MS[name],
            )
        )
        rows.append(_row(name, "memory", memory[name], memory["bare"], "MB", megabytes <= MOST_MB, MOST_MB))
    return rows


def _row(what: str, kind: str, ours: float, bare: float, unit: str, met: bool, most: float) -> Finding:
    return Finding(
        what=f"{what}, {kind}",
        ours=ours,
        unit=unit,
        peer="python -c pass",
        theirs=bare,
        budget=f"≤ {most:g} {unit} over it",
        met=met,
        note=f"{ours - bare:.1f} {unit} over it",
    )


def _python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def _resident(code: str) -> float:
    samples = sorted(int(_python(f"{code}\n{RESIDENT}")) for _ in range(5))
    return samples[2] / (1 << 20)
