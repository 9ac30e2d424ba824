"""The stored states of runs and phases; apart from the records, so that a job loads no more than it needs."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """The stored states of a run; the values are the stored text."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"
    ABANDONED = "abandoned"


class PhaseStatus(StrEnum):
    """The stored states of a phase; the values are the stored text."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not needed this time; a store of schema version 1 holds it as completed, with a unit `skipped`."""


SUCCESSFUL_PHASES = frozenset({PhaseStatus.COMPLETED, PhaseStatus.SKIPPED})
"""Phases that are over and went well."""


PLACE = "place"
"""The key among a unit's stored counters for its place among the units, from 0."""

ORDER_OF_TAGS = ""
"""The name among a run's stored tags that holds the list of their names in order, which PostgreSQL's jsonb loses."""
