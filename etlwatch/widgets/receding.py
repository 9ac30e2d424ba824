"""What all widgets of ours have in common: they recede when what they show is no longer true.

Owns that one state. Refuses to own how a widget looks then.
"""

from textual.widget import Widget

__all__ = ["Receding"]


class Receding(Widget):
    """A widget that can be muted."""

    _muted = False

    @property
    def muted(self) -> bool:
        """Whether everything recedes, because it is no longer true (a lost connection)."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        if value != self._muted:
            self._muted = value
            self.refresh()
