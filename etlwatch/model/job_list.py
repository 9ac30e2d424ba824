"""By what jobs are ordered and looked for: the declarations that their list goes by.

Refuses to own sorting (`etlwatch.model.ordering`) and the grammar of filters (`etlwatch.model.list_filter`).
"""

from __future__ import annotations

from typing import Final

from etlwatch.model.jobs import JobRow
from etlwatch.model.list_filter import Vocabulary
from etlwatch.model.ordering import Ordering

__all__ = ["JOBS", "JOB_WORDS"]

JOBS: Final[Ordering[JobRow]] = Ordering(
    by_need=lambda row: (row.rank, row.job.casefold(), row.job),
    keys={
        "job": (lambda row: row.job.casefold(), False),
        "success": (lambda row: row.completed / row.counted if row.counted else None, False),
        "usual": (lambda row: row.past.duration_s.usual, True),
        "p95": (lambda row: row.past.duration_s.p95, True),
        "trend": (lambda row: row.trend, True),
        "began": (lambda row: row.last.started_at.timestamp() if row.last else None, True),
        "next": (lambda row: row.expected.at.timestamp() if row.expected else None, False),
    },
)
"""By need: those that are late first, then those with trouble, by name."""


def _states_of(row: JobRow) -> frozenset[str]:
    """Return all that a job may be looked for by: its trouble, its living run's state, or that all is well."""
    states = {row.trouble or ("over" if row.given_up_since else "ok")}
    if row.live is not None:
        states.add(row.live.state)
    return frozenset(states)


JOB_WORDS: Final[Vocabulary[JobRow]] = Vocabulary(
    thing="a job",
    words=lambda row: (row.job,),
    fields={"job": lambda row: row.job},
    states=("overdue", "lost", "failed", "stalled", "throttled", "slow", "running", "ok", "over"),
    states_of=_states_of,
)
"""`sync* !demo state:overdue,failed`."""
