"""The formats: exact data that no terminal can be harmed by."""

import csv
import io
import json

import pytest

from etlwatch.cli import output
from etlwatch.cli.options import Format

HOSTILE = (
    "[/foo] [@click=app.quit] \x1b]0;owned\x07 \x1b[2J \x9b31m "
    "\u202edrow\u202c \u200b \x7f \x00 \ud800 line\nnext é 日本 🎉"
)
RAW = "\x1b\x07\x9b\u202e\u202c\u200b\x7f\x00"


def write(form: Format, capsys: pytest.CaptureFixture[str]) -> str:
    rows = [{"note": HOSTILE, "tags": {"a": HOSTILE}, "on": True, "none": None}]
    output.write_rows(form, rows, fields=("note", "tags", "on", "none"))
    return capsys.readouterr().out


@pytest.mark.parametrize("form", [Format.JSON, Format.JSONL, Format.CSV])
def test_no_format_sends_control_or_direction_characters(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    written = write(form, capsys)
    assert not any(character in written for character in RAW)
    assert "[/foo] [@click=app.quit]" in written
    assert "é 日本 🎉" in written


@pytest.mark.parametrize("form", [Format.JSON, Format.JSONL])
def test_json_gives_back_exactly_what_was_stored(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(write(form, capsys))
    row = value[0] if form is Format.JSON else value
    assert row == {"note": HOSTILE, "tags": {"a": HOSTILE}, "on": True, "none": None}


def test_csv_keeps_lines_inside_a_cell_and_reads_back_as_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(write(Format.CSV, capsys))))
    assert len(rows) == 1
    assert rows[0]["note"].count("\n") == 1
    assert rows[0]["on"] == "true"
    assert rows[0]["none"] == ""


def test_jsonl_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_rows(Format.JSONL, [{"a": "x\ny"}, {"a": "z"}], fields=("a",))
    assert [json.loads(line)["a"] for line in capsys.readouterr().out.splitlines()] == ["x\ny", "z"]


@pytest.mark.parametrize(("form", "written"), [(Format.JSON, "[]\n"), (Format.JSONL, ""), (Format.CSV, "a,b\n")])
def test_nothing_found_is_still_valid_data(form: Format, written: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.write_rows(form, [], fields=("a", "b"))
    assert capsys.readouterr().out == written


def test_a_json_list_of_several_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"n": number} for number in range(3)]
    output.write_rows(Format.JSON, rows, fields=("n",))
    assert json.loads(capsys.readouterr().out) == rows


def test_json_is_ascii_where_the_stream_can_write_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.write_object(Format.JSONL, {"note": HOSTILE})
    assert json.loads(raw.getvalue().decode("ascii")) == {"note": HOSTILE}
