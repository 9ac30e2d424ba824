"""The job `conversation-import`: load a messenger's chat export into tables.

`write_export` writes a sample export, on request a damaged one; `Extractor`, `Transformer` and `Loader` read progress
settings from one `ETLContext` and report to it; `import_export` starts and ends the phases. Alone:
`python -m etlwatch.demo.conversation_import [FILE]`, without a file on a sample.
"""

import html
import json
import logging
import random
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

from etlwatch.demo.jobs import Pacer, job_parser, result_file
from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker
from tracking_core.dataclass import dataclass

Damage = Literal["none", "time", "truncated"]

OWNER: Final = "live:ada"
_BEGAN: Final = datetime(2023, 1, 9, 8, 0, tzinfo=UTC)
_PEOPLE: Final = (
    ("live:bjorn", "Björn Ångström"),
    ("live:chloe", "Chloé Lefèvre"),
    ("live:yara", "يارا حداد"),
    ("live:noa", "נועה לוי"),
    ("live:kenji", "田中 健二"),
    ("live:mina", "김미나"),
    ("live:olena", "Олена Шевченко"),
    ("live:priya", "प्रिया शर्मा"),
    ("live:zoe", "Zoë 🌻 van den Berg"),
    ("live:tom", "tom  (work)"),
)
_TALK: Final = (
    "Good morning!",
    "Can you send me the <b>latest</b> figures?",
    "The import ran over night, 48 212 rows &amp; no errors",
    "passt, danke 👍",
    "مرحبا، هل وصل الملف؟",
    "שלום, הקובץ הגיע",
    "了解しました。あとで確認します",
    "Ça marche 🙂 à demain",
    "Завтра в десять?",
    'see <a href="https://example.com/report?a=1&amp;b=2">the report</a>',
    "👩‍👩‍👧‍👦 🎉 🇳🇴",
    "ok",
    "",
    "a line\r\nand another one",
    "zero\u200bwidth and a tab\there",
)
_KINDS: Final = (
    "RichText",
    "RichText",
    "RichText",
    "RichText",
    "RichText",
    "RichText/UriObject",
    "Event/Call",
)


def write_export(
    path: Path, *, seed: int = 1, conversations: int = 60, messages: int = 6000, damage: Damage = "none"
) -> None:
    """Write an export of about `messages` messages in long and short conversations; the same seed, the same file.

    `damage="time"` makes one message's time invalid, `damage="truncated"` omits the end of the file.
    """
    draw = random.Random(seed)
    # Few conversations hold most of the messages.
    weights = [1 / (rank + 1) for rank in range(conversations)]
    counts = [max(1, round(messages * weight / sum(weights))) for weight in weights]
    draw.shuffle(counts)
    document: dict[str, Any] = {
        "userId": OWNER,
        "exportDate": _BEGAN.isoformat(),
        "conversations": [_conversation(number, count, draw) for number, count in enumerate(counts)],
    }
    if damage == "time":
        spoiled = document["conversations"][conversations * 5 // 8]["MessageList"]
        spoiled[len(spoiled) // 2]["originalarrivaltime"] = "2023-02-30T25:61:00Z"
    text = json.dumps(document, ensure_ascii=False, indent=1)
    path.write_text(text[: len(text) * 2 // 3] if damage == "truncated" else text, encoding="utf-8")


def _conversation(number: int, count: int, draw: random.Random) -> dict[str, Any]:
    contact, name = _PEOPLE[number % len(_PEOPLE)]
    # The conversation of a deleted contact has no name.
    shown = None if number % 13 == 12 else name if number < len(_PEOPLE) else f"{name} #{number}"
    moment = _BEGAN + timedelta(hours=number * 5)
    talk = []
    for position in range(count):
        moment += timedelta(seconds=draw.expovariate(1 / 900))
        talk.append(
            {
                "id": f"{number}-{position}",
                "originalarrivaltime": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "from": draw.choice((OWNER, contact)),
                "messagetype": draw.choice(_KINDS),
                "content": draw.choice(_TALK),
            }
        )
    return {"id": f"8:{contact}:{number}", "displayName": shown, "MessageList": talk}


Item = TypeVar("Item")
RawConversation = Mapping[str, Any]


class DamagedExportError(Exception):
    """The export, or one message in it, does not have the expected format; the cause is chained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawExport:
    """A chat export as read."""

    owner: str
    conversations: Sequence[RawConversation]

    @property
    def message_count(self) -> int:
        """The number of messages in all conversations."""
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
    """Converts a messenger's rich text to plain text."""

    _tag = re.compile(r"<[^<>]*>")
    _space = re.compile(r"[^\S\n]+")

    def clean(self, rich: str) -> str:
        """Remove tags and invisible characters except the joiner inside emoji, resolve entities, keep line ends."""
        text = html.unescape(self._tag.sub("", rich)).replace("\r\n", "\n")
        visible = "".join(
            character
            for character in text
            if character in "\n\t\u200d" or unicodedata.category(character) not in ("Cc", "Cf")
        )
        return self._space.sub(" ", visible).strip()

    def reads_right_to_left(self, text: str) -> bool:
        """Return whether the first letter with a direction is Hebrew or Arabic (Unicode's rule P2)."""
        for character in text:
            direction = unicodedata.bidirectional(character)
            if direction in ("L", "R", "AL"):
                return direction != "L"
        return False


class Extractor:
    """Reads the export file."""

    def extract(self, path: Path, context: ETLContext) -> RawExport:
        """Read and check the whole document; raises `DamagedExportError`, or OSError without such a file."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            export = RawExport(owner=document["userId"], conversations=document["conversations"])
            total_messages = export.message_count
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedExportError(f"{path.name} is not a complete chat export") from error
        # The totals are known only now.
        context.progress_tracker.total_conversations = len(export.conversations)
        context.progress_tracker.total_messages = total_messages
        pacer = _pacer(context, len(export.conversations))
        for conversation in export.conversations:
            context.update_progress(conversations=1, messages=len(conversation["MessageList"]))
            pacer.rest()
        return export


class Transformer:
    """Cleans the messages."""

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


# SQL in the job's own file, so that a job can be copied whole.
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
    """Writes the cleaned conversations into a SQLite file."""

    def load(self, owner: str, conversations: Sequence[Conversation], context: ETLContext) -> dict[str, Any]:
        """Load everything, one commit per batch; return the new `export_id`."""
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
    """Yield a sequence in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _pacer(context: ETLContext, steps: int) -> Pacer:
    return Pacer(context.get_resource("seconds_per_phase", 0.0), steps)


JOB = "conversation-import"

logger = logging.getLogger(__name__)


def import_export(path: Path, context: ETLContext) -> int:
    """Run one export through all three phases; return the number of its messages.

    An error is recorded with its phase, and raised.
    """
    extractor, transformer, loader = Extractor(), Transformer(), Loader()
    try:
        context.start_phase("extract")
        export = extractor.extract(path, context)
        context.end_phase({"status": "completed", "file_size_bytes": path.stat().st_size})

        totals = {"total_conversations": len(export.conversations), "total_messages": export.message_count}
        context.start_phase("transform", **totals)
        conversations = transformer.transform(export, context)
        context.end_phase()

        context.start_phase("load", **totals)
        context.end_phase(loader.load(export.owner, conversations, context))
    except Exception as error:
        if context.current_phase:
            context.record_error(context.current_phase, error)
            context.end_phase({"status": "failed"})
        raise
    finally:
        context.close_db_connection()
        context.finalize()
    return export.message_count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; return 0 when the export was loaded, raise for a damaged one."""
    parser = job_parser(JOB, "Import a chat export.")
    parser.add_argument("export", nargs="?", type=Path, metavar="FILE", help="the export; without it a sample")
    parser.add_argument("--seed", type=int, default=1, help="selects the sample")
    parser.add_argument("--messages", type=int, default=6000, help="size of the sample")
    parser.add_argument("--damage", choices=get_args(Damage), default="none", help="damage the sample")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    with ExitStack() as stack:
        result: Path = stack.enter_context(result_file(options.result, "conversations.db"))
        path = options.export
        if path is None:
            path = result.with_suffix(".json")
            write_export(path, seed=options.seed, messages=options.messages, damage=options.damage)
        tracker = stack.enter_context(closing(SimpleETLTracker()))
        run = stack.enter_context(ETLRunContext(tracker, options.notes or f"Import of {path.name}", job=JOB))
        context = ETLContext(f"sqlite:///{result}", batch_size=100, memory_limit_mb=1024, run=run)
        context.set_resource("text_cleaner", TextCleaner())
        context.set_resource("seconds_per_phase", options.pace / len(context.phase_status))
        messages = import_export(path, context)
        logger.info("%s: %d messages loaded", path.name, messages)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
