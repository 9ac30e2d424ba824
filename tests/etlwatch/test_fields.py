"""The lists of fields: what holds for each of them, and what derives from a field that leaves things out."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from etlwatch.fields.differences import DIFFERENCES
from etlwatch.fields.endpoints import ENDPOINTS
from etlwatch.fields.errors import ERRORS, GROUPS, KINDS
from etlwatch.fields.field import Field, FieldList, InCommand, Order, data_field, data_fields
from etlwatch.fields.jobs import JOBS
from etlwatch.fields.runs import RUNS
from etlwatch.text.display import DisplayContext

CONTEXT = DisplayContext(datetime(2026, 10, 26, tzinfo=UTC), ZoneInfo("Europe/Paris"))
LISTS = {
    "runs": RUNS, "jobs": JOBS, "kinds": KINDS, "errors": ERRORS, "groups": GROUPS, "endpoints": ENDPOINTS,
    "differences": DIFFERENCES,
}  # fmt: skip
WIDTHS = {"runs": (80, 120, 160), "jobs": (80, 120, 160), "kinds": (80, 120, 160), "groups": (80, 110, 160),
          "endpoints": (80, 140), "differences": (80, 120, 160)}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_no_two_fields_of_a_list_have_the_same_name(name: str) -> None:
    fields = LISTS[name].fields
    for names in (
        [field.key for field in fields],
        [field.data for field in fields if field.data],
        [word for field in fields for word in field.filter.split()],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize(("name", "width"), [(name, width) for name, widths in WIDTHS.items() for width in widths])
def test_every_layout_fits_the_narrowest_terminal_that_has_it(name: str, width: int) -> None:
    columns = LISTS[name].layout(width)
    assert 2 + sum(column.width + (column.gap if place else 0) for place, column in enumerate(columns)) <= width


def test_a_column_that_no_field_declares_is_an_error() -> None:
    with pytest.raises(KeyError):
        FieldList([data_field("job")], screen="jop")


class Row:
    name: Any = "Zoë"
    number = 1_234
    at = datetime(2026, 10, 25, 23, 30, tzinfo=UTC)
    nothing = None


def test_values_are_written_by_their_kind() -> None:
    fields: FieldList[Row] = FieldList(data_fields("name number at nothing"))
    assert fields.keys == ("name", "number", "at", "nothing")
    assert fields.data(Row()) == {
        "name": "Zoë", "number": 1_234, "at": "2026-10-25T23:30:00.000000+00:00", "nothing": None,
    }  # fmt: skip
    shown: FieldList[Row] = FieldList(
        [data_field(key, heading=key, command=InCommand(zoned=key == "at")) for key in fields.keys]
    )
    row = Row()
    columns = shown.columns([row], CONTEXT, without="name")
    assert [(column.heading, column.full(row)) for column in columns] == [
        ("number", "1,234"), ("at CET", "2026-10-26 00:30:00"), ("nothing", ""),
    ]  # fmt: skip


def test_what_is_unknown_stands_last_in_either_direction() -> None:
    known, other, unknown = Row(), Row(), Row()
    known.name, other.name, unknown.name = "b", "A", None
    fields: FieldList[Row] = FieldList(
        [Field(key="name", value=lambda row: row.name, cell=lambda _row, _context: (), width=5, ascending=True)],
        screen="name",
    )
    assert fields.sort([unknown, known, other], Order("name")) == [other, known, unknown]
    assert fields.sort([unknown, known, other], Order("name", inverted=True)) == [known, other, unknown]


def test_a_width_holds_for_all_wider_layouts() -> None:
    fields: FieldList[Row] = FieldList(
        [
            Field(key="a", heading=("short", "longer"), width=(5, 9), cell=lambda _row, _context: ()),
            Field(key="b", width=(0, 0, 0, 7), cell=lambda _row, _context: ()),
        ],
        screen="a b",
        layouts=(0, 100, 200, 300),
    )
    assert [[(column.header, column.width) for column in fields.layout(width)] for width in (99, 250, 300)] == [
        [("short", 5)], [("longer", 9)], [("longer", 9), ("", 7)],
    ]  # fmt: skip
