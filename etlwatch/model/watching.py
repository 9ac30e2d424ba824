"""Runs that somebody wants to hear of: what they were last, and what to say when that changes.

Owns the remembered states. Refuses to own bell and toast. A run that has ended is told once and then forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from etlwatch.model.numbers import duration
from etlwatch.model.pane import short_id
from etlwatch.model.verdict import BEHIND
from etlwatch.text import clip, safe
from tracking_core.dataclass import dataclass
from tracking_core.records import Run

__all__ = ["Change", "Watching"]

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
