"""The job `conversation-import`: load a messenger's chat export into a table.

Three functions, one a phase, share an `ETLContext` and report their progress to it. Without a file it writes a sample
export, on request a damaged one.
"""

import html
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from etlwatch.demo.jobs import Pacer, job_parser, tracked_run
from tracking_core import ETLContext

JOB = "conversation-import"
OWNER: Final = "live:ada"
BEGAN: Final = datetime(2023, 1, 9, 8, 0, tzinfo=UTC)
TALK: Final = (
    "Good morning!", "Can you send me the <b>latest</b> figures?", "The import ran &amp; no errors", "passt, danke 👍",
    "مرحبا، هل وصل الملف؟", "了解しました。あとで確認します", "👩‍👩‍👧‍👦", "a line\r\nand another one",
)  # fmt: skip

# SQL in the job's own file, so that a job can be copied whole.
_CREATE = "CREATE TABLE messages (conversation TEXT, message TEXT, sent_at TEXT, own INTEGER, text TEXT)"
_ADD = "INSERT INTO messages VALUES (?, ?, ?, ?, ?)"

Item = TypeVar("Item")
Row = tuple[str, str, str, bool, str]


class DamagedExportError(Exception):
    """The export, or one message in it, does not have the expected format; the cause is chained."""


def write_export(
    path: Path, *, seed: int = 1, conversations: int = 60, messages: int = 6000, damage: str = "none"
) -> None:
    """Write an export of about `messages` messages in long and short conversations; the same seed, the same file.

    `damage="time"` makes one message's time invalid, `damage="truncated"` omits the end of the file.
    """
    draw = random.Random(seed)
    # Few conversations hold most of the messages.
    weights = [1 / (rank + 1) for rank in range(conversations)]
    counts = [max(1, round(messages * weight / sum(weights))) for weight in weights]
    draw.shuffle(counts)
    talks = [_conversation(number, count, draw) for number, count in enumerate(counts)]
    if damage == "time":
        spoiled = talks[conversations * 5 // 8]["MessageList"]
        spoiled[len(spoiled) // 2]["originalarrivaltime"] = "2023-02-30T25:61:00Z"
    text = json.dumps({"userId": OWNER, "conversations": talks}, ensure_ascii=False, indent=1)
    path.write_text(text[: len(text) * 2 // 3] if damage == "truncated" else text, encoding="utf-8")


def _conversation(number: int, count: int, draw: random.Random) -> dict[str, Any]:
    contact = f"live:contact{number}"
    moment = BEGAN + timedelta(hours=number * 5)
    talk = []
    for position in range(count):
        moment += timedelta(seconds=draw.expovariate(1 / 900))
        talk.append(
            {
                "id": f"{number}-{position}",
                "originalarrivaltime": moment.isoformat(timespec="milliseconds"),
                "from": draw.choice((OWNER, contact)),
                "content": draw.choice(TALK),
            }
        )
    return {"id": f"8:{contact}", "MessageList": talk}


def extract(path: Path, context: ETLContext, pace_s: float) -> tuple[str, list[Mapping[str, Any]]]:
    """Return an export's owner and conversations; raises `DamagedExportError`, or OSError without such a file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        owner, conversations = document["userId"], document["conversations"]
        messages = sum(len(conversation["MessageList"]) for conversation in conversations)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedExportError(f"{path.name} is not a complete chat export") from error
    # The totals are known only now.
    context.progress_tracker.total_conversations = len(conversations)
    context.progress_tracker.total_messages = messages
    pacer = Pacer(pace_s, len(conversations))
    for conversation in conversations:
        context.update_progress(conversations=1, messages=len(conversation["MessageList"]))
        pacer.rest()
    return owner, conversations


def transform(
    owner: str, conversations: Sequence[Mapping[str, Any]], context: ETLContext, pace_s: float
) -> list[list[Row]]:
    """Return the rows of each conversation; raises `DamagedExportError` naming the message that cannot be read."""
    pacer = Pacer(pace_s, sum(len(each["MessageList"]) // context.batch_size + 1 for each in conversations))
    transformed = []
    for conversation in conversations:
        rows: list[Row] = []
        for batch in in_batches(conversation["MessageList"], context.batch_size):
            rows += [_row(conversation["id"], item, owner) for item in batch]
            context.update_progress(messages=len(batch))
            pacer.rest()
        transformed.append(rows)
        context.update_progress(conversations=1)
    return transformed


def _row(conversation: str, item: Mapping[str, Any], owner: str) -> Row:
    try:
        sent_at = datetime.fromisoformat(item["originalarrivaltime"]).isoformat()
        return conversation, item["id"], sent_at, item["from"] == owner, plain_text(item["content"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedExportError(f"message {item.get('id')} of conversation {conversation} cannot be read") from error


def plain_text(rich: str) -> str:
    """Return a messenger's rich text without tags and entities."""
    return html.unescape(re.sub(r"<[^<>]*>", "", rich)).replace("\r\n", "\n").strip()


def load(conversations: Sequence[Sequence[Row]], context: ETLContext, pace_s: float) -> None:
    """Write all rows, one commit per batch."""
    connection = context.get_db_connection()
    connection.execute(_CREATE)
    pacer = Pacer(pace_s, sum(len(rows) // context.batch_size + 1 for rows in conversations))
    for rows in conversations:
        for batch in in_batches(rows, context.batch_size):
            connection.executemany(_ADD, batch)
            connection.commit()
            context.update_progress(messages=len(batch))
            pacer.rest()
        context.update_progress(conversations=1)


def in_batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield a sequence in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def import_export(path: Path, context: ETLContext, pace_s: float = 0.0) -> None:
    """Run one export through all three phases; an error is recorded with its phase, and raised."""
    try:
        with context.phase("extract"):
            owner, conversations = extract(path, context, pace_s / 3)
        messages = context.progress_tracker.total_messages
        totals = {"total_conversations": len(conversations), "total_messages": messages}
        with context.phase("transform", **totals):
            transformed = transform(owner, conversations, context, pace_s / 3)
        with context.phase("load", **totals):
            load(transformed, context, pace_s / 3)
    finally:
        context.close_db_connection()
        context.finalize()


def main(arguments: Sequence[str]) -> None:
    """Run the job; a damaged export fails it."""
    parser = job_parser(JOB, "Import a chat export.")
    parser.add_argument("export", nargs="?", type=Path, metavar="FILE", help="the export; without it a sample")
    parser.add_argument("--seed", type=int, default=1, help="selects the sample")
    parser.add_argument("--messages", type=int, default=6000, help="size of the sample")
    parser.add_argument("--damage", choices=("none", "time", "truncated"), default="none", help="damage the sample")
    options = parser.parse_args(arguments)
    with tracked_run(JOB, options.notes or "Import of a chat export") as (run, directory):
        path = options.export or directory / "export.json"
        if options.export is None:
            write_export(path, seed=options.seed, messages=options.messages, damage=options.damage)
        context = ETLContext(f"sqlite:///{directory}/conversations.db", batch_size=100, memory_limit_mb=1024, run=run)
        import_export(path, context, options.pace)
