"""The runs table's three layouts (SCREENS "Columns at 160"), as data.

Owns which columns a width has room for. Refuses to own what stands in them. Keys of the cells: state, job, start, time,
bar, ratio, phase, progress, done, eta, req, rate, items, err, p95, note.

    run_columns(width)      the layout for a terminal of that width; job and note grow with it
"""

from typing import Final

from etlwatch.model.columns import Column

__all__ = ["RUNS_80", "RUNS_120", "RUNS_160", "run_columns"]

_STATE: Final = Column(key="state", header="state", width=12)
_JOB: Final = Column(key="job", header="job", width=18, gap=1, grow=1)
_BAR: Final = Column(key="bar", header="vs p95", width=9, gap=1, sortable=False)
_RATIO: Final = Column(key="ratio", width=4, align="right", gap=1)
_ETA: Final = Column(key="eta", header="eta", width=11)
_RATE: Final = Column(key="rate", header="req/s", width=5, align="right")
_ITEMS: Final = Column(key="items", header="items", width=5, align="right")
_P95: Final = Column(key="p95", header="p95", width=5, align="right")


def _time(gap: int) -> Column:
    return Column(key="time", header="time", width=7, align="right", gap=gap)


def _start(gap: int) -> Column:
    return Column(key="start", header="start", width=5, gap=gap)


def _phase(gap: int) -> Column:
    return Column(key="phase", header="phase", width=10, gap=gap)


def _done(gap: int) -> Column:
    return Column(key="done", header="done", width=4, align="right", gap=gap)


def _errors(gap: int) -> Column:
    return Column(key="err", header="err", width=4, align="right", gap=gap)


def _margin(width: int) -> Column:
    """Stay away from the right edge, so that growth begins beyond the drawn width."""
    return Column(key="margin", width=width, gap=0, sortable=False)


RUNS_80: Final = (
    _STATE, _JOB, _time(1), _BAR, _RATIO, _phase(1), _done(1), _errors(1), _margin(3),
)  # fmt: skip

RUNS_120: Final = (
    _STATE, _JOB, _start(1), _time(2), _BAR, _RATIO, _phase(1), _done(1), _ETA, _RATE, _ITEMS, _errors(1), _P95,
    _margin(2),
)  # fmt: skip

RUNS_160: Final = (
    _STATE,
    _JOB,
    _start(2),
    _time(2),
    _BAR,
    _RATIO,
    _phase(2),
    Column(key="progress", width=6, gap=1, sortable=False),
    _done(1),
    _ETA,
    Column(key="req", header="req", width=5, align="right"),
    _RATE,
    _ITEMS,
    _errors(2),
    _P95,
    Column(key="note", header="note", width=22, grow=2),
    _margin(1),
)


def run_columns(width: int) -> tuple[Column, ...]:
    """Return the layout for a terminal of `width` cells."""
    return RUNS_160 if width >= 160 else RUNS_120 if width >= 120 else RUNS_80
