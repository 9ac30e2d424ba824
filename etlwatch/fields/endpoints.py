"""The fields of an endpoint of a run: its requests, how many went wrong, how fast they were."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from etlwatch.analysis.series import percentiles_of
from etlwatch.analysis.snapshot import Percentiles
from etlwatch.analysis.states import ALARMING_SHARE
from etlwatch.fields.field import Field, FieldList, InCommand, Order, data_field, data_fields, rounded, text
from etlwatch.text.numbers import UNKNOWN, count, duration_ms, exact, percent, share
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans
from tracking_core.dataclass import dataclass
from tracking_core.records import EndpointTotals


@dataclass(frozen=True)
class EndpointRow:
    """An endpoint among those of its run."""

    totals: EndpointTotals
    all_requests: int = 0
    """Of all endpoints."""

    @cached_property
    def percentiles(self) -> Percentiles | None:
        """Of its latencies, none of them beyond the slowest request; None without requests. Unpacked once a row."""
        return percentiles_of(self.totals.latencies)

    def per_request(self, number: int) -> float:
        """Return a number divided by that of the requests."""
        return number / max(self.totals.requests, 1)

    @property
    def not_2xx(self) -> float:
        """The share of requests without a status of success."""
        return self.per_request(self.totals.requests - self.totals.status_2xx)


def _not_2xx(row: EndpointRow) -> Spans:
    return text(share(row.not_2xx) if row.not_2xx else "", "amber bold" if row.not_2xx >= ALARMING_SHARE else "text")


def _count(number: float, role: str = "text") -> Spans:
    return text(count(number, blank_zero=True), role)


def _percentile(name: str, *, width: int | tuple[int, ...], gap: int = 1, leaves: int = 0) -> Field[EndpointRow]:
    def read(row: EndpointRow) -> float | None:
        found = row.percentiles
        return None if found is None else float(getattr(found, name))

    return Field(
        key=name, heading=name, width=width, gap=gap, align="right", value=read,
        cell=lambda row, _: text(duration_ms(read(row)), "text bold" if name == "p95" else "text"),
        data=f"{name}_ms", data_value=lambda row: rounded(read(row), 1), command=InCommand(leaves=leaves),
    )  # fmt: skip


ENDPOINTS: Final[FieldList[EndpointRow]] = FieldList(
    [
        data_field("run_id", lambda row: str(row.totals.run_id)),
        Field(
            key="endpoint", heading="endpoint", width=22, grow=1, ascending=True,
            value=lambda row: row.totals.endpoint, cell=lambda row, _: text(safe(row.totals.endpoint), "text"),
            data="endpoint", command=InCommand(text=lambda row, _: row.totals.endpoint, shrinks_to=16),
        ),
        Field(
            key="req", heading="req", width=6, align="right", value=lambda row: row.totals.requests,
            cell=lambda row, _: text(count(row.totals.requests), "text"), data="requests",
            command=InCommand(text=lambda row, _: exact(row.totals.requests)),
        ),
        Field(
            key="failed", heading="failed", width=(0, 6), align="right", value=lambda row: row.totals.failed,
            cell=lambda row, _: _count(row.totals.failed, "red"), data="failed",
            command=InCommand(
                text=lambda row, _: exact(row.totals.failed), tone=lambda row: "red" if row.totals.failed else "",
            ),
        ),
        Field(
            key="throttled", heading="429", width=(0, 5), align="right", value=lambda row: row.totals.throttled,
            cell=lambda row, _: _count(row.totals.throttled, "amber"), data="throttled",
            command=InCommand(
                text=lambda row, _: exact(row.totals.throttled),
                tone=lambda row: "amber" if row.totals.throttled else "",
            ),
        ),
        Field(
            key="items", heading="items", width=(5, 6), align="right", value=lambda row: row.totals.items,
            cell=lambda row, _: _count(row.totals.items), data="items",
            command=InCommand(text=lambda row, _: exact(row.totals.items)),
        ),
        *data_fields("duration_ms", "totals"),
        Field(
            key="max", heading="max", width=6, gap=1, align="right", value=lambda row: row.totals.max_ms,
            cell=lambda row, _: text(duration_ms(row.totals.max_ms), "dim"), data="max_ms", command=InCommand(leaves=1),
        ),
        _percentile("p50", width=6, gap=2),
        _percentile("p95", width=6),
        _percentile("p99", width=(0, 6), leaves=2),
        *data_fields("status_2xx status_3xx status_4xx", "totals"),
        Field(
            key="5xx", heading="5xx", width=(0, 5), align="right", value=lambda row: row.totals.status_5xx,
            cell=lambda row, _: _count(row.totals.status_5xx, "red"), data="status_5xx",
        ),
        *data_fields("status_other", "totals"),
        data_field("histogram", lambda row: list(row.totals.histogram)),
        Field(
            key="share", heading="share", width=5, gap=1, align="right", value=lambda row: row.totals.requests,
            cell=lambda row, _: text(
                percent(row.totals.requests / row.all_requests) if row.all_requests else UNKNOWN, "dim",
            ),
        ),
        Field(
            key="4xx", heading="4xx", width=(0, 5), align="right",
            value=lambda row: row.totals.status_4xx - row.totals.throttled,
            cell=lambda row, _: _count(max(row.totals.status_4xx - row.totals.throttled, 0)),
        ),
        Field(
            key="bad", heading="not 2xx", width=7, align="right", value=lambda row: row.not_2xx,
            cell=lambda row, _: _not_2xx(row),
        ),
        Field(
            key="mean", heading="mean", width=(0, 6), gap=1, align="right",
            value=lambda row: row.per_request(row.totals.duration_ms),
            cell=lambda row, _: text(duration_ms(row.per_request(row.totals.duration_ms)), "dim"),
        ),
        Field(
            key="each", heading="items/req", width=(0, 9), align="right",
            value=lambda row: row.per_request(row.totals.items),
            cell=lambda row, _: _count(row.per_request(row.totals.items), "dim"),
        ),
    ],
    screen="endpoint req share failed throttled 4xx 5xx bad p50 p95 p99 max mean items each",
    command="endpoint req items failed throttled p50 p95 p99 max",
    layouts=(0, 140),
    margin=1,
    need=lambda row: (-row.totals.requests, row.totals.endpoint),
)  # fmt: skip
"""By need the busiest first."""

BUSIEST: Final = Order("req")
