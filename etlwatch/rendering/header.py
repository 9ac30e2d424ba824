"""Lines 1 and 2 of a screen: store, counts by state, tracking, age of the data; the headline, or the banner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from etlwatch.analysis.outage import Outage
from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.snapshot import Snapshot
from etlwatch.analysis.states import BEHIND
from etlwatch.rendering.lines import Part
from etlwatch.text.display import UNICODE, Glyphs
from etlwatch.text.numbers import behind, clock, count, duration, duration_ms, moment, number_of, span, stamp
from etlwatch.text.safe import cell_width, clip, safe
from etlwatch.text.spans import Spans, spans_width
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
    seconds = width >= 100
    clock_now += timedelta(seconds=fresh.behind_s or 0.0)
    time_now = Part(((clock(clock_now, zone, seconds=seconds, name=True), "dim"),), 0, 3 if width >= 100 else 2)
    if fresh.age_s is None:
        return [Part((("connecting", "dim"),), 3, 3), time_now]
    as_of = Part(((f"as of {clock(fresh.as_of, zone, seconds=True, name=True)}", "amber"),), 0, 2)
    if not fresh.connected:
        return [Part(((f"data {duration(max(fresh.age_s, 1))} old", "amber"),), 0, 3), as_of]
    if fresh.paused:
        return [Part((("paused", "blue bold"),), 0, 3), Part(as_of.spans, 0, 2)]
    facts = [_age(fresh), duration_ms(fresh.poll_ms)]
    if fresh.bytes_per_s is not None and width >= 140:
        # Of one width, so that the cells to its left do not move.
        facts.append(f"{_bytes(fresh.bytes_per_s):>4}/s")
    word = "data " if width >= 140 else ""
    space = 3 if width >= 100 else 2
    late = behind(fresh.behind_s)
    standby = [Part(((late, "amber"),), 0, space)] if late else []
    return [*standby, Part(((word + " · ".join(facts), "dim"),), 3, space), time_now]


def looking_back_parts(moment: datetime, shown: datetime | None, zone: tzinfo | None, width: int) -> list[Part]:
    """Return which past moment is on screen, or is being read, and how to come back; in blue, as the cursor is."""
    read = shown == moment
    word = "as of" if read else "reading"
    at = stamp(moment, zone) if width >= 100 else clock(moment, zone, seconds=True, name=True)
    return [
        Part((("esc now", "dim"),), 3, 3),
        Part(((f"{word} {at}", "blue bold"),), 0, 2),
    ]


def bundle_parts(made_at: datetime, zone: tzinfo | None) -> list[Part]:
    """Return when the bundle on screen was made, in blue as every moment that is not now."""
    return [Part((("bundle", "dim"),), 3, 3), Part(((f"as of {stamp(made_at, zone)}", "blue bold"),), 0, 2)]


def _age(fresh: Freshness) -> str:
    """Write the age of data that keeps coming as the interval, so that it does not flicker between two polls."""
    age = fresh.age_s or 0.0
    steady = max(fresh.interval_s, 1.0)
    return duration(steady) if age <= 2 * steady + 1 else duration(age)


def _bytes(value: float) -> str:
    """Write bytes per second with two digits, so that it changes rarely: each change is sent."""
    if value >= 10:
        digits = 10 ** (int(math.log10(value)) - 1)
        value = round(value / digits) * digits
    if value < 1_000:
        return f"{value:.0f}B"
    return f"{value / 1_000:.1f}kB" if value < 10_000 else f"{value / 1_000:.0f}kB"


NO_RUNS: Final = "no runs yet: jobs that import tracking_core appear here; try `etlwatch demo`"
NO_RUNS_IN_DEMO: Final = "no runs yet: the demo's first jobs begin in a moment"

NAME_CELLS: Final = {"long": 40, "middle": 32, "short": 24}
"""Cells of a job's name by the length of the wording: what happened to it must stay beside it."""

WIDE: Final = 150
"""Cells from which on the first count has more space before it."""

NAMED_FIRST: Final = 2
"""Runs that the headline names; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The number of runs in each state: with problems, running, and completed within the window."""

    lost: int = 0
    failed: int = 0
    stalled: int = 0
    throttled: int = 0
    slow: int = 0
    running: int = 0
    done: int = 0

    @property
    def behind(self) -> int:
        """Alive and late."""
        return self.stalled + self.throttled + self.slow

    @property
    def trouble(self) -> int:
        """Dead or behind."""
        return self.lost + self.failed + self.behind


def count_states(rows: Iterable[RunRow], *, now: datetime, window_s: float) -> Counts:
    """Count states: failures until made good, completed runs only when they ended within the window."""
    numbers = dict.fromkeys(("lost", "failed", "stalled", "throttled", "slow", "running", "done"), 0)
    earliest = now - timedelta(seconds=window_s)
    for row in rows:
        state = row.verdict.state
        if state == "completed":
            numbers["done"] += row.run.ended_at is not None and row.run.ended_at >= earliest
        elif state in numbers and not row.verdict.made_good:
            numbers[state] += 1
    return Counts(**numbers)


def _counted(number: int, word: str, tone: str) -> Spans:
    colour = "text" if tone == "plain" else tone
    return ((count(number), f"{colour} bold"), (f" {word}", colour))


def state_parts(counts: Counts, *, brief: bool, width: int = 0) -> list[Part]:
    """Return the counts that are not zero, worst first; `brief` sums them up as behind and ok."""
    parts: list[tuple[Spans, int]] = []
    if counts.lost:
        parts.append((_counted(counts.lost, "lost", "red"), 0))
    if counts.failed:
        parts.append((_counted(counts.failed, "failed", "red"), 0))
    if brief:
        if counts.behind:
            parts.append((_counted(counts.behind, "behind", "amber"), 0))
        if counts.trouble and counts.running:
            parts.append((_counted(counts.running, "ok", "plain"), 5))
    else:
        late = ((state, getattr(counts, state)) for state in BEHIND)
        parts.extend((_counted(number, state, "amber"), 1) for state, number in late if number)
    if not (brief and counts.trouble):
        if counts.running or not counts.trouble:
            parts.append((_counted(counts.running, "running", "plain"), 5))
        if counts.done:
            parts.append((_counted(counts.done, "done", "dim"), 7))
    first_gap = 3 if not brief and width >= WIDE else 2
    return [Part(spans, priority, 2 if place else first_gap) for place, (spans, priority) in enumerate(parts)]


def no_runs_text(*, demo: bool) -> str:
    """Return the text of a list without runs."""
    return NO_RUNS_IN_DEMO if demo else NO_RUNS


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
    endpoint = _slow_endpoint(trouble, now=now, zone=zone)
    for length in ("long", "middle", "short"):
        spans = _look_first(trouble, length, now=now, zone=zone, glyphs=glyphs)
        if length == "long" and spans_width(spans + endpoint) < width:
            return spans + endpoint
        if spans_width(spans) < width:
            break
    return spans


def _slow_endpoint(trouble: Sequence[RunRow], *, now: datetime, zone: tzinfo | None) -> Spans:
    """Return which endpoint makes runs slow, and since when; () where none is known."""
    found = [finding for row in trouble for finding in row.findings if finding.endpoint]
    if not found:
        return ()
    first = min(found, key=lambda finding: finding.since)
    return ((f" {safe(first.endpoint)} slow since {moment(first.since, now, zone)}.", "text"),)


def outage_line(outage: Outage, *, now: datetime, zone: tzinfo | None) -> Spans:
    """Return many runs lost at once as one outage."""
    return (
        (" One tracking outage", "red bold"),
        (f" since {moment(outage.since, now, zone)}: {safe(outage.sentence)}.", "text"),
    )


def _look_first(trouble: Sequence[RunRow], length: str, *, now: datetime, zone: tzinfo | None, glyphs: Glyphs) -> Spans:
    dead = [row for row in trouble if row.verdict.tone == "red"]
    named = (dead or list(trouble))[:NAMED_FIRST]
    pieces = [_named(row, length, now=now, zone=zone) for row in named]
    more_dead = len(dead) - len([row for row in named if row in dead])
    behind = len(trouble) - len(dead) - len([row for row in named if row not in dead])
    if more_dead:
        pieces.append(_more(more_dead, "dead" if length == "short" else "lost or failed", length))
    if behind:
        pieces.append(_more(behind, "behind", length))
    separator = f" {glyphs.separator} " if length == "short" else "; "
    out: list[tuple[str, str]] = [(" " if length == "short" else " Look first: ", "text")]
    for index, piece in enumerate(pieces):
        out.extend([(separator, "text")] if index else [])
        out.extend(piece)
    if length == "long":
        out.append((".", "text"))
    return tuple(out)


def _more(number: int, word: str, length: str) -> Spans:
    if length == "long":
        return ((count(number), "text bold"), (f" more {'is' if number == 1 else 'are'} {word}", "text"))
    return ((f"{count(number)} {word}" if length == "short" else f"{count(number)} more {word}", "text"),)


def _named(row: RunRow, length: str, *, now: datetime, zone: tzinfo | None) -> Spans:
    """Return what happened to one run and when."""
    since = row.verdict.since
    state = row.verdict.state
    at = moment(since, now, zone)
    ago = span((now - since).total_seconds()) if since else ""
    job = (clip(safe(row.run.job), NAME_CELLS[length]), "text bold")
    if state == "lost":
        words = {"long": f"went silent {ago} ago", "middle": f"silent for {ago}", "short": f"silent {ago}"}
    elif state == "failed":
        error = f" with {safe(row.last_error.error_type)}" if row.last_error else ""
        words = {"long": f"failed at {at}{error}", "middle": f"failed at {at}", "short": f"failed {at}"}
        if row.new_error:
            words = {
                "long": f"failed at {at} with a new error",
                "middle": f"failed at {at}, new error",
                "short": f"failed {at}, new",
            }
    else:
        words = {"long": f"{safe(state)} since {at}", "middle": f"{safe(state)} since {at}", "short": safe(state)}
    return (job, (f" {words[length]}", "text"))


def _quiet(rows: Sequence[RunRow], *, now: datetime, zone: tzinfo | None) -> Spans:
    """Return the line for a fleet without problems, and when the last one was."""
    past = [row for row in rows if row.verdict.made_good and row.run.ended_at is not None]
    words = " Nothing needs you."
    if past:
        last = max(past, key=lambda row: row.run.ended_at or row.run.started_at)
        job = clip(safe(last.run.job), NAME_CELLS["long"])
        words += f" Last trouble: {job}, {moment(last.run.ended_at, now, zone)}, made good."
    return ((words, "dim"),)
