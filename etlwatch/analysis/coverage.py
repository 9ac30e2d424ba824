"""Which pages of a source were fetched: holes and overlaps in offset and limit, by endpoint.

A page is what one whole answer covers: `limit` items from `offset` on, or what it returned
where no limit was sent. Where offsets count up by one although pages hold more, they are page numbers, and a page
covers one. Whether there are more pages after the last one is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise

from etlwatch.text.numbers import count, number_of
from tracking_core.dataclass import dataclass
from tracking_core.records import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The pages of one endpoint."""

    endpoint: str
    pages: int
    """Whole ones, each counted once."""

    first: int
    last: int
    """The end of the last page, exclusive."""

    holes: tuple[tuple[int, int], ...] = ()
    """Stretches between pages that no whole answer covers: from, to (exclusive)."""

    overlaps: tuple[tuple[int, int], ...] = ()
    """Stretches that more than one whole answer covers."""

    never: tuple[int, ...] = ()
    """Offsets that were asked for and never answered whole."""

    numbered: bool = False
    """Whether offsets are page numbers."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing between the first page and the last, nothing twice, and each was answered."""
        return not (self.holes or self.overlaps or self.never)


def coverage_of(pages: Iterable[Page]) -> tuple[Coverage, ...]:
    """Return the coverage of each endpoint that was paged, from pages ordered by endpoint and offset."""
    return tuple(
        _of_endpoint(endpoint, list(asked)) for endpoint, asked in groupby(pages, key=lambda page: page.endpoint)
    )


def _of_endpoint(endpoint: str, asked: Sequence[Page]) -> Coverage:
    numbered = _are_numbers(asked)
    spans = sorted(_span(page, numbered=numbered) for page in asked if page.whole)
    fetched = {page.page_offset for page in asked if page.whole}
    never = tuple(sorted({page.page_offset for page in asked} - fetched))
    holes: list[tuple[int, int]] = []
    overlaps: list[tuple[int, int]] = []
    reached = spans[0][0] if spans else 0
    for start, end in spans:
        if start > reached:
            holes.append((reached, start))
        elif start < reached:
            overlaps.append((start, min(end, reached)))
        reached = max(reached, end)
    return Coverage(
        endpoint=endpoint,
        pages=len(fetched),
        first=spans[0][0] if spans else 0,
        last=reached,
        holes=_joined(holes),
        overlaps=_joined(overlaps),
        never=never,
        numbered=numbered,
    )


def _are_numbers(asked: Sequence[Page]) -> bool:
    offsets = sorted({page.page_offset for page in asked})
    steps = [after - before for before, after in pairwise(offsets)]
    return bool(steps) and max(steps) <= 2 and any((page.page_limit or page.items) > 2 for page in asked)


def _span(page: Page, *, numbered: bool) -> tuple[int, int]:
    size = 1 if numbered else page.page_limit if page.page_limit is not None else page.items
    return page.page_offset, page.page_offset + max(size, 0)


def _joined(stretches: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return stretches with those that touch made one; empty ones dropped."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(stretch for stretch in stretches if stretch[0] < stretch[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)


def coverage_words(coverages: Sequence[Coverage]) -> tuple[str, bool]:
    """Return the coverage of all endpoints in a line, and if it is whole: `7,741 whole, no holes, no overlaps`."""
    pages = sum(coverage.pages for coverage in coverages)
    holes = sum(len(coverage.holes) for coverage in coverages)
    overlaps = sum(len(coverage.overlaps) for coverage in coverages)
    never = sum(len(coverage.never) for coverage in coverages)
    words = [
        f"{pages:,} whole",
        number_of(holes, "hole") if holes else "no holes",
        number_of(overlaps, "overlap") if overlaps else "no overlaps",
    ]
    if never:
        words.append(f"{count(never)} never answered")
    return ", ".join(words), not (holes or overlaps or never)
