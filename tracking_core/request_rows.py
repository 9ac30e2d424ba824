"""One HTTP request as a batch carries it, and many of them kept as columns.

A batch holds thousands of requests beside the job's own threads, who want the same interpreter: as columns they are
checked, counted and handed to a driver in C, and no object is made of any of them unless somebody looks at one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, overload

ADJUSTED = "[adjusted] "
"""Begins the mark that a request carries in `error` when a number of it was out of range; alone it is no failure."""


def has_failed(status: int | None, error: str | None = None) -> bool:
    """Return whether a request that was not throttled failed: by an error, a status of 400 or more, or none at all."""
    return not status or status >= 400 or (error is not None and not error.startswith(ADJUSTED))


class RequestRow(NamedTuple):
    """One HTTP request; the fields are the columns of `requests`, the writer stands in the batch."""

    run_id: int
    seq: int
    at_us: int
    endpoint: str
    page_offset: int | None
    page_limit: int | None
    status: int | None
    items: int
    duration_ms: int
    throttled: bool
    """As counted: told so by the caller, or status 429."""

    error: str | None

    @property
    def failed(self) -> bool:
        """Whether it counts as failed: not throttled, and an error, a status of 400 or more, or none at all."""
        return not self.throttled and has_failed(self.status, self.error)


Columns: TypeAlias = tuple[Sequence[Any], ...]
"""The fields of `RequestRow`, each a sequence over the same requests."""

_new_row = partial(tuple.__new__, RequestRow)


class RequestColumns(Sequence[RequestRow]):
    """Requests that are looked at as rows and worked on as columns; in blocks, which are never copied together."""

    __slots__ = ("_length", "blocks")

    def __init__(self, blocks: Iterable[Columns]) -> None:
        self.blocks = tuple(blocks)
        self._length = sum(len(block[0]) for block in self.blocks)

    @classmethod
    def of(cls, rows: Sequence[RequestRow]) -> RequestColumns:
        """Return rows as columns; what is that already is returned as it is."""
        if isinstance(rows, RequestColumns):
            return rows
        return cls([tuple(zip(*rows, strict=True))] if rows else [])

    def column(self, position: int) -> Iterator[Any]:
        """Return one field of all requests."""
        return chain.from_iterable(block[position] for block in self.blocks)

    def run_ids(self) -> set[int]:
        """Return the runs that these requests belong to."""
        return set(self.column(0))

    def by_run(self) -> Counter[int]:
        """Return how many requests there are of each run."""
        return Counter(self.column(0))

    def greatest(self, position: int) -> dict[int, int]:
        """Return the greatest value of a field in each run."""
        found: dict[int, int] = {}
        for block in self.blocks:
            run_ids, values = block[0], block[position]
            if run_ids.count(run_ids[0]) == len(run_ids):
                found[run_ids[0]] = max(found.get(run_ids[0], values[0]), max(values))
            else:
                for run_id, value in zip(run_ids, values, strict=True):
                    found[run_id] = max(found.get(run_id, value), value)
        return found

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[RequestRow]:
        for block in self.blocks:
            yield from map(_new_row, zip(*block, strict=True))

    @overload
    def __getitem__(self, index: int) -> RequestRow: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[RequestRow, ...]: ...

    def __getitem__(self, index: int | slice) -> RequestRow | tuple[RequestRow, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
