"""What the statements of both dialects are given and return: values, rows, records; and transactions of them.

Stored values that make no sense (a time beyond the calendar, JSON that was edited) become the nearest valid value:
one bad row never hides the others. A record's fields are the columns of the same names, converted by what the field
holds. What makes a record of a row is compiled once for each kind of record and list of columns: reading by name costs
no more than by position.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache, partial
from itertools import chain
from typing import Any, ClassVar, TypeVar

from tracking_core.clock import EPOCH, to_microseconds
from tracking_core.dataclass import dataclass, fields
from tracking_core.errors import StoreConflict
from tracking_core.events import ORDER_OF_TAGS, PLACE
from tracking_core.liveness import liveness_of
from tracking_core.records import Run, RunOutline, SeriesCell


class Dialect(ABC):
    """The forms of values in statements and rows."""

    forms: ClassVar[Forms]

    at: datetime | None = None
    """The moment that counts as now; None: the store's clock. For tests and for looking back."""

    def _now(self) -> object:
        """Return the parameter `now`."""
        return self.forms.present() if self.at is None else self._moment(self.at)

    def _moment(self, moment: datetime) -> object:
        """Return a time as a parameter."""
        return self.forms.given_moment(moment)

    def _list(self, values: Sequence[int] | Sequence[str]) -> object:
        """Return several values as one parameter."""
        return self.forms.given_list(values)


T = TypeVar("T")

COUNTED = (
    "requests",
    "failed",
    "throttled",
    "items",
    "duration_ms",
    "status_2xx",
    "status_3xx",
    "status_4xx",
    "status_5xx",
    "status_other",
)
"""The columns of every summary that are added up."""

LATEST = datetime.max.replace(tzinfo=UTC)
"""What is shown for a stored time that no calendar holds."""

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

ATTEMPTS = 4
"""How often a transaction is tried that the server ends because of others, within one deadline."""

POSTGRES_EPOCH_US = to_microseconds(_POSTGRES_EPOCH)
"""Where the integers begin that carry times to PostgreSQL and from it."""

DOCUMENTS_KEPT = 2_000
"""Documents (tags, counters) that need not be parsed again: a poll reads most of them again as they were."""

LONGEST_KEPT = 500
"""Characters of a document that is kept."""

_GREATEST = 2**63
"""What a stored number can be; a NaN is not less than it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """How one dialect takes and returns the values that the two drivers take and return differently."""

    dialect: str
    """The name of its directory below sql/."""

    present: Callable[[], Any]
    """The parameter that stands for the store's clock."""

    given_moment: Callable[[datetime], object]
    given_list: Callable[[Sequence[Any]], object]
    moment: Callable[[Any], datetime]
    document: Callable[[Any], dict[str, Any]]
    """Shared between records, so it must not be changed."""

    packed: Callable[[Any], tuple[int, ...]]
    joined: Callable[[list[Any]], tuple[int, ...]]
    """Several histograms as one packed list, which may then repeat a bucket."""


def _moment_since(epoch: datetime, microseconds: int) -> datetime:
    try:
        return epoch + timedelta(0, 0, microseconds)
    except OverflowError:
        return LATEST


def _parsed(value: str) -> dict[str, Any]:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _figures(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: number
        for name, number in document.items()
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= _GREATEST
    }


def _kept(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return a conversion that caches the results for short texts."""
    cached = lru_cache(maxsize=DOCUMENTS_KEPT)(convert)
    return lambda value: cached(value) if len(value) <= LONGEST_KEPT else convert(value)


_document_of_text = _kept(_parsed)


def _tags(value: str) -> dict[str, str]:
    found = _parsed(value)
    order = found.get(ORDER_OF_TAGS)
    names = [name for name in order if isinstance(name, str)] if isinstance(order, list) else []
    return {name: found[name] for name in [*names, *found] if isinstance(found.get(name), str)}


tags_of: Callable[[str], dict[str, str]] = _kept(_tags)
"""Returns the texts of a document by name, in the order in which they were given."""

figures_of: Callable[[str], dict[str, Any]] = _kept(lambda value: _figures(_parsed(value)))
"""Returns the numbers of a document by name."""


def _units(value: str) -> dict[str, dict[str, Any]]:
    found = {unit: _figures(counts) for unit, counts in _parsed(value).items() if isinstance(counts, dict)}
    places = {unit: counts.pop(PLACE, len(found)) for unit, counts in found.items()}
    return {unit: found[unit] for unit in sorted(found, key=places.__getitem__)}


counters_of: Callable[[str], dict[str, dict[str, Any]]] = _kept(_units)
"""Returns the numbers of a document by unit, in the order in which these were declared, and kind."""


def _packed_of_blob(value: bytes) -> tuple[int, ...]:
    numbers = array("q")
    numbers.frombytes(value[: len(value) - len(value) % 8])
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)


SQLITE = Forms(
    dialect="sqlite",
    present=lambda: time.time_ns() // 1000,
    given_moment=to_microseconds,
    given_list=json.dumps,
    moment=partial(_moment_since, EPOCH),
    document=_document_of_text,
    packed=_packed_of_blob,
    joined=lambda values: _packed_of_blob(b"".join(values)),
)
"""Integer microseconds, JSON text, blobs of little-endian 64-bit integers; this machine's clock is the file's."""

POSTGRES = Forms(
    dialect="postgres",
    present=lambda: None,
    given_moment=lambda moment: moment,
    given_list=list,
    moment=partial(_moment_since, _POSTGRES_EPOCH),
    document=_document_of_text,
    packed=tuple,
    joined=lambda values: tuple(chain.from_iterable(values)),
)
"""Given: the driver's own types. Returned: microseconds since 2000 (as the protocol has them), JSON text, lists."""


Row = Sequence[Any]
ENDED_RUNS_KEPT = 2_000


class Rows(list[Row]):
    """The rows that a statement returned, with the names of their columns."""

    __slots__ = ("names",)

    def __init__(self, rows: Iterable[Row] = (), names: tuple[str, ...] = ()) -> None:
        super().__init__(rows)
        self.names = names

    def records(self, kind: Callable[..., T], forms: Forms) -> list[T]:
        """Return a record of each row."""
        if not self:
            return []
        make = record_maker(kind, self.names, forms)
        return [make(row) for row in self]

    def by_name(self) -> list[dict[str, Any]]:
        """Return the values of each row by the names of their columns."""
        return [dict(zip(self.names, row, strict=True)) for row in self]

    def column(self, name: str) -> list[Any]:
        """Return the values of one column."""
        place = self.names.index(name) if self else 0
        return [row[place] for row in self]

    def value(self, default: Any = None) -> Any:
        """Return the one value of the one row; a default where there is no row."""
        return self[0][0] if self else default


@cache
def record_maker(kind: Callable[..., T], names: tuple[str, ...], forms: Forms) -> Callable[..., T]:
    """Return a function that makes a record of a row with these columns; of a run also given the present moment."""
    found: dict[str, Any] = {"_kind": kind}
    lines = [f"{', '.join(names)}, = row"]
    for name, held in _fields_of(kind).items():
        convert = _conversion(held, forms)
        if name in names and convert is not None:
            found[f"_{name}"] = convert
            lines.append(f"{name} = None if {name} is None else _{name}({name})")
    given = {name: column for name in _fields_of(kind) if (column := _COLUMNS.get(name, name)) in names}
    if kind in _DERIVED:
        found["_derive"], needed, derived = _DERIVED[kind]
        lines.append(f"{', '.join(derived.split())}, = _derive({', '.join(needed.split())})")
        given |= {name: name for name in derived.split()}
    lines.append(f"return _kind({', '.join(f'{name}={value}' for name, value in given.items())})")
    source = "def make(row, now=None):\n " + "\n ".join(lines)
    exec(compile(source, "<record>", "exec"), found)  # noqa: S102 - names of columns and fields
    make: Callable[..., T] = found["make"]
    return make


def _fields_of(kind: Any) -> dict[str, str]:
    """Return what each field of a record or a named tuple is declared to hold."""
    if hasattr(kind, "_fields"):
        return {name: str(getattr(held, "__forward_arg__", held)) for name, held in kind.__annotations__.items()}
    return {field.name: str(field.type) for field in fields(kind)}


def _conversion(held: str, forms: Forms) -> Callable[[Any], Any] | None:
    by_type: dict[str, Callable[[Any], Any]] = {
        "bool": bool,
        "datetime": forms.moment,
        "tuple[int, ...]": forms.packed,
        "Mapping[str, str]": tags_of,
        "Mapping[str, int]": figures_of,
        "Mapping[str, float]": figures_of,
        "Mapping[str, Mapping[str, int]]": counters_of,
        "Mapping[str, object]": forms.document,
    }
    return by_type.get(held.removesuffix(" | None"))


def _standing_of(
    status: str,
    heartbeat_at: datetime | None,
    heartbeat_interval_s: float | None,
    started_at: datetime,
    ended_at: datetime | None,
    duration_ms: int | None,
    now: datetime,
) -> tuple[str, str, datetime | None, float]:
    """Return a run's derived state, its evidence, since when it holds, and how long the run has lasted."""
    found = liveness_of(status=status, heartbeat_at=heartbeat_at, heartbeat_interval_s=heartbeat_interval_s, now=now)
    seconds = _seconds(started_at, ended_at, duration_ms)
    if seconds is None:
        seconds = max((now - started_at).total_seconds(), 0.0)
    return found.state, found.evidence, found.since, seconds


def _seconds(started_at: datetime, ended_at: datetime | None, duration_ms: int | None) -> float | None:
    """Return how long a run lasted; None while it runs."""
    if ended_at is None:
        return None
    return duration_ms / 1000 if duration_ms is not None else max((ended_at - started_at).total_seconds(), 0.0)


_COLUMNS = {"user": "username"}
"""Fields whose column has another name."""

_DERIVED: dict[Callable[..., Any], tuple[Callable[..., Any], str, str]] = {
    Run: (
        _standing_of,
        "status heartbeat_at heartbeat_interval_s started_at ended_at duration_ms now",
        "state evidence state_since duration_s",
    ),
    RunOutline: (lambda *times: (_seconds(*times),), "started_at ended_at duration_ms", "duration_s"),
}
"""By kind of record: what computes some of its fields, from which columns, and the names of these fields."""


class RunRecords:
    """Makes records of runs; those of ended runs are kept, since they hardly ever change between two polls."""

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self._ended: dict[int, tuple[Row, Run]] = {}

    def of(self, rows: Rows) -> list[Run]:
        """Return runs, all read at one moment, which is in the column `read_at`."""
        if not rows:
            return []
        at = rows.names.index("read_at")
        without = Rows([row[:at] + row[at + 1 :] for row in rows], rows.names[:at] + rows.names[at + 1 :])  # type: ignore[operator]
        return self.at(without, self._forms.moment(rows[0][at]))

    def at(self, rows: Rows, now: datetime) -> list[Run]:
        """Return runs as they stand at a moment of the store's clock."""
        make = record_maker(Run, rows.names, self._forms)
        id_at = rows.names.index("run_id") if rows else 0
        return [self._one(row, row[id_at], now, make) for row in rows]

    def _one(self, row: Row, run_id: int, now: datetime, make: Callable[[Row, datetime], Run]) -> Run:
        known = self._ended.get(run_id)
        if known is not None and (known[0] is row or known[0] == row):
            return known[1]
        record = make(row, now)
        if record.ended_at is not None:
            if len(self._ended) >= ENDED_RUNS_KEPT:
                self._ended.clear()
            self._ended[run_id] = (row, record)
        return record


def cells_of_step(rows: Rows, step: int, forms: Forms) -> list[SeriesCell]:
    """Return cells added up to steps of that many seconds, by bucket; a cell wider than a step stays as wide as it is.

    Histograms are joined, not summed: a bucket may repeat, and is added up where percentiles are read.
    """
    groups: dict[tuple[int, int], list[Row]] = {}
    for row, start, width in zip(rows, rows.column("bucket"), rows.column("width"), strict=True):
        wide = max(width, step)
        groups.setdefault((start - start % wide, wide), []).append(row)
    return [_sum(Rows(group, rows.names), *cell, forms) for cell, group in sorted(groups.items())]


def cells_within(rows: Rows, since: int, until: int, forms: Forms) -> list[SeriesCell]:
    """Return cells of which all that lie in [since, until) are added up to one, and those across an edge stay."""
    inside, across = Rows(names=rows.names), Rows(names=rows.names)
    for row, start, width in zip(rows, rows.column("bucket"), rows.column("width"), strict=True):
        (inside if start >= since and start + width <= until else across).append(row)
    whole = [_sum(inside, since, until - since, forms)] if inside else []
    return across.records(SeriesCell, forms) + whole


def _sum(rows: Rows, bucket: int, width: int, forms: Forms) -> SeriesCell:
    columns = dict(zip(rows.names, zip(*rows, strict=True), strict=True))
    counted = {name: sum(columns[name]) for name in COUNTED}
    return SeriesCell(bucket=bucket, width=width, histogram=forms.joined(list(columns["histogram"])), **counted)


class Transactions(Dialect):
    """Transactions of blocks of SQL; each raises StoreError when the store fails."""

    _sql: Mapping[str, str]

    @abstractmethod
    def _look(self) -> AbstractContextManager[None]:
        """Let all statements inside read one moment of the store."""

    @abstractmethod
    def _change(self) -> AbstractContextManager[None]:
        """Make one transaction of the statements inside, bounded by the deadline."""

    @abstractmethod
    def _read(self, block: str, **parameters: object) -> Rows:
        """Return the rows of a block, inside `_look` or `_change`."""

    @abstractmethod
    def _do(self, block: str, **parameters: object) -> int:
        """Run a block inside `_change`; return the number of rows it touched."""

    def _changed(self, work: Callable[[], T]) -> T:
        """Return what `work` returns in a transaction, made again where the server ended it because of others."""
        for _ in range(ATTEMPTS - 1):
            try:
                with self._change():
                    return work()
            except StoreConflict:
                continue
        with self._change():
            return work()
