"""Batches as lines of JSON and back: how they wait in a spool; and a run's start, as another process is given it.

What a line does not hold keeps its default; what only a newer program understands is passed over. A line that cannot be
read is an error of its own, never of its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from typing import Any

from tracking_core.dataclass import fields, replace
from tracking_core.delivery.rows import MOST_REQUESTS, Numbered, PendingBatch, build, clean_name
from tracking_core.events import Batch, CountedSource, LedgerEntry, PhaseChange, RaisedError, RunEnd, RunStart
from tracking_core.identity import MAX_RUN_ID, format_run_id
from tracking_core.requests import CellKey, RequestRow, Tally, tally
from tracking_core.sanitize import clean_optional

_RECORDS: dict[str, type[Any]] = {
    "starts": RunStart,
    "phases": PhaseChange,
    "source_counts": CountedSource,
    "errors": RaisedError,
    "ends": RunEnd,
    "ledger": LedgerEntry,
}
_NAMES = {kind: frozenset(field.name for field in fields(kind)) for kind in (*_RECORDS.values(), Tally)}
_REQUIRED = frozenset({"run_id", "seq", "at_us", "endpoint", "items", "duration_ms", "throttled"})
"""What every request has in every version; anything else may be missing in a line of an older one."""

MOST_KNOWN = 100
_BEFORE_REQUESTS = b',"requests":'
_RAW_FIELDS = 9
"""Those of a raw request, its run's id excepted."""

_ENDPOINT, _ERROR = 1, 8


def encode(item: Batch | PendingBatch) -> bytes:
    """Return a batch or a pending as one line of JSON, without its line end."""
    if isinstance(item, PendingBatch):
        try:
            return _dumped(_content_of(item.batch) | {"requests": [_columns_of(part) for part in item.requests]})
        except (ValueError, TypeError):
            # A number of thousands of digits: rows hold none.
            item = build(item) or item.batch
    return _dumped(_content_of(item))


def _dumped(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=True, separators=(",", ":"), default=dict).encode("ascii")


def _columns_of(numbered: Numbered) -> list[Any]:
    """Return numbered requests by their fields; of one that is the same in all requests it stands once."""
    columns = list(zip(*numbered.raws, strict=True))[1:]
    # Nothing is spooled with the secrets in it.
    names = {name: clean_name(name) for name in set(columns[_ENDPOINT])}
    columns[_ENDPOINT] = tuple([names[name] for name in columns[_ENDPOINT]])
    columns[_ERROR] = tuple(map(clean_optional, columns[_ERROR]))
    alike = [column[0] if column.count(column[0]) == len(column) else column for column in columns]
    return [numbered.run_id, numbered.first_seq, numbered.offset_us, len(numbered.raws), *alike]


def _numbered(content: Sequence[Any]) -> Numbered:
    run_id, first_seq, offset_us, many, *alike = content
    if not 0 <= many <= MOST_REQUESTS:
        raise ValueError("more requests than one line holds")
    columns = [column if isinstance(column, list) else [column] * many for column in alike]
    raws = list(zip([run_id] * many, *columns, strict=True))
    if len(columns) != _RAW_FIELDS:
        raise ValueError("requests without their fields")
    return Numbered(run_id, first_seq, offset_us, raws)


def _content_of(batch: Batch) -> dict[str, Any]:
    content: dict[str, Any] = {"writer_id": batch.writer_id, "batch_seq": batch.batch_seq}
    for name in _RECORDS:
        records = getattr(batch, name)
        if records:
            content[name] = [_as_object(record) for record in records]
    if batch.requests:
        content["columns"] = RequestRow._fields
        content["requests"] = [*batch.requests]
    # A store adds up the rows of single events itself.
    if batch.cells and (batch.batch_seq is not None or batch.cells != tally(batch.requests)):
        content["cells"] = [
            [*key, {**_as_object(cell), "histogram": list(cell.histogram.items())}] for key, cell in batch.cells.items()
        ]
    return content


def decode(line: bytes, known: dict[bytes, Batch] | None = None) -> Batch:
    """Return the batch of a line; ValueError when it is none.

    `known` keeps what lines of single requests begin with, which is the same in all of one run: its start above all.
    """
    head, _, tail = line.partition(_BEFORE_REQUESTS)
    before = known.get(head) if known else None
    if before is not None:
        try:
            rows = tuple(map(RequestRow._make, json.loads(tail[:-1])))
            if tail.endswith(b"}") and all(isinstance(row.run_id, int) for row in rows):
                return Batch(writer_id=before.writer_id, batch_seq=None, starts=before.starts, requests=rows)
        except (TypeError, ValueError, RecursionError):
            # Read as a whole, it is found out what is wrong.
            pass
    batch = _decoded(line)
    if known is not None and batch == Batch(
        writer_id=batch.writer_id, batch_seq=None, starts=batch.starts, requests=batch.requests
    ):
        _keep_head(known, head, batch)
    return batch


def _keep_head(known: dict[bytes, Batch], head: bytes, batch: Batch) -> None:
    with suppress(ValueError):
        # Only where the requests are what follows, and in the form of this version.
        if json.loads(head + b"}").get("columns") == list(RequestRow._fields):
            if len(known) >= MOST_KNOWN:
                known.clear()
            known[head] = batch


def _decoded(line: bytes) -> Batch:
    try:
        content = json.loads(line)
        records = {
            name: tuple([_from_object(_RECORDS[name], item) for item in items])
            for name, items in content.items()
            if name in _RECORDS
        }
        # An older version finds requests without their columns, and sets the line aside.
        is_claim = "columns" not in content and bool(content.setdefault("requests", ()))
        batch = Batch(
            writer_id=content["writer_id"],
            batch_seq=content["batch_seq"],
            requests=_rows(content.get("columns", ()), () if is_claim else content["requests"]),
            cells={
                CellKey(run_id, endpoint, bucket): _from_object(Tally, {**cell, "histogram": dict(cell["histogram"])})
                for run_id, endpoint, bucket, cell in content.get("cells", ())
            },
            **records,
        )
        if is_claim:
            batch = build(PendingBatch(batch=batch, requests=tuple(map(_numbered, content["requests"])))) or batch
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a batch: {type(error).__name__}: {error}") from None
    spoken: Iterable[Any] = chain(batch.requests, batch.cells, *records.values())
    if not all(isinstance(number, int) for number in (content["writer_id"], *[each.run_id for each in spoken])):
        raise ValueError("not a batch: an id is no number")
    return batch


def _as_object(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _from_object(kind: type[Any], item: Mapping[str, Any]) -> Any:
    known = _NAMES[kind]
    return kind(**{name: value for name, value in item.items() if name in known})


def _rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[RequestRow, ...]:
    if not rows:
        return ()
    places = _places_of(tuple(columns))
    if places == _IN_ORDER:
        return tuple(map(RequestRow._make, rows))
    return tuple(RequestRow._make(None if place is None else row[place] for place in places) for row in rows)


_IN_ORDER = tuple(range(len(RequestRow._fields)))


@cache
def _places_of(columns: tuple[str, ...]) -> tuple[int | None, ...]:
    if not set(columns) >= _REQUIRED:
        raise ValueError("requests without their columns")
    return tuple(columns.index(name) if name in columns else None for name in RequestRow._fields)


# -- a run's start for another process ---------------------------------------------------------------------------------

HANDED_RUN = "TRACKING_HANDED_RUN"
PARENT_RUN = "TRACKING_RUN"

LONGEST_HANDED = 32 * 1024
"""Bytes of that variable: a program with one of 128 KiB is not started at all. Notes and tags go first."""


def handed_on(start: RunStart, store: str) -> dict[str, str]:
    """Return the variables for a program that is to record into a run; `store` is the label of the run's store.

    The first run that a process of it begins in that store is this one. Runs that it begins beside that one name it as
    their parent.
    """
    text = _dumped({"store": store, "start": _as_object(start)})
    if len(text) > LONGEST_HANDED:
        text = _dumped({"store": store, "start": _as_object(replace(start, notes=None, tags={}))})
    return {PARENT_RUN: format_run_id(start.run_id), HANDED_RUN: text.decode("ascii")}


def take_handed(environ: MutableMapping[str, str], store: str) -> RunStart | None:
    """Return the run that was handed to this process for a store, once; None where there is none.

    It is removed from the environment, so that a second run of this process, and those of processes that it starts, are
    runs of their own. What cannot be read is ignored.
    """
    start: RunStart | None = None
    with suppress(LookupError, TypeError, ValueError, RecursionError):
        content = json.loads(environ.get(HANDED_RUN, ""))
        if content["store"] != store:
            return None
        found = _from_object(RunStart, content["start"])
        start = found if 0 < found.run_id <= MAX_RUN_ID else None
    environ.pop(HANDED_RUN, None)
    return start
