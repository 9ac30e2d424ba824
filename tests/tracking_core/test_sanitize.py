"""Values made safe at the door: what a database cannot hold is changed and marked, and nothing raises (P11)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking_core.sanitize import KEY_BYTES, TEXT_BYTES, clean_key, clean_tags, clean_text, whole_number


def test_ordinary_text_is_left_alone() -> None:
    assert clean_text("Grüße, 世界 \n\t🙂") == "Grüße, 世界 \n\t🙂"


def test_nul_and_lone_surrogates_are_replaced_one_by_one() -> None:
    assert clean_text("a\0b\0") == "a\ufffdb\ufffd"
    assert clean_text("a\ud800b\udfffc") == "a\ufffdb\ufffdc"


def test_surrogates_that_make_a_pair_become_their_character() -> None:
    assert clean_text("\ud83d\ude42") == "🙂"


@pytest.mark.parametrize("letter", ["x", "é", "🙂", "\ud800"])
def test_long_text_keeps_head_and_tail_around_a_mark(letter: str) -> None:
    shortened = clean_text("HEAD" + letter * 10_000_000 + "TAIL")
    assert shortened.startswith("HEAD")
    assert shortened.endswith("TAIL")
    assert "bytes left out" in shortened
    assert TEXT_BYTES - 16 <= len(shortened.encode()) <= TEXT_BYTES


def test_text_of_exactly_the_limit_is_whole() -> None:
    assert clean_text("é" * (TEXT_BYTES // 2)) == "é" * (TEXT_BYTES // 2)


def test_a_key_is_short_enough_for_an_index() -> None:
    assert len(clean_key("/contacts/" * 1000).encode()) <= KEY_BYTES


@given(st.text(st.characters(), max_size=200))
def test_clean_text_always_fits_utf8_and_holds_no_nul(text: str) -> None:
    clean = clean_text(text)
    assert "\0" not in clean
    clean.encode("utf-8")


def test_tags_are_clean_in_name_and_value() -> None:
    assert clean_tags({"a\0": "b\udc00"}) == {"a\ufffd": "b\ufffd"}


@pytest.mark.parametrize(
    ("value", "number", "change"),
    [
        (7, 7, ""),
        (0, 0, ""),
        (99, 99, ""),
        (12.4, 12, ""),
        (12.6, 13, ""),
        (-1, 0, "was -1, stored as 0"),
        (100, 99, "was 100, stored as 99"),
        (2**63, 99, "was 9.22337e+18, stored as 99"),
        (10**400, 99, "was inf, stored as 99"),
        (-(10**400), 0, "was -inf, stored as 0"),
        (math.inf, 99, "was inf, stored as 99"),
        (-math.inf, 0, "was -inf, stored as 0"),
        (math.nan, 0, "was nan, stored as 0"),
        (99.6, 99, "was 99.6, stored as 99"),
    ],
)
def test_a_number_is_brought_into_range_and_says_so(value: float, number: int, change: str) -> None:
    assert whole_number(value, 0, 99) == (number, change)
