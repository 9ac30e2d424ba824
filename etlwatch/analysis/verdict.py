"""What a run is shown as: its state, how urgent it is, the note of its row, and the proof."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from etlwatch.analysis.health import Doubt, Finding
from etlwatch.analysis.states import BEHIND, RANKS
from etlwatch.text.display import role_of
from etlwatch.text.numbers import span
from tracking_core.dataclass import dataclass
from tracking_core.records import ErrorRecord, Run, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run is shown as."""

    state: str
    tone: str
    """The role of its colour, as in `role_of`."""

    rank: int
    """0 needs somebody most."""

    since: datetime | None = None
    """When the state began, on the store's clock."""

    note: str = ""
    """At most a few words, for the row; raw text from the store may be in it."""

    because: str = ""
    """The proof, in a sentence; raw text from the store may be in it."""

    made_good: bool = False
    """Whether a failure was followed by a success of its job."""

    @property
    def needs_you(self) -> bool:
        """Whether it is dead or behind."""
        return self.tone in ("red", "amber")


def made_good(runs: Iterable[Run]) -> frozenset[int]:
    """Return the runs that ended badly and whose job has completed a run begun after them."""
    given = list(runs)
    last_success: dict[str, datetime] = {}
    for run in given:
        if run.status == RunStatus.COMPLETED:
            known = last_success.get(run.job)
            last_success[run.job] = run.started_at if known is None else max(known, run.started_at)
    return frozenset(
        run.run_id
        for run in given
        if run.status == RunStatus.FAILED and run.job in last_success and last_success[run.job] > run.started_at
    )


def verdict_of(
    run: Run,
    *,
    now: datetime,
    last_error: ErrorRecord | None = None,
    good_again: bool = False,
    findings: Sequence[Finding] = (),
    doubts: Sequence[Doubt] = (),
    new_error: bool = False,
) -> Verdict:
    """Return the verdict on one run; `now` is the store's clock, `findings` prove the run's derived state.

    `doubts` are the states that what is stored of a past moment leaves open. `new_error`: no run before had
    the last error.
    """
    state, tone = run.state, role_of(run.state)
    rank, since = RANKS.get(state, RANKS["running"]), run.state_since or run.ended_at or run.started_at
    unsure = "; ".join(doubt.because for doubt in doubts)
    if state == "lost":
        silent = (now - run.heartbeat_at).total_seconds() if run.heartbeat_at else None
        since = run.heartbeat_at or since
        note = findings[0].note if findings else f"silent {span(silent)}" if silent is not None else "silent"
        because = run.evidence
    elif state == "failed":
        if good_again:
            tone, rank = role_of("completed"), RANKS["completed"]
        note, because = _failure_note(run, last_error, new=new_error), _failure(run, last_error)
    elif state in BEHIND:
        note = findings[0].note if findings else run.evidence
        because = "; ".join(filter(None, (run.evidence, unsure)))
    elif state in ("terminated", "abandoned"):
        note = because = _ending(run)
    else:
        note = f"{' or '.join(doubt.state for doubt in doubts)}: unknown" if doubts else last_line(run.notes)
        because = unsure
    made_good = state == "failed" and good_again
    return Verdict(state=state, tone=tone, rank=rank, since=since, note=note, because=because, made_good=made_good)


def last_line(text: str | None) -> str:
    """Return the last line of notes that is not empty."""
    lines = [line for line in (text or "").strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _failure_note(run: Run, error: ErrorRecord | None, *, new: bool) -> str:
    if error is None:
        return last_line(run.notes)
    return f"{error.error_type} (new)" if new else error.error_type


def _failure(run: Run, error: ErrorRecord | None) -> str:
    if error is None:
        return last_line(run.notes)
    where = f" in {error.phase}" if error.phase else ""
    message = last_line(error.message)
    return f"{error.error_type}{where}: {message}" if message else f"{error.error_type}{where}"


def _ending(run: Run) -> str:
    """Return who ended a run that did not end itself: `SIGTERM`, `closed by ana`, `left without an end`."""
    by = run.ended_by or ""
    kind, _, name = by.partition(" ")
    if kind == "signal":
        return name
    if kind == "person":
        return f"closed by {name}"
    if run.state == "abandoned":
        return "left without an end"
    found = re.search(r"\bSIG[A-Z]+\b", run.notes or "")
    return found.group() if found else last_line(run.notes)
