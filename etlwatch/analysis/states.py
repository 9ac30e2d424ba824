"""The states of runs and jobs in their one order of gravity, and the thresholds that they depend on.

Apart from `etlwatch.analysis.findings`, so that a configuration can be read without loading it.
"""

from __future__ import annotations

from typing import Final

from tracking_core.dataclass import dataclass

BEHIND: Final = ("stalled", "throttled", "slow")
"""States of a run that lives and is late, gravest first."""

FLAWED: Final = ("incomplete", "unusual")
"""States of a run that completed and whose numbers do not agree, or differ from those of comparable runs."""

DERIVED: Final = ("lost", *BEHIND)
"""What a run that is stored as running may be."""

LIVING: Final = frozenset({"running", *DERIVED})
"""The states of runs that nobody has ended."""


def stored_status(state: str) -> str:
    """Return the status that a run in this state is stored with."""
    return "running" if state in LIVING else "completed" if state in FLAWED else state


STATES: Final = (
    "lost", "failed", "stalled", "incomplete", "throttled", "slow", "unusual",
    "running", "terminated", "abandoned", "completed",
)  # fmt: skip
"""Of a run, gravest first; a failure that a later success made good ranks as completed."""

RANKS: Final = {state: rank for rank, state in enumerate(("off", "overdue", "aged", *STATES, "spooled"))}
"""The one order of gravity, 0 the gravest: of runs, jobs (`overdue`, `aged`), and what else `check` looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """How far from usual is too far; the configuration file may change it."""

    stalled_after_s: float = 120.0
    """No run is stalled sooner than after this long without progress."""

    stalled_times_usual: float = 3.0
    """Nor before this many times the longest pause that its job usually makes in this phase."""

    stalled_without_past_s: float = 600.0
    """How long a run may stand still that has no baseline and recorded nothing in its phase."""

    throttled_share: float = 0.10
    """No run is throttled below this share of 429s among its latest requests."""

    throttled_times_usual: float = 3.0
    throttled_requests: int = 10
    """Nor with fewer latest requests than this."""

    slow_times_p95: float = 1.25
    """No run is slow before this many times the p95 of comparable runs."""


DEFAULT_THRESHOLDS: Final = Thresholds()


ALARMING_SHARE: Final = 0.05
"""Of answers that are not 2xx: from here on they are drawn in amber, whatever may be usual."""
