"""The home screen as lines, drawn before its widgets are loaded: without an answer of the store, then with one.

A test compares it with `etlwatch.tui.screens.home`, so that nothing moves when the widgets take over. What only an
answer needs is imported with the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from etlwatch.analysis.series import Window
from etlwatch.commands import APP_COMMANDS, GROUPS, footer_of, remapped
from etlwatch.config.settings import Settings
from etlwatch.fields.field import Order
from etlwatch.fields.runs import RUNS
from etlwatch.rendering.header import Freshness, bundle_parts, freshness_parts, name_parts, tracking_part
from etlwatch.rendering.lines import Part, Row, cursor_spans, footer_line, header_spans, lay_out, row_spans, rule_line
from etlwatch.text.display import Glyphs, glyphs_for
from etlwatch.text.spans import SPARK_LINES, Column, HomeLayout, Placed, Spans, fit, home_layout, in_glyphs, placed
from etlwatch.tui.colours import palette
from tracking_core.dataclass import dataclass

if TYPE_CHECKING:
    from etlwatch.analysis.run_rows import RunRow
    from etlwatch.analysis.snapshot import Snapshot
    from etlwatch.text.display import DisplayContext

Line: TypeAlias = tuple[Spans, str]
"""A line of the screen, and its ground."""

TableLines: TypeAlias = Callable[[tuple[Placed, ...], int], list[Line]]
"""Takes the placed columns and how many lines there are below the header."""

GROUND, BAR = "background", "bar"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFrame:
    """The home screen of one terminal, drawn without widgets."""

    settings: Settings
    label: str
    """The store's name."""

    theme: str
    window: Window
    width: int
    height: int

    @property
    def layout(self) -> HomeLayout:
        """The layout for this size."""
        return home_layout(self.width, self.height, low_bandwidth=self.settings.low_bandwidth)

    @property
    def glyphs(self) -> Glyphs:
        """The glyphs of the settings."""
        return glyphs_for(ascii_only=self.settings.ascii_only)

    def connecting(self, now: datetime) -> list[Line]:
        """Return the screen without an answer; `now` is this machine's clock."""
        return self._screen(
            left=(),
            right=self._freshness(None, now),
            second=((" connecting…", "dim"),),
            charts=None,
            columns=RUNS.layout(self.width),
            table=lambda _places, _room: [((("  ", "plain"), ("connecting…", "dim")), GROUND)],
            sort=None,
            title=(),
            pane=(),
        )

    def with_runs(self, snapshot: Snapshot) -> list[Line]:
        """Return the screen with the runs of a snapshot."""
        from etlwatch.analysis.run_rows import build_rows
        from etlwatch.rendering.header import count_states, fleet_line, no_runs_text, state_parts
        from etlwatch.rendering.panes import pane_lines, pane_title
        from etlwatch.text.display import DisplayContext
        from etlwatch.text.safe import cell_width, safe

        now, zone = snapshot.at, self.settings.zone
        nothing = no_runs_text(demo=self.settings.demo)
        rows = build_rows(snapshot)
        columns = RUNS.layout(self.width, longest_job=max((cell_width(safe(row.run.job)) for row in rows), default=0))
        listed = RUNS.sort(rows)
        context = DisplayContext(now, zone, self.glyphs)
        counts = count_states(rows, now=now, window_s=self.window.seconds)
        left = state_parts(counts, brief=self.layout.brief, width=self.width, window=self.window.name)
        return self._screen(
            left=left,
            right=[tracking_part(snapshot.switches, brief=self.width < 110), *self._freshness(snapshot, now)],
            second=fleet_line(listed, snapshot, zone=zone, width=self.width, glyphs=self.glyphs),
            charts=snapshot,
            columns=columns,
            table=lambda places, room: (
                self._rows(listed, places, room, context) if listed else [((("  ", "plain"), (nothing, "dim")), GROUND)]
            ),
            sort=RUNS.arrow(Order()),
            title=pane_title(listed[0], context, width=self.width) if listed else (),
            pane=pane_lines(listed[0], context, width=self.width) if listed else (),
        )

    def _screen(
        self,
        *,
        left: Sequence[Part],
        right: Sequence[Part],
        second: Spans,
        charts: Snapshot | None,
        columns: Sequence[Column],
        table: TableLines,
        sort: tuple[str, bool] | None,
        title: Spans,
        pane: Sequence[Spans],
    ) -> list[Line]:
        """Put the parts on top of each other, each line of the screen filled."""
        layout, width, glyphs = self.layout, self.width, self.glyphs
        names = name_parts(self.label, self.settings.colour, brief=width < 110)
        top: list[Line] = [(lay_out([*names, *left], right, width, ellipsis=glyphs.ellipsis), BAR)]
        if layout.headline:
            top.append((second, GROUND))
        drawn = self._charts(charts)
        top += [((), GROUND)] * layout.spaced + [(line, GROUND) for line in drawn] + [((), GROUND)] * layout.spaced
        below: list[Line] = []
        if layout.pane_lines:
            below.append((rule_line(title, width, line=glyphs.usual, ellipsis=glyphs.ellipsis), GROUND))
            below += [(line, GROUND) for line in [*pane, *([()] * layout.pane_lines)][: layout.pane_lines]]
        keys = footer_of(
            remapped((*GROUPS["home"], *APP_COMMANDS), self.settings.keymap),
            {"home.window": f"window {self.window.name}"},
        )
        below.append((footer_line(keys, width, ellipsis=glyphs.ellipsis), BAR))
        room = max(0, self.height - len(top) - len(below))
        places = placed(columns, width)
        rows = [(header_spans(places, width, glyphs, sort), GROUND), *table(places, max(0, room - 1))]
        rows += [((), GROUND)] * (room - len(rows))
        lines = [*top, *rows[:room], *below][: self.height]
        return [(fit(in_glyphs(spans, glyphs), width, ellipsis=glyphs.ellipsis), ground) for spans, ground in lines]

    def _freshness(self, snapshot: Snapshot | None, now: datetime) -> list[Part]:
        if snapshot is not None and self.settings.as_of is not None:
            return bundle_parts(now, self.settings.zone)
        fresh = Freshness(
            age_s=None if snapshot is None else 0.0,
            interval_s=self.settings.interval,
            poll_ms=snapshot.poll_ms if snapshot is not None else 0.0,
            behind_s=snapshot.behind_s if snapshot is not None else None,
        )
        return freshness_parts(fresh, clock_now=now, zone=self.settings.zone, width=self.width)

    def _charts(self, snapshot: Snapshot | None) -> list[Spans]:
        """Return the lines of the charts or sparks, empty ones where nothing is known yet."""
        layout = self.layout
        count = layout.chart_rows + 2 if layout.chart_rows else SPARK_LINES if layout.sparks else 0
        if snapshot is None or not count:
            return [()] * count
        from etlwatch.rendering.charts import chart_lines, spark_lines
        from etlwatch.rendering.request_charts import fleet_charts, fleet_sparks

        zone, glyphs = self.settings.zone, self.glyphs
        if not layout.chart_rows:
            return list(spark_lines(fleet_sparks(snapshot.fleet), width=self.width, glyphs=glyphs))
        width = max(1, self.width // 3 - 3)
        shades = palette(self.theme).shades
        beside = [
            chart_lines(chart, width=width, rows=layout.chart_rows, glyphs=glyphs, shades=shades)
            for chart in fleet_charts(snapshot.fleet, zone, width=width)
        ]
        gap = ((" " * 3, "plain"),)
        return [
            ((" ", "plain"), *one, *gap, *two, *gap, *three)
            for one, two, three in zip(*(_filled(lines, count) for lines in beside), strict=True)
        ]

    def _rows(
        self, listed: Sequence[RunRow], places: tuple[Placed, ...], room: int, context: DisplayContext
    ) -> list[Line]:
        from etlwatch.fields.runs import row_role

        shades = palette(self.theme).shades
        lines: list[Line] = []
        for run in listed[:room]:
            row = Row(key=run.run.run_id, cells=RUNS.cells(run, context), role=row_role(run))
            if lines:
                lines.append((row_spans(row, places, context.glyphs, marked=False), GROUND))
            else:
                spans = cursor_spans(row, places, context.glyphs, marked=False, shades=shades)
                lines.append((spans, "selected" if shades else GROUND))
        return lines


def _filled(lines: Sequence[Spans], count: int) -> list[Spans]:
    return [*lines, *([()] * count)][:count]
