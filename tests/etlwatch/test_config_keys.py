"""Names of keys: a person's, Textual's, the footer's."""

import string

import pytest
from textual.keys import _character_to_key

from etlwatch.config.options import InvalidValue, parse_key, shown_key


@pytest.mark.parametrize("character", string.ascii_letters + string.digits + string.punctuation + " é§ß")
def test_a_character_is_called_as_textual_calls_it(character: str) -> None:
    assert parse_key(character) == _character_to_key(character)


@pytest.mark.parametrize("character", string.ascii_letters + string.digits + string.punctuation)
def test_a_character_is_shown_as_itself(character: str) -> None:
    assert shown_key(parse_key(character)) == character


@pytest.mark.parametrize(
    ("typed", "key", "shown"),
    [
        ("esc", "escape", "esc"),
        ("Escape", "escape", "esc"),
        ("return", "enter", "enter"),
        ("PgDn", "pagedown", "pgdn"),
        ("page_up", "pageup", "pgup"),
        ("F5", "f5", "f5"),
        ("up", "up", "↑"),
        ("question_mark", "question_mark", "?"),
        ("shift+g", "G", "G"),
        ("shift+tab", "shift+tab", "shift+tab"),
        ("ctrl+P", "ctrl+p", "ctrl+p"),
        ("Control+p", "ctrl+p", "ctrl+p"),
        ("alt+ctrl+p", "ctrl+alt+p", "ctrl+alt+p"),
        ("alt+/", "alt+slash", "alt+/"),
        ("ctrl++", "ctrl+plus", "ctrl++"),
        ("ctrl+space", "ctrl+space", "ctrl+space"),
    ],
)
def test_one_key_has_one_name_however_it_is_written(typed: str, key: str, shown: str) -> None:
    assert (parse_key(typed), shown_key(key)) == (key, shown)


@pytest.mark.parametrize(
    "typed", ["", "+x+", "ctrl+", "hyper+x", "f99", "\x1b", "ctrl+alt", "spacee", "ctrl+upp", "a b"]
)
def test_what_is_no_key_is_refused(typed: str) -> None:
    with pytest.raises(InvalidValue):
        parse_key(typed)
