"""Extract, transform and load a chat export.

Owns the three components of the pipeline. They share one `ETLContext`: they report progress to it, take the
batch size, the result's connection and shared helpers from it, and neither start nor end a phase: that is
the pipeline's part (`conversation_import`), as are opening and closing the connection.
"""

import html
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from etlwatch.demo.pacing import Pacer
from tracking_core import ETLContext
from tracking_core.dataclass import dataclass

Item = TypeVar("Item")
RawConversation = Mapping[str, Any]


class DamagedExportError(Exception):
    """The export, or one message in it, is not what the format promises; the cause says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawExport:
    """A chat export as it was read."""

    owner: str
    conversations: Sequence[RawConversation]

    @property
    def message_count(self) -> int:
        """Count the messages of all conversations."""
        return sum(len(conversation["MessageList"]) for conversation in self.conversations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, cleaned."""

    message_id: str
    sent_at: datetime
    sender: str
    is_own: bool
    kind: str
    text: str
    reads_right_to_left: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation with its cleaned messages."""

    conversation_id: str
    title: str
    messages: tuple[Message, ...]


class TextCleaner:
    """Turn a messenger's rich text into plain text."""

    _tag = re.compile(r"<[^<>]*>")
    _space = re.compile(r"[^\S\n]+")

    def clean(self, rich: str) -> str:
        """Drop tags and invisible characters, resolve entities, keep line ends.

        The joiner inside an emoji is invisible too, and stays: without it a family falls apart.
        """
        text = html.unescape(self._tag.sub("", rich)).replace("\r\n", "\n")
        visible = "".join(
            character
            for character in text
            if character in "\n\t\u200d" or unicodedata.category(character) not in ("Cc", "Cf")
        )
        return self._space.sub(" ", visible).strip()

    def reads_right_to_left(self, text: str) -> bool:
        """Say whether the first letter with a direction is Hebrew or Arabic (Unicode's rule P2)."""
        for character in text:
            direction = unicodedata.bidirectional(character)
            if direction in ("L", "R", "AL"):
                return direction != "L"
        return False


class Extractor:
    """Read the export file."""

    def extract(self, path: Path, context: ETLContext) -> RawExport:
        """Read and check the whole document; raises `DamagedExportError`, or OSError without such a file."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            export = RawExport(owner=document["userId"], conversations=document["conversations"])
            total_messages = export.message_count
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedExportError(f"{path.name} is no whole chat export") from error
        # Only now is it known how much there is.
        context.progress_tracker.total_conversations = len(export.conversations)
        context.progress_tracker.total_messages = total_messages
        pacer = _pacer(context, len(export.conversations))
        for conversation in export.conversations:
            context.update_progress(conversations=1, messages=len(conversation["MessageList"]))
            pacer.rest()
        return export


class Transformer:
    """Clean the messages."""

    def transform(self, export: RawExport, context: ETLContext) -> list[Conversation]:
        """Clean every message; raises `DamagedExportError` naming the message that cannot be read."""
        cleaner: TextCleaner = context.get_resource("text_cleaner") or TextCleaner()
        pacer = _pacer(context, export.message_count // context.batch_size + len(export.conversations))
        conversations = []
        for raw in export.conversations:
            messages: list[Message] = []
            for batch in in_batches(raw["MessageList"], context.batch_size):
                messages += [_message(raw, item, export.owner, cleaner) for item in batch]
                context.update_progress(messages=len(batch))
                pacer.rest()
            conversations.append(
                Conversation(
                    conversation_id=raw["id"],
                    title=cleaner.clean(raw["displayName"] or "(deleted contact)"),
                    messages=tuple(messages),
                )
            )
            context.update_progress(conversations=1)
        return conversations


def _message(raw: RawConversation, item: Mapping[str, Any], owner: str, cleaner: TextCleaner) -> Message:
    try:
        text = cleaner.clean(item["content"])
        return Message(
            message_id=item["id"],
            sent_at=datetime.fromisoformat(item["originalarrivaltime"]),
            sender=item["from"],
            is_own=item["from"] == owner,
            kind=item["messagetype"],
            text=text,
            reads_right_to_left=cleaner.reads_right_to_left(text),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedExportError(f"message {item.get('id')} of conversation {raw['id']} cannot be read") from error


# Statements stand in the job's own file, so that a job can be copied whole.
_CREATE = """
CREATE TABLE IF NOT EXISTS exports (export_id INTEGER PRIMARY KEY, owner TEXT, conversations INTEGER);
CREATE TABLE IF NOT EXISTS conversations (
    export_id INTEGER, conversation_id TEXT, title TEXT, first_at TEXT, last_at TEXT,
    PRIMARY KEY (export_id, conversation_id)
);
CREATE TABLE IF NOT EXISTS messages (
    export_id INTEGER, message_id TEXT, conversation_id TEXT, sent_at TEXT, sender TEXT, is_own INTEGER,
    kind TEXT, text TEXT, right_to_left INTEGER,
    PRIMARY KEY (export_id, message_id)
);
"""
_ADD_EXPORT = "INSERT INTO exports (owner, conversations) VALUES (?, ?)"
_ADD_CONVERSATION = "INSERT INTO conversations VALUES (?, ?, ?, ?, ?)"
_ADD_MESSAGE = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Loader:
    """Write the cleaned conversations into the result, a SQLite file."""

    def load(self, owner: str, conversations: Sequence[Conversation], context: ETLContext) -> dict[str, Any]:
        """Load all of it, a commit for each batch, and return the new `export_id`."""
        connection = context.get_db_connection()
        connection.executescript(_CREATE)
        export_id = connection.execute(_ADD_EXPORT, (owner, len(conversations))).lastrowid
        steps = sum(len(conversation.messages) // context.batch_size + 1 for conversation in conversations)
        pacer = _pacer(context, steps)
        for conversation in conversations:
            times = [message.sent_at.isoformat() for message in conversation.messages]
            identity = (export_id, conversation.conversation_id)
            connection.execute(
                _ADD_CONVERSATION,
                (*identity, conversation.title, min(times, default=None), max(times, default=None)),
            )
            for batch in in_batches(conversation.messages, context.batch_size):
                connection.executemany(_ADD_MESSAGE, [_row(identity, message) for message in batch])
                connection.commit()
                context.update_progress(messages=len(batch))
                pacer.rest()
            context.update_progress(conversations=1)
        connection.commit()
        return {"export_id": export_id}


def _row(identity: tuple[int | None, str], message: Message) -> tuple[object, ...]:
    export_id, conversation_id = identity
    return (
        export_id,
        message.message_id,
        conversation_id,
        message.sent_at.isoformat(),
        message.sender,
        message.is_own,
        message.kind,
        message.text,
        message.reads_right_to_left,
    )


def in_batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _pacer(context: ETLContext, steps: int) -> Pacer:
    return Pacer(context.get_resource("seconds_per_phase", 0.0), steps)
