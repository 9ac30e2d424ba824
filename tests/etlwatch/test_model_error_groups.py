"""Kinds of errors: new or known, mended or not, and the words for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from etlwatch.analysis.errors import ErrorKind, groups_of_run, kind_of
from etlwatch.fields.errors import KINDS, known_text, success_text
from etlwatch.reading.errors import read_kinds, read_kinds_of_run
from etlwatch.rendering.panes import kind_pane, kind_title, kinds_headline
from etlwatch.text.display import ASCII, DisplayContext
from etlwatch.text.spans import plain_text, spans_width
from tests.etlwatch.fleet import NOW, FakeStore, make_error, make_phase, make_run

PARIS = ZoneInfo("Europe/Paris")
CONTEXT = DisplayContext(NOW, PARIS)
TIMEOUT = {"error_type": "ReadTimeout", "message": "no answer within 10s", "fingerprint": "f2"}


def store() -> FakeStore:
    """A job that fails tonight with a new kind, and with one that it had before."""
    tonight = make_run("crm", minutes_ago=100, errors=3)
    before = [make_run("crm", minutes_ago=24 * 60 * day, lasted_s=3_000, number=day, errors=1) for day in range(1, 5)]
    found = FakeStore(runs=[tonight, *before])
    found.error_list = [make_error(tonight, 1, at=NOW - timedelta(minutes=11))]
    found.error_list += [make_error(tonight, seq, at=NOW - timedelta(minutes=40 - seq), **TIMEOUT) for seq in (2, 3)]
    found.error_list += [make_error(run, 1, at=run.started_at + timedelta(minutes=40), **TIMEOUT) for run in before]
    found.phase_list = [make_phase(run, "load", 1) for run in before]
    return found


def kinds(found: FakeStore, **options: object) -> list[ErrorKind]:
    with found.reader(5.0) as reader:
        return read_kinds(reader, NOW - timedelta(days=2), **options)[0]  # type: ignore[arg-type]


def test_what_no_run_had_before_is_new_and_comes_first() -> None:
    new, known = kinds(store())
    assert (new.error_type, new.new, new.errors, new.all_runs) == ("ValueError", True, 1, 1)
    assert known_text(new, CONTEXT) == "new in this run; first seen 03:01"
    assert (known.error_type, known.new, known.errors, known.all_errors, known.all_runs) == (
        "ReadTimeout", False, 4, 6, 5,
    )  # fmt: skip
    assert known_text(known, CONTEXT) == "known: 6× in 5 runs since Thu 04:52"


def test_what_was_not_counted_to_the_end_is_at_least_that_and_not_new_for_want_of_an_older_run() -> None:
    _, known = kinds(store())
    cut = replace(known, all_errors=10_000, all_runs=1, all_cut=True, cut=True)
    assert known_text(cut, CONTEXT) == "known: 10k+× in 1+ runs since Thu 04:52"
    many = replace(cut, all_runs=3_339)
    assert plain_text(KINDS.cells(many, CONTEXT)["runs"]) == "3k+", "not wider than its column"
    assert plain_text(KINDS.cells(cut, CONTEXT)["count"]) == "4+×"
    assert plain_text(kinds_headline([cut], CONTEXT, brief=True)).startswith(" 4+ errors of 1 kind")
    tonight = make_run("crm", minutes_ago=100)
    (storm,) = groups_of_run(tonight, [make_error(tonight, 1)])
    earlier = tonight.started_at - timedelta(days=1)
    assert not kind_of(storm, replace(storm, cut=True, first_at=earlier), tonight).new
    assert kind_of(storm, replace(storm, first_at=earlier), tonight).new


def test_the_last_success_of_the_same_phase_is_told() -> None:
    new, _ = kinds(store())
    assert not new.mended
    assert success_text(new, CONTEXT) == "load last completed Sun 03:13"


def test_a_kind_whose_phase_completed_since_is_mended_and_recedes() -> None:
    found = store()
    later = make_run("crm", minutes_ago=8, lasted_s=300, number=9)
    found.runs.append(later)
    found.phase_list.append(make_phase(later, "load", 1))
    new, known = kinds(found)
    assert new.mended
    assert known.mended
    assert success_text(new, CONTEXT).startswith("load completed since, 03:0")
    assert kind_title(new, CONTEXT)[0][1] == "dim"


def test_without_a_phase_the_jobs_own_success_counts() -> None:
    found = store()
    found.error_list[0] = replace(found.error_list[0], phase=None)
    new, _ = kinds(found)
    assert success_text(new, CONTEXT) == "the job last completed Sun 04:02"
    found.runs = found.runs[:1]
    assert success_text(kinds(found)[0], CONTEXT) == "the job has not completed in its last runs"


def test_one_runs_errors_are_its_own_numbers_beside_those_of_all_runs() -> None:
    found = store()
    with found.reader(5.0) as reader:
        new, known = read_kinds_of_run(reader, found.runs[0])
    assert (new.errors, new.new) == (1, True)
    assert (known.errors, known.all_errors, known.all_runs) == (2, 6, 5)


def test_a_kind_whose_run_was_removed_has_no_job() -> None:
    found = store()
    found.runs = []
    new, _ = kinds(found)
    assert new.job == ""
    assert plain_text(KINDS.cells(new, CONTEXT)["job"]) == "–"


def test_each_job_is_asked_about_once() -> None:
    found = store()
    kinds(found)
    assert found.asked["runs_of_job"] == 1


def test_line_two_names_the_newest_new_kind() -> None:
    found = kinds(store())
    assert plain_text(kinds_headline(found, CONTEXT, brief=False)) == (
        " 5 errors of 2 kinds; 1 new: ValueError in crm since 03:01, load last completed Sun 03:13."
    )
    assert plain_text(kinds_headline(found, CONTEXT, brief=True)) == " 5 errors of 2 kinds; 1 new: ValueError in crm."
    assert plain_text(kinds_headline(found[1:], CONTEXT, brief=True)) == " 4 errors of 1 kind; none of them is new."
    resolved = [replace(found[0], succeeded_at=found[0].last_at + timedelta(seconds=1))]
    assert plain_text(kinds_headline(resolved, CONTEXT, brief=True)) == " 1 error of 1 kind; the new ones are resolved."
    assert plain_text(kinds_headline([], CONTEXT, brief=True)) == " No errors were recorded in this time."


def test_the_pane_says_what_happened_and_where() -> None:
    new, _ = kinds(store())
    assert plain_text(kind_title(new, CONTEXT)).startswith("× ValueError  crm ")
    assert [plain_text(line) for line in kind_pane(new, CONTEXT)][:2] == [
        " message  time data '0000-00-00' does not match '%Y-%m-%d'",
        " known?   new in this run; first seen 03:01; load last completed Sun 03:13",
    ]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_every_layout_fits_its_width(width: int) -> None:
    columns = KINDS.layout(width)
    assert 2 + sum(column.width + (column.gap if n else 0) for n, column in enumerate(columns)) <= width
    for kind in kinds(store()):
        cells = KINDS.cells(kind, CONTEXT)
        fixed = [column for column in columns if column.key in ("count", "runs", "last", "state", "known")]
        assert all(spans_width(cells[column.key]) <= column.width for column in fixed)


def test_hostile_text_is_made_safe_and_ascii_keeps_to_ascii() -> None:
    found = store()
    found.error_list[0] = replace(found.error_list[0], error_type="\x1b[31mE", message="a\u202eb\x07", phase="\x9bp")
    new, _ = kinds(found)
    said = [plain_text(spans) for spans in KINDS.cells(new, CONTEXT).values()]
    said += [plain_text(line) for line in kind_pane(new, CONTEXT)]
    assert all(character not in text for text in said for character in "\x1b\x07\x9b\u202e")
    known = KINDS.cells(kinds(store())[1], DisplayContext(NOW, PARIS, ASCII))
    assert all(plain_text(spans).isascii() for spans in known.values())


def test_in_the_table_a_type_is_named_without_its_modules() -> None:
    run = make_run("sync", errors=1)
    error = make_error(run, error_type="psycopg.errors.SerializationFailure")
    (group,) = groups_of_run(run, [error])
    context = DisplayContext(NOW, ZoneInfo("Europe/Paris"))
    assert plain_text(KINDS.cells(kind_of(group, None, run), context)["kind"]) == "SerializationFailure"
