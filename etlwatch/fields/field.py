"""A field: one fact about the rows of a list, declared once. And a list of fields, with all that derives from it.

From the fields of a list derive the columns of its table in the dashboard, its orders and its filters, the table of
its command, and the keys of JSON and CSV.

    REQUESTS = Field(
        key="req", heading="req", width=(0, 0, 5), align="right", cell=lambda row, _: text(count(row.run.requests)),
        value=lambda row: row.run.requests, filter="req requests", parse=parse_number, data="requests",
        command=exact_number(lambda row: row.run.requests, leaves=4),
    )
    RUNS = FieldList([REQUESTS, ...], screen="state job … req …", command="run state job … req …")
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar

from etlwatch.analysis.filter import Filter, FilterField, Grammar
from etlwatch.text.display import DisplayContext, Glyphs, Tone
from etlwatch.text.numbers import count, exact, local_time, zone_names
from etlwatch.text.safe import Align
from etlwatch.text.spans import KEEP, Column, Spans, TextColumn, plain_text, widened
from tracking_core.dataclass import dataclass

NEED: Final = "state"
"""The name of the order of need; the runs have a column of that name."""

_PLAIN: Final = (str, int, float, bool)
MARGIN_KEPT: Final = 1
"""Cells of the right margin that a long name leaves."""

Row = TypeVar("Row")

PerLayout: TypeAlias = int | tuple[int, ...]
"""One number for all layouts of a list, or one for each, the narrowest first; the last one is for all that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InCommand(Generic[Row]):
    """How a command's table shows a field."""

    heading: str | None = None
    """None: the field's own."""

    text: Callable[[Row, DisplayContext], str] | None = None
    """None: the text of the field's cell, and without one its value."""

    brief: Callable[[Row, DisplayContext], str] | None = None
    """A shorter text for a table that does not fit. None: the field's brief cell, else the same text."""

    zoned: bool = False
    """Whether the values are moments whose zone the heading names."""

    tone: Callable[[Row], Tone] | None = None
    shrinks_to: int | None = None
    leaves: int = KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Generic[Row]):
    """One fact about the rows of a list; what is left out is not shown or done there."""

    key: str
    value: Callable[[Row], Any] | None = None
    """What rows are ordered by and filters compare; None where it is not known."""

    heading: str | tuple[str, ...] = ""

    cell: Callable[[Row, DisplayContext], Spans] | None = None
    """In the dashboard's table."""

    brief_cell: Callable[[Row, DisplayContext], Spans] | None = None
    """In its narrowest layout, where that differs."""

    width: PerLayout = 0
    """Cells; 0 where the layout does not have the column."""

    gap: PerLayout = 2
    grow: PerLayout = 0
    """The column's share of the cells that a wider terminal leaves."""

    least: PerLayout = 0
    """Cells that the column keeps when a job's long name needs room; 0 where it gives none."""

    align: Align = "left"
    cut_middle: bool = False
    """Whether a text that is too wide for the dashboard keeps its beginning and its end."""

    ascending: bool = False
    """Whether the smallest comes first when rows are ordered by it."""

    filter: str = ""
    """The names under which filters accept it, the first one for messages."""

    parse: Callable[[str], float] | None = None
    """How a filter reads a number; None for a field that holds text."""

    filtered: Callable[[Row], Any] | None = None
    """What a filter compares, where that is not the value."""

    searched: bool = False
    """Whether words without a field are looked for in its value."""

    command: InCommand[Row] | None = None
    data: str = ""
    """Its key in JSON and CSV."""

    data_value: Callable[[Row], object] | None = None
    """What stands there, where that is not the value."""

    @property
    def ordered(self) -> bool:
        """Whether rows of the dashboard's table can be ordered by it."""
        return self.cell is not None and self.value is not None and self.key != NEED


@dataclass(frozen=True, slots=True)
class Order:
    """A column and a direction."""

    column: str = NEED
    inverted: bool = False


class FieldList(Generic[Row]):
    """The fields of a list in the order of its JSON keys, and what derives from them."""

    def __init__(
        self,
        fields: Sequence[Field[Row]],
        *,
        screen: str = "",
        command: str = "",
        layouts: tuple[int, ...] = (0, 120, 160),
        margin: PerLayout = 0,
        need: Callable[[Row], Any] | None = None,
        states: tuple[str, ...] = (),
        states_of: Callable[[Row], Collection[str]] = lambda _row: (),
        begun: Callable[[Row], datetime] | None = None,
        has_endpoints: bool = False,
        listed: str = "",
    ) -> None:
        """Take the fields, and the keys of the columns on the screen and in the command, by default as listed.

        `layouts` are the widths of a terminal from which on each layout is used, `margin` the empty cells at its right
        edge, `need` the sort key of the rows that need somebody first; the rest is as in `Grammar`.
        """
        by_key = {field.key: field for field in fields}
        self.fields = tuple(fields)
        self._screen = [by_key[key] for key in screen.split()]
        self._command = [by_key[key] for key in command.split()] or [f for f in fields if f.command is not None]
        self._data = [(f.data, f.data_value or _read(f), f.data_value is not None) for f in fields if f.data]
        self._layouts, self._margin, self._need = layouts, margin, need
        self._ordered = {field.key: field for field in self._screen if field.ordered}
        self.grammar: Grammar[Row] = Grammar(
            fields=tuple(
                FilterField(names=tuple(f.filter.split()), read=f.filtered or _read(f), parse=f.parse)
                for f in fields
                if f.filter
            ),
            searched=tuple(_read(field) for field in fields if field.searched),
            states=states,
            states_of=states_of,
            begun=begun,
            has_endpoints=has_endpoints,
            listed=listed,
        )

    # -- the dashboard's table

    def layout(self, width: int, *, longest_job: int = 0) -> tuple[Column, ...]:
        """Return the columns for a terminal of `width` cells.

        A job's name of up to `longest_job` cells takes what the margin and columns with a `least` width can spare.
        """
        place = self._place(width)
        shown = [field for field in self._screen if _at(field.width, place)]
        columns = [
            Column(
                key=field.key,
                header=_at(field.heading, place),
                width=_at(field.width, place),
                align=field.align,
                gap=_at(field.gap, place),
                grow=_at(field.grow, place),
                sortable=field.ordered or field.key == NEED,
                cut_middle=field.cut_middle,
            )
            for field in shown
        ]
        if margin := _at(self._margin, place):
            columns.append(Column(key="margin", width=margin, gap=0, sortable=False))
        spare = {"margin": MARGIN_KEPT} | {f.key: least for f in shown if (least := _at(f.least, place))}
        return widened(columns, "job", longest_job, spare) if longest_job else tuple(columns)

    def is_narrow(self, width: int) -> bool:
        """Whether a terminal of `width` cells has the narrowest layout."""
        return self._place(width) == 0

    def _place(self, width: int) -> int:
        return max(index for index, least in enumerate(self._layouts) if width >= least)

    def cells(self, row: Row, context: DisplayContext, *, brief: bool = False) -> dict[str, Spans]:
        """Return all cells of a row by column key; the brief ones for the narrowest layout."""
        return {
            field.key: (field.brief_cell if brief and field.brief_cell is not None else field.cell)(row, context)
            for field in self._screen
            if field.cell is not None
        }

    # -- the order

    @property
    def orders(self) -> tuple[str, ...]:
        """Everything that rows can be ordered by."""
        return (NEED, *self._ordered)

    def descending(self, order: Order) -> bool:
        """Say whether the arrow points down: worst first, greatest first, newest first."""
        natural = True if order.column == NEED else not self._ordered[order.column].ascending
        return natural != order.inverted

    def arrow(self, order: Order) -> tuple[str, bool]:
        """Return what a table's header shows of an order: the column and whether the arrow points down."""
        return order.column, self.descending(order)

    def order_text(self, order: Order, glyphs: Glyphs) -> str:
        """Return an order as a screen names it: `by p95 ↓`."""
        field = self._ordered.get(order.column)
        heading = _at(field.heading, len(self._layouts)) if field else ""
        return f"by {heading or order.column} {glyphs.descending if self.descending(order) else glyphs.ascending}"

    def next(self, order: Order, step: int, visible: Sequence[str]) -> Order:
        """Return the order by the next visible column to the right (`step` 1) or left (-1), in its own direction."""
        columns = [column for column in visible if column in self.orders]
        if NEED not in columns:
            columns.insert(0, NEED)
        index = (columns.index(order.column) + step) % len(columns) if order.column in columns else 0
        return Order(columns[index])

    def sort(self, rows: Iterable[Row], order: Order | None = None) -> list[Row]:
        """Return the rows in this order, by default in that of need.

        What is unknown stands last in either direction, and ties keep the order of need, so that rows do not move.
        """
        order = order or Order()
        by_need = sorted(rows, key=self._need) if self._need is not None else list(rows)
        if order.column == NEED:
            return by_need[::-1] if order.inverted else by_need
        read = _read(self._ordered[order.column])
        keyed = [(value.casefold() if isinstance(value := read(row), str) else value, row) for row in by_need]
        known = [pair for pair in keyed if pair[0] is not None]
        known.sort(key=lambda pair: pair[0], reverse=self.descending(order))
        return [row for _, row in known] + [row for value, row in keyed if value is None]

    # -- filters

    def filter(self, text: str, zone: tzinfo | None = None) -> Filter[Row]:
        """Return the filter that a line of text means; FilterError with the correction where it means none."""
        return self.grammar.parse(text, zone)

    # -- commands

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of JSON, which are the columns of CSV."""
        return tuple(key for key, _, _ in self._data)

    def data(self, row: Row) -> dict[str, object]:
        """Return a row as JSON has it."""
        return {key: read(row) if exact else _as_data(read(row)) for key, read, exact in self._data}

    def columns(self, rows: Collection[Row], context: DisplayContext, *, without: str = "") -> list[TextColumn[Row]]:
        """Return the columns of a command's table of these rows, without those of some keys."""
        left_out = without.split()
        return [_text_column(field, rows, context) for field in self._command if field.key not in left_out]


def data_field(key: str, value: Callable[[Row], Any] | None = None, **more: Any) -> Field[Row]:
    """Return a field whose key in JSON is its own; its value is by default the row's attribute of that name."""
    return Field(key=key, data=key, value=value or attrgetter(key), **more)


def data_fields(keys: str, within: str = "") -> list[Field[Row]]:
    """Return fields that stand in JSON alone: attributes of the row, or of the record that it has `within` it."""
    prefix = f"{within}." if within else ""
    return [data_field(key, attrgetter(prefix + key)) for key in keys.split()]


def exact_number(
    read: Callable[[Row], int | None],
    *,
    heading: str | None = None,
    tone: Callable[[Row], Tone] | None = None,
    leaves: int = KEEP,
    blank_zero: bool = False,
) -> InCommand[Row]:
    """Return how a command shows a number: with every digit, and in brief as the dashboard does."""
    return InCommand(
        heading=heading,
        text=lambda row, _context: exact(read(row)),
        brief=lambda row, _context: count(read(row), blank_zero=blank_zero),
        tone=tone,
        leaves=leaves,
    )


def text(words: str, role: str = "plain") -> Spans:
    """Return a cell of one text."""
    return ((words, role),) if words else ()


def iso_time(value: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC with its offset, to the microsecond."""
    return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")


def rounded(value: float | None, digits: int) -> float | None:
    """Return a number with so many decimals; None stays None."""
    return None if value is None else round(value, digits)


def _at(values: Any, place: int) -> Any:
    return values[min(place, len(values) - 1)] if isinstance(values, tuple) else values


def _read(field: Field[Row]) -> Callable[[Row], Any]:
    if field.value is None:
        raise TypeError(f"the field {field.key} has no value")
    return field.value


def _as_data(value: object) -> object:
    """Return a value as JSON has it: moments in ISO 8601, words as plain text, an absent one as None."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, datetime):
        return iso_time(value)
    if isinstance(value, str):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


def _text_column(field: Field[Row], rows: Collection[Row], context: DisplayContext) -> TextColumn[Row]:
    shown = field.command or InCommand()
    heading = shown.heading if shown.heading is not None else str(field.heading)
    if shown.zoned:
        heading = f"{heading} {zone_names(map(_read(field), rows), context.zone)}".rstrip()

    def full(row: Row) -> str:
        if shown.text is not None:
            return shown.text(row, context)
        return plain_text(field.cell(row, context)) if field.cell is not None else _written(_read(field)(row), context)

    def brief(row: Row) -> str:
        if shown.brief is not None:
            return shown.brief(row, context)
        return plain_text(field.brief_cell(row, context)) if field.brief_cell is not None else full(row)

    return TextColumn(
        heading=heading,
        full=full,
        brief=brief,
        right=field.align == "right",
        tone=shown.tone or (lambda _row: ""),
        shrinks_to=shown.shrinks_to,
        leaves=shown.leaves,
    )


def _written(value: object, context: DisplayContext) -> str:
    if isinstance(value, datetime):
        return local_time(value, context.zone)
    if isinstance(value, int) and not isinstance(value, bool):
        return exact(value)
    return "" if value is None else str(value)
