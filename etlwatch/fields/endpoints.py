"""The endpoints of a run as rows of a table: how often, how well, how fast.

Contains columns, cells and order of that table.
"""

from __future__ import annotations

from typing import Final

from etlwatch.analysis.series import percentiles_of
from etlwatch.analysis.snapshot import Percentiles
from etlwatch.analysis.thresholds import ALARMING_SHARE
from etlwatch.fields.ordering import Order, Ordering
from etlwatch.text.columns import Column
from etlwatch.text.numbers import UNKNOWN, count, duration_ms, percent, share
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans
from tracking_core.histogram import Latencies, unpack
from tracking_core.records import EndpointTotals

__all__ = ["BUSIEST", "ENDPOINTS", "endpoint_cells", "endpoint_columns"]


def _number(key: str, header: str, width: int = 6, gap: int = 2) -> Column:
    return Column(key=key, header=header, width=width, gap=gap, align="right")


_NAME: Final = Column(key="endpoint", header="endpoint", width=22, grow=1)
_BRIEF: Final = (
    _NAME, _number("req", "req"), _number("share", "share", 5, 1), _number("bad", "not 2xx", 7), _number("p50", "p50"),
    _number("p95", "p95", gap=1), _number("max", "max", gap=1), _number("items", "items", 5),
    Column(key="margin", width=1, gap=0, sortable=False),
)  # fmt: skip
_WIDE: Final = (
    _NAME, _number("req", "req"), _number("share", "share", 5, 1), _number("failed", "failed"),
    _number("throttled", "429", 5), _number("4xx", "4xx", 5), _number("5xx", "5xx", 5), _number("bad", "not 2xx", 7),
    _number("p50", "p50"), _number("p95", "p95", gap=1), _number("p99", "p99", gap=1), _number("max", "max", gap=1),
    _number("mean", "mean", gap=1), _number("items", "items", 6), _number("each", "items/req", 9),
    Column(key="margin", width=1, gap=0, sortable=False),
)  # fmt: skip


def endpoint_columns(width: int) -> tuple[Column, ...]:
    """Return the columns that fit a terminal of `width` cells."""
    return _WIDE if width >= 140 else _BRIEF


def _percentiles(totals: EndpointTotals) -> Percentiles | None:
    return percentiles_of(Latencies(unpack(totals.histogram), max_ms=totals.max_ms, total_ms=totals.duration_ms))


def _bad(totals: EndpointTotals) -> int:
    return totals.requests - totals.status_2xx


def endpoint_cells(totals: EndpointTotals, all_requests: int) -> dict[str, Spans]:
    """Return the cells of one endpoint; `all_requests` is what its share is of."""
    requests = max(totals.requests, 1)
    found = _percentiles(totals)
    bad = _bad(totals) / requests
    not_throttled = max(totals.status_4xx - totals.throttled, 0)

    def one(text: str, role: str = "text") -> Spans:
        return ((text, role),)

    return {
        "endpoint": one(safe(totals.endpoint)),
        "req": one(count(totals.requests)),
        "share": one(percent(totals.requests / all_requests) if all_requests else UNKNOWN, "dim"),
        "failed": one(count(totals.failed, blank_zero=True), "red"),
        "throttled": one(count(totals.throttled, blank_zero=True), "amber"),
        "4xx": one(count(not_throttled, blank_zero=True)),
        "5xx": one(count(totals.status_5xx, blank_zero=True), "red"),
        "bad": one(share(bad) if bad else "", "amber bold" if bad >= ALARMING_SHARE else "text"),
        "p50": one(duration_ms(found.p50) if found else UNKNOWN),
        "p95": one(duration_ms(found.p95) if found else UNKNOWN, "text bold"),
        "p99": one(duration_ms(found.p99) if found else UNKNOWN),
        "max": one(duration_ms(totals.max_ms), "dim"),
        "mean": one(duration_ms(totals.duration_ms / requests), "dim"),
        "items": one(count(totals.items, blank_zero=True)),
        "each": one(count(totals.items / requests, blank_zero=True), "dim"),
    }


ENDPOINTS: Final[Ordering[EndpointTotals]] = Ordering(
    by_need=lambda totals: (-totals.requests, totals.endpoint),
    keys={
        "endpoint": (lambda totals: totals.endpoint.casefold(), False),
        "req": (lambda totals: totals.requests, True),
        "share": (lambda totals: totals.requests, True),
        "failed": (lambda totals: totals.failed, True),
        "throttled": (lambda totals: totals.throttled, True),
        "4xx": (lambda totals: totals.status_4xx - totals.throttled, True),
        "5xx": (lambda totals: totals.status_5xx, True),
        "bad": (lambda totals: _bad(totals) / max(totals.requests, 1), True),
        "p50": (lambda totals: found.p50 if (found := _percentiles(totals)) else None, True),
        "p95": (lambda totals: found.p95 if (found := _percentiles(totals)) else None, True),
        "p99": (lambda totals: found.p99 if (found := _percentiles(totals)) else None, True),
        "max": (lambda totals: totals.max_ms, True),
        "mean": (lambda totals: totals.duration_ms / max(totals.requests, 1), True),
        "items": (lambda totals: totals.items, True),
        "each": (lambda totals: totals.items / max(totals.requests, 1), True),
    },
)
"""How endpoints are ordered: by need the busiest first."""

BUSIEST: Final = Order("req")
