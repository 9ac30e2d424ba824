"""Both sets of glyphs draw the same things in the same cells."""

from dataclasses import fields

import pytest

from etlwatch.commands import GROUPS
from etlwatch.text.display import ASCII, UNICODE, glyphs_for
from etlwatch.text.safe import cell_width
from etlwatch.text.spans import fit, join, merge, plain_text


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=lambda glyphs: glyphs.name)
def test_every_glyph_is_one_cell(glyphs):
    for field in fields(glyphs):
        value = getattr(glyphs, field.name)
        shown = value.values() if field.name == "states" else value if field.name in ("patterns", "blocks") else [value]
        if field.name != "name":
            assert [cell_width(glyph) for glyph in shown] == [1] * len(list(shown)), field.name


def test_the_sets_know_the_same_states():
    assert UNICODE.states.keys() == ASCII.states.keys()
    assert "".join(UNICODE.state(word) for word in ("running", "slow", "stalled", "lost", "failed")) == "●▲║?×"
    assert "".join(ASCII.state(word) for word in ("terminated", "abandoned", "completed", "invented")) == "#o+?"


def test_the_keys_of_all_commands_have_an_ascii_form():
    keys = {key for group in GROUPS.values() for command in group for key in command.shown.split()}
    assert {key for key in keys if "?" in ASCII.text(key)} == {"?"}


def test_our_own_words_have_an_ascii_form_of_the_same_width():
    words = "1.8× p95 · 03:40–03:55 ‹ runs … ▌ state ↓ ░ expected"
    assert ASCII.text(words) == "1.8x p95 . 03:40-03:55 < runs ~ > state v : expected"
    assert UNICODE.text(words) == words
    assert ASCII.text("café 日本") == "cafe ????"


def test_the_set_follows_the_setting():
    assert glyphs_for(ascii_only=True) is ASCII
    assert glyphs_for(ascii_only=False) is UNICODE


def test_spans_are_cut_across_their_boundaries():
    spans = (("━━━━", "plain"), ("│", "faint"), ("日本", "text"))
    assert plain_text(fit(spans, 9)) == "━━━━│日本"
    assert plain_text(fit(spans, 8)) == "━━━━│日…"
    assert plain_text(fit(spans, 7)) == "━━━━│… "
    assert plain_text(fit(spans, 5)) == "━━━━…"
    assert plain_text(fit(spans, 4)) == "━━━…"
    assert plain_text(fit(spans, 11, "right")) == "  ━━━━│日本"
    assert plain_text(fit((("ab", "text"),), 5, "center")) == " ab  "


def test_spans_are_joined_and_merged():
    assert join([(("a", "dim"),), (), (("b", "dim"),)]) == (("a", "dim"), ("  ", "plain"), ("b", "dim"))
    assert merge([("a", "dim"), ("", "red"), ("b", "dim")]) == (("ab", "dim"),)
