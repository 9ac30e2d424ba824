"""The fields of an endpoint of a run: its requests, how many went wrong, how fast they were."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from typing import Final

from etlwatch.analysis.series import percentiles_of
from etlwatch.analysis.snapshot import Percentiles
from etlwatch.analysis.states import ALARMING_SHARE
from etlwatch.fields.field import Field, FieldList, InCommand, Order, PerLayout, data_field, data_fields, rounded, text
from etlwatch.text.display import Tone
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


def _number(
    key: str, data: str, *, width: PerLayout, heading: str = "", role: Tone = "", in_command: bool = True
) -> Field[EndpointRow]:
    """Return the field of a number of an endpoint, which is the attribute `data` of its totals; zeros are blank."""
    read: Callable[[EndpointRow], int] = attrgetter(f"totals.{data}")
    command: InCommand[EndpointRow] = InCommand(
        text=lambda row, _: exact(read(row)), tone=lambda row: role if read(row) else ""
    )
    return Field(
        key=key, heading=heading or key, width=width, align="right", value=read, data=data,
        cell=lambda row, _: _count(read(row), role or "text"), command=command if in_command else None,
    )  # fmt: skip


ENDPOINTS: Final[FieldList[EndpointRow]] = FieldList(
    [
        data_field("run_id", lambda row: str(row.totals.run_id)),
        Field(
            key="endpoint", heading="endpoint", width=22, grow=1, ascending=True, cut_middle=True,
            value=lambda row: row.totals.endpoint, cell=lambda row, _: text(safe(row.totals.endpoint), "text"),
            data="endpoint", command=InCommand(text=lambda row, _: row.totals.endpoint, shrinks_to=16),
        ),
        Field(
            key="req", heading="req", width=6, align="right", value=lambda row: row.totals.requests,
            cell=lambda row, _: text(count(row.totals.requests), "text"), data="requests",
            command=InCommand(text=lambda row, _: exact(row.totals.requests)),
        ),
        _number("failed", "failed", width=(0, 6), role="red"),
        _number("throttled", "throttled", heading="429", width=(0, 5), role="amber"),
        _number("items", "items", width=(5, 6)),
        *data_fields("duration_ms", "totals"),
        Field(
            key="max", heading="max", width=6, gap=1, align="right", value=lambda row: row.totals.max_ms,
            cell=lambda row, _: text(duration_ms(row.totals.max_ms), "dim"), data="max_ms", command=InCommand(leaves=1),
        ),
        _percentile("p50", width=6, gap=2),
        _percentile("p95", width=6),
        _percentile("p99", width=(0, 6), leaves=2),
        *data_fields("status_2xx status_3xx status_4xx", "totals"),
        _number("5xx", "status_5xx", width=(0, 5), role="red", in_command=False),
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
