"""Tracebacks in three inks."""

from __future__ import annotations

from etlwatch.rendering.run.errors import traceback_lines
from etlwatch.text.spans import plain_text

PLAIN = """Traceback (most recent call last):
  File "load.py", line 88, in load
    row = parse(line)
          ~~~~~^^^^^^
  File "parse.py", line 9, in parse
    raise ValueError("no date:\\n  0000-00-00")
ValueError: no date:
  0000-00-00
"""


def roles_of(traceback: str) -> list[str]:
    return [line[0][1] for line in traceback_lines(traceback)]


def test_where_recedes_the_code_is_text_and_what_was_raised_is_red() -> None:
    assert roles_of(PLAIN) == ["dim", "dim", "text", "dim", "dim", "text", "red bold", "red"]


def test_of_a_chain_only_the_last_exception_is_red() -> None:
    chain = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in a\n    b()\nKeyError: 1\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "c.py", line 2, in c\n    d()\nRuntimeError: 2'
    )
    lines = traceback_lines(chain)
    assert [plain_text(line) for line in lines if "red" in line[0][1]] == [" RuntimeError: 2"]


def test_what_is_no_traceback_is_shown_as_it_is_with_its_last_line_red() -> None:
    assert roles_of("one\ntwo") == ["text", "red bold"]
    assert roles_of("") == ["red bold"]


def test_markup_and_escape_sequences_are_shown_and_mean_nothing() -> None:
    (line,) = traceback_lines("[red]x[/red] \x1b[31mboo")
    assert plain_text(line) == " [red]x[/red] ␛[31mboo"
