"""Text from a database cannot do anything to a terminal, and is cut by cells."""

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from etlwatch.text.safe import cell_width, clip, clip_middle, pad, safe

HOSTILE = [
    ("[/foo]", "[/foo]"),
    ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ("\x1b]0;title\x07", "␛]0;title␇"),
    ("\x1b[2Jgone", "␛[2Jgone"),
    ("\x9b31mred", "\\x9b31mred"),
    ("nul\x00tab\tcr\rbs\x08del\x7f", "nul␀tab␉cr␍bs␈del␡"),
    ("evil\u202egnp.exe", "evil‹U+202E›gnp.exe"),
    ("\u2066iso\u2069", "‹U+2066›iso‹U+2069›"),
    ("zero\u200bwidth\ufeff", "zero‹U+200B›width‹U+FEFF›"),
    ("line\u2028sep\u2029", "line‹U+2028›sep‹U+2029›"),
    ("soft\u00adhyphen", "soft‹U+00AD›hyphen"),
    ("filler\u3164\u115f", "filler‹U+3164›‹U+115F›"),
    ("tag\U000e0041", "tag‹U+E0041›"),
    ("👨\u200d👩\u200d👧", "👨‹U+200D›👩‹U+200D›👧"),
    ("⚠\ufe0f retry", "⚠ retry"),
    ("lone\ud800half", "lone\ufffdhalf"),
    ("byte\udcff", "byte\\xff"),
    ("a\nb\r\nc", "a␤b␤c"),
    ("\u0301lonely", "\u25cc\u0301lonely"),
    ("日本語ジョブ", "日本語ジョブ"),
    ("caf\u00e9 e\u0301", "caf\u00e9 e\u0301"),
]


@pytest.mark.parametrize(("raw", "shown"), HOSTILE)
def test_hidden_characters_are_made_visible(raw, shown):
    assert safe(raw) == shown


@pytest.mark.parametrize(("raw", "shown"), HOSTILE)
def test_safe_text_stays_as_it_is(raw, shown):
    assert safe(safe(raw)) == safe(raw)


def test_newlines_are_kept_where_they_are_asked_for():
    assert safe("a\nb\r\nc\rd", newline=True) == "a\nb\nc␍d"


def test_bytes_none_and_other_objects_are_shown():
    assert safe(b"ok \xff\xfe") == "ok \\xff\\xfe"
    assert safe(None) == ""
    assert safe(42) == "42"


def test_marks_piled_on_one_letter_are_spelled_out():
    assert safe("a" + "\u0301" * 5) == "a\u0301\u0301\u0301‹U+0301›‹U+0301›"


anything = st.text(alphabet=st.characters(), max_size=40)


@given(anything, st.booleans())
def test_nothing_dangerous_survives(raw, newline):
    shown = safe(raw, newline=newline)
    for character in shown:
        if newline and character == "\n":
            continue
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert safe(shown, newline=newline) == shown
    shown.encode("utf-8")


@given(anything, st.integers(-1, 50))
def test_clip_never_exceeds_its_width(raw, width):
    text = safe(raw)
    assert cell_width(clip(text, width)) <= max(0, width)


@given(anything, st.integers(0, 50), st.sampled_from(["left", "right", "center"]))
def test_pad_is_exactly_its_width(raw, width, align):
    assert cell_width(pad(safe(raw), width, align)) == width


@given(anything)
def test_width_is_the_one_the_compositor_measures(raw):
    assert cell_width(safe(raw)) == cell_len(safe(raw))


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("crm_contacts_sync", 17, "crm_contacts_sync"),
        ("crm_contacts_sync", 8, "crm_con…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("🎉🎉", 3, "🎉…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_clip_keeps_letters_whole(text, width, shown):
    assert clip(text, width) == shown


def test_pad_aligns_by_cells():
    assert pad("日本", 6, "right") == "  日本"
    assert pad("日本語", 4) == "日… "
    assert pad("ab", 5, "center") == " ab  "


def test_clip_in_ascii_uses_its_own_ellipsis():
    assert clip("crm_contacts_sync", 8, ellipsis="~") == "crm_con~"


def test_headless_callers_do_not_load_textual():
    code = "import etlwatch.text.safe, sys; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("/api/v2/contacts/{id}/messages", 20, "/api/v2/c…}/messages"),
        ("/api/v2/contacts/{id}/messages", 30, "/api/v2/contacts/{id}/messages"),
        ("/会社/一覧/詳細/検索", 12, "/会社…/検索"),
        ("/contacts", 5, "/con…"),
    ],
)
def test_a_text_cut_in_its_middle_keeps_both_ends(text: str, width: int, shown: str) -> None:
    assert clip_middle(text, width) == shown
    assert cell_width(shown) <= width
