"""Latency histograms: eight buckets an octave, so that every percentile read from them is within 5 %.

Bucket 0 holds 0 ms, bucket b ≥ 1 holds the whole milliseconds in [2^((b-1)/8), 2^(b/8)). The greatest bucket is 255
(beyond 2^31 ms, 24 days). A histogram travels packed: one integer a non-empty bucket, `count * 256 + bucket`,
ascending by bucket, so that a store can add two of them with sums alone. Packed lists may repeat a bucket (they may
have been joined); readers add them up.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise

BUCKETS = 256
_PER_OCTAVE = 8
_FLOORS = [0.0, *(2.0 ** (index / _PER_OCTAVE) for index in range(BUCKETS - 1))]
_SMALL = 4096


_EDGES = [math.ceil(floor) for floor in _FLOORS if floor <= _SMALL]
_TABLE = b"".join(bytes([bucket]) * (high - low) for bucket, (low, high) in enumerate(pairwise(_EDGES)))[:_SMALL]


class Latencies(dict[int, int]):
    """Bucket → count, with what was measured beside: then no percentile is beyond the greatest duration."""

    __slots__ = ("max_ms", "total_ms")

    def __init__(self, counts: Mapping[int, int], *, max_ms: int, total_ms: int) -> None:
        """Take the greatest duration and the sum of all, in milliseconds."""
        super().__init__(counts)
        self.max_ms = max_ms
        self.total_ms = total_ms


def bucket_of(duration_ms: int) -> int:
    """Return the bucket, 0 to 255, of a duration in whole milliseconds (negative ones count as 0)."""
    if 0 <= duration_ms < _SMALL:
        return _TABLE[duration_ms]
    return min(bisect_right(_FLOORS, duration_ms) - 1, BUCKETS - 1) if duration_ms > 0 else 0


def count(durations_ms: Sequence[int]) -> dict[int, int]:
    """Return bucket → count of durations in whole milliseconds, at least one."""
    if min(durations_ms) >= 0 and max(durations_ms) < _SMALL:
        return dict(Counter(map(_TABLE.__getitem__, durations_ms)))
    return dict(Counter(map(bucket_of, durations_ms)))


@lru_cache(maxsize=BUCKETS)
def middle_of(bucket: int) -> float:
    """Return the milliseconds that stand for a bucket: the geometric middle of the whole ones that it holds."""
    if bucket == 0:
        return 0.0
    low = -(-_FLOORS[bucket] // 1)
    high = (2.0 ** (bucket / _PER_OCTAVE)) - 1e-9
    high = max(high // 1, low)
    return float((low * high) ** 0.5)


def pack(counts: Mapping[int, int]) -> list[int]:
    """Return bucket → count as the packed list, ascending by bucket."""
    return [count * BUCKETS + bucket for bucket, count in sorted(counts.items()) if count]


def unpack(packed: Iterable[int]) -> dict[int, int]:
    """Return a packed list as bucket → count, repeated buckets added up."""
    counts: dict[int, int] = {}
    for entry in packed:
        count, bucket = divmod(entry, BUCKETS)
        counts[bucket] = counts.get(bucket, 0) + count
    return counts


def merge(packed_lists: Iterable[Iterable[int]]) -> dict[int, int]:
    """Return several packed lists added up, as bucket → count."""
    return unpack(chain.from_iterable(packed_lists))


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the duration in milliseconds below or at which `share` (0 to 1) of the requests lie; None without any.

    Nearest rank over the buckets: within 5 % of the exact value up to 30 s and beyond. Of `Latencies` the greatest is
    exact, and so is what all requests took where they took the same.
    """
    total = sum(counts.values())
    if total <= 0:
        return None
    rank = max(1, -(-int(total * share * 1_000_000) // 1_000_000))
    most = None
    if isinstance(counts, Latencies):
        most = float(counts.max_ms)
        if rank >= total:
            return most
        if len(counts) == 1:
            return min(counts.total_ms / total, most)
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            break
    value = middle_of(bucket)
    return value if most is None else min(value, most)
