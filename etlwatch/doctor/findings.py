"""What an examination finds: a verdict and a figure for each check. Values only."""

from __future__ import annotations

from enum import StrEnum

from etlwatch.model.numbers import duration_ms
from tracking_core.dataclass import dataclass


class Verdict(StrEnum):
    """What a check came to; the values are what is written."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look at it."""

    FAILED = "failed"
    SKIPPED = "skipped"
    """Not tried; the figure says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check saw."""

    verdict: Verdict
    figure: str
    """What was measured, in a few words; for what failed, its cause."""

    detail: str = ""
    """What it means and what mends it, in a sentence."""

    value: float | None = None
    """The figure as a number, where it is one."""

    unit: str = ""
    """Of the value: `ms`, `s`, `rows`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A result under its check's name."""

    check: str
    promise: str
    """Which of the promises is tried: `P3`; '' for what none of them names."""

    result: Result

    @property
    def is_trouble(self) -> bool:
        """Whether something was found."""
        return self.result.verdict in (Verdict.WARNING, Verdict.FAILED)


def brief(seconds: float) -> str:
    """Write a short time: `0.4µs`, `38µs`, `1.2ms`, `23ms`, `2.9s`."""
    if seconds < 0.001:
        microseconds = seconds * 1e6
        return f"{microseconds:.1f}µs" if microseconds < 10 else f"{microseconds:.0f}µs"
    return duration_ms(seconds * 1000)


def ok(figure: str, detail: str = "", *, value: float | None = None, unit: str = "") -> Result:
    """Return that all is well."""
    return Result(verdict=Verdict.OK, figure=figure, detail=detail, value=value, unit=unit)


def warning(figure: str, detail: str, *, value: float | None = None, unit: str = "") -> Result:
    """Return that somebody should look."""
    return Result(verdict=Verdict.WARNING, figure=figure, detail=detail, value=value, unit=unit)


def failed(figure: str, detail: str = "", *, value: float | None = None, unit: str = "") -> Result:
    """Return that a promise does not hold here."""
    return Result(verdict=Verdict.FAILED, figure=figure, detail=detail, value=value, unit=unit)


def skipped(reason: str) -> Result:
    """Return that it was not tried."""
    return Result(verdict=Verdict.SKIPPED, figure=reason)
