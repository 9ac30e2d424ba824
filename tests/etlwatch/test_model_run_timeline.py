"""What happened in a run, in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from etlwatch.analysis.run_rows import build_rows
from etlwatch.analysis.snapshot import RunDetails, Snapshot
from etlwatch.rendering.run.tabs import events_of, timeline_lines
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.text.spans import plain_text
from tests.etlwatch.dashboard import PARIS
from tests.etlwatch.fleet import NOW, make_cell, make_error, make_phase, make_run
from tracking_core.records import Run

CONTEXT = DisplayContext(NOW, PARIS)


def view_with(run: Run, **details: object) -> RunView:
    row = build_rows(Snapshot(at=NOW, read_at=0.0, poll_ms=0.0, runs=(run,)))[0]
    return RunView(row=row, details=RunDetails(run=run, run_id=run.run_id, **details))  # type: ignore[arg-type]


def told(view: RunView) -> list[tuple[str, str]]:
    return [(event.word, event.text) for event in events_of(view, CONTEXT)]


def test_a_run_begins_and_ends_with_who_ended_it() -> None:
    run = make_run("sync", minutes_ago=60, lasted_s=600, status="terminated", ended_by="signal SIGTERM")
    assert told(view_with(run)) == [
        ("begin", "sync on etl-03, pid 4121, version 7f3a91c"),
        ("terminated", "after 10m 00s, by signal SIGTERM"),
    ]


def test_a_phase_begins_and_ends_and_the_next_one_begins_after_it() -> None:
    run = make_run(minutes_ago=10)
    first = make_phase(run, "list", 1)
    second = replace(make_phase(run, "load", 2, "failed"), started_at=first.ended_at)
    phases = [text for word, text in told(view_with(run, phases=(first, second))) if word == "phase"]
    assert phases[:3] == ["list begins", "list ends after 1m 00s", "load begins"]
    assert phases[3].startswith("load fails after ")


def test_throttled_cells_close_to_each_other_are_one_event() -> None:
    run = make_run(minutes_ago=60)
    begin = int(run.started_at.timestamp()) // 60 * 60 + 60
    cells = tuple(
        make_cell(begin + 60 * minute, 60, throttled=3 if minute in (2, 4, 20) else 0) for minute in range(30)
    )
    throttled = [event for event in events_of(view_with(run, series=cells), CONTEXT) if event.word == "429"]
    assert [event.text for event in throttled] == [
        "6 of 20 requests throttled within 3m 00s", "3 of 10 requests throttled within 1m 00s",
    ]  # fmt: skip
    assert throttled[0].at.timestamp() == begin + 120


def test_a_silence_between_requests_is_told_with_its_length_and_a_short_pause_is_not() -> None:
    run = make_run(minutes_ago=60)
    begin = int(run.started_at.timestamp()) // 60 * 60 + 60
    cells = tuple(make_cell(begin + 60 * minute, 60) for minute in (0, 1, 3, 20))
    silences = [text for word, text in told(view_with(run, series=cells)) if word == "silence"]
    assert silences == ["no request for 16m 00s"]


def test_errors_of_one_kind_within_a_minute_are_one_event() -> None:
    run = make_run(minutes_ago=10, errors=5)
    minute = run.started_at.replace(second=0) + timedelta(minutes=2)
    errors = [make_error(run, number, at=minute + timedelta(seconds=number)) for number in range(3)]
    errors += [make_error(run, 9, at=minute + timedelta(seconds=70))]
    view = view_with(run, errors=tuple(errors))
    texts = [text.split(":")[0] for word, text in told(view) if word == "error"]
    assert texts == ["3× ValueError in load", "ValueError in load"]
    assert plain_text(timeline_lines(view, CONTEXT, width=100)[-1]) == " of 5 errors the newest 4 are here"


def test_a_run_that_was_lost_tells_its_last_heartbeat() -> None:
    run = make_run(minutes_ago=60, state="lost", heartbeat_at=NOW - timedelta(minutes=14))
    assert ("heartbeat", "the last one") in told(view_with(run))


def test_names_of_any_length_and_kind_stay_within_their_line_and_do_nothing() -> None:
    run = make_run("x\x1b[31m" + "長" * 200, minutes_ago=10)
    for line in timeline_lines(view_with(run), CONTEXT, width=60):
        assert "\x1b" not in plain_text(line)
        assert len(plain_text(line)) <= 60


def test_a_day_that_is_not_today_is_named_before_its_events() -> None:
    run = make_run(minutes_ago=60 * 30, lasted_s=60 * 60 * 29)
    lines = [plain_text(line).strip() for line in timeline_lines(view_with(run), CONTEXT, width=100)]
    assert lines[0] == "Sat 24 Oct 2026"
    assert lines[2] == "Mon 26 Oct 2026"
