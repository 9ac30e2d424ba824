"""Messages from the poller to the application, posted from the poller's thread."""

from __future__ import annotations

from textual.message import Message

from etlwatch.reading.poller import Lost, Read


class SnapshotRead(Message):
    """A poll was answered."""

    def __init__(self, read: Read) -> None:
        super().__init__()
        self.read = read


class ConnectionLost(Message):
    """A poll was not answered; the poller goes on trying."""

    def __init__(self, lost: Lost) -> None:
        super().__init__()
        self.lost = lost
