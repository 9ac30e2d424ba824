"""Lines 1 and 2, and the pane: counts, freshness, what to look at first, and the words for one run."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from etlwatch.analysis.findings import Finding
from etlwatch.analysis.run_rows import RunRow, build_rows
from etlwatch.analysis.snapshot import Rates, Snapshot
from etlwatch.fields.runs import RUNS
from etlwatch.rendering.header import (
    Freshness,
    banner,
    count_states,
    freshness_parts,
    headline,
    state_parts,
    tracking_part,
)
from etlwatch.rendering.lines import lay_out
from etlwatch.rendering.panes import pane_lines, pane_title
from etlwatch.text.display import DisplayContext
from etlwatch.text.spans import plain_text, spans_width
from tests.etlwatch.fleet import NOW, make_error, make_phase, make_run
from tracking_core.records import Run, Switch

PARIS = ZoneInfo("Europe/Paris")
CONTEXT = DisplayContext(NOW, PARIS)


def rows_of(*runs: Run, **parts: object) -> list[RunRow]:
    snapshot = Snapshot(at=NOW, read_at=0.0, poll_ms=0.4, runs=runs, **parts)  # type: ignore[arg-type]
    return RUNS.sort(build_rows(snapshot))


LOST = make_run("crm_contacts_sync", minutes_ago=58, state="lost", heartbeat_at=NOW - timedelta(minutes=14))
FAILED = make_run("ads_metrics_pull", minutes_ago=62.7, lasted_s=1_503, status="failed", errors=1)
RUNNING = make_run("invoices_export", minutes_ago=11.7)
DONE = make_run("warehouse_orders", minutes_ago=50, lasted_s=600)
OLD = make_run("warehouse_orders", minutes_ago=400, lasted_s=600)


def said(*runs: Run, width: int = 200) -> str:
    return plain_text(headline(rows_of(*runs), now=NOW, zone=PARIS, width=width))


# -- counts


def test_completed_runs_are_counted_when_they_ended_within_the_window() -> None:
    counts = count_states(rows_of(LOST, FAILED, RUNNING, DONE, OLD), now=NOW, window_s=3_600)
    assert counts == Counter(lost=1, failed=1, running=1, done=1)
    assert count_states(rows_of(DONE, OLD), now=NOW, window_s=86_400)["done"] == 2


def test_a_failure_made_good_is_not_counted_as_trouble() -> None:
    again = make_run("ads_metrics_pull", minutes_ago=20, lasted_s=60)
    assert count_states(rows_of(FAILED, again), now=NOW, window_s=3_600)["failed"] == 0


def test_the_counts_name_each_state_where_there_is_room() -> None:
    counts = Counter(lost=1, failed=1, stalled=1, throttled=1, slow=1, running=3, done=5)
    wide = plain_text(lay_out(state_parts(counts, brief=False), (), 120))
    assert wide.strip() == "1 lost  1 failed  1 stalled  1 throttled  1 slow  3 running  5 done"
    assert plain_text(lay_out(state_parts(counts, brief=True), (), 60)).strip() == "1 lost  1 failed  3 behind  3 ok"


def test_a_quiet_night_says_running_and_done() -> None:
    for brief in (True, False):
        parts = state_parts(Counter(running=3, done=5), brief=brief, window="1h")
        assert plain_text(lay_out(parts, (), 60)).strip() == "3 running  5 done in 1h"
    assert plain_text(lay_out(state_parts(Counter(), brief=False), (), 60)).strip() == "0 running"


# -- tracking and freshness


def switch(scope: str, job: str, *, enabled: bool) -> Switch:
    return Switch(scope=scope, job=job, enabled=enabled, changed_at=NOW, changed_by="ana@bastion", reason="quiet")


def test_tracking_says_who_switched_it_off() -> None:
    assert plain_text(tracking_part([], brief=False).spans) == "tracking on"
    assert plain_text(tracking_part([switch("global", "", enabled=True)], brief=False).spans) == "tracking on"
    off = tracking_part([switch("global", "", enabled=False)], brief=False)
    assert plain_text(off.spans) == "tracking off by ana@bastion"
    assert off.priority == 0
    assert plain_text(tracking_part([switch("job", "crm", enabled=False)], brief=False).spans) == "tracking off for crm"
    assert "1 job" in plain_text(tracking_part([switch("job", "crm", enabled=False)], brief=True).spans)


def fresh(width: int = 160, **fields: object) -> str:
    values: dict[str, object] = {"age_s": 0.3, "interval_s": 1.0, "poll_ms": 0.4, "bytes_per_s": 873.0, "as_of": NOW}
    parts = freshness_parts(Freshness(**(values | fields)), clock_now=NOW, zone=PARIS, width=width)  # type: ignore[arg-type]
    return plain_text(lay_out([], parts, width)).strip()


def test_freshness_is_written_as_drawn_at_every_width() -> None:
    assert fresh(160) == "data 1s · 0.4ms · 870B/s   03:12:44 CET"
    assert fresh(120) == "1s · 0.4ms   03:12:44 CET"
    assert fresh(80) == "1s · 0.4ms  03:12 CET"


def test_a_standby_that_is_behind_is_told_beside_the_age_and_the_clock_is_the_store_s() -> None:
    behind = fresh(80, behind_s=34.2, as_of=NOW - timedelta(seconds=34))
    assert behind == "standby 34s behind  1s · 0.4ms  03:13 CET"
    assert fresh(160, behind_s=34.2).startswith("standby 34s behind   data 1s")
    assert fresh(160, behind_s=0.2) == fresh(160)
    parts = freshness_parts(Freshness(age_s=0.3, interval_s=1.0, behind_s=9e4), clock_now=NOW, zone=PARIS, width=80)
    assert (parts[0].priority, parts[0].spans) == (0, (("standby 1d 01h behind", "amber"),))


def test_the_age_does_not_flicker_between_two_polls() -> None:
    assert {fresh(age_s=age / 10) for age in range(30)} == {fresh()}
    assert "data 34s" in fresh(age_s=34.2)


def test_without_a_connection_the_age_counts_and_the_clock_stands() -> None:
    assert fresh(80, connected=False, age_s=34.0) == "data 34s old  as of 03:12:44 CET"


def test_paused_says_so_and_as_of_when() -> None:
    assert fresh(80, paused=True) == "paused  as of 03:12:44 CET"


def test_before_the_first_answer_it_is_connecting() -> None:
    assert fresh(80, age_s=None) == "connecting  03:12 CET"


def told(cause: str, *, width: int = 120, retry_in_s: float = 3.2) -> str:
    return plain_text(banner(what="no connection", cause=cause, attempt=3, retry_in_s=retry_in_s, width=width))


def test_the_banner_names_cause_countdown_and_key() -> None:
    assert told("server closed it (57P01)", width=80) == (
        " ! no connection: server closed it (57P01). Retry 3 in 4s; r retries now."
    )
    assert told("gone", retry_in_s=0) == " ! no connection: gone. Retry 3 now; r retries now."
    assert "\x1b" not in told("\x1b[31m")


def test_of_a_long_cause_the_last_words_stay_and_the_countdown_always() -> None:
    cause = "postgresql://127.0.0.1:1/x as etl: connection failed: port 1 failed: Connection refused"
    assert (
        told(cause, width=80) == (" ! no connection: port 1 failed: Connection refused. Retry 3 in 4s; r retries now.")
        or told(cause, width=80) == " ! no connection: Connection refused. Retry 3 in 4s; r retries now."
    )
    assert told("x" * 300, width=80).endswith("… Retry 3 in 4s; r retries now.".replace("… ", "…. "))
    assert len(told("x" * 300, width=80)) < 80


# -- the headline


def test_the_headline_names_the_dead_and_counts_the_late() -> None:
    late = [make_run(f"late{index}", state="slow", number=index) for index in range(3)]
    assert said(LOST, FAILED, *late) == (
        " Look first: crm_contacts_sync went silent 14m ago; ads_metrics_pull failed at 02:35; 3 more are behind."
    )
    assert said(LOST, FAILED, *late, width=100) == (
        " Look first: crm_contacts_sync silent for 14m; ads_metrics_pull failed at 02:35; 3 more behind"
    )


def test_the_headline_fits_eighty_cells() -> None:
    late = [make_run(f"late{index}", state="slow", number=index) for index in range(3)]
    spans = headline(rows_of(LOST, FAILED, *late), now=NOW, zone=PARIS, width=80)
    assert plain_text(spans) == " crm_contacts_sync silent 14m · ads_metrics_pull failed 02:35 · 3 behind"
    assert spans_width(spans) < 80


def test_the_headline_names_the_error_it_knows() -> None:
    line = plain_text(
        headline(rows_of(FAILED, last_errors={FAILED.run_id: make_error(FAILED)}), now=NOW, zone=PARIS, width=200)
    )
    assert line == " Look first: ads_metrics_pull failed at 02:35 with ValueError."


def test_the_headline_names_the_endpoint_that_makes_runs_slow_where_there_is_room() -> None:
    slow = make_run("late", state="slow", state_since=NOW - timedelta(minutes=31))
    proof = Finding(
        kind="slow", since=NOW - timedelta(minutes=31), note="", evidence="", value=2, limit=1, endpoint="/contacts"
    )
    rows = rows_of(LOST, slow, findings={slow.run_id: (proof,)})
    wide = plain_text(headline(rows, now=NOW, zone=PARIS, width=160))
    assert wide.endswith("; 1 more is behind. /contacts slow since 02:41.")
    assert "/contacts" not in plain_text(headline(rows, now=NOW, zone=PARIS, width=90))


def test_more_dead_than_are_named_are_counted() -> None:
    runs = [make_run(f"dead{index}", lasted_s=1, status="failed", number=index) for index in range(7)]
    assert "5 more are lost or failed." in said(*runs)


def test_late_runs_are_named_when_nothing_is_dead() -> None:
    assert said(make_run("late", state="slow", state_since=NOW - timedelta(minutes=31))) == (
        " Look first: late slow since 02:41."
    )


def test_a_quiet_night_says_so_and_when_something_last_went_wrong() -> None:
    assert said(RUNNING, DONE) == " Nothing needs you."
    again = make_run("ads_metrics_pull", minutes_ago=20, lasted_s=60)
    assert said(FAILED, again) == " Nothing needs you. Last trouble: ads_metrics_pull, 02:35, made good."


def test_an_empty_store_says_so() -> None:
    assert said() == " No runs yet."


# -- the pane


def pane(run: Run, **parts: object) -> list[str]:
    return [plain_text(line) for line in pane_lines(rows_of(run, **parts)[0], CONTEXT)]


def test_the_pane_of_a_lost_run_says_since_and_because() -> None:
    lines = pane(make_run("crm", minutes_ago=58.2, state="lost", heartbeat_at=NOW - timedelta(minutes=14),
                          evidence="no heartbeat for 840 s; it beats every 10 s"))  # fmt: skip
    assert lines[0] == " since    02:58, 14m ago; 58m 12s so far; no completed run to compare with"
    assert lines[1] == " because  no heartbeat for 840 s; it beats every 10 s"


def test_the_pane_of_a_failed_run_says_when_why_and_how_much() -> None:
    run = make_run(
        "ads", minutes_ago=62.7, lasted_s=1_503, status="failed", errors=3, failed_requests=204, requests=31_000
    )
    lines = pane(run, last_errors={run.run_id: make_error(run)})
    assert lines[0] == " ended    02:35, 37m ago, after 25m 03s"
    assert lines[1].startswith(" because  ValueError in load: time data")
    assert lines[2] == " err      3 recorded, last ValueError; 204 of 31.0k requests failed"


def test_the_pane_of_a_running_run_says_what_it_is_doing() -> None:
    run = make_run("invoices", minutes_ago=11.7, requests=8_120, items=81_200)
    lines = pane(
        run,
        phases={run.run_id: (make_phase(run, "fetch", 1, "running", rows=38, of_rows=100),)},
        rates={run.run_id: Rates(requests=11.9, items=119.0)},
    )
    assert lines[0] == " time     11m 42s so far; no completed run to compare with"
    assert lines[1] == " ends     03:26–03:36 at this rate"
    assert lines[2] == " doing    1/1 fetch 38%, 11.9 requests/s, 119 items/s"


def test_the_pane_of_a_completed_run_shows_its_notes() -> None:
    lines = pane(make_run("invoices", minutes_ago=50, lasted_s=600, notes="nightly export"))
    assert lines[0] == " ended    02:32, 40m ago, after 10m 00s"
    assert lines[1] == " notes    nightly export"


def test_a_run_within_its_usual_time_is_said_to_be_normal() -> None:
    before = [
        make_run("invoices", minutes_ago=100 * index, lasted_s=1_500 + index, number=index) for index in range(1, 7)
    ]
    row = next(row for row in rows_of(make_run("invoices", minutes_ago=11.7), *before) if row.live)
    assert plain_text(pane_lines(row, CONTEXT)[0]) == " normal   11m 42s so far, usually 25m, p95 25m (6 runs)"


def test_the_title_names_the_excess_only_where_it_is_the_reason() -> None:
    before = [make_run("crm", minutes_ago=100 * index, lasted_s=600, number=index) for index in range(1, 7)]
    titles = {}
    for state in ("slow", "stalled"):
        run = make_run("crm", minutes_ago=20, state=state)
        row = next(row for row in rows_of(run, *before) if row.live)
        titles[state] = plain_text(pane_title(row, CONTEXT))
    assert titles["slow"].startswith("▲ slow 2.0× its p95  crm ")
    assert titles["stalled"].startswith("║ stalled  crm ")


def test_the_title_is_state_job_and_the_last_four_letters_of_the_id() -> None:
    title = plain_text(pane_title(rows_of(RUNNING)[0], CONTEXT))
    assert title == f"● running  invoices_export {RUNNING.id[-4:]}"


@pytest.mark.parametrize("run", [LOST, FAILED, RUNNING, DONE], ids=lambda run: run.job)
def test_nothing_raw_from_the_store_reaches_the_pane(run: Run) -> None:
    evil = "\x1b]52;c;aGk=\x07[@click=app.quit]"
    hostile = replace(run, job=evil, notes=evil, evidence=evil, host=evil, user=evil, command=evil, code_version=evil)
    row = rows_of(hostile, last_errors={run.run_id: make_error(run, error_type=evil, message=evil)})[0]
    shown = "".join(plain_text(line) for line in (*pane_lines(row, CONTEXT), pane_title(row, CONTEXT)))
    shown += plain_text(headline([row], now=NOW, zone=PARIS, width=400))
    assert "\x1b" not in shown
    assert "\x07" not in shown
