"""Numbers are short, honest and never raise."""

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import etlwatch
from etlwatch.text import numbers
from etlwatch.text.safe import cell_width

CET = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 2, 12, 44, tzinfo=UTC)


def check(function, pairs):
    assert {value: function(value) for value, _ in pairs} == dict(pairs)


def test_counts_have_commas_and_letters_from_ten_thousand_on():
    check(
        numbers.count,
        [(0, "0"), (311, "311"), (8120, "8,120"), (9999, "9,999"), (10_000, "10.0k"), (48_213, "48.2k"),
         (99_960, "100k"), (413_000, "413k"), (999_499, "999k"), (999_500, "1.0M"), (1_234_567, "1.2M"),
         (-12_345, "−12.3k"), (Decimal(12), "12"), (10**400, "1e300")],
    )  # fmt: skip


def test_zero_may_be_blank_and_the_unknown_is_a_dash():
    assert numbers.count(0, blank_zero=True) == ""
    assert numbers.count(None, blank_zero=True) == "–"
    assert numbers.count(math.nan) == numbers.rate(math.inf) == numbers.duration(None) == "–"


def test_rates_are_whole_from_a_hundred_on():
    check(numbers.rate, [(0, "0.0"), (0.05, "3/min"), (0.0999, "6/min"), (0.004, "14/h"), (1e-9, "<1/h"),
                         (-0.05, "−3/min"), (12.41, "12.4"), (99.94, "99.9"), (99.96, "100"), (262.3, "262"),
                         (1904, "1,904"), (48_213, "48.2k")])  # fmt: skip


def test_a_rate_in_a_sentence_has_its_unit():
    assert numbers.per_second(12.41) == "12.4/s"
    assert numbers.per_second(12.41, "requests") == "12.4 requests/s"
    assert numbers.per_second(0.05, "requests") == "3 requests/min"
    assert numbers.per_second(None, "requests") == "–"


def test_shares_never_round_to_nothing_or_to_all():
    check(numbers.percent, [(0, "0%"), (0.74, "74%"), (0.997, "99%"), (1, "100%"), (1.2, "120%"), (0.002, "<1%")])
    check(numbers.share, [(0, "0.0%"), (0.004, "0.4%"), (0.062, "6.2%"), (0.0999, "10%"), (0.31, "31%"),
                          (0.0001, "<0.1%")])  # fmt: skip
    check(numbers.change, [(0, "0%"), (0.18, "+18%"), (-0.01, "−1%")])


def test_milliseconds_become_seconds_and_minutes():
    check(
        numbers.duration_ms,
        [(0, "0ms"), (0.4, "0.4ms"), (9.97, "10ms"), (178, "178ms"), (840.4, "840ms"), (999.6, "1.0s"), (2_900, "2.9s"),
         (59_960, "60s"), (90_000, "90s"), (1_020_000, "17m"), (6_120_000, "1h 42m"), (0.01, "<0.1ms")],
    )  # fmt: skip
    assert numbers.duration_ms(790, seconds_from=500) == "0.8s"


def test_durations_have_two_units():
    check(
        numbers.duration,
        [(0, "0s"), (0.2, "<1s"), (42, "42s"), (59.9, "59s"), (3492, "58m 12s"), (61, "1m 01s"), (6120, "1h 42m"),
         (3600, "1h 00m"), (93_600, "1d 02h"), (128 * 86_400, "128d"), (-3, "−3s")],
    )  # fmt: skip


def test_usual_times_are_coarse():
    check(
        numbers.span, [(31, "31s"), (59.7, "1m"), (3060, "51m"), (3570, "1h 00m"), (3719, "1h 02m"), (86_399, "1d 00h")]
    )


def test_ages_round_down_and_look_both_ways():
    check(
        numbers.ago,
        [
            (0.3, "just now"),
            (9.9, "just now"),
            (38, "30s ago"),
            (61, "1m ago"),
            (-30, "in 30s"),
            (1919, "31m ago"),
            (-300, "in 5m"),
        ],
    )


def test_ratios_are_printed_above_one():
    assert [numbers.ratio(value, only_above=True) for value in (None, 0.4, 1.0, 1.04, 1.06, 1.79, 12, 5e9)] == [
        "", "", "", "", "1.1×", "1.8×", "12×", ">1k×",
    ]  # fmt: skip
    assert numbers.ratio(0.41) == "0.4×"


def test_sizes_are_binary_and_short():
    check(numbers.bytes_, [(0, "0B"), (870, "870B"), (5_700, "5.6K"), (412 << 20, "412M"), (2 << 30, "2G"),
                           (1023, "1023B"), (2_254_857_830, "2.1G")])  # fmt: skip


def test_signs_are_put_before_what_is_written():
    assert numbers.signed(2760, "46m") == "+46m"
    assert numbers.signed(-1, "1m 40s") == "−1m 40s"
    assert numbers.signed(0.001, "0%") == "0%"


def test_clocks_show_the_zone():
    assert numbers.clock(NOW, CET) == "03:12"
    assert numbers.clock(NOW, CET, seconds=True, name=True) == "03:12:44 CET"
    assert numbers.stamp(NOW, CET) == "2026-11-23 03:12:44 CET"
    assert numbers.clock(None) == numbers.clock(datetime(2026, 1, 1), CET) == "–"  # naive: no zone to stand in


def test_moments_are_as_brief_as_today_allows():
    assert numbers.moment(NOW - timedelta(hours=1), NOW, CET) == "02:12"
    assert numbers.moment(NOW - timedelta(days=1), NOW, CET) == "Sun 03:12"
    assert numbers.moment(NOW - timedelta(days=40), NOW, CET) == "Oct 14"
    assert numbers.moment(NOW - timedelta(days=900), NOW, CET) == "2024-06-06"


def test_starts_fit_their_column():
    ages = [timedelta(minutes=5), timedelta(days=1), timedelta(days=20), timedelta(days=900)]
    assert [numbers.started(NOW - age, NOW, CET) for age in ages] == ["03:07", "Sun03", "11-03", "2024"]


def test_years_that_no_zone_can_hold_are_unknown():
    edge = datetime(1, 1, 1, tzinfo=UTC)
    assert numbers.clock(edge, timezone(timedelta(hours=-5))) == "–"


LIMITS = {
    numbers.count: 6, numbers.rate: 6, numbers.percent: 7, numbers.share: 7, numbers.ratio: 4, numbers.bytes_: 7,
    numbers.duration: 8, numbers.span: 8, numbers.duration_ms: 8, numbers.change: 7,
}  # fmt: skip

awkward = st.one_of(st.none(), st.floats(), st.integers(), st.decimals(), st.booleans(), st.just(10**5000))


@pytest.mark.parametrize("function", LIMITS, ids=lambda function: function.__name__)
@given(value=awkward)
def test_every_number_is_something_short(function, value):
    assert cell_width(function(value)) <= LIMITS[function]


@given(value=st.one_of(awkward, st.text(), st.none()))
def test_what_is_no_number_is_a_dash_and_not_an_error(value):
    assert isinstance(numbers.count(value), str)
    assert numbers.count("many") == "–"


@given(st.datetimes(timezones=st.timezones()), st.datetimes(timezones=st.timezones()))
def test_every_time_is_something_short(when, now):
    assert len(numbers.started(when, now, CET)) <= 5
    assert len(numbers.moment(when, now, CET)) <= 10


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_larger_count_never_reads_as_a_smaller_one(one, other):
    def read(text):
        unit = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1)
        return float(text.rstrip("kMG").replace(",", "")) * unit

    low, high = sorted((one, other))
    assert read(numbers.count(low)) <= read(numbers.count(high))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0, "run"), "0 runs"), ((1, "live run"), "1 live run"), ((48_213, "error"), "48,213 errors"),
        ((2, "batch"), "2 batches"), ((1, "batch"), "1 batch"), ((1, "kind", "1+"), "1+ kinds"),
        ((48_213, "run", "48.2k"), "48.2k runs"),
    ],
)  # fmt: skip
def test_a_number_of_things_has_its_plural(given: tuple[object, ...], text: str) -> None:
    assert numbers.number_of(*given) == text  # type: ignore[arg-type]


def test_no_other_module_makes_plurals() -> None:
    own = re.compile(r"""["']s?["'] if [^{}\n]*[!<>=]=? ?1 else""")
    paths = [path for path in Path(etlwatch.__file__).parent.rglob("*.py") if path.name != "numbers.py"]
    found = [path.name for path in paths if own.search(path.read_text("utf-8"))]
    assert found == ["administration.py"]  # the ending of a verb
