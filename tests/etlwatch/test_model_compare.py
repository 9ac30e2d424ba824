"""Two runs side by side: shares of the difference, what a run that goes on has not reached, and the words."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from etlwatch.analysis.compare import Comparison, Difference, compare_runs
from etlwatch.analysis.snapshot import RunDetails
from etlwatch.fields.differences import DIFFERENCES, difference_text, name_text, value_text
from etlwatch.rendering.compare import brief_lines, conclusion, run_text, same_text
from etlwatch.text.display import ASCII, DisplayContext
from etlwatch.text.spans import plain_text, spans_width
from tests.etlwatch.fleet import NOW, make_error, make_run, packed
from tracking_core.records import EndpointTotals, Phase, Run, SourceCount

CONTEXT = DisplayContext(NOW, ZoneInfo("Europe/Paris"))
MINUTE = timedelta(minutes=1)


def phase(run: Run, name: str, position: int, begin: float, minutes: float | None) -> Phase:
    """Return a phase begun `begin` minutes into a run; without `minutes` it goes on."""
    started = run.started_at + begin * MINUTE
    ended = None if minutes is None else started + minutes * MINUTE
    return Phase(
        run_id=run.run_id,
        phase=name,
        position=position,
        status="running" if ended is None else "completed",
        started_at=started,
        ended_at=ended,
        counters={},
    )


def endpoint(run: Run, name: str, requests: int, ms: int, **fields: object) -> EndpointTotals:
    values: dict[str, object] = {
        "duration_ms": requests * ms,
        "histogram": packed(*([ms] * requests)),
        "max_ms": ms * 2,
    }
    return EndpointTotals(run_id=run.run_id, endpoint=name, requests=requests, **(values | fields))  # type: ignore[arg-type]


def success() -> RunDetails:
    """The last success of the drawn run: 51 minutes."""
    run = make_run("crm", minutes_ago=312, lasted_s=51 * 60, requests=2_200, items=750_000, number=1)
    return RunDetails(
        run=run,
        run_id=run.run_id,
        phases=(phase(run, "list", 1, 0, 2), phase(run, "fetch", 2, 2, 22), phase(run, "load", 3, 24, 27)),
        endpoints=(endpoint(run, "/contacts", 2_000, 800), endpoint(run, "/companies", 200, 180)),
        source_counts=(SourceCount(run_id=run.run_id, entity="contacts", items=1_000_000, at=run.started_at),),
    )


def slow() -> RunDetails:
    """The drawn run: slow for 102 minutes, in phase load, /contacts answering in 2.9 s."""
    run = make_run("crm", minutes_ago=102, state="slow", requests=1_700, items=774_000, code_version="81bc02d")
    return RunDetails(
        run=run,
        run_id=run.run_id,
        phases=(phase(run, "list", 1, 0, 2), phase(run, "fetch", 2, 2, 23.67), phase(run, "load", 3, 25.67, None)),
        endpoints=(endpoint(run, "/contacts", 1_500, 2_900), endpoint(run, "/companies", 200, 180)),
        source_counts=(SourceCount(run_id=run.run_id, entity="contacts", items=1_048_210, at=run.started_at),),
        errors=(make_error(run, 1), make_error(run, 2)),
    )


def drawn() -> Comparison:
    return compare_runs(slow(), success(), now=NOW)


def named(comparison: Comparison) -> dict[str, Difference]:
    return {name_text(each): each for each in comparison.differences}


def test_what_changed_is_ordered_by_its_share_of_the_difference() -> None:
    comparison = drawn()
    assert comparison.difference_s == pytest.approx(51 * 60)
    load, fetch = named(comparison)["load"], named(comparison)["fetch"]
    assert (load.before, load.after) == (27 * 60, pytest.approx(76.33 * 60))
    assert load.share == pytest.approx(0.967, abs=0.01)
    assert (difference_text(load), difference_text(fetch)) == ("+49m", "+1m 40s")
    assert fetch.share == pytest.approx(0.033, abs=0.01)
    timed = [each.share for each in comparison.differences if each.measure == "time"]
    known = [abs(share) for share in timed if share is not None]
    assert known == sorted(known, reverse=True)
    assert comparison.differences[0] is load


def test_the_greatest_phase_says_which_endpoint_answers_slower() -> None:
    assert named(drawn())["load"].note == "/contacts 0.8s → 2.9s at p95; so far"
    fine = success()
    assert named(compare_runs(replace(slow(), endpoints=fine.endpoints), fine, now=NOW))["load"].note == "so far"


def test_an_endpoints_figures_stand_behind_its_time() -> None:
    names = [name_text(each) for each in drawn().differences]
    at = names.index("/contacts time")
    assert names[at : at + 4] == ["/contacts time", "/contacts p95", "/contacts rate", "/contacts requests"]


def test_what_a_run_that_goes_on_has_not_reached_is_no_change() -> None:
    early = slow()
    assert early.run is not None
    early = replace(early, run=replace(early.run, items=300_000, duration_s=600.0), phases=early.phases[:1])
    comparison = compare_runs(early, success(), now=NOW)
    assert comparison.so_far
    found = named(comparison)
    assert (found["items"].difference, found["items"].note, found["items"].remarkable) == (None, "so far", False)
    assert (found["load"].difference, found["load"].note) == (None, "not begun yet")
    assert conclusion(comparison, CONTEXT) == "10m 00s so far against 51m 00s: it is not over yet."


def test_between_two_ended_runs_everything_counts() -> None:
    one, other = success(), success()
    assert one.run is not None
    ended = replace(one, run=replace(one.run, run_id=5, duration_s=49 * 60, items=300_000), phases=one.phases[:2])
    comparison = compare_runs(ended, other, now=NOW)
    found = named(comparison)
    assert found["items"].relative == pytest.approx(-0.6)
    assert (found["load"].note, found["load"].difference) == ("not in the later run", -27 * 60)
    assert found["outside phases"].difference == pytest.approx(25 * 60)


def test_runs_of_one_length_share_what_moved() -> None:
    one, other = success(), success()
    assert one.run is not None
    run = replace(one.run, run_id=5)
    moved = replace(one, run=run, phases=(phase(run, "list", 1, 0, 12), phase(run, "fetch", 2, 12, 12), one.phases[2]))
    comparison = compare_runs(moved, other, now=NOW)
    found = named(comparison)
    assert (found["list"].share, found["fetch"].share) == (pytest.approx(0.5), pytest.approx(-0.5))
    assert conclusion(comparison, CONTEXT).startswith("51m 00s against 51m 00s: as long as before")


def test_waiting_of_requests_that_overlap_is_not_counted_twice() -> None:
    one, other = success(), slow()
    assert one.run is not None
    assert other.run is not None
    crowded = replace(other, endpoints=(endpoint(other.run, "/contacts", 15_000, 2_900),))
    waited = named(compare_runs(crowded, one, now=NOW))["/contacts time"]
    assert waited.after == pytest.approx(other.run.duration_s)


def test_new_kinds_of_errors_come_before_known_ones() -> None:
    now, then = slow(), success()
    assert now.run is not None
    assert then.run is not None
    known = {"fingerprint": "f2", "error_type": "ReadTimeout"}
    now = replace(now, errors=(*(make_error(now.run, n, **known) for n in range(9)), *now.errors))
    then = replace(then, errors=(make_error(then.run, 1, **known), make_error(then.run, 2, fingerprint="f3")))
    errors = [each for each in compare_runs(now, then, now=NOW).differences if each.kind == "error"]
    assert [(each.what, each.before, each.after, each.note) for each in errors] == [
        ("ValueError in load", 0, 2, "not in the earlier run"),
        ("ReadTimeout in load", 1, 9, ""),
        ("ValueError in load", 1, 0, "no more"),
    ]


def test_another_code_version_is_a_change_and_the_rest_is_named_as_the_same() -> None:
    comparison = drawn()
    code = named(comparison)["code version"]
    assert (code.before, code.after, code.remarkable, difference_text(code)) == ("7f3a91c", "81bc02d", True, "")
    assert same_text(comparison) == "same command, host and user"


def test_runs_of_two_jobs_say_so() -> None:
    other = success()
    assert other.run is not None
    comparison = compare_runs(slow(), replace(other, run=replace(other.run, job="ads")), now=NOW)
    assert named(comparison)["job"].remarkable


def test_both_runs_are_needed() -> None:
    with pytest.raises(ValueError, match="both runs"):
        compare_runs(slow(), RunDetails(run=None, run_id=1), now=NOW)


# -- words


def test_the_drawn_lines_against_the_last_success() -> None:
    lines = [plain_text(line).rstrip() for line in brief_lines(drawn(), CONTEXT, width=76, most=3)]
    assert lines[0] == " load                    +49m   97%   /contacts 0.8s → 2.9s at p95; so far"
    assert lines[1] == " fetch                +1m 40s    3%"


def test_the_conclusion_names_the_greatest_share() -> None:
    assert conclusion(drawn(), CONTEXT) == (
        "1h 42m so far against 51m 00s: +51m, 2.0× as long; load +49m is 97% of it."
    )
    assert run_text(slow().run, CONTEXT) == "2BA3  slow, 1h 42m so far, began 01:30 on etl-03"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "before", "after", "written"),
    [
        ("s", 60.0, 90.0, ("1m 00s", "1m 30s", "+30s")),
        ("ms", 800.0, 2_900.0, ("800ms", "2.9s", "+2.1s")),
        ("count", 750_000.0, 774_000.0, ("750k", "774k", "+3%")),
        ("count", 0.0, 16.0, ("0", "16", "+16")),
        ("count", 8.0, 102.0, ("8", "102", "+94")),
        ("rate", 29.8, 12.4, ("29.8", "12.4", "−58%")),
        ("share", 0.002, 0.062, ("0.2%", "6.2%", "+6.0pt")),
        ("mb", 380.0, 412.0, ("380M", "412M", "+32M")),
        ("text", "a", "", ("a", "–", "")),
        ("count", None, 5.0, ("–", "5", "–")),
    ],
)
def test_values_and_differences_are_written_in_their_unit(
    unit: str, before: float | str | None, after: float | str | None, written: tuple[str, str, str]
) -> None:
    numbers = isinstance(before, float) and isinstance(after, float)
    difference = after - before if numbers else None  # type: ignore[operator]
    each = Difference(
        kind="run",
        what="x",
        measure="x",
        unit=unit,
        before=before,
        after=after,
        difference=difference,  # type: ignore[arg-type]
    )
    assert (value_text(each, before), value_text(each, after), difference_text(each)) == written


@pytest.mark.parametrize("width", [80, 120, 160])
def test_every_layout_fits_its_width(width: int) -> None:
    columns = DIFFERENCES.layout(width)
    assert 2 + sum(column.width + (column.gap if n else 0) for n, column in enumerate(columns)) <= width
    for each in drawn().differences:
        cells = DIFFERENCES.cells(each, CONTEXT)
        for column in columns:
            if column.key in ("difference", "share", "bar"):
                assert spans_width(cells[column.key]) <= column.width, (each.what, column.key)


def test_hostile_text_is_made_safe_and_ascii_keeps_to_ascii() -> None:
    bad = slow()
    assert bad.run is not None
    bad = replace(
        bad, run=replace(bad.run, host="\x1b[31mh\u202e"), phases=(replace(bad.phases[0], phase="\x9bp\x07"),)
    )
    comparison = compare_runs(bad, success(), now=NOW)
    said = [plain_text(spans) for each in comparison.differences for spans in DIFFERENCES.cells(each, CONTEXT).values()]
    said += [conclusion(comparison, CONTEXT), run_text(bad.run, CONTEXT)]  # type: ignore[arg-type]
    assert all(character not in text for text in said for character in "\x1b\x07\x9b\u202e")
    plain = DisplayContext(datetime.now(NOW.tzinfo), None, ASCII)
    for each in drawn().differences:
        assert all(plain_text(spans).isascii() for spans in DIFFERENCES.cells(each, plain).values())
