"""Which errors are new: asked of the run under the cursor and of what failed, and not again with every poll."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from etlwatch.analysis.run_rows import build_rows
from etlwatch.fields.field import Order
from etlwatch.fields.runs import RUNS
from etlwatch.reading.errors import HOLDS_S, ErrorKindCache
from etlwatch.reading.gatherer import Gatherer, Watch
from etlwatch.rendering.header import headline
from etlwatch.rendering.panes import kinds_spans
from etlwatch.text.display import DisplayContext
from etlwatch.text.spans import plain_text
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.fleet import NOW, FakeStore, make_error, make_run
from tests.etlwatch.looking_back import read_as_of

AGO = make_run("sync", minutes_ago=900, lasted_s=60, number=1, errors=1)
RUN = make_run("sync", minutes_ago=30, errors=3)
FAILED = make_run("ads", minutes_ago=50, lasted_s=600, status="failed", errors=1)


def store() -> FakeStore:
    timeout = {"fingerprint": "slow", "error_type": "ReadTimeout"}
    return FakeStore(
        runs=[AGO, RUN, FAILED],
        error_list=[
            make_error(AGO, **timeout),
            make_error(RUN, 1, **timeout),
            make_error(RUN, 2, **timeout),
            make_error(RUN, 3),
            make_error(FAILED, fingerprint="ads", error_type="UniqueViolation"),
        ],
    )


def test_the_kinds_of_a_run_are_told_with_the_new_ones_first() -> None:
    kinds = ErrorKindCache().kinds(store().reader(1), RUN, 0.0)  # type: ignore[arg-type]
    assert [(kind.error_type, kind.errors, kind.new, kind.all_runs) for kind in kinds] == [
        ("ValueError", 1, True, 1),
        ("ReadTimeout", 2, False, 2),
    ]
    said = plain_text(kinds_spans(kinds, 3, DisplayContext(NOW)))
    assert said.startswith("1 × ValueError in load, new since ")
    assert "; 2 × ReadTimeout in load, known: in 2 runs since " in said
    assert plain_text(kinds_spans(kinds, 400, DisplayContext(NOW))).startswith("400 recorded; of the last 3: ")
    assert kinds_spans((), 3, DisplayContext(NOW)) == ()


def test_they_are_asked_for_again_only_when_something_came_or_time_has_passed() -> None:
    full, known = store(), ErrorKindCache()
    reader = full.reader(1)
    for now_s in (0.0, 1.0, float(HOLDS_S - 1)):
        known.kinds(reader, RUN, now_s)  # type: ignore[arg-type]
    assert (full.asked["errors"], full.asked["error_groups_named"]) == (1, 1)
    known.kinds(reader, replace(RUN, errors=4), 2.0)  # type: ignore[arg-type]
    assert (full.asked["errors"], full.asked["error_groups_named"]) == (2, 1)
    known.kinds(reader, replace(RUN, errors=4), float(HOLDS_S))  # type: ignore[arg-type]
    assert full.asked["error_groups_named"] == 2


def test_a_poll_asks_of_nobody_unless_something_failed_or_is_under_the_cursor() -> None:
    full = store()
    full.runs = [AGO, RUN]
    gatherer = Gatherer()
    reader = full.reader(1)
    assert gatherer.read(reader, Watch()).kinds == {}  # type: ignore[arg-type]
    assert full.asked["error_groups_named"] == 0
    assert list(gatherer.read(reader, Watch(run_of_kinds=RUN.run_id)).kinds) == [RUN.run_id]  # type: ignore[arg-type]


def test_what_a_run_failed_with_is_new_until_another_run_has_had_it() -> None:
    full = store()
    snapshot = Gatherer().read(full.reader(1), Watch())  # type: ignore[arg-type]
    assert snapshot.new_errors == {FAILED.run_id}
    rows = build_rows(snapshot)
    failed = next(row for row in rows if row.run.run_id == FAILED.run_id)
    assert failed.verdict.note == "UniqueViolation (new)"
    line = headline(RUNS.sort(rows, Order()), now=NOW, zone=None, width=160)
    assert " with a new error" in plain_text(line)
    full.error_list.append(make_error(AGO, 9, fingerprint="ads"))
    of_another_job = Gatherer().read(full.reader(1), Watch())  # type: ignore[arg-type]
    assert of_another_job.new_errors == {FAILED.run_id}
    earlier = make_run("ads", minutes_ago=800, lasted_s=60, number=2, errors=1)
    full.runs.append(earlier)
    full.error_list.append(make_error(earlier, fingerprint="ads"))
    assert Gatherer().read(full.reader(1), Watch()).new_errors == frozenset()  # type: ignore[arg-type]


def test_at_a_past_moment_an_error_is_as_new_as_it_was_then() -> None:
    full = store()
    later = make_run("ads", minutes_ago=2, number=3, errors=1)
    full.runs.append(later)
    full.error_list.append(make_error(later, 9, at=NOW - timedelta(minutes=1), fingerprint="ads"))
    seen = read_as_of(full.reader(1), Watch(run_of_kinds=FAILED.run_id), NOW - timedelta(minutes=35))  # type: ignore[arg-type]
    assert seen.new_errors == {FAILED.run_id}
    assert [kind.all_runs for kind in seen.kinds[FAILED.run_id]] == [1]


async def test_the_pane_marks_the_errors_of_the_run_under_the_cursor() -> None:
    async with dashboard(store(), size=(160, 40)) as opened:
        await opened.press("j")
        await opened.until(lambda: bool(opened.app.shown and opened.app.shown.kinds))
        await opened.pilot.pause()
        (line,) = [line for line in opened.lines() if line.startswith(" err ") and "×" in line]
        assert "1 × ValueError in load, new since " in line
        assert "2 × ReadTimeout in load, known: in 2 runs" in line
