"""The dashboard under Textual's pilot: opened on a store, with its first snapshot drawn, and its screen as text."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast
from unittest import mock
from zoneinfo import ZoneInfo

from textual.pilot import Pilot

from etlwatch.config.settings import Settings
from etlwatch.tui.app import EtlwatchApp
from tests.support.waiting import PATIENCE_SECONDS
from tracking_core.store.base import Store

PARIS = ZoneInfo("Europe/Paris")


class Dashboard:
    """An open dashboard; keys in, lines of text out."""

    def __init__(self, app: EtlwatchApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys, and let everything that follows from each happen before the next."""
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def hold(self, key: str, times: int) -> None:
        """Hold a key down: it comes so many times, and what is drawn in between is up to the application."""
        for _ in range(times - 1):
            self.app.simulate_key(key)
        await self.press(key)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds; the test fails when it never does."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < give_up, "\n".join(self.lines())
            await asyncio.sleep(0.01)
            await self.pilot.pause()

    async def poll(self) -> None:
        """Let the store be asked once more, and the answer be drawn."""
        before = self.app.latest
        self.app.poller.refresh()
        await self.until(lambda: self.app.latest is not before)
        await self.pilot.pause()

    def lines(self) -> list[str]:
        """Return the screen in front as lines of text, trailing blanks removed."""
        compositor = cast(Any, self.app.screen)._compositor
        return [strip.text.rstrip() for strip in compositor.render_strips(self.app.size)]

    @property
    def toasts(self) -> str:
        """What the toasts on screen say; drawn they are broken into lines."""
        return "\n".join(str(toast.message) for toast in cast(Any, self.app)._notifications)

    @property
    def text(self) -> str:
        """The screen in front as one text."""
        return "\n".join(self.lines())


async def _let_it_arrive(_seconds: float = 0) -> None:
    """Let the loop hand a key over; the pause after it waits for what follows, so that one wait a key is enough."""
    for _ in range(5):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def dashboard(
    store: object, *, size: tuple[int, int] = (80, 24), wait: bool = True, **settings: Any
) -> AsyncIterator[Dashboard]:
    """Yield an open dashboard; `wait` until the first snapshot is drawn."""
    values: dict[str, Any] = {"theme": "dark", "zone": PARIS, "label": "prod", "interval": 3_600.0}
    app = EtlwatchApp(lambda: cast(Store, store), Settings(**(values | settings)))
    with mock.patch("textual.app.wait_for_idle", _let_it_arrive):
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            opened = Dashboard(app, pilot)
            if wait:
                await opened.until(lambda: app.shown is not None)
                await pilot.pause()
            yield opened
