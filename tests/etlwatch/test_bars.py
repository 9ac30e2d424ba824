"""The bars of the runs table, as drawn in the pictures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etlwatch.text.blocks import duration_bar, is_over, progress_bar
from etlwatch.text.display import ASCII
from etlwatch.text.numbers import ratio
from etlwatch.text.spans import plain_text


def minutes(whole, seconds=0):
    return whole * 60 + seconds


# Duration, p95, bar, and the same in ASCII: home160.txt and home80_ascii.txt.
DRAWN = [
    (minutes(58, 12), minutes(57), "━━━━│", "====|"),
    (minutes(25, 3), minutes(36), "━━━ │", "=== |"),
    (minutes(80), minutes(62), "━━━━╋╸", "====+-"),
    (minutes(32, 44), minutes(37), "━━━╸│", "===-|"),
    (minutes(102), minutes(57), "━━━━╋━━━", "====+==="),
    (minutes(11, 42), minutes(28), "━╸  │", "=-  |"),
    (minutes(1, 1), minutes(62), "╸   │", "-   |"),
    (minutes(25, 41), minutes(28), "━━━━│", "====|"),
    (minutes(48, 41), minutes(57), "━━━╸│", "===-|"),
    (0, minutes(57), "╸   │", "-   |"),
    (minutes(114), minutes(57), "━━━━╋━━━━", "====+===="),
    (minutes(140), minutes(57), "━━━━╋━━━»", "====+===>"),
    (1e300, 1, "━━━━╋━━━»", "====+===>"),
]


@pytest.mark.parametrize(("seconds", "p95", "drawn", "ascii_bar"), DRAWN)
def test_durations_are_drawn_against_their_own_p95(seconds, p95, drawn, ascii_bar):
    assert plain_text(duration_bar(seconds, p95, runs=30)) == drawn.ljust(9)
    assert plain_text(duration_bar(seconds, p95, runs=30, glyphs=ASCII)) == ascii_bar.ljust(9)


def test_only_what_passes_the_mark_is_coloured():
    assert duration_bar(102, 57, runs=30)[:3] == (("━━━━", "plain"), ("╋━━━", "amber"), (" ", "plain"))
    assert duration_bar(50, 57, runs=30) == (("━━━╸", "plain"), ("│", "faint"), ("    ", "plain"))


@pytest.mark.parametrize(("runs", "words"), [(0, "no runs"), (1, "1 run"), (3, "3 runs")])
def test_little_history_is_said_and_not_drawn(runs, words):
    assert duration_bar(60, None, runs=runs) == ((words, "dim"),)


@given(st.floats(min_value=0, allow_infinity=False), st.floats(min_value=1e-3, allow_infinity=False))
def test_the_mark_is_always_in_the_fifth_cell(seconds, p95):
    bar = plain_text(duration_bar(seconds, p95, runs=30))
    assert len(bar) == 9
    assert bar[4] == ("╋" if is_over(seconds, p95) else "│")


@given(st.floats(0, 1e6), st.floats(1, 1e6))
def test_the_mark_is_passed_exactly_when_the_ratio_is_printed(seconds, p95):
    assert is_over(seconds, p95) == bool(ratio(seconds / p95, only_above=True))


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0.41, "━━────"), (0.67, "━━━━──"), (0.58, "━━━───"), (0.74, "━━━━──"), (0.38, "━━────"), (0.22, "━─────"),
     (0.90, "━━━━━─"), (0.999, "━━━━━─"), (1.0, "━━━━━━"), (1.7, "━━━━━━"), (0, "──────"), (-1, "──────"),
     (None, ""), (math.nan, "")],
)  # fmt: skip
def test_progress_is_full_only_when_it_is(share, drawn):
    assert plain_text(progress_bar(share)) == drawn
