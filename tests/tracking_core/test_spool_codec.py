"""A batch in a spool: every field comes back, other versions are understood, what is damaged is said to be."""

import dataclasses
import json
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracking_core import sample_batches
from tests.tracking_core.sample_batches import batch_of, batches, end, phase, raised, source, start_of
from tracking_core.delivery import spool_codec
from tracking_core.delivery.rows import Numbered, PendingBatch, build
from tracking_core.events import Batch, LedgerEntry, RawRequest

FULL = batch_of(
    starts=(start_of(),),
    phases=(phase(),),
    source_counts=(source(),),
    errors=(raised(4),),
    ends=(end(),),
    ledger=(LedgerEntry(run_id=sample_batches.RUN, emitted=4),),
)


@given(batches)
def test_every_field_comes_back(batch: Batch) -> None:
    assert spool_codec.decode(spool_codec.encode(batch)) == batch


@given(batches)
def test_a_batch_is_one_line_of_ascii(batch: Batch) -> None:
    line = spool_codec.encode(batch)
    assert line.isascii()
    assert b"\n" not in line


def test_no_field_of_a_batch_is_forgotten() -> None:
    # A field that were added to Batch and not to the spool_codec would be lost in every spool.
    assert {field.name for field in fields(Batch)} == set(json.loads(spool_codec.encode(FULL))) - {"columns"}


def test_what_a_newer_program_says_is_passed_over() -> None:
    content = json.loads(spool_codec.encode(FULL))
    content["colour"] = "blue"
    for name in ("starts", "phases", "source_counts", "errors", "ends", "ledger"):
        content[name][0]["colour"] = "blue"
    content["cells"][0][3]["colour"] = 3
    content["columns"].insert(3, "colour")
    for row in content["requests"]:
        row.insert(3, "blue")
    assert spool_codec.decode(json.dumps(content).encode()) == FULL


def test_what_an_older_program_did_not_say_keeps_its_default() -> None:
    content = json.loads(spool_codec.encode(FULL))
    place = content["columns"].index("page_limit")
    for row in (content["columns"], *content["requests"]):
        del row[place]
    del content["ends"][0]["ended_by"]
    del content["phases"][0]["memory_limit_mb"]
    del content["source_counts"]
    decoded = spool_codec.decode(json.dumps(content).encode())
    assert [row.page_limit for row in decoded.requests] == [None] * 3
    assert decoded.ends[0].ended_by == "job"
    assert decoded.source_counts == ()


def without(content: dict[str, Any], *path: Any) -> dict[str, Any]:
    """Return content with one thing taken out of it."""
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return content


@pytest.mark.parametrize(
    "path",
    [
        ("writer_id",),
        ("batch_seq",),
        ("columns",),
        ("columns", 0),
        ("requests", 0, 0),
        ("starts", 0, "job"),
        ("ends", 0, "status"),
        ("cells", 0, 0),
        ("cells", 0, 3, "histogram"),
    ],
    ids=str,
)
def test_a_line_that_lacks_what_it_needs_is_no_batch(path: tuple[Any, ...]) -> None:
    content = without(json.loads(spool_codec.encode(FULL)), *path)
    with pytest.raises(ValueError, match="not a batch"):
        spool_codec.decode(json.dumps(content).encode())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"writer_id":1,"batch_seq":1,"ends":7}',
        b'{"writer_id":1,"batch_seq":1,"ends":[7]}',
        b'{"writer_id":"1","batch_seq":1}',
        b'{"writer_id":1,"batch_seq":1,"cells":[["x","/a",10,{"histogram":[]}]]}',
        b"[" * 100_000,
    ],
    ids=lambda line: line[:30].decode("latin-1"),
)
def test_anything_else_is_no_batch(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a batch"):
        spool_codec.decode(line)


@given(st.binary(max_size=200), st.integers(0))
def test_damage_raises_nothing_but_value_error(noise: bytes, place: int) -> None:
    line = spool_codec.encode(FULL)
    place %= len(line)
    with suppress(ValueError):
        spool_codec.decode(line[:place] + noise + line[place + len(noise) :])


def test_requests_that_are_not_rows_yet_wait_without_their_secrets() -> None:
    raws: list[RawRequest] = [
        (7, n, f"/x?api_key=hunter2{n % 2}", None, None, 500, 1, 5.0, False, "password=hunter2") for n in range(5)
    ]
    pending = PendingBatch(batch=Batch(writer_id=1, batch_seq=1), requests=(Numbered(7, 1, 0, raws),))
    line = spool_codec.encode(pending)
    assert b"hunter2" not in line
    assert spool_codec.decode(line) == build(pending)


def test_lines_that_begin_alike_are_read_as_each_alone() -> None:
    def single(seq: int, **start: object) -> Batch:
        began = dataclasses.replace(start_of(), **start)
        return batch_of(1, batch_seq=None, first=seq, cells={}, starts=(began,))

    tricky = {"notes": 'a,"requests":[[1]]}', "tags": {"a": "b", "requests": "x"}}
    made = [single(1), single(2), single(3, **tricky), single(4, **tricky), single(5)]
    lines = [spool_codec.encode(batch) for batch in made]
    known: dict[bytes, Batch] = {}
    assert [spool_codec.decode(line, known) for line in (*lines, *lines)] == made + made
    head = lines[0].partition(b',"requests":')[0]
    assert head in known
    for tail in (
        b"[[1]]}",
        b"[]",
        b"1}",
        b"[[]]}",
        b"[[1,2,3,4,5,6,7,8,9,10,11]],",
        b"",
        b'[["x",2,3,4,5,6,7,8,9,10,11]]}',
    ):
        with pytest.raises(ValueError, match="not a batch"):
            spool_codec.decode(head + b',"requests":' + tail, known)
