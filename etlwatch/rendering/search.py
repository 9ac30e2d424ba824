"""Search in texts shown as lines of spans: where the words are, and the lines with them marked.

Words are matched literally and in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from etlwatch.text.safe import cell_width
from etlwatch.text.spans import Span, Spans, merge, plain_text
from tracking_core.dataclass import dataclass

MOST_HITS = 1_000
"""The most places that are found: a single letter occurs tens of thousands of times."""

OTHER_HIT = "blue bold on selected"
THIS_HIT = "text bold reverse"


@dataclass(frozen=True, slots=True)
class Hit:
    """One place of the words."""

    text: str
    """The key of the text it is in."""

    line: int
    start: int
    """Characters before it."""

    column: int
    """Cells before it."""


def find_hits(texts: Mapping[str, Sequence[Spans]], words: str) -> tuple[Hit, ...]:
    """Return every place of `words`, text by text in their order, at most MOST_HITS; none for blank words."""
    pattern = _pattern(words)
    if pattern is None:
        return ()
    found = (
        Hit(key, number, place.start(), cell_width(line[: place.start()]))
        for key, lines in texts.items()
        for number, line in enumerate(map(plain_text, lines))
        for place in pattern.finditer(line)
    )
    return tuple(islice(found, MOST_HITS))


def marked(lines: Iterable[Spans], words: str, here: Hit | None = None) -> list[Spans]:
    """Return lines with each place of `words` marked, and the one that is looked at marked most."""
    pattern = _pattern(words)
    if pattern is None:
        return list(lines)
    out = []
    for number, line in enumerate(lines):
        places = [found.span() for found in pattern.finditer(plain_text(line))]
        this = here.start if here is not None and here.line == number else -1
        out.append(_marked(line, places, this) if places else line)
    return out


def _pattern(words: str) -> re.Pattern[str] | None:
    return re.compile(re.escape(words), re.IGNORECASE) if words.strip() else None


def _marked(line: Spans, places: Sequence[tuple[int, int]], this: int) -> Spans:
    text = plain_text(line)
    roles = [role for part, role in line for _ in part]
    for start, end in places:
        roles[start:end] = [THIS_HIT if start == this else OTHER_HIT] * (end - start)
    spans: list[Span] = list(zip(text, roles, strict=True))
    return merge(spans)
