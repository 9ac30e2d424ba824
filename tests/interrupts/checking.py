"""Runs jobs whose calls are interrupted, and checks what they leave: exit, totals, detail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tests.acceptance.ledger import counts, replay_spool
from tests.support.job import ROOT
from tests.support.peek import peek

LONGEST_EXIT_S = 5.0
LONGEST_JOB_S = 1800.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one job, and its figures."""

    command: str
    interrupts: int = 0
    unraisable: int = 0
    """Those that were raised where Python itself ends them."""

    exit_s: float = 0.0
    faults: list[str] = field(default_factory=list)


def check(dsn: str, delivery: str, way: str, *more: str) -> Verdict:
    """Run one job on an empty store with a spool of its own; `more` is handed to it."""
    arguments = [dsn, "--delivery", delivery, "--way", way, *more]
    shown = "python -m tests.interrupts.job " + " ".join(arguments)
    with tempfile.TemporaryDirectory() as directory:
        spool = Path(directory) / "spool"
        spool.mkdir()
        environ = {**os.environ, "TRACKING_SPOOL_DIR": str(spool), "TRACKING_QUIET": "1"}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.interrupts.job", *arguments],
                cwd=ROOT,
                env=environ,
                capture_output=True,
                text=True,
                timeout=LONGEST_JOB_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            return Verdict(shown, faults=[f"it hangs: {late.stderr!r}"])
        ended = time.monotonic()
        if done.returncode != 0:
            return Verdict(shown, faults=[f"exit status {done.returncode}: {done.stderr[-2000:]}"])
        figures = json.loads(done.stdout.splitlines()[-1])
        exit_s = ended - figures["done_at"]
        with mock.patch.dict(os.environ, environ):
            replay_spool(dsn)
    faults = [*figures["errors"], *_faults_in_store(dsn, figures)]
    faults += [f"swallowed: {each}" for each in figures["swallowed"]]
    if exit_s > LONGEST_EXIT_S:
        faults.append(f"the exit took {exit_s:.1f} s")
    return Verdict(shown, figures["interrupts"], figures["unraisable"], exit_s, faults)


def _faults_in_store(dsn: str, figures: dict[str, Any]) -> list[str]:
    """Return what is wrong in the store once all that was spooled has been replayed."""
    faults = []
    found = counts(dsn)
    rows, total = found["rows"], found["runs"]
    # A job that closes time and again has no time left for some detail, and reports it as dropped.
    if set(found.values()) != {rows, total} or found["distinct"] != rows or not 0 <= total - rows <= figures["dropped"]:
        faults.append(f"totals differ: {found}, {figures['dropped']} reported as dropped")
    least, most = figures["requests"], figures["requests"] + figures["unclear"]
    if not least <= total <= most:
        faults.append(f"{total} requests of {least} accepted and {figures['unclear']} interrupted ones")
    faults += [f"a run has not ended: {row}" for row in peek(dsn, _NOT_ENDED)]
    if total == rows:
        faults += [f"items differ: {row}" for row in peek(dsn, _OTHER_ITEMS)]
    return faults


_NOT_ENDED = "SELECT run_id, job, notes FROM tracking.runs WHERE status = 'running'"

_OTHER_ITEMS = (
    "SELECT run_id, items FROM tracking.runs WHERE items <>"
    " (SELECT coalesce(sum(items), 0) FROM tracking.requests WHERE requests.run_id = runs.run_id)"
)
