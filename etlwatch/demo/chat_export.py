"""Write the chat export that the demo imports: some thousand messages as people really write them.

Owns the file format (one JSON document, as messengers hand it out), the invented talk and the two ways in
which the file can be damaged. The same seed gives the same file. Reading it is `conversations`' part.
"""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

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
    """Write an export of about `messages` messages, long and short conversations mixed.

    `damage="time"` spoils one message's time some way into the file, `damage="truncated"` leaves the file's
    end out, as an interrupted download does.
    """
    draw = random.Random(seed)
    # Few conversations hold most of the messages, as in every messenger.
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
    # A contact that was deleted keeps its conversation and loses its name.
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
