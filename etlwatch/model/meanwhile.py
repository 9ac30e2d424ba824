"""What changed while the store was away: runs that began, ended or went wrong, in one sentence.

Owns the comparing of the last snapshot before with the first one after, and its words. Refuses to own the connection
(`etlwatch.poller`) and how the sentence is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from etlwatch.model.numbers import count, duration
from etlwatch.model.snapshot import Snapshot
from etlwatch.model.verdict import BEHIND
from etlwatch.text import clip, safe
from tracking_core.dataclass import dataclass
from tracking_core.records import Run

__all__ = ["Meanwhile", "meanwhile"]

_DEAD: Final = ("lost", "failed")
_NAMED: Final = 2
"""Runs that are named; of the rest it is said how many."""

_JOB_CELLS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanwhile:
    """A sentence, and how grave it is."""

    words: str
    severity: Literal["information", "warning", "error"]


def meanwhile(before: Snapshot, after: Snapshot) -> Meanwhile:
    """Return what changed from one snapshot to the other; `read_at` of both says how long nothing was heard."""
    known = {run.run_id: run.state for run in before.runs}
    oldest = min(known, default=0)
    # What is listed now and was too old before is not new.
    began = [run for run in after.runs if run.run_id not in known and run.run_id > oldest]
    changed = [run for run in after.runs if run.run_id in known and known[run.run_id] != run.state]
    ended_at_once = [run for run in began if run.state != "running"]
    dead = [run for run in (*changed, *ended_at_once) if run.state in _DEAD]
    behind = [run for run in (*changed, *ended_at_once) if run.state in BEHIND]
    others = Counter(run.state for run in (*changed, *ended_at_once) if run not in dead and run not in behind)
    pieces = [*_named(dead), *_named(behind)]
    pieces += [f"{count(number)} {state}" for state, number in sorted(others.items())]
    if began:
        pieces.append(f"{count(len(began))} began")
    said = ", ".join(pieces) if pieces else "nothing changed meanwhile"
    away = duration(max(after.read_at - before.read_at, 0.0))
    severity: Literal["information", "warning", "error"] = "error" if dead else "warning" if behind else "information"
    return Meanwhile(words=f"connected again after {away}: {said}", severity=severity)


def _named(runs: Sequence[Run]) -> list[str]:
    """Return the first of these runs by name and state, and how many more there are."""
    words = [f"{clip(safe(run.job), _JOB_CELLS)} {safe(run.state)}" for run in runs[:_NAMED]]
    more = Counter(run.state for run in runs[_NAMED:])
    return words + [f"{count(number)} more {state}" for state, number in sorted(more.items())]
