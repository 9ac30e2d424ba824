"""The list of the command palette: the commands of the screen in front, then those of the application."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from etlwatch.commands import APP_COMMANDS, Command, remapped
from etlwatch.config.settings import Keymap
from etlwatch.text.safe import clip, safe

TITLE_CELLS = 40


class CommandsProvider(Provider):
    """Offer every command that has a title; they are Content, so that no bracket is taken for markup."""

    def _commands(self) -> Sequence[Command]:
        own: Sequence[Command] = getattr(self.screen, "commands", ())
        keymap: Keymap = getattr(getattr(self.app, "settings", None), "keymap", {})
        return [command for command in remapped((*own, *APP_COMMANDS), keymap) if command.title]

    def _run(self, command: Command) -> partial[Coroutine[Any, Any, bool]]:
        return partial(self.app.run_action, command.action, self.screen)

    async def discover(self) -> Hits:
        """Yield all commands in their order."""
        for command in self._commands():
            title = self._titled(command)
            yield DiscoveryHit(title, self._run(command), text=title.plain)

    async def search(self, query: str) -> Hits:
        """Yield the commands whose title or key resembles the query."""
        matcher = self.matcher(query)
        for command in self._commands():
            title = self._titled(command)
            score = matcher.match(title.plain)
            if score > 0:
                yield Hit(score, title, self._run(command), text=title.plain)

    def _titled(self, command: Command) -> Content:
        """Return title and key in one line: what is found by name is learned as a key.

        What may not be done here is greyed, with the reason in place of help.
        """
        title = f"{command.title:<{TITLE_CELLS}}  "
        settings = getattr(self.app, "settings", None)
        if command.changes and settings is not None and not settings.may_write:
            # One line each: a palette that wraps is twice as long.
            reason = clip(
                safe(settings.write_reason), max(0, self.app.size.width - len(title) - len(command.shown) - 8)
            )
            return Content.assemble((f"{title}{command.shown}  {reason}", "$text-muted"))
        return Content.assemble(title, (command.shown, "$primary"))
