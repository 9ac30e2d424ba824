"""Tables of plain text: in full where there is room, fitted where there is none."""

import io
from collections.abc import Sequence

import pytest

from etlwatch.cli.output import table
from etlwatch.cli.terminal import Look, look_of
from etlwatch.text.display import ASCII, Tone
from etlwatch.text.safe import cell_width
from etlwatch.text.spans import TextColumn

Pair = tuple[str, str]
PIPE = Look()


def pair_columns() -> Sequence[TextColumn[Pair]]:
    return [
        TextColumn(heading="name", full=lambda row: row[0], brief=lambda row: row[0][:4]),
        TextColumn(heading="note", full=lambda row: row[1], shrinks_to=6),
    ]


def lines(rows: Sequence[Pair], look: Look) -> list[str]:
    return list(table(pair_columns(), rows, look))


def test_a_table_in_a_pipe_is_as_wide_as_its_text() -> None:
    note = "x" * 500
    assert lines([("a", note)], PIPE) == ["name  note", f"a     {note}"]


def test_one_endless_name_in_a_pipe_does_not_make_every_line_endless() -> None:
    shown = lines([("a" * 5000, "note"), ("b", "note")], PIPE)
    assert shown[1] == "a" * 5000 + "  note"
    assert len(shown[2]) < 100


def test_no_rows_make_no_table() -> None:
    assert lines([], PIPE) == []


def test_a_column_without_any_text_is_left_out() -> None:
    assert lines([("a", ""), ("b", "")], PIPE) == ["name", "a", "b"]


def test_numbers_stand_right_under_their_heading() -> None:
    columns: list[TextColumn[int]] = [TextColumn(heading="count", full=str, right=True)]
    assert list(table(columns, [7, 1234567], PIPE)) == ["  count", "      7", "1234567"]


@pytest.mark.parametrize("width", range(20, 120))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = [("a-name-of-some-length", "日本語のノート" * 9), ("b", "e\u0301" * 80)]
    assert all(cell_width(line) <= width for line in lines(rows, Look(width=width)))


def test_a_table_that_does_not_fit_is_written_in_brief_and_its_elastic_column_cut() -> None:
    shown = lines([("abcdefgh", "a note that is too long for it")], Look(width=24))
    assert shown == ["name  note", "abcd  a note that is to…"]


def test_columns_leave_in_their_order_until_the_rest_fits() -> None:
    columns: list[TextColumn[str]] = [
        TextColumn(heading="kept", full=lambda _row: "k" * 10),
        TextColumn(heading="second", full=lambda _row: "s" * 10, leaves=1),
        TextColumn(heading="first", full=lambda _row: "f" * 10, leaves=2),
    ]
    assert next(iter(table(columns, ["row"], Look(width=34)))).split() == ["kept", "second", "first"]
    assert next(iter(table(columns, ["row"], Look(width=33)))).split() == ["kept", "second"]
    assert next(iter(table(columns, ["row"], Look(width=21)))).split() == ["kept"]
    assert list(table(columns, ["row"], Look(width=34)))[2:] == []
    assert list(table(columns, ["row"], Look(width=33)))[2:] == ["no room for: first"]
    assert list(table(columns, ["row"], Look(width=21)))[2:] == ["no room for: second,…"]


@pytest.mark.parametrize(("given", "width"), [("60", 60), ("5", 20), ("0", None), ("wide", None), ("", None)])
def test_a_pipe_is_as_wide_as_columns_asks_for(given: str, width: int | None) -> None:
    look = look_of(io.StringIO(), {"COLUMNS": given})
    assert look.width == width
    assert not look.is_terminal
    assert not look.colour


def test_text_that_could_act_on_a_terminal_is_made_visible() -> None:
    shown = "\n".join(lines([("\x1b[31m", "\x1b]0;title\x07 \u202eabc \x9b2J [/foo]\nnext")], PIPE))
    assert not any(character in shown for character in "\x1b\x07\x9b\u202e")
    assert shown.count("\n") == 1
    assert "[/foo]" in shown


def test_colour_is_only_where_it_is_wanted() -> None:
    def alarm(_row: str) -> Tone:
        return "red"

    columns: list[TextColumn[str]] = [TextColumn(heading="state", full=str, tone=alarm)]
    assert "\x1b[" not in "".join(table(columns, ["failed"], Look(width=80)))
    assert list(table(columns, ["failed"], Look(width=80, colour=True)))[1] == "\x1b[91mfailed\x1b[0m"


def test_a_locale_without_the_letters_gets_ascii() -> None:
    shown = "\n".join(lines([("Ünïcode", "日本 – …")], Look(width=40, glyphs=ASCII)))
    assert shown.isascii()
