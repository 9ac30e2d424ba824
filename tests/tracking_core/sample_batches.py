"""Batches for tests: a plain one by numbers, and any at all by hypothesis."""

from typing import Any

from hypothesis import strategies as st

from tracking_core.events import Batch, CountedSource, LedgerEntry, PhaseChange, RaisedError, RunEnd, RunStart
from tracking_core.identity import first_run_id_at
from tracking_core.requests import CellKey, RequestRow, Tally, tally

BEGAN_US = 1_700_000_000_000_000
RUN = first_run_id_at(BEGAN_US) + 1
OTHER_RUN = RUN + 1
WRITER = 4242


def start_of(run_id: int = RUN, *, job: str = "job", started_us: int = BEGAN_US) -> RunStart:
    """Return a run's start."""
    return RunStart(
        run_id=run_id,
        job=job,
        notes=None,
        tags={},
        started_us=started_us,
        host="h",
        pid=1,
        boot_id="",
        username="u",
        command="c",
        code_version="",
        tracker_version="0",
    )


def rows(count: int, *, run_id: int = RUN, first: int = 1, error: str | None = None) -> tuple[RequestRow, ...]:
    """Return so many requests, a second apart, numbered from `first`."""
    return tuple(
        RequestRow(run_id, seq, BEGAN_US + seq * 1_000_000, f"/{seq % 3}", seq, 10, 200, 5, seq % 400, False, error)
        for seq in range(first, first + count)
    )


def batch_of(count: int = 3, *, batch_seq: int | None = 1, run_id: int = RUN, first: int = 1, **parts: Any) -> Batch:
    """Return a batch with so many requests and whatever else is given."""
    requests = rows(count, run_id=run_id, first=first)
    return Batch(writer_id=WRITER, batch_seq=batch_seq, **{"requests": requests, "cells": tally(requests), **parts})


def phase(
    name: str = "extract", *, at: int = 0, status: str = "running", run_id: int = RUN, **more: Any
) -> PhaseChange:
    """Return a phase's state, so many microseconds after the run began."""
    defaults = {"position": 1, "started_us": BEGAN_US, "ended_us": None, "counters": {}}
    return PhaseChange(run_id=run_id, phase=name, status=status, at_us=BEGAN_US + at, **{**defaults, **more})


def source(entity: str = "contacts", items: int = 1, *, at: int = 0, run_id: int = RUN) -> CountedSource:
    """Return a source count."""
    return CountedSource(run_id=run_id, entity=entity, items=items, at_us=BEGAN_US + at)


def raised(
    seq: int,
    *,
    run_id: int = RUN,
    message: str = "oops",
    traceback: str = "Traceback …",
    fingerprint: str = "f00d",
) -> RaisedError:
    """Return an error."""
    return RaisedError(
        run_id=run_id,
        seq=seq,
        at_us=BEGAN_US,
        phase="load",
        error_type="ValueError",
        message=message,
        traceback=traceback,
        fingerprint=fingerprint,
    )


def end(run_id: int = RUN, *, status: str = "completed") -> RunEnd:
    """Return a run's end."""
    return RunEnd(run_id=run_id, status=status, ended_us=BEGAN_US + 5_000_000, duration_ms=5_000)


# Texts are clean by the time they stand in a batch: no NUL, no lone surrogate.
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_ids = st.integers(1, 2**63 - 1)
_numbers = st.integers(-(2**63), 2**63 - 1)
_counts = st.integers(0, 2**63 - 1)
_floats = st.floats(allow_nan=False, allow_infinity=False, width=32)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


_starts = st.builds(
    RunStart,
    run_id=_ids,
    job=_texts,
    notes=_maybe(_texts),
    tags=st.dictionaries(_texts, _texts, max_size=2),
    started_us=_numbers,
    host=_texts,
    pid=_counts,
    boot_id=_texts,
    username=_texts,
    command=_texts,
    code_version=_texts,
    tracker_version=_texts,
    parent_run_id=_maybe(_ids),
    heartbeat_interval_s=_maybe(_floats),
    clock_offset_ms=_numbers,
)
_rows = st.builds(
    RequestRow,
    _ids,
    _counts,
    _numbers,
    _texts,
    _maybe(_numbers),
    _maybe(_numbers),
    _maybe(_numbers),
    _counts,
    _counts,
    st.booleans(),
    _maybe(_texts),
)
_phases = st.builds(
    PhaseChange,
    run_id=_ids,
    phase=_texts,
    position=_maybe(_counts),
    status=_texts,
    at_us=_numbers,
    started_us=_maybe(_numbers),
    ended_us=_maybe(_numbers),
    counters=st.dictionaries(_texts, st.dictionaries(_texts, _counts, max_size=2), max_size=2),
    memory_mb=_maybe(_floats),
    peak_memory_mb=_maybe(_floats),
    memory_limit_mb=_maybe(_floats),
)
_sources = st.builds(CountedSource, run_id=_ids, entity=_texts, items=_counts, at_us=_numbers)
_errors = st.builds(
    RaisedError,
    run_id=_ids,
    seq=_counts,
    at_us=_numbers,
    phase=_maybe(_texts),
    error_type=_texts,
    message=_texts,
    traceback=_texts,
    fingerprint=_texts,
)
_ends = st.builds(
    RunEnd,
    run_id=_ids,
    status=_texts,
    ended_us=_numbers,
    duration_ms=_maybe(_counts),
    notes=_maybe(_texts),
    ended_by=_texts,
)
_ledgers = st.builds(
    LedgerEntry,
    run_id=_ids,
    emitted=_counts,
    dropped=_counts,
    overhead=st.dictionaries(_texts, _floats, max_size=2),
)
_cells = st.builds(
    Tally,
    **dict.fromkeys((name for name in Tally.__dataclass_fields__ if name != "histogram"), _counts),
    histogram=st.dictionaries(st.integers(0, 255), _counts, max_size=3),
)
_keys = st.builds(CellKey, _ids, _texts, _numbers)

batches: st.SearchStrategy[Batch] = st.builds(
    Batch,
    writer_id=_ids,
    batch_seq=_maybe(_ids),
    starts=_several(_starts),
    requests=_several(_rows),
    cells=st.dictionaries(_keys, _cells, max_size=3),
    phases=_several(_phases),
    source_counts=_several(_sources),
    errors=_several(_errors),
    ends=_several(_ends),
    ledger=_several(_ledgers),
)
"""Any batch with every field of every event."""
