"""By what kinds of errors are ordered and looked for: the declarations that their list goes by.

Refuses to own sorting (`etlwatch.model.ordering`) and the grammar of filters (`etlwatch.model.list_filter`).
"""

from __future__ import annotations

from typing import Final

from etlwatch.model.error_groups import ErrorKind
from etlwatch.model.list_filter import Vocabulary
from etlwatch.model.ordering import Ordering

__all__ = ["KINDS", "KIND_WORDS"]

KINDS: Final[Ordering[ErrorKind]] = Ordering(
    by_need=lambda kind: (kind.mended, not kind.new, -kind.last_at.timestamp(), kind.key),
    keys={
        "count": (lambda kind: kind.errors, True),
        "runs": (lambda kind: kind.all_runs, True),
        "last": (lambda kind: kind.last_at.timestamp(), True),
        "job": (lambda kind: kind.job.casefold() or None, False),
        "phase": (lambda kind: kind.phase.casefold() if kind.phase else None, False),
        "kind": (lambda kind: kind.error_type.casefold(), False),
        "message": (lambda kind: kind.message.casefold(), False),
        "known": (lambda kind: kind.seen_since.timestamp(), True),
    },
)
"""By need: new ones, those not mended, then the newest first."""


def _states_of(kind: ErrorKind) -> frozenset[str]:
    return frozenset({"new" if kind.new else "known", "mended" if kind.mended else "open"})


KIND_WORDS: Final[Vocabulary[ErrorKind]] = Vocabulary(
    thing="an error",
    words=lambda kind: (kind.error_type, kind.message, kind.job, kind.phase or ""),
    fields={"job": lambda kind: kind.job, "phase": lambda kind: kind.phase or "", "kind": lambda kind: kind.error_type},
    states=("new", "known", "open", "mended"),
    states_of=_states_of,
)
"""`timeout job:crm* state:new,open`."""
