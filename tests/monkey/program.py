"""The dashboard with one more key, for the monkey: f12 tells by window titles what came before and after a full redraw.

title `before N`    everything typed is handled, and what followed from it is drawn as differences
title `after N`     the whole screen was drawn again
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from typing import Any

from textual.binding import Binding

from etlwatch.__main__ import main
from etlwatch.tui.app import EtlwatchApp
from etlwatch.tui.terminal.driver import passed

_numbers = count(1)


def probe(app: Any) -> None:
    """Redraw, and set both titles; a moment later, so that what was typed last is drawn before."""

    def draw(then: str) -> None:
        # Nothing else runs in between, so that nothing else can change.
        for _ in range(4):
            app.screen._on_timer_update()
        app._driver.write(f"\x1b]2;{then}\x07")
        app._driver.flush()

    def pending() -> bool:
        screen = app.screen
        pumps = [*screen.walk_children(), *app.screen_stack]
        return (
            # A new size is passed on when the app is idle.
            app._resize_event is not None
            or bool(screen._callbacks or screen._dirty_widgets or screen._layout_required)
            or any(widget._repaint_required or widget._layout_required for widget in screen._compositor.visible_widgets)
            or any(pump.message_queue_size or pump._next_callbacks for pump in (app, *pumps))
        )

    async def redraw(number: int) -> None:
        # A widget that has changed sends a message to its screen before it is drawn.
        for _ in range(20):
            for pump in (*app.screen.walk_children(), *app.screen_stack):
                await passed(pump)
            if not pending():
                break
            await asyncio.sleep(0.005)
        draw(f"before {number}")
        app.action_redraw()
        draw(f"after {number}")

    app.set_timer(0.04, lambda: app.run_worker(redraw(next(_numbers))))


EtlwatchApp.action_probe = probe  # type: ignore[attr-defined]
EtlwatchApp.BINDINGS = [*EtlwatchApp.BINDINGS, Binding("f12", "probe", show=False, priority=True)]
EtlwatchApp._merged_bindings = EtlwatchApp._merge_bindings()

if __name__ == "__main__":
    sys.exit(main())
