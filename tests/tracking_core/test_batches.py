"""What is made of batches: taken apart without loss, joined without loss, made smaller with exact totals."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracking_core.sample_batches import (
    OTHER_RUN,
    RUN,
    batch_of,
    batches,
    end,
    phase,
    raised,
    rows,
    source,
    start_of,
)
from tests.tracking_core.test_batch_sender import Bench
from tracking_core.delivery.batches import (
    LEFT_OUT,
    OTHER_ENDPOINTS,
    events_in,
    events_of,
    fewer,
    is_empty,
    joined,
    loose_of,
    only_runs,
    parts_of,
    standing_for,
    with_short_errors,
)
from tracking_core.events import Batch, LedgerEntry
from tracking_core.requests import CellKey, Tally, tally
from tracking_core.store.writing import add_up


def whole(batch: Batch) -> dict[str, object]:
    """Return everything that a batch makes a store count."""
    sums = add_up(batch.cells)
    return {
        "runs": sums.runs,
        "rows": sorted(batch.requests),
        "words": {name: set(map(repr, getattr(batch, name))) for name in ("phases", "source_counts", "errors", "ends")},
    }


def added(parts: list[Batch]) -> Batch:
    cells: dict[CellKey, Tally] = {}
    for part in parts:
        for key, cell in part.cells.items():
            cells.setdefault(key, Tally()).add(cell)
    merged = {
        name: tuple(event for part in parts for event in getattr(part, name))
        for name in ("requests", "phases", "source_counts", "errors", "ends", "ledger")
    }
    return Batch(writer_id=1, batch_seq=None, cells=cells, **merged)  # type: ignore[arg-type]


MIXED = batch_of(
    7,
    starts=(start_of(),),
    phases=(phase(),),
    source_counts=(source(),),
    errors=(raised(8), raised(9)),
    ends=(end(),),
    ledger=(LedgerEntry(run_id=RUN, emitted=9),),
)


def test_events_are_requests_with_detail_phases_counts_errors_and_ends() -> None:
    assert events_in(MIXED) == 7 + 1 + 1 + 2 + 1
    assert events_in(dataclasses.replace(MIXED, requests=())) == 5


def test_events_of_runs_are_those_of_no_other() -> None:
    both = joined(MIXED, batch_of(2, run_id=OTHER_RUN))
    assert events_of(both, {OTHER_RUN}) == 2
    assert events_of(both, {RUN}) == 12
    assert events_of(both, ()) == 0


def test_a_batch_is_empty_when_it_says_nothing() -> None:
    assert is_empty(Batch(writer_id=1, batch_seq=1))
    for part in ({"starts": (start_of(),)}, {"cells": tally(rows(1))}, {"ledger": MIXED.ledger}, {"ends": (end(),)}):
        assert not is_empty(Batch(writer_id=1, batch_seq=1, **part))  # type: ignore[arg-type]


def test_parts_together_say_what_the_batch_said() -> None:
    parts = parts_of(MIXED)
    assert whole(added(parts)) == whole(MIXED)
    assert all(part.starts == MIXED.starts for part in parts)
    assert [part.ledger for part in parts] == [()] * (len(parts) - 1) + [MIXED.ledger]


@given(st.integers(2, 40))
def test_requests_alone_are_halved(count: int) -> None:
    first, second = parts_of(batch_of(count))
    assert abs(len(first.requests) - len(second.requests)) <= 1
    assert whole(added([first, second])) == whole(batch_of(count))


def test_requests_without_detail_are_a_part_of_their_own_and_counted_once() -> None:
    loose = tally(rows(3, first=100))
    batch = joined(batch_of(4), Batch(writer_id=4242, batch_seq=2, cells=loose))
    added_up = only_runs(batch, cells=loose_of(batch))
    assert add_up(added_up.cells).runs[RUN].requests == 3
    assert whole(added([*parts_of(batch), added_up]))["runs"] == whole(batch)["runs"]


@pytest.mark.parametrize("batch", [batch_of(1), batch_of(0, ends=(end(),)), batch_of(0, starts=(start_of(),))])
def test_what_cannot_be_divided_has_no_parts(batch: Batch) -> None:
    assert parts_of(batch) == []


def test_without_a_run_its_end_stays() -> None:
    left = joined(MIXED, batch_of(2, run_id=OTHER_RUN)).without({RUN})
    assert {row.run_id for row in left.requests} == {key.run_id for key in left.cells} == {OTHER_RUN}
    assert (left.starts, left.phases, left.source_counts, left.errors, left.ledger) == ((), (), (), (), ())
    assert left.ends == MIXED.ends


def test_leaving_out_detail_keeps_the_totals_and_says_what_was_lost() -> None:
    bench = Bench()
    smaller = bench.sender._unsent.builder.without_detail(MIXED)
    assert smaller.requests == ()
    assert smaller.cells == MIXED.cells
    assert bench.link.report.dropped == 7


def test_errors_are_shortened_but_never_left_out() -> None:
    batch = batch_of(0, errors=(raised(1, message="x" * 5000, traceback="y" * 60_000), raised(2)))
    short = with_short_errors(batch)
    assert [(error.seq, error.message, error.traceback) for error in short.errors] == [
        (1, "x" * 200, LEFT_OUT),
        (2, "oops", LEFT_OUT),
    ]
    assert with_short_errors(short) is short


def test_a_long_message_without_a_traceback_is_shortened_too() -> None:
    short = with_short_errors(batch_of(0, errors=(raised(1, message="x" * 60_000, traceback=""),)))
    assert [(error.message, error.traceback) for error in short.errors] == [("x" * 200, LEFT_OUT)]


def test_an_error_that_stands_for_others_says_so_with_their_number() -> None:
    first = standing_for(raised(1), 3)
    assert (first.many, first.message) == (3, "oops\n[kept as one for 3 errors]")
    assert standing_for(first, 4).message == "oops\n[kept as one for 4 errors]"
    assert standing_for(first, 3) is first


@given(batches, batches)
def test_joining_loses_no_request_error_or_end(first: Batch, second: Batch) -> None:
    both = joined(first, second)
    assert (both.writer_id, both.batch_seq) == (first.writer_id, first.batch_seq)
    for name in ("requests", "errors", "ends"):
        assert getattr(both, name) == getattr(first, name) + getattr(second, name)
    for group in ("starts", "ledger"):
        ids = {event.run_id for event in getattr(first, group) + getattr(second, group)}
        assert {event.run_id for event in getattr(both, group)} == ids
    assert add_up(both.cells).runs == add_up(added([first, second]).cells).runs


def test_joining_changes_neither_of_the_two() -> None:
    first, second = batch_of(2), batch_of(2)
    joined(first, second)
    assert first == second == batch_of(2)


def test_of_two_words_about_a_phase_the_later_one_stands_with_the_units_of_both() -> None:
    before = phase(at=1, counters={"a": {"total": 10, "processed": 1}}, memory_mb=5.0)
    after = phase(at=2, status="completed", counters={"a": {"processed": 10}, "b": {"processed": 3}}, ended_us=7)
    (change,) = joined(batch_of(0, phases=(before,)), batch_of(0, phases=(after,))).phases
    assert (change.status, change.ended_us, change.memory_mb) == ("completed", 7, 5.0)
    assert change.counters == {"a": {"total": 10, "processed": 10}, "b": {"processed": 3}}
    both = joined(batch_of(0, phases=(before,)), batch_of(0, phases=(phase("load"),)))
    assert [change.phase for change in both.phases] == ["extract", "load"]


def test_of_two_source_counts_the_later_one_stands_and_ledgers_only_grow() -> None:
    first = batch_of(
        0, source_counts=(source(items=1),), ledger=(LedgerEntry(run_id=RUN, emitted=9, overhead={"calls": 1}),)
    )
    second = batch_of(0, source_counts=(source(items=2),), ledger=(LedgerEntry(run_id=RUN, emitted=8, dropped=4),))
    both = joined(first, second)
    assert [count.items for count in both.source_counts] == [2]
    assert both.ledger == (LedgerEntry(run_id=RUN, emitted=9, dropped=4, overhead={"calls": 1}),)


@given(st.integers(1, 12))
def test_cells_are_joined_until_few_are_left_and_their_totals_stay(most: int) -> None:
    requests = [
        row._replace(run_id=run_id, endpoint=f"/{row.seq % 5}", at_us=row.at_us + row.seq * 40_000_000)
        for run_id in (RUN, OTHER_RUN)
        for row in rows(40)
    ]
    cells = tally(requests)
    left = fewer(cells, most)
    assert len(left) <= max(most, 2)
    assert add_up(left).runs == add_up(cells).runs
    if most < 10:
        assert {key.endpoint for key in left} == {OTHER_ENDPOINTS}


def test_few_cells_are_left_as_they_are() -> None:
    assert fewer(MIXED.cells) == MIXED.cells
