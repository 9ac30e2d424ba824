"""The states of runs: which live, and how urgent each is."""

from __future__ import annotations

from typing import Final

BEHIND: Final = ("stalled", "throttled", "slow")
"""States of a run that lives and is late, gravest first."""

DERIVED: Final = ("lost", *BEHIND)
"""What a run that is stored as running may be."""

LIVING: Final = frozenset({"running", *DERIVED})
"""The states of runs that nobody has ended."""

STATES: Final = ("lost", "failed", *BEHIND, "running", "terminated", "abandoned", "completed")
"""Of a run, what needs somebody first; a failure that a later success made good ranks as completed."""

RANKS: Final = {state: rank for rank, state in enumerate(STATES)}
