"""Changes of runs: of watched ones since the last poll, and of all since the store last answered.

A watched run that has ended is reported once and then no longer watched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from etlwatch.analysis.snapshot import Snapshot
from etlwatch.analysis.states import BEHIND
from etlwatch.text.numbers import count, duration, short_id
from etlwatch.text.safe import clip, safe
from tracking_core.dataclass import dataclass
from tracking_core.records import Run

_RED = ("lost", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A watched run that is in another state now."""

    words: str
    severity: Literal["information", "warning", "error"]


class Watching:
    """The watched runs by id."""

    def __init__(self) -> None:
        self._states: dict[int, str] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._states

    def toggle(self, run: Run) -> bool:
        """Watch a run, or no longer; return whether it is watched now."""
        if self._states.pop(run.run_id, None) is not None:
            return False
        self._states[run.run_id] = run.state
        return True

    def changes(self, runs: Iterable[Run]) -> list[Change]:
        """Return what has changed since these runs were last seen, and remember what they are now."""
        if not self._states:
            return []
        found: list[Change] = []
        for run in runs:
            before = self._states.get(run.run_id)
            if before is None or before == run.state:
                continue
            found.append(Change(words=_words(run, before), severity=_severity(run.state)))
            self._states[run.run_id] = run.state
            if run.status != "running":
                del self._states[run.run_id]
        return found


def _severity(state: str) -> Literal["information", "warning", "error"]:
    if state in _RED:
        return "error"
    return "warning" if state in BEHIND else "information"


def _words(run: Run, before: str) -> str:
    name = f"{clip(safe(run.job), 40)} {short_id(run.id)}"
    after = f" after {duration(run.duration_s)}" if run.status != "running" else ""
    because = f": {clip(safe(run.evidence), 80)}" if run.evidence else ""
    return f"{name} is {safe(run.state)}{after}, was {safe(before)}{because}"


_DEAD: Final = ("lost", "failed")
_NAMED: Final = 2
"""Runs that are named; of the rest it is said how many."""

_JOB_CELLS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanwhile:
    """A sentence, and how grave it is."""

    words: str
    severity: Literal["information", "warning", "error"]


def changes_since(before: Snapshot, after: Snapshot) -> Meanwhile:
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
    phrase = ", ".join(pieces) if pieces else "nothing changed meanwhile"
    away = duration(max(after.read_at - before.read_at, 0.0))
    severity: Literal["information", "warning", "error"] = "error" if dead else "warning" if behind else "information"
    return Meanwhile(words=f"connected again after {away}: {phrase}", severity=severity)


def _named(runs: Sequence[Run]) -> list[str]:
    """Return the first of these runs by name and state, and how many more there are."""
    words = [f"{clip(safe(run.job), _JOB_CELLS)} {safe(run.state)}" for run in runs[:_NAMED]]
    more = Counter(run.state for run in runs[_NAMED:])
    return words + [f"{count(number)} more {state}" for state, number in sorted(more.items())]
