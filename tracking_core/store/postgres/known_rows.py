"""The rows of the newest runs as a reader holds them, each told from a later one by the transaction that wrote it.

A poll reads the same runs again and again, and most have ended: to send all columns of 200 rows costs the server four
times what finding them does. A row's version is its `xmin`; every change of a row is by another transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracking_core.store.rows import Row


class KnownRows:
    """Remembers the rows of one page."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[object, Row]] = {}

    def of(self, versions: Sequence[Row], read: Callable[[list[int]], Sequence[Row]]) -> list[Row]:
        """Return the rows of a page, given (run_id, version) of each; `read` returns those that are not held so.

        Both must see one moment of the store.
        """
        held = self._rows
        changed = [run_id for run_id, version in versions if run_id not in held or held[run_id][0] != version]
        fresh = {row[0]: row for row in read(changed)} if changed else {}
        self._rows = {
            run_id: (version, fresh[run_id] if run_id in fresh else held[run_id][1]) for run_id, version in versions
        }
        return [row for _, row in self._rows.values()]
