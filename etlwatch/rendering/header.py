"""Lines 1 and 2 of a screen: store, counts by state, tracking, age of the data; the headline, or the banner."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from etlwatch.analysis.health import Outage
from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.snapshot import Snapshot
from etlwatch.analysis.states import BEHIND, FLAWED
from etlwatch.rendering.lines import Part
from etlwatch.text.display import UNICODE, Glyphs
from etlwatch.text.numbers import behind, clock, count, duration, duration_ms, moment, number_of, span, stamp
from etlwatch.text.safe import cell_width, clip, safe
from etlwatch.text.spans import Span, Spans, merge, spans_width
from tracking_core.dataclass import dataclass
from tracking_core.records import RunStatus

if TYPE_CHECKING:
    from tracking_core.records import Switch


LABEL_CELLS = 28
NAME_ROLES = {"red": "red bold", "amber": "amber bold", "blue": "blue", "none": "blue"}
"""The role of the store's name for its target's colour."""


def name_parts(label: str, colour: str, *, brief: bool) -> list[Part]:
    """Return the program's name, unless the line is short, and the store's."""
    name = (clip(safe(label), LABEL_CELLS), NAME_ROLES[colour])
    return [Part((name,), 0, 1)] if brief else [Part((("etlwatch", "text bold"),), 3), Part((name,), 0, 1)]


def short_label(label: str) -> str:
    """Return the short name of a store: a file's name, or a database and its host."""
    if label.startswith("/"):
        return label.rsplit("/", 1)[-1]
    address, _, database = label.partition(" as ")[0].removeprefix("postgresql://").partition("/")
    host = address.partition(":")[0] if not address.startswith("[") else address
    return f"{database}@{host}" if database and host else database or host or label


def tracking_part(switches: Sequence[Switch], *, brief: bool) -> Part:
    """Return whether tracking is on, and by whom it was switched off; never dropped while it is off."""
    for switch in switches:
        if switch.scope == "global" and not switch.enabled:
            by = f" by {safe(switch.changed_by)}" if switch.changed_by and not brief else ""
            return Part(((f"tracking off{by}", "amber bold"),), 0, 3)
    off = [switch for switch in switches if switch.scope == "job" and not switch.enabled]
    if off:
        which = safe(off[0].job) if len(off) == 1 and not brief else number_of(len(off), "job")
        return Part(((f"tracking off for {which}", "amber"),), 0, 3)
    return Part((("tracking on", "dim"),), 4, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old what is shown is, and what it cost."""

    age_s: float | None
    """Seconds since it was read; None before the first answer."""

    interval_s: float
    poll_ms: float = 0.0
    bytes_per_s: float | None = None
    as_of: datetime | None = None
    """The store's clock of the data shown."""

    behind_s: float | None = None
    """How many seconds the data was behind the store's clock, on a standby."""

    connected: bool = True
    paused: bool = False


def freshness_parts(fresh: Freshness, *, clock_now: datetime, zone: tzinfo | None, width: int) -> list[Part]:
    """Return data age, poll cost, bytes a second and the clock with its zone; amber and fixed without a connection."""
    space = 3 if width >= 100 else 2
    clock_now += timedelta(seconds=fresh.behind_s or 0.0)
    time_now = Part(((clock(clock_now, zone, seconds=width >= 100, name=True), "dim"),), 0, space)
    if fresh.age_s is None:
        return [Part((("connecting", "dim"),), 3, 3), time_now]
    as_of = Part(((f"as of {clock(fresh.as_of, zone, seconds=True, name=True)}", "amber"),), 0, 2)
    if not fresh.connected:
        return [Part(((f"data {duration(max(fresh.age_s, 1))} old", "amber"),), 0, 3), as_of]
    if fresh.paused:
        return [Part((("paused", "blue bold"),), 0, 3), as_of]
    # While data keeps coming its age is the interval, so that it does not flicker between two polls.
    steady = max(fresh.interval_s, 1.0)
    facts = [duration(steady if fresh.age_s <= 2 * steady + 1 else fresh.age_s), duration_ms(fresh.poll_ms)]
    if fresh.bytes_per_s is not None and width >= 140:
        # Of one width, so that the cells to its left do not move.
        facts.append(f"{_bytes(fresh.bytes_per_s):>4}/s")
    word = "data " if width >= 140 else ""
    late = behind(fresh.behind_s)
    standby = [Part(((late, "amber"),), 0, space)] if late else []
    return [*standby, Part(((word + " · ".join(facts), "dim"),), 3, space), time_now]


def looking_back_parts(moment: datetime, shown: datetime | None, zone: tzinfo | None, width: int) -> list[Part]:
    """Return which past moment is on screen, or is being read, and how to come back; in blue, as the cursor is."""
    word = "as of" if shown == moment else "reading"
    at = stamp(moment, zone) if width >= 100 else clock(moment, zone, seconds=True, name=True)
    return [Part((("esc now", "dim"),), 3, 3), Part(((f"{word} {at}", "blue bold"),), 0, 2)]


def bundle_parts(made_at: datetime, zone: tzinfo | None) -> list[Part]:
    """Return when the bundle on screen was made, in blue as every moment that is not now."""
    return [Part((("bundle", "dim"),), 3, 3), Part(((f"as of {stamp(made_at, zone)}", "blue bold"),), 0, 2)]


def _bytes(value: float) -> str:
    """Write bytes per second with two digits, so that it changes rarely: each change is sent."""
    if value >= 10:
        digits = 10 ** (int(math.log10(value)) - 1)
        value = round(value / digits) * digits
    if value < 1_000:
        return f"{value:.0f}B"
    return f"{value / 1_000:.1f}kB" if value < 10_000 else f"{value / 1_000:.0f}kB"


NAME_CELLS: Final = {"long": 40, "middle": 32, "short": 24}
"""Cells of a job's name by the length of the wording: what happened to it must stay beside it."""

WIDE: Final = 150
"""Cells from which on the first count has more space before it."""

NAMED_FIRST: Final = 2
"""Runs that the headline names; the rest is counted."""


def count_states(rows: Iterable[RunRow], *, now: datetime, window_s: float) -> Counter[str]:
    """Count runs by state: failures until made good, `done` those that completed within the window."""
    counts: Counter[str] = Counter()
    earliest = now - timedelta(seconds=window_s)
    for row in rows:
        if row.verdict.state != "completed":
            counts[row.verdict.state] += not row.verdict.made_good
        elif row.run.ended_at is not None and row.run.ended_at >= earliest:
            counts["done"] += 1
    return counts


def state_parts(counts: Counter[str], *, brief: bool, width: int = 0, window: str = "") -> list[Part]:
    """Return the counts that are not zero, worst first; `brief` sums them up as behind and ok.

    `window` names the time in which the completed runs ended: the list has older ones as well.
    """
    behind = sum(counts[state] for state in BEHIND)
    trouble = behind + sum(counts[state] for state in ("lost", "failed", *FLAWED))
    summed = brief and trouble > 0
    slow = ",".join(BEHIND)
    listed = [
        *((counts[state], state, "red", 0, state) for state in ("lost", "failed")),
        *([(behind, "behind", "amber", 0, slow)] if brief else [(counts[s], s, "amber", 1, s) for s in BEHIND]),
        *((counts[state], state, "amber", 1, state) for state in FLAWED),
        (counts["running"], "ok" if summed else "running", "text", 5, f"running !state:{slow}"),
        (0 if summed else counts["done"], f"done in {window}" if window else "done", "dim", 7, "completed"),
    ]
    shown = [each for each in listed if each[0] or (each[1] == "running" and not trouble)]
    first_gap = 3 if not brief and width >= WIDE else 2
    return [
        Part(
            ((count(number), f"{role} bold"), (f" {word}", role)),
            priority,
            2 if place else first_gap,
            f"state:{states}",
        )
        for place, (number, word, role, priority, states) in enumerate(shown)
    ]


def no_runs_text(*, demo: bool) -> str:
    """Return the text of a list without runs."""
    if demo:
        return "no runs yet: the demo's first jobs begin in a moment"
    return "no runs yet: jobs that import tracking_core appear here; try `etlwatch demo`"


def fleet_line(by_need: Sequence[RunRow], shown: Snapshot, *, zone: tzinfo | None, width: int, glyphs: Glyphs) -> Spans:
    """Return line 2 of all runs: one outage if many runs were lost at once, else the headline."""
    if shown.outage is not None:
        return outage_line(shown.outage, now=shown.at, zone=zone)
    return headline(by_need, now=shown.at, zone=zone, width=width, glyphs=glyphs)


def cut_parts(shown: Snapshot) -> list[Part]:
    """Return how many of the runs, and of the living ones, are listed and counted, where that is not all of them."""
    own = [run for run in shown.runs if shown.job is None or run.job == shown.job]
    listed = sum(run.status == RunStatus.RUNNING for run in shown.runs)
    parts = []
    if shown.there_are is not None and len(own) < shown.there_are:
        parts.append(Part(((f"{len(own):,} of {shown.there_are:,} runs", "dim"),), 2, 2))
    if shown.living is not None and listed < shown.living:
        parts.append(Part(((f"{listed:,} of {shown.living:,} living", "amber"),), 0, 2))
    return parts


def banner(*, what: str, cause: str, attempt: int, retry_in_s: float, width: int, retry_key: str = "r") -> Spans:
    """Return line 2 while the store does not answer: cause, countdown and the key, if there is one.

    Of a long cause the end is kept: drivers name the place first and the fault last.
    """
    seconds = max(0, math.ceil(retry_in_s))
    when = f" Retry {attempt} in {seconds}s" if seconds else f" Retry {attempt} now"
    countdown = f"{when}; {retry_key} retries now." if retry_key else f"{when}."
    room = width - cell_width(countdown) - cell_width(what) - 7
    phrase = safe(cause).rstrip(".")
    while cell_width(phrase) > room and ": " in phrase:
        phrase = phrase.partition(": ")[2]
    phrase = clip(phrase, room)
    return ((f" ! {what}{': ' if phrase else ''}{phrase}.", "amber bold"), (countdown, "text"))


def headline(
    rows: Sequence[RunRow], *, now: datetime, zone: tzinfo | None, width: int, glyphs: Glyphs = UNICODE
) -> Spans:
    """Return the worst runs in the longest wording that fits, or the quiet line.

    `rows` are all that are known, in default order.
    """
    trouble = [row for row in rows if row.verdict.needs_you]
    if not rows:
        return ((" ", "plain"), ("No runs yet.", "dim"))
    if not trouble:
        return _quiet(rows, now=now, zone=zone)
    spans = _look_first(trouble, "long", now=now, zone=zone, glyphs=glyphs)
    found = [finding for row in trouble for finding in row.findings if finding.endpoint]
    if found:
        first = min(found, key=lambda finding: finding.since)
        slow = (f" {safe(first.endpoint)} slow since {moment(first.since, now, zone)}.", "text")
        if spans_width((*spans, slow)) < width:
            return (*spans, slow)
    for length in ("middle", "short"):
        if spans_width(spans) < width:
            break
        spans = _look_first(trouble, length, now=now, zone=zone, glyphs=glyphs)
    return spans


def outage_line(outage: Outage, *, now: datetime, zone: tzinfo | None) -> Spans:
    """Return many runs lost at once as one outage."""
    return (
        (" One tracking outage", "red bold"),
        (f" since {moment(outage.since, now, zone)}: {safe(outage.sentence)}.", "text"),
    )


def _look_first(trouble: Sequence[RunRow], length: str, *, now: datetime, zone: tzinfo | None, glyphs: Glyphs) -> Spans:
    dead = [row for row in trouble if row.verdict.tone == "red"]
    named = (dead or list(trouble))[:NAMED_FIRST]
    pieces = [
        ((clip(safe(row.run.job), NAME_CELLS[length]), "text bold"), (f" {_what(row, length, now, zone)}", "text"))
        for row in named
    ]
    left_dead = max(0, len(dead) - NAMED_FIRST)
    left_behind = len(trouble) - len(named) - left_dead
    for number, word in ((left_dead, "dead" if length == "short" else "lost or failed"), (left_behind, "behind")):
        more = {
            "long": f" more {'is' if number == 1 else 'are'} {word}",
            "middle": f" more {word}",
            "short": f" {word}",
        }
        if number:
            pieces.append(((count(number), "text bold" if length == "long" else "text"), (more[length], "text")))
    separator = f" {glyphs.separator} " if length == "short" else "; "
    out: list[Span] = [(" " if length == "short" else " Look first: ", "text")]
    for index, piece in enumerate(pieces):
        out += [(separator if index else "", "text"), *piece]
    return merge([*out, ("." if length == "long" else "", "text")])


def _what(row: RunRow, length: str, now: datetime, zone: tzinfo | None) -> str:
    """Return what happened to a run and when."""
    since, state = row.verdict.since, row.verdict.state
    at = moment(since, now, zone)
    if state == "lost":
        ago = span((now - since).total_seconds()) if since else ""
        return {"long": f"went silent {ago} ago", "middle": f"silent for {ago}", "short": f"silent {ago}"}[length]
    if state != "failed":
        return safe(state) if length == "short" else f"{safe(state)} since {at}"
    failed = f"failed {at}" if length == "short" else f"failed at {at}"
    if row.new_error:
        return failed + {"long": " with a new error", "middle": ", new error", "short": ", new"}[length]
    return f"{failed} with {safe(row.last_error.error_type)}" if row.last_error and length == "long" else failed


def _quiet(rows: Sequence[RunRow], *, now: datetime, zone: tzinfo | None) -> Spans:
    """Return the line for a fleet without problems, and when the last one was."""
    past = [row for row in rows if row.verdict.made_good and row.run.ended_at is not None]
    words = " Nothing needs you."
    if past:
        last = max(past, key=lambda row: row.run.ended_at or row.run.started_at)
        job = clip(safe(last.run.job), NAME_CELLS["long"])
        words += f" Last trouble: {job}, {moment(last.run.ended_at, now, zone)}, made good."
    return ((words, "dim"),)
