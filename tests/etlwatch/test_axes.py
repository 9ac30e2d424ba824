"""Round tops, times below charts, and the gantt of one run on one scale."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etlwatch.rendering.charts import TimeScale, count_label, millis_label, nice_top, share_label, times_line
from etlwatch.rendering.run.phases import phase_row, tick_row, with_now
from etlwatch.text.display import ASCII
from etlwatch.text.spans import plain_text


@pytest.mark.parametrize(
    ("value", "least", "top"),
    [(590, 1, 600), (3100, 1, 4000), (55, 1, 60), (600, 1, 600), (7, 1, 10), (1.01, 1, 2), (0.068, 0.01, 0.1),
     (0.600000000000001, 0.01, 0.6), (0, 1, 1), (None, 1, 1), (math.nan, 1, 1), (math.inf, 1, 1), (-4, 0.01, 0.01)],
)  # fmt: skip
def test_tops_are_round_and_hold_the_value(value, least, top):
    assert nice_top(value, least=least) == pytest.approx(top)


def test_a_share_never_tops_beyond_all():
    assert nice_top(0.7, least=0.01, most=1.0) == 1.0


@given(st.floats(1e-3, 1e15))
def test_axis_labels_fit_their_four_cells(value):
    top = nice_top(value, least=1e-3)
    assert top >= value * (1 - 1e-6)
    assert len(count_label(top)) <= 5
    assert len(millis_label(min(top, 3.6e10))) <= 6
    assert len(share_label(nice_top(min(value, 1.0), least=0.01, most=1.0))) <= 4


def test_labels_of_tops():
    assert [count_label(top) for top in (0.4, 1, 600, 1000, 4000, 60_000, 1e6, 2e7)] == [
        "0.4", "1", "600", "1k", "4k", "60k", "1M", "20M",
    ]  # fmt: skip
    assert [millis_label(top) for top in (1, 40, 100, 400, 4000, 60_000, 600_000, 6e6, 3.6e7)] == [
        "1ms", "40ms", "0.1s", "0.4s", "4s", "60s", "10m", "100m", "10h",
    ]  # fmt: skip
    assert [share_label(top) for top in (0.004, 0.01, 0.1, 1.0)] == ["0.4%", "1%", "10%", "100%"]


def test_times_stand_left_middle_and_right():
    times = ("02:12", "02:42", "03:12")
    assert plain_text(times_line(times, 45)) == "02:12               02:42               03:12"
    assert plain_text(times_line(times, 32)) == "02:12         02:42        03:12"


def test_times_that_would_touch_are_left_out():
    assert plain_text(times_line(("02:12", "02:42", "03:12"), 14)) == "02:12    03:12"
    assert plain_text(times_line(("02:12", "02:42", "03:12"), 8)) == "   03:12"
    assert plain_text(times_line(("02:12",), 3)) == "   "
    assert times_line((), 0) == ()


# run160.txt: 01:30 in cell 0, now (03:12) in cell 73, the grid's columns 50 to 159.
SCALE = TimeScale(start=0.0, end=110 * 60 / 0.7208, cells=110)


def at(minutes):
    return minutes * 60.0


def test_ticks_and_now_are_placed_as_in_the_picture():
    labels = [
        (at(minutes), label)
        for minutes, label in [(0, "01:30"), (30, "02:00"), (60, "02:30"), (90, "03:00"), (120, "03:30")]
    ]
    assert plain_text(SCALE.ticks(labels, now=at(102))).rstrip() == (
        "01:30                02:00                 02:30                03:00  now            03:30"
    )


def test_a_finished_phase_has_the_ghost_of_its_p95():
    row = phase_row(SCALE, start=at(2), end=at(25), now=at(102), p95=at(27), role="dim")
    assert plain_text(row).rstrip() == " ━━━━━━━━━━━━━━━━━──│" + " " * 52 + "│"
    assert ("│", "blue") in row


def test_a_running_phase_past_its_p95_turns_amber_and_shows_its_expected_end():
    row = phase_row(SCALE, start=at(25), end=None, now=at(102), p95=at(30), expected=(at(122), at(135)))
    text = plain_text(row)
    assert text[18:73] == "━" * 21 + "╋" + "━" * 33
    assert text[73] == "│"
    assert text[74:] == "─" * 13 + "░" * 11 + " " * 12
    assert ("╋" + "━" * 33, "amber") in row


def test_a_phase_to_come_is_its_usual_length():
    row = phase_row(SCALE, start=at(122), end=None, now=at(102), usual=at(5))
    assert plain_text(row)[87:].rstrip() == "────│"


def test_a_phase_without_history_or_start_shows_no_more_than_is_known():
    assert plain_text(phase_row(SCALE, start=None, end=None, now=at(102))).strip() == "│"
    assert plain_text(phase_row(SCALE, start=at(0), end=at(2), now=at(102), now_line=False)).rstrip() == "━"


def test_errors_are_ticks_on_the_same_scale():
    row = tick_row(SCALE, [at(30), at(30.1), at(500)], now=at(102))
    assert plain_text(row) == " " * 21 + "×" + " " * 51 + "│" + " " * 36


def test_rows_keep_their_width_and_have_ascii_forms():
    row = phase_row(SCALE, start=at(25), end=None, now=at(102), p95=at(30), expected=(at(122), at(135)), glyphs=ASCII)
    assert plain_text(row).isascii()
    assert len(plain_text(row)) == 110
    assert with_now((("abc", "dim"),), SCALE, now=-5) == (("abc", "dim"),)


@given(
    start=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    end=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    p95=st.one_of(st.none(), st.floats(0, 1e9)),
    expected=st.one_of(st.none(), st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))),
    cells=st.integers(0, 30),
)
def test_any_phase_fits_its_scale(start, end, p95, expected, cells):
    scale = TimeScale(start=0, end=100, cells=cells)
    row = phase_row(scale, start=start, end=end, now=60, usual=p95, p95=p95, expected=expected)
    assert len(plain_text(row)) == cells
